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
from callrec.core.wire_records import Counts, Flag, Kind, Record, TakenWindow, records, text_of
from callrec.errors import Broken
from callrec.notice.described import Commit, Described, is_kept, redacted

SCHEMA: Final = "callrec/wire-window/2"
FIRST_SCHEMA: Final = "callrec/wire-window/1"
"""Of windows from before SIP was kept in them; they are read as well."""
SUFFIX: Final = ".tap"
"""Of its file, which else bears the name of the evidence."""
LARGEST: Final = 400_000
"""Bytes of a kept window. One that would be larger is none: nothing is proven by it."""
MOST_REPORTS: Final = 64
"""RTCP packets heard that are kept; the rest is counted."""
_RTP: Final = struct.Struct(">BBHII")
_PLAIN: Final = 0x80
"""Version 2, no padding, no extension, no contributors (RFC 3550 section 5.1): all that the engine sends."""
_LARGEST_RUN: Final = 1 << 16
Salts = dict[str, str]
_GAPS: Final = re.compile(r"(?:(?:0|[1-9][0-9]{0,11})(?: (?:0|[1-9][0-9]{0,11}))*)?")


def _to_nobody(_text: str) -> tuple[str, str]:
    raise ValueError("messages are kept only with somebody to commit to them")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """RTP packets of one size that follow each other without a gap. Their timestamps differ by `payload_bytes` each."""

    to: str
    srtp: bool
    marker: bool
    payload_type: int
    ssrc: int
    first_sequence: int
    first_timestamp: int
    payload_bytes: int
    packets: int


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
    listed = records(taken.records)
    began_ns = next((one.boottime_ns for one in listed if Flag.EARLIER not in one.flags), 0)
    deferred = [one for one in listed if one.flags and Flag.DEFERRED in one.flags]
    sent = [one for one in listed if one.kind is Kind.RTP_SENT and not (one.flags and Flag.DEFERRED in one.flags)]
    plain = [one for one in sent if len(one.packet) > _RTP.size and one.packet[0] == _PLAIN]
    heard = [one for one in listed if one.kind is Kind.RTCP_RECEIVED]
    described, salts = redacted(signalling, began_ns=began_ns, commit=commit)
    window = KeptWindow(
        began_ns=began_ns,
        counts=taken.counts,
        peers=tuple(text_of(one.address) for one in listed if one.kind is Kind.PEER_ADDRESS),
        runs=tuple(_runs(plain)),
        gaps_us=" ".join(map(str, _gaps(plain, began_ns))),
        deferred=len(deferred),
        odd=len(sent) - len(plain),
        reports_sent=tuple(_reports_sent(listed, began_ns)),
        rtcp_heard=tuple(_heard(one, began_ns) for one in heard[:MOST_REPORTS]),
        rtcp_unkept=len(heard[MOST_REPORTS:]),
        signalling=described,
    )
    head = canonical({"schema": SCHEMA, **encode(window)})
    return b"".join([head, b"\n", *(one.packet[_RTP.size :] for one in plain)]), salts


def _runs(sent: Sequence[Record]) -> Iterator[Run]:
    run: dict[str, Any] = {}
    follows: tuple[Any, ...] = ()
    for one in sent:
        _, kind, sequence, timestamp, ssrc = _RTP.unpack_from(one.packet)
        size = len(one.packet) - _RTP.size
        same = (one.address, one.flags, kind, ssrc, size)
        if run and follows == (*same, sequence, timestamp) and run["packets"] < _LARGEST_RUN:
            run["packets"] += 1
        else:
            if run:
                yield Run(**run)
            run = _new_run(one, kind, sequence, timestamp, ssrc)
        follows = (*same, (sequence + 1) & 0xFFFF, (timestamp + size) & 0xFFFFFFFF)
    if run:
        yield Run(**run)


def _new_run(one: Record, kind: int, sequence: int, timestamp: int, ssrc: int) -> dict[str, Any]:
    return {
        "to": text_of(one.address),
        "srtp": Flag.DECRYPTED in one.flags,
        "marker": bool(kind & 0x80),
        "payload_type": kind & 0x7F,
        "ssrc": ssrc,
        "first_sequence": sequence,
        "first_timestamp": timestamp,
        "payload_bytes": len(one.packet) - _RTP.size,
        "packets": 1,
    }


def _us(one: Record, began_ns: int) -> int:
    return (one.boottime_ns - began_ns) // 1000


def _gaps(sent: Sequence[Record], began_ns: int) -> Iterator[int]:
    last = 0
    for one in sent:
        now = _us(one, began_ns)
        yield now - last
        last = now


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
            0 < run.packets <= _LARGEST_RUN
            and 0 < run.payload_bytes <= _LARGEST_RUN
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
