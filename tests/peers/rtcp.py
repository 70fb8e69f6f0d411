"""RTCP as a peer sends it (RFC 3550 section 6.4): right, or with the one thing wrong that a test is about."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass


def block(ssrc: int, *, lost: int = 0, highest: int, last_report: int, fraction: int = 0) -> bytes:
    """One report block; no jitter, answered at once."""
    losses = fraction << 24 | lost & 0xFFFFFF
    return struct.pack(">IIIIII", ssrc, losses, highest, 0, last_report, 0)


def receiver_report(sender: int, *blocks: bytes) -> bytes:
    return struct.pack(">BBHI", 0x80 | len(blocks), 201, 1 + 6 * len(blocks), sender) + b"".join(blocks)


def sender_report(sender: int, ntp: int, *blocks: bytes) -> bytes:
    head = struct.pack(">BBHI", 0x80 | len(blocks), 200, 6 + 6 * len(blocks), sender)
    return head + struct.pack(">QIII", ntp, 0, 0, 0) + b"".join(blocks)


def goodbye(sender: int) -> bytes:
    return struct.pack(">BBHI", 0x81, 203, 1, sender)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What a receiver needs to know of the other side to report on it."""

    ssrc: int
    middle_ntp: int


def newest_report(packets: Sequence[bytes]) -> Heard | None:
    """The newest sender report among these compound packets."""
    for packet in reversed(packets):
        if len(packet) >= 20 and packet[1] == 200:
            return Heard(
                ssrc=int.from_bytes(packet[4:8], "big"),
                middle_ntp=int.from_bytes(packet[8:16], "big") >> 16 & 0xFFFFFFFF,
            )
    return None
