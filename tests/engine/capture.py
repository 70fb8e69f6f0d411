"""An independent witness: every UDP datagram that passes the loopback, taken by a raw socket beside the programs."""

from __future__ import annotations

import secrets
import select
import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Self

from tests.peers import ports

_IPV4 = 0x0800
_SO_RCVBUFFORCE = 33
"""Beyond what the machine allows everybody (socket(7)); it takes another right than opening the socket does."""
_UDP = 17


@dataclass(frozen=True, slots=True, kw_only=True)
class Datagram:
    source: tuple[str, int]
    destination: tuple[str, int]
    payload: bytes


class LoopbackCapture:
    """A context. Needs the right to open raw sockets: PermissionError else."""

    def __init__(self) -> None:
        self.datagrams: list[Datagram] = []
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_IPV4))
        for option in (socket.SO_RCVBUF, _SO_RCVBUFFORCE):  # a busy loopback outruns this thread
            with suppress(PermissionError):
                self._socket.setsockopt(socket.SOL_SOCKET, option, 1 << 26)
        self._socket.bind(("lo", _IPV4))
        self._end, self._told = socket.socketpair()
        self._thread = threading.Thread(target=self._take, daemon=True)

    def _take(self) -> None:
        while True:
            ready, _, _ = select.select([self._socket, self._told], [], [])
            if self._told in ready:
                return
            if self._socket in ready:
                packet, (*_, kind, _, _) = self._socket.recvfrom(65536)
                if kind != socket.PACKET_OUTGOING and (datagram := _udp(packet)):
                    self.datagrams.append(datagram)

    def _catch_up(self) -> None:
        """Until a datagram of our own is seen, and so all that was sent before it."""
        before, token = len(self.datagrams), secrets.token_bytes(16)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            own.sendto(token, (ports.LOOPBACK, 9))
        ports.until(
            lambda: any(one.payload == token for one in self.datagrams[before:]), seconds=30, what="the witness sees it"
        )

    def sent(self, source: tuple[str, int], destination: tuple[str, int]) -> list[bytes]:
        """Payloads from there to there so far, in order."""
        self._catch_up()
        return [one.payload for one in self.datagrams if (one.source, one.destination) == (source, destination)]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.close()
        self._thread.join(5)
        self._socket.close()
        self._told.close()


def _udp(packet: bytes) -> Datagram | None:
    header = (packet[0] & 15) * 4
    if packet[9] != _UDP:
        return None
    source, destination, length = struct.unpack_from(">HHH", packet, header)
    addresses = [str(IPv4Address(packet[at : at + 4])) for at in (12, 16)]
    return Datagram(
        source=(addresses[0], source),
        destination=(addresses[1], destination),
        payload=packet[header + 8 : header + length],
    )
