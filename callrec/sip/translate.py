"""Between SIP's words and ours. Pure.

A cause is written like the value of a Reason header without its text: `Q.850;cause=17`, `SIP;cause=487` (RFC 3326).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from callrec.core.evidence import Direction
from callrec.core.values import DialFailure, KeyMethod
from callrec.ports import Invite
from callrec.sip.message import (
    CaseBlind,
    NameAddr,
    SipMessage,
    clean,
    connection_addresses,
    host_of,
    parse_name_addr,
    user_of,
)
from callrec.sip.settings import Network, Trunk, within

BROKEN: Final = "Q.850;cause=41"
"""Temporary failure: it was we, not the people on the phone."""
NORMAL: Final = "Q.850;cause=16"
_OK: Final = 200
_FIRST_FAILURE: Final = 300
_LAST_STATUS: Final = 699

_CAUSE: Final = re.compile(r"(Q\.850|SIP)\s*;\s*cause\s*=\s*(\d{1,3})", re.IGNORECASE)
_Q850_TEXT: Final = {
    1: "Unallocated number",
    3: "No route to destination",
    16: "Normal call clearing",
    17: "User busy",
    18: "No user responding",
    19: "No answer from user",
    21: "Call rejected",
    27: "Destination out of order",
    31: "Normal, unspecified",
    34: "No circuit available",
    38: "Network out of order",
    41: "Temporary failure",
}
_WORDS: Final = {text.lower(): number for number, text in _Q850_TEXT.items()} | {
    "normal": 16,
    "busy": 17,
    "no answer": 19,
    "refused": 21,
    "unreachable": 27,
    "failure": 41,
}
_Q850_STATUS: Final = {1: 404, 3: 404, 17: 486, 18: 408, 19: 480, 21: 403, 27: 502, 34: 503, 38: 503, 41: 503}
_FAILURES: Final = {
    486: DialFailure.BUSY,
    600: DialFailure.BUSY,
    408: DialFailure.NO_ANSWER,
    480: DialFailure.NO_ANSWER,
    487: DialFailure.NO_ANSWER,
    404: DialFailure.UNREACHABLE,
    502: DialFailure.UNREACHABLE,
    503: DialFailure.UNREACHABLE,
    504: DialFailure.UNREACHABLE,
}
_NO_REPLY: Final = (408, 503)
"""Statuses that the library makes up where nobody replied."""


def invite_of(message: SipMessage, *, call_uid: str, source: str) -> Invite:
    """An INVITE as data; every string cut at 256 bytes and without control characters."""
    request_uri = clean(([*message.start_line.split(" "), "", ""])[1])
    caller = parse_name_addr(message.first("From"))
    return Invite(
        call_uid=call_uid,
        dialled=user_of(request_uri),
        request_uri=request_uri,
        from_uri=caller.uri,
        from_display=caller.display,
        from_tag=caller.tag,
        to_uri=parse_name_addr(message.first("To")).uri,
        sip_call_id=clean(message.first("Call-ID")),
        asserted_identity=_cleaned(message.every("P-Asserted-Identity")),
        privacy=clean(message.first("Privacy")),
        diversion=_cleaned(message.every("Diversion")),
        headers=CaseBlind((clean(name), clean(value)) for name, value in message.headers),
        source=clean(source),
        transport=_transport(message.first("Via")),
    )


def _cleaned(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(clean(value) for value in values[:8])


def _transport(via: str) -> str:
    return clean(via.split(" ", maxsplit=1)[0].rpartition("/")[2]).lower()


def host_of_source(source: str) -> str:
    """The address of `127.0.0.1:5060` or `[::1]:5060`."""
    return source.rpartition(":")[0].removeprefix("[").removesuffix("]") if ":" in source else source


def direction_of(bits: int) -> Direction:
    """The library's direction bits (1 encoding, 2 decoding) as SDP direction seen from us."""
    return (Direction.INACTIVE, Direction.SENDONLY, Direction.RECVONLY, Direction.SENDRECV)[bits & 3]


def key_method_of(number: int) -> KeyMethod:
    """The library's way of telling RFC 4733 (0) from INFO (1)."""
    return KeyMethod.INFO if number == 1 else KeyMethod.TELEPHONE_EVENT


