"""RTCP as data (RFC 3550 section 6): what one compound packet reports. Pure.

Read are sender and receiver reports, and no source description: a CNAME may name a person.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

SENDER_REPORT, RECEIVER_REPORT = 200, 201
_VERSION: Final = 2
_HEAD: Final = struct.Struct(">BBHI")
_SENDER: Final = struct.Struct(">QIII")
_BLOCK: Final = struct.Struct(">IIIIII")
_NEGATIVE: Final = 1 << 23


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportBlock:
    """What its sender received of one stream. `lost` since the stream began, below 0 where packets came twice;
    `highest_sequence` with the cycles counted above 16 bits; `last_report` the middle of our report's NTP time.
    """

    ssrc: int
    lost: int
    highest_sequence: int
    last_report: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One SR or RR. `middle_ntp` (of an SR; else None) is what a receiver answers with as its `last_report`."""

    sender: int
    middle_ntp: int | None
    blocks: tuple[ReportBlock, ...]


def reports(packet: bytes) -> tuple[Report, ...]:
    """Every report of a compound packet, in order. ValueError where its lengths do not add up or its version is wrong;
    packets of other types within it are passed over.
    """
    found, at = [], 0
    if not packet:
        raise ValueError("an empty RTCP packet")
    while at < len(packet):
        end = at + _size(packet, at)
        if packet[at + 1] in (SENDER_REPORT, RECEIVER_REPORT):
            found.append(_report(packet[at:end]))
        at = end
    return tuple(found)


def _size(packet: bytes, at: int) -> int:
    if len(packet) - at < 4:  # noqa: PLR2004 - the common header
        raise ValueError("RTCP ends within a header")
    size = 4 * (int.from_bytes(packet[at + 2 : at + 4]) + 1)
    if packet[at] >> 6 != _VERSION or size > len(packet) - at:
        raise ValueError("RTCP of another version, or cut")
    return size


def _report(packet: bytes) -> Report:
    sends = packet[1] == SENDER_REPORT
    first = _HEAD.size + (_SENDER.size if sends else 0)
    count = packet[0] & 31
    if len(packet) < first + count * _BLOCK.size:
        raise ValueError("a report shorter than its blocks")
    (*_, sender) = _HEAD.unpack_from(packet)
    ntp = _SENDER.unpack_from(packet, _HEAD.size)[0] if sends else None
    blocks = (_block(packet, first + number * _BLOCK.size) for number in range(count))
    return Report(sender=sender, middle_ntp=None if ntp is None else ntp >> 16 & 0xFFFFFFFF, blocks=tuple(blocks))


def _block(packet: bytes, at: int) -> ReportBlock:
    ssrc, losses, highest, _jitter, last_report, _delay = _BLOCK.unpack_from(packet, at)
    lost = losses & 0xFFFFFF
    return ReportBlock(
        ssrc=ssrc,
        lost=lost - 2 * _NEGATIVE if lost >= _NEGATIVE else lost,
        highest_sequence=highest,
        last_report=last_report,
    )
