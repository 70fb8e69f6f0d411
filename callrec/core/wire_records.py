"""What the engine's wire tap lays down, read: one window of one leg, record by record. Pure.

The layout is a promise of `deploy/pjsip/engine.h`. Windows are read far from the engine too: when evidence is weighed,
and when an auditor weighs it again.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, IntFlag, unique
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from callrec.errors import Broken

_HEAD: Final = struct.Struct("=IHHiIQQHH16sI")
_OUTLINE: Final = struct.Struct("=IHH24xH18xI")
"""Of `_HEAD`: size, kind, flags, family of the address, bytes of the packet."""
_BYTES_OF_FAMILY: Final = {4: 4, 6: 16}

Address = tuple[IPv4Address | IPv6Address, int]


@unique
class Kind(Enum):
    """What a record tells; the value is the engine's number for it."""

    RTP_SENT = 1
    RTP_REFUSED = 2
    RTCP_SENT = 3
    RTCP_RECEIVED = 4
    RTP_FOREIGN = 5
    RTCP_FOREIGN = 6
    PEER_ADDRESS = 7
    LEG_GONE = 8


class Flag(IntFlag):
    """`DECRYPTED`: the wire carried SRTP, the packet here is in the clear. `DEFERRED`: sent from the library's queue,
    and stored as it left, which on an SRTP leg is encrypted. `EARLIER`: a report of ours from before the window.
    """

    DECRYPTED = 1
    DEFERRED = 2
    EARLIER = 4


_KINDS: Final = {kind.value: kind for kind in Kind}
_FAMILIES: Final = frozenset({0, *_BYTES_OF_FAMILY})
"""0 where a record has no address."""
_FLAGS: Final = tuple(Flag(flags) for flags in range(2 * max(Flag)))
"""Looked up, not made: there are hundreds of records in a window, and many windows a second."""
_SENT: Final = Kind.RTP_SENT.value
_AT_ONCE: Final = frozenset(int(flag) for flag in _FLAGS if not flag & Flag.DEFERRED)
"""Of what went straight to the wire."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One thing that happened on the wire of one leg. Times are when the kernel had answered.

    `address` is the destination of what was sent, the source of what was received. `status` is the library's, 0 where
    the kernel took the datagram. `wire_bytes` is the datagram's length; `packet` may differ from it under SRTP.
    """

    kind: Kind
    flags: Flag
    status: int
    wire_bytes: int
    utc_ns: int
    boottime_ns: int
    address: Address | None
    packet: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Counted on one leg, since it came to be or in one window. `rtp_held_back`: the stream was told that a packet
    went, and none did. `overflow` above 0: the window had no room for so many records: what it shows is not whole.
    `first_foreign` is where the leg's first foreign RTP came from, or nothing; `peer_ssrc` that of the newest RTP from
    the address in the peer's SDP.
    """

    rtp_sent: int
    rtp_refused: int
    rtp_held_back: int
    rtcp_sent: int
    rtp_received: int
    rtcp_received: int
    rtp_foreign: int
    rtcp_foreign: int
    peer_addresses: int
    leg_gone: int
    overflow: int
    first_foreign: str
    peer_ssrc: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenWindow:
    """A window as it was taken: its records as the engine laid them down, and what was counted in it."""

    records: bytes
    counts: Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Apart:
    """A window as `apart` reads it. `began_ns` is the time of its first record that is not from before it, 0 where it
    has none; `sent_at` is where in the window each record lies that is not among the `others`.
    """

    began_ns: int
    others: tuple[Record, ...]
    sent_at: tuple[int, ...]


def records(window: bytes) -> tuple[Record, ...]:
    """All records of a window as it was taken, in order. Broken where it does not end with a whole record."""
    with _whole(window):
        return tuple(_each(window))


def apart(window: bytes) -> Apart:
    """As `records`, but of the RTP that was sent, all but a few of a window's records, only where it lies: who wants it
    reads all of it at once. RTP from the library's queue is among the others. Broken as there.
    """
    with _whole(window):
        others: list[Record] = []
        sent_at: list[int] = []
        at = 0
        while at < len(window):
            size, kind, flags, family, length = _OUTLINE.unpack_from(window, at)
            if size != _HEAD.size + length or at + size > len(window):
                raise ValueError
            if kind == _SENT and flags in _AT_ONCE and family in _FAMILIES:
                sent_at.append(at)
            else:
                others.append(_record(window, at))
            at += size
        began_ns = next((one.boottime_ns for one in _each(window) if not one.flags & Flag.EARLIER), 0)
        return Apart(began_ns=began_ns, others=tuple(others), sent_at=tuple(sent_at))


@contextmanager
def _whole(window: bytes) -> Iterator[None]:
    try:
        yield
    except (struct.error, ValueError, LookupError):
        raise Broken(
            f"a wire tap's window of {len(window)} bytes is no sequence of records",
            next_step="build the engine anew from this source: make pjsip",
        ) from None


def _each(window: bytes) -> Iterator[Record]:
    at = 0
    while at < len(window):
        record = _record(window, at)
        yield record
        at += _HEAD.size + len(record.packet)


def _record(window: bytes, at: int) -> Record:
    size, kind, flags, status, wire, utc, boottime, family, port, raw, length = _HEAD.unpack_from(window, at)
    if size != _HEAD.size + length or at + size > len(window):
        raise ValueError
    return Record(
        kind=_KINDS[kind],
        flags=_FLAGS[flags],
        status=status,
        wire_bytes=wire,
        utc_ns=utc,
        boottime_ns=boottime,
        address=address_of(family, raw, port) if family else None,
        packet=window[at + _HEAD.size : at + size],
    )


@lru_cache(maxsize=1024)
def address_of(family: int, raw: bytes, port: int) -> Address:
    """An address as the engine writes it down. KeyError where the family is neither 4 nor 6."""
    part = raw[: _BYTES_OF_FAMILY[family]]
    return (IPv4Address(part) if family == 4 else IPv6Address(part), port)  # noqa: PLR2004 - the version of IP


def text_of(address: Address | None) -> str:
    """`127.0.0.1:5060` or `[::1]:5060`, as the library writes it; empty where there is none."""
    if address is None:
        return ""
    host, port = address
    return f"[{host}]:{port}" if host.version == 6 else f"{host}:{port}"  # noqa: PLR2004 - the version of IP
