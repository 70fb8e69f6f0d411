"""A caller behind a bad network: a UDP relay, seeded, that stands between the agent and a receiver by the book.

The relay's two sockets are what the agent talks to. What the agent sends is captured as it comes in (before the relay)
and as it is let through (after it); RTP and RTCP of both ways are dropped, delayed, doubled and so reordered. Behind it
a receiver counts as RFC 3550 (A.3) says, and reports five times a second on what it got.
"""

from __future__ import annotations

import heapq
import random
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from typing import Final

from callrec.demo.audio_stream import AudioStream
from callrec.demo.messages import PCMA, Address
from callrec.demo.phone import Phone
from tests.peers import ports, rtcp
from tests.peers.ports import LOOPBACK

_RTP: Final = struct.Struct(">BBHII")
_PORTS: Final = threading.Lock()
REPORT_EVERY: Final = 10
"""Ticks of 20 ms."""


@dataclass(frozen=True, kw_only=True)
class Weather:
    """What the relay does to each packet, either way; shares, and seconds."""

    lose: float
    double: float
    delay: float
    jitter: float

    @classmethod
    def drawn(cls, dice: random.Random) -> Weather:
        """From calm to 10 %."""
        return cls(
            lose=dice.choice([0, dice.uniform(0, 0.02), dice.uniform(0, 0.1)]),
            double=dice.choice([0, dice.uniform(0, 0.1)]),
            delay=dice.uniform(0, 0.06),
            jitter=dice.choice([0, dice.uniform(0, 0.06)]),
        )


@dataclass
class Received:
    """What the receiver behind the relay counts of one stream (RFC 3550 A.1, A.3)."""

    ssrc: int | None = None
    base: int = 0
    highest: int = 0
    packets: int = 0
    numbers: set[int] = field(default_factory=set)

    def take(self, ssrc: int, number: int) -> None:
        if self.ssrc is None:
            self.ssrc, self.base, self.highest = ssrc, number, number
        ahead = (number - self.highest) & 0xFFFF
        if ahead < 1 << 15:
            self.highest += ahead
        self.packets += 1
        self.numbers.add(number)

    @property
    def lost(self) -> int:
        return self.highest - self.base + 1 - self.packets


class RelayedStream(AudioStream):
    """See above; in the place of a telephone's own stream."""

    def __init__(self, says: bytes, weather: Weather, dice: random.Random) -> None:
        super().__init__(LOOPBACK, says)
        self.socket.close()
        with _PORTS:
            first = ports.free_range(2)
            self.socket, self._rtcp = _bound(first), _bound(first + 1)
        self._weather, self._dice = weather, dice
        self._on_the_way: list[tuple[float, int, bool, bool, bytes]] = []
        self._ticks = self._number = 0
        self._asked: rtcp.Heard | None = None
        self.before: dict[int, bytes] = {}
        self.got = Received()
        self.told: list[tuple[int, float]] = []
        """Of each report that reached the agent: the highest number in it, and the share lost until then."""

    # ------------------------------------------------------------ the relay

    def _relay(self, packet: bytes, *, outwards: bool, control: bool) -> None:
        weather, dice = self._weather, self._dice
        for _ in range(0 if dice.random() < weather.lose else 2 if dice.random() < weather.double else 1):
            due = time.monotonic() + weather.delay + dice.uniform(0, weather.jitter)
            self._number += 1
            heapq.heappush(self._on_the_way, (due, self._number, outwards, control, packet))

    def _let_through(self) -> None:
        while self._on_the_way and self._on_the_way[0][0] <= time.monotonic():
            _, _, outwards, control, packet = heapq.heappop(self._on_the_way)
            if not outwards:
                self._arrived(packet, control=control)
            elif self.towards is not None:
                host, port = self.towards
                (self._rtcp if control else self.socket).sendto(packet, (host, port + control))
                if control:
                    self._note_report(packet)

    def _note_report(self, packet: bytes) -> None:
        losses, highest = struct.unpack_from(">II", packet, 12)
        lost = losses & 0xFFFFFF
        lost -= (lost >> 23) << 24
        expected = ((highest - self.got.base) & 0xFFFF) + 1
        self.told.append((highest & 0xFFFF, lost / expected))

    # ------------------------------------------------------------ the receiver behind it

    def _arrived(self, packet: bytes, *, control: bool) -> None:
        if control:
            self._asked = rtcp.newest_report([packet]) or self._asked
            return
        _, _, number, _, ssrc = _RTP.unpack_from(packet)
        self.got.take(ssrc, number)
        self._heard.append(packet[_RTP.size :])

    def _report(self) -> None:
        if self._asked is None or self.got.ssrc is None:
            return
        said = rtcp.block(
            self.got.ssrc, lost=self.got.lost, highest=self.got.highest, last_report=self._asked.middle_ntp
        )
        self._relay(rtcp.receiver_report(7, said), outwards=True, control=True)

    # ------------------------------------------------------------ as the telephone's stream

    def receive(self) -> None:
        for packet in _waiting(self.socket):
            if len(packet) > _RTP.size and packet[1] & 0x7F == PCMA:
                self.before[int.from_bytes(packet[2:4], "big")] = packet[_RTP.size :]
                self._relay(packet, outwards=False, control=False)

    def tick(self) -> None:
        for packet in _waiting(self._rtcp):
            self._relay(packet, outwards=False, control=True)
        self._let_through()
        self._ticks += 1
        if self.towards is not None and self._ticks % REPORT_EVERY == 0:
            self._report()
        super().tick()

    def _send(self, packet: bytes, towards: Address) -> None:
        self._relay(packet, outwards=True, control=False)

    def close(self) -> None:
        super().close()
        self._rtcp.close()


def _bound(port: int) -> socket.socket:
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.bind((LOOPBACK, port))
    one.settimeout(0)
    return one


def _waiting(one: socket.socket) -> list[bytes]:
    found = []
    while True:
        try:
            found.append(one.recv(2048))
        except (BlockingIOError, ConnectionError):
            return found


class RelayedCaller(Phone):
    """A telephone whose audio goes through the relay; its signalling does not."""

    stream: RelayedStream

    def __init__(self, user: str, *, says: bytes, weather: Weather, dice: random.Random) -> None:
        super().__init__(user, says=says)
        self._audio.close()
        self.weather = weather
        self._audio = self.stream = RelayedStream(says, weather, dice)
