"""One RTP stream both ways (RFC 3550): says A-law, sends keys as RFC 4733 events, keeps what came in."""

from __future__ import annotations

import secrets
import socket
import struct
from collections import deque
from itertools import chain
from typing import Final

import numpy as np

from callrec.demo.messages import PCMA, TELEPHONE_EVENT, Address
from callrec.demo.speech import FRAME, SILENCE, Samples, from_alaw

_HEADER: Final = struct.Struct(">BBHII")
_MARKER: Final = 0x80
_END_OF_KEY: Final = 0x80
_VOLUME: Final = 10
_KEYS: Final = "0123456789*#"


class AudioStream:
    """Bound on loopback. `tick` every 20 ms sends one packet once `towards` is known; `receive` takes what came."""

    def __init__(self, host: str, says: bytes) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, 0))
        self.socket.settimeout(0)
        self.towards: Address | None = None
        self.muted = False
        self._says = says or SILENCE
        self._at = 0
        self._sequence, self._timestamp = secrets.randbelow(1 << 15), secrets.randbelow(1 << 31)
        self._ssrc = secrets.randbelow(1 << 32)
        self._key: deque[tuple[int, int, bytes]] = deque()
        self._heard: list[bytes] = []

    @property
    def port(self) -> int:
        """Where we listen; for the SDP."""
        return int(self.socket.getsockname()[1])

    @property
    def heard(self) -> Samples:
        """Everything that was heard, in the order it came, without gaps."""
        return from_alaw(b"".join(self._heard)) if self._heard else np.zeros(0, np.int16)

    def press(self, digit: str) -> None:
        """Queue one key: 100 ms of event packets, the last one three times (RFC 4733 section 2.5)."""
        event, started = _KEYS.index(digit), self._timestamp + FRAME
        for n, last in chain(((n, 0) for n in range(1, 5)), ((5, _END_OF_KEY),) * 3):
            payload = struct.pack(">BBH", event, last | _VOLUME, n * FRAME)
            self._key.append((TELEPHONE_EVENT | (_MARKER if n == 1 else 0), started, payload))

    def tick(self) -> None:
        """Send what is due: a piece of a key, else 20 ms of voice."""
        if self.towards is None or self.muted:
            return
        self._timestamp = (self._timestamp + FRAME) & 0xFFFFFFFF
        voice = self._says[self._at : self._at + FRAME]
        self._at = (self._at + FRAME) % len(self._says)
        kind, timestamp, payload = self._key.popleft() if self._key else (PCMA, self._timestamp, voice)
        self._sequence = (self._sequence + 1) & 0xFFFF
        header = _HEADER.pack(0x80, kind, self._sequence, timestamp & 0xFFFFFFFF, self._ssrc)
        self._send(header + payload, self.towards)

    def _send(self, packet: bytes, towards: Address) -> None:
        self.socket.sendto(packet, towards)

    def receive(self) -> None:
        """Take every packet that waits; what is not A-law is let go."""
        while True:
            try:
                packet = self.socket.recv(2048)
            except (BlockingIOError, ConnectionError):
                return
            if len(packet) > _HEADER.size and packet[0] >> 6 == 2 and packet[1] & 0x7F == PCMA:  # noqa: PLR2004 - version 2
                self._heard.append(packet[_HEADER.size :])

    def close(self) -> None:
        """Idempotent."""
        self.socket.close()
