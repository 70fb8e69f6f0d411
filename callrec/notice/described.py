"""What both sides of the caller leg said of their media, as it is kept beside the window: without names and numbers.

Of a message is kept which one it was and those lines of its session description that say where media goes, in which
form, and in which direction (RFC 4566, 3264, 3605, 5761, 4733). What else it said, who calls whom and the keys of SRTP
among it, is bound by a commitment over the whole message: whoever has that message, from a capture of their own, and
the salt, which lies in the ledger and can be erased, can see that it was this one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from callrec.core.evidence import MOST_MESSAGES, SipText
from callrec.core.wire_records import text_of

MOST_LINES: Final = 48
"""Lines of a description that are kept."""
NAME: Final = "message_{}"
"""Under which a commitment stands in the ledger's entry, counted from 1."""

_KEPT: Final = re.compile(
    r"v=0|t=\d+ \d+|c=IN IP[46] [0-9A-Fa-f.:]+|m=[a-z]+ \d{1,5} [A-Z/]+( [\w.-]+){1,24}|a=rtcp-mux"
    r"|a=(sendrecv|sendonly|recvonly|inactive)|a=(max)?ptime:\d+|a=rtpmap:\d{1,3} [\w./-]{1,40}"
    r"|a=fmtp:\d{1,3} [0-9,-]{1,40}|a=rtcp:\d{1,5}( IN IP[46] [0-9A-Fa-f.:]+)?",
    re.ASCII,
)
_STATUS: Final = re.compile(r"SIP/2\.0 \d{3}", re.ASCII)
_REQUEST: Final = re.compile(r"([A-Z]+) ([a-z]{1,4}:)?(?:[^@ ]*@)?([^;?> ]*)[^ ]* SIP/2\.0", re.ASCII)
_HOST: Final = re.compile(r"[\w.:\[\]-]{1,128}", re.ASCII)

Commit = Callable[[str], tuple[str, str]]
"""A commitment to a text and the salt that opens it, both hexadecimal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """One message as it is kept. `at_us` counts from the window's beginning, below 0 before it; `received`, or sent."""

    at_us: int
    received: bool
    start_line: str
    sdp: tuple[str, ...]
    commitment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """What both descriptions come to: where the peer wants media and RTCP, empty where nobody knows; and whether both
    sides can take keys as telephone-event.
    """

    rtp: str = ""
    rtcp: str = ""
    keys: bool = False


def is_kept(line: str) -> bool:
    """True for a line of a session description that is kept."""
    return _KEPT.fullmatch(line) is not None


def redacted(
    messages: Sequence[SipText], *, began_ns: int, commit: Commit
) -> tuple[tuple[Described, ...], dict[str, str]]:
    """The newest of these messages as they are kept, and the salt of each, by the name of its commitment."""
    kept, salts = [], {}
    for number, message in enumerate(messages[-MOST_MESSAGES:], 1):
        commitment, salts[NAME.format(number)] = commit(f"{message.start_line}\n\n{message.sdp}")
        kept.append(
            Described(
                at_us=(message.at_ns - began_ns) // 1000,
                received=message.received,
                start_line=_without_people(message.start_line),
                sdp=tuple(filter(is_kept, _lines(message.sdp))),
                commitment=commitment,
            )
        )
    return tuple(kept), salts


def commitments_of(messages: Sequence[Described]) -> Mapping[str, str]:
    """The commitments by name, as they go into the ledger's entry."""
    return {NAME.format(number): message.commitment for number, message in enumerate(messages, 1)}


def _lines(sdp: str) -> list[str]:
    return [line.strip() for line in sdp.splitlines()][:MOST_LINES]


def _without_people(line: str) -> str:
    """A status without its words; a request with the host of its URI alone."""
    if status := _STATUS.match(line):
        return status[0]
    request = _REQUEST.fullmatch(line)
    if request is None or not _HOST.fullmatch(request[3]) or (request[2] or "") not in ("sip:", "sips:"):
        return line.partition(" ")[0] if line.partition(" ")[0].isalpha() else ""
    return f"{request[1]} {request[2]}{request[3]} SIP/2.0"


# ---------------------------------------------------------------- reading


def negotiated(messages: Sequence[Described]) -> Media:
    """Of the newest description of either side. Audio is the first stream that both have (RFC 3264 section 6)."""
    theirs = next((message.sdp for message in reversed(messages) if message.received and message.sdp), ())
    ours = next((message.sdp for message in reversed(messages) if not message.received and message.sdp), ())
    one, other = _streams(theirs), _streams(ours)
    both = ((mine, yours) for mine, yours in zip(one, other, strict=False) if _is_audio(mine) and _is_audio(yours))
    stream, answer = next(both, ([], []))
    if not stream:
        return Media()
    rtp = _address(stream, theirs, _port(stream))
    muxed = "a=rtcp-mux" in stream and "a=rtcp-mux" in answer
    rtcp = rtp if muxed else _rtcp(stream, theirs)
    return Media(rtp=rtp, rtcp=rtcp, keys=_takes_keys(stream) and _takes_keys(answer))


def _streams(sdp: Sequence[str]) -> list[list[str]]:
    """The lines of each stream, its m= line first."""
    starts = [number for number, line in enumerate(sdp) if line.startswith("m=")]
    return [list(sdp[start:end]) for start, end in zip(starts, [*starts[1:], len(sdp)], strict=False)]


def _is_audio(stream: Sequence[str]) -> bool:
    return stream[0].startswith("m=audio ") and _port(stream) > 0


def _port(stream: Sequence[str]) -> int:
    return int(stream[0].split(" ")[1])


def _address(stream: Sequence[str], sdp: Sequence[str], port: int) -> str:
    """The stream's own address, or that of the whole description, with this port."""
    before = sdp[: next(number for number, line in enumerate(sdp) if line.startswith("m="))]
    named = [line for line in (*stream, *before) if line.startswith("c=")]
    return _text(named[0].split(" ")[2], port) if named else ""


def _rtcp(stream: Sequence[str], sdp: Sequence[str]) -> str:
    """Where a=rtcp says (RFC 3605), else one port above."""
    words = next((line[len("a=rtcp:") :].split(" ") for line in stream if line.startswith("a=rtcp:")), [])
    if len(words) > 1:
        return _text(words[3], int(words[0]))
    return _address(stream, sdp, int(words[0]) if words else _port(stream) + 1)


def _text(host: str, port: int) -> str:
    try:
        address: IPv4Address | IPv6Address = ip_address(host)
    except ValueError:
        return ""
    return text_of((address, port))


def _takes_keys(stream: Sequence[str]) -> bool:
    """It lists a payload type that is telephone-event (RFC 4733)."""
    listed = stream[0].split(" ")[3:]
    events = (line[len("a=rtpmap:") :].split(" ") for line in stream if line.startswith("a=rtpmap:"))
    return any(number in listed and name.lower().startswith("telephone-event/") for number, name in events)