def dial_failure_of(status: int, *, replied: bool) -> DialFailure:
    """Why a destination could not be reached; `replied` says whether it sent anything at all but 100."""
    if not replied and status in _NO_REPLY:
        return DialFailure.UNREACHABLE
    return _FAILURES.get(status, DialFailure.REFUSED)


def cause_of(status: int, reason_header: str = "") -> str:
    """Why a leg ended: what the peer's Reason header says, else its status."""
    found = _CAUSE.search(reason_header)
    if found:
        return f"{found[1].upper()};cause={int(found[2])}"
    return NORMAL if status in (0, _OK) else f"SIP;cause={status}"


def reason_value(cause: str) -> str:
    """The Reason header for this cause (RFC 3326): a cause as above, or one of our own words such as `busy`."""
    protocol, number = _parsed(cause)
    text = _Q850_TEXT.get(number, "") if protocol == "Q.850" else ""
    return f'{protocol};cause={number};text="{text}"' if text else f"{protocol};cause={number}"


def status_of(cause: str) -> int:
    """The final status that refuses an INVITE for this cause; 480 where none fits better."""
    protocol, number = _parsed(cause)
    if protocol == "SIP" and _FIRST_FAILURE <= number <= _LAST_STATUS:
        return number
    return _Q850_STATUS.get(number, 480) if protocol == "Q.850" else 480


def ending_of(cause: str) -> str:
    """How a BYE says this cause: a failure that came as a SIP status is a temporary failure there (Q.850 cause 41), so
    that a PBX can tell a call that broke from one that was finished, and take the caller on.
    """
    return BROKEN if _parsed(cause)[0] == "SIP" else cause


def _parsed(cause: str) -> tuple[str, int]:
    found = _CAUSE.search(cause)
    if found:
        return found[1].upper(), int(found[2])
    return "Q.850", _WORDS.get(cause.strip().lower().replace("_", " "), 16)


def trunk_of(uri: str, trunks: Mapping[str, Trunk]) -> str:
    """The name of the trunk that this destination is dialled over, or nothing."""
    host = host_of(uri)
    return host if host in trunks else ""


def dialled_uri(uri: str, trunks: Mapping[str, Trunk]) -> str:
    """`sip:6000@pbx` with the trunk's own address in place of its name; any other URI as it is."""
    name = trunk_of(uri, trunks)
    if not name:
        return clean(uri)
    scheme, _, rest = trunks[name].uri.partition(":")
    place = rest.rpartition("@")[2]
    user = uri.partition(":")[2].rpartition("@")[0]
    return clean(f"{scheme}:{user}@{place}" if user else f"{scheme}:{place}")


def from_value(caller: NameAddr, prefix: str = "") -> str:
    """The caller's identity as a From value for the staff leg; empty where the caller has no usable URI."""
    if not caller.uri.lower().startswith(("sip:", "sips:", "tel:")) or any(bad in caller.uri for bad in '<>" '):
        return ""
    shown = f"{prefix}{caller.display or user_of(caller.uri)}" if prefix else caller.display
    escaped = clean(shown, 120).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}" <{caller.uri}>' if escaped else f"<{caller.uri}>"


def identity_headers(invite: Invite) -> tuple[tuple[str, str], ...]:
    """What goes along to the staff leg beside From (RFC 3325, RFC 3323, RFC 5806)."""
    asserted = tuple(("P-Asserted-Identity", value) for value in invite.asserted_identity)
    privacy = (("Privacy", invite.privacy),) if invite.privacy else ()
    return asserted + privacy + tuple(("Diversion", value) for value in invite.diversion)


def safe_headers(pairs: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """Headers that cannot break out of their line: names are tokens, values have no control characters."""
    return tuple((name, clean(value)) for name, value in pairs if re.fullmatch(r"[A-Za-z0-9-]{1,64}", name))


def allows_info(message: SipMessage) -> bool:
    """True where the peer says that it understands INFO (Allow)."""
    return any(method.upper() == "INFO" for method in message.every("Allow"))


def foreign_media(sdp: str, media_from: tuple[Network, ...]) -> bool:
    """True where a session description asks for media to an address outside these networks (empty: any is allowed)."""
    return bool(media_from) and not all(within(address, media_from) for address in connection_addresses(sdp))
