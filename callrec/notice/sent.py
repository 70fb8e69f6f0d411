"""The RTP that left us in a window of the wire, all of its packets read at once: hundreds, each like the one before.

Packets that follow each other by sequence number and timestamp, from one place to another, are one run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from callrec.core.wire_records import Flag, address_of, text_of

LARGEST_RUN: Final = 1 << 16
_HEAD: Final = 56
"""Bytes of a record before its packet (`core/wire_records.py`)."""
_RTP: Final = 12
_PLAIN: Final = 0x80
"""Version 2, no padding, no extension, no contributors (RFC 3550 section 5.1): all that the engine sends."""
_FIELDS: Final = np.dtype(
    {
        "names": ["size", "flags", "boottime_ns", "family", "port", "address", "kind", "sequence", "timestamp", "ssrc"],
        "formats": ["=u4", "=u2", "=u8", "=u2", "=u2", "V16", "u1", ">u2", ">u4", ">u4"],
        "offsets": [0, 6, 24, 32, 34, 36, _HEAD + 1, _HEAD + 2, _HEAD + 4, _HEAD + 8],
        "itemsize": _HEAD + _RTP,
    }
)
_ALIKE: Final = np.r_[0:8, 32:52, _HEAD + 1, _HEAD + 8 : _HEAD + 12]
"""Bytes that are the same in all packets of a run: size, flags, address, marker and payload type, SSRC."""

Bytes = npt.NDArray[np.uint8]


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
class Sent:
    """`gaps_us`: the microseconds before each packet, with spaces between. `odd` packets are no plain RTP."""

    runs: tuple[Run, ...]
    gaps_us: str
    payloads: bytes
    odd: int


def sent(window: bytes, places: Sequence[int], *, began_ns: int) -> Sent:
    """What these records hold; `places` is where they lie in the window, as `wire_records.apart` tells."""
    octets, at = np.frombuffer(window, np.uint8), np.array(places, np.int64)
    at = at[_sizes(octets, at) > _HEAD + _RTP]
    at = at[octets[at + _HEAD] == _PLAIN]
    rows = _without_padding(octets[at[:, None] + np.arange(_HEAD + _RTP)])
    packets = rows.reshape(-1).view(_FIELDS)
    times = [(ns - began_ns) // 1000 for ns in packets["boottime_ns"].tolist()]
    ends = (at + packets["size"]).tolist()
    return Sent(
        runs=tuple(_run(packets[start:end]) for start, end in _bounds(rows, packets)),
        gaps_us=" ".join(str(now - then) for then, now in zip([0, *times], times, strict=False)),
        payloads=b"".join(window[start:end] for start, end in zip((at + _HEAD + _RTP).tolist(), ends, strict=True)),
        odd=len(places) - len(at),
    )


def _sizes(octets: Bytes, at: npt.NDArray[np.int64]) -> npt.NDArray[np.uint32]:
    sizes: npt.NDArray[np.uint32] = octets[at[:, None] + np.arange(4)].reshape(-1).view("=u4")
    return sizes


def _without_padding(rows: Bytes) -> Bytes:
    """What lies behind a shorter address is no part of it."""
    family = rows[:, 32]
    rows[family == 4, 40:52] = 0  # noqa: PLR2004 - the version of IP
    rows[family == 0, 34:52] = 0
    return rows


def _bounds(rows: Bytes, packets: npt.NDArray[np.void]) -> list[tuple[int, int]]:
    """Where each run begins and ends."""
    if not len(packets):
        return []
    sequence, timestamp, step = packets["sequence"], packets["timestamp"], packets["size"] - np.uint32(_HEAD + _RTP)
    follows = (rows[1:, _ALIKE] == rows[:-1, _ALIKE]).all(axis=1)
    follows &= sequence[1:] == sequence[:-1] + np.uint16(1)
    follows &= timestamp[1:] == timestamp[:-1] + step[:-1]
    breaks = [0, *(np.flatnonzero(~follows) + 1).tolist(), len(packets)]
    pairs = pairwise(breaks)
    return [(at, min(at + LARGEST_RUN, end)) for start, end in pairs for at in range(start, end, LARGEST_RUN)]


def _run(packets: npt.NDArray[np.void]) -> Run:
    size, flags, _, family, port, address, kind, sequence, timestamp, ssrc = packets[0].tolist()
    return Run(
        to=text_of(address_of(family, bytes(address), port) if family else None),
        srtp=bool(flags & Flag.DECRYPTED),
        marker=bool(kind & 0x80),
        payload_type=kind & 0x7F,
        ssrc=ssrc,
        first_sequence=sequence,
        first_timestamp=timestamp,
        payload_bytes=size - _HEAD - _RTP,
        packets=len(packets),
    )
