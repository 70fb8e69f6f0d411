"""Makes the pcap files that sipp's `play` sends: one RTP stream of speech with keys pressed in it (RFC 4733)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.peers.audio import FRAME, Samples, to_alaw

_EVENTS = "0123456789*#ABCD"
_SSRC = 0x5EED0001
_KEY_PACKETS = 5


def speech_with_keys(path: Path, samples: Samples, keys: Mapping[int, str], *, telephone_event: int = 101) -> Path:
    """PCMA in 20 ms packets; each `{at_ms: key}` is a 100 ms key press during which the speech is not sent."""
    coded = to_alaw(samples)
    packets = list(_packets(coded, {ms // 20: key for ms, key in keys.items()}, telephone_event))
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for sequence, (frame, payload) in enumerate(packets):
            data = _ethernet(payload[:2] + struct.pack(">H", sequence & 0xFFFF) + payload[4:])
            file.write(struct.pack("<IIII", frame // 50, frame % 50 * 20_000, len(data), len(data)) + data)
    return path


def _packets(coded: bytes, keys: Mapping[int, str], telephone_event: int) -> Iterator[tuple[int, bytes]]:
    """(frame number, RTP packet without its sequence number), in order of sending."""
    pressed, began = "", 0
    for frame in range(len(coded) // FRAME):
        if frame in keys:
            pressed, began = keys[frame], frame
        since = frame - began
        if pressed and since < _KEY_PACKETS:
            yield frame, _key(pressed, began, since, telephone_event)
            if since == _KEY_PACKETS - 1:  # the last one twice more (RFC 4733 section 2.5.1.4)
                yield from [(frame, _key(pressed, began, since, telephone_event))] * 2
        else:
            yield frame, _rtp(8, frame, first=frame == 0) + coded[frame * FRAME : (frame + 1) * FRAME]


def _rtp(payload_type: int, frame: int, *, first: bool = False) -> bytes:
    return struct.pack(">BBHII", 0x80, payload_type | (0x80 if first else 0), 0, frame * FRAME, _SSRC)


def _key(key: str, began: int, since: int, payload_type: int) -> bytes:
    last = 0x80 if since == _KEY_PACKETS - 1 else 0
    event = struct.pack(">BBH", _EVENTS.index(key), last | 10, (since + 1) * FRAME)
    return _rtp(payload_type, began, first=since == 0) + event


def _ethernet(rtp: bytes) -> bytes:
    """As if it had been captured; sipp puts its own addresses and ports in."""
    udp = struct.pack(">HHHH", 4000, 4000, 8 + len(rtp), 0) + rtp
    loopback = b"\x7f\0\0\1"
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + loopback + loopback
    return bytes(12) + b"\x08\0" + ip + udp
