"""The window of the wire tap as it is kept beside the evidence: small, canonical, without a voice that is not ours.

One line of canonical JSON (RFC 8785), then the payloads of the RTP that we sent, one after the other. Packets that
follow each other by sequence number and timestamp are one run in the JSON, with the microseconds between them; of RTCP
only its report blocks and its hash are there; of SIP the messages that described the media, redacted (`described`). A
notice of 20 s in PCMA makes about 170 kB, a prompt of 40 s that asks for consent twice that: LARGEST is never passed.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from callrec._canonical import canonical, parse, sha256_hex
from callrec.core.evidence import SipText
from callrec.core.evidence_json import decode, encode
from callrec.core.rtcp import ReportBlock, reports
from callrec.core.wire_records import Counts, Flag, Kind, Record, TakenWindow, apart, text_of
from callrec.errors import Broken
from callrec.notice.described import Commit, Described, is_kept, redacted
from callrec.notice.sent import LARGEST_RUN, Run, sent

SCHEMA: Final = "callrec/wire-window/2"
FIRST_SCHEMA: Final = "callrec/wire-window/1"
"""Of windows from before SIP was kept in them; they are read as well."""
SUFFIX: Final = ".tap"
"""Of its file, which else bears the name of the evidence."""
LARGEST: Final = 400_000
"""Bytes of a kept window. One that would be larger is none: nothing is proven by it."""
MOST_REPORTS: Final = 64
"""RTCP packets heard that are kept; the rest is counted."""
Salts = dict[str, str]
_GAPS: Final = re.compile(r"(?:(?:0|[1-9][0-9]{0,11})(?: (?:0|[1-9][0-9]{0,11}))*)?")


def _to_nobody(_text: str) -> tuple[str, str]:
    raise ValueError("messages are kept only with somebody to commit to them")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSent:
    """A sender report of ours; at a time below 0 where it left before the window."""

    at_us: int
    ssrc: int
    middle_ntp: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RtcpHeard:
    """An RTCP packet from the address in the peer's SDP. `srtp`: it was authenticated and decrypted."""

    at_us: int
    source: str
    srtp: bool
    sha256: str
    understood: bool
    blocks: tuple[ReportBlock, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptWindow:
    """Times are microseconds from `began_ns` (since boot); `gaps_us` those before each RTP packet, with spaces between.
    `peers` are the addresses that RTP was to go to, in order; `odd` packets are no plain RTP; `rtcp_unkept` counts what
    was heard beyond MOST_REPORTS.
    """

    began_ns: int
    counts: Counts
    peers: tuple[str, ...]
    runs: tuple[Run, ...]
    gaps_us: str
    deferred: int
    odd: int
    reports_sent: tuple[ReportSent, ...]
    rtcp_heard: tuple[RtcpHeard, ...]
    rtcp_unkept: int
    signalling: tuple[Described, ...]


# ---------------------------------------------------------------- keeping


def keep(taken: TakenWindow) -> bytes:
    """The kept form, without any SIP. Broken where the records are none."""
    return keep_with(taken, ())[0]


def keep_with(taken: TakenWindow, signalling: Sequence[SipText], commit: Commit = _to_nobody) -> tuple[bytes, Salts]:
    """The kept form with these messages, redacted, and the salts that open what they were, by the names that their
    commitments have in the ledger. Broken where the records are none.
    """
    found = apart(taken.records)
    ours = sent(taken.records, found.sent_at, began_ns=found.began_ns)
    heard = [one for one in found.others if one.kind is Kind.RTCP_RECEIVED]
    described, salts = redacted(signalling, began_ns=found.began_ns, commit=commit)
    window = KeptWindow(
        began_ns=found.began_ns,
        counts=taken.counts,
        peers=tuple(text_of(one.address) for one in found.others if one.kind is Kind.PEER_ADDRESS),
        runs=ours.runs,
        gaps_us=ours.gaps_us,
        deferred=sum(Flag.DEFERRED in one.flags for one in found.others),
        odd=ours.odd,
        reports_sent=tuple(_reports_sent(found.others, found.began_ns)),
        rtcp_heard=tuple(_heard(one, found.began_ns) for one in heard[:MOST_REPORTS]),
        rtcp_unkept=len(heard[MOST_REPORTS:]),
        signalling=described,
    )
    head = canonical({"schema": SCHEMA, **encode(window)})
    return b"".join([head, b"\n", ours.payloads]), salts


def _us(one: Record, began_ns: int) -> int:
    return (one.boottime_ns - began_ns) // 1000


def _reports_sent(listed: Sequence[Record], began_ns: int) -> Iterator[ReportSent]:
    for one in listed:
        if one.kind is Kind.RTCP_SENT and one.status == 0:
            try:
                found = reports(one.packet if Flag.EARLIER not in one.flags else _without_blocks(one.packet))
            except ValueError:
                continue  # sent from the library's queue, and so encrypted
            for report in found:
                if report.middle_ntp is not None:
                    yield ReportSent(at_us=_us(one, began_ns), ssrc=report.sender, middle_ntp=report.middle_ntp)


def _without_blocks(packet: bytes) -> bytes:
    """A sender report of which only the first part was kept, as one without blocks."""
    return bytes([packet[0] & 0xE0]) + packet[1:2] + struct.pack(">H", len(packet) // 4 - 1) + packet[4:]


def _heard(one: Record, began_ns: int) -> RtcpHeard:
    try:
        blocks = tuple(block for report in reports(one.packet) for block in report.blocks)
        understood = True
    except ValueError:
        blocks, understood = (), False
    return RtcpHeard(
        at_us=_us(one, began_ns),
        source=text_of(one.address),
        srtp=Flag.DECRYPTED in one.flags,
        sha256=sha256_hex(one.packet),
        understood=understood,
        blocks=blocks,
    )


# ---------------------------------------------------------------- reading


def read(kept: bytes) -> tuple[KeptWindow, bytes]:
    """The window and the payloads of its runs, one after the other. Broken where it is none, or not whole."""
    head, _, payloads = kept.partition(b"\n")
    try:
        window = _window(parse(head))
        _check(window, payloads)
    except (ValueError, Broken) as error:
        raise Broken(
            f"a kept wire window cannot be read: {error}", next_step="compare it with a copy held elsewhere"
        ) from error
    return window, payloads


def _window(value: Any) -> KeptWindow:
    if not isinstance(value, dict) or value.get("schema") not in (SCHEMA, FIRST_SCHEMA):
        raise ValueError(f"this is not {SCHEMA}")
    fields_then = {name: field for name, field in value.items() if name != "schema"}
    if value["schema"] == FIRST_SCHEMA:
        if "signalling" in fields_then:
            raise ValueError(f"{FIRST_SCHEMA} has no signalling")
        fields_then["signalling"] = []
    window = decode(fields_then, KeptWindow, "window")
    assert isinstance(window, KeptWindow)
    return window


def _check(window: KeptWindow, payloads: bytes) -> None:
    for run in window.runs:
        in_range = (
            0 < run.packets <= LARGEST_RUN
            and 0 < run.payload_bytes <= LARGEST_RUN
            and 0 <= run.payload_type <= 0x7F  # noqa: PLR2004 - seven bits
            and 0 <= run.first_sequence <= 0xFFFF  # noqa: PLR2004 - sixteen
            and min(run.first_timestamp, run.ssrc) >= 0
            and max(run.first_timestamp, run.ssrc) <= 0xFFFFFFFF  # noqa: PLR2004 - thirty-two
        )
        if not in_range:
            raise ValueError("a run with a number that RTP cannot carry")
    if sum(run.packets * run.payload_bytes for run in window.runs) != len(payloads):
        raise ValueError("payloads and runs differ in length")
    if not all(is_kept(line) for message in window.signalling for line in message.sdp):
        raise ValueError("a line of a session description that is never kept")
    if not _GAPS.fullmatch(window.gaps_us):
        raise ValueError("the times are no numbers")
    if sum(run.packets for run in window.runs) != len(window.gaps_us.split()):
        raise ValueError("times and runs differ in number")
