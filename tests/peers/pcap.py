"""One RTP stream of speech with keys pressed in it (RFC 4733), as packets or as the pcap that sipp's `play` sends."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.peers.audio import FRAME, Samples, to_alaw, to_ulaw

Timed = tuple[int, bytes]
"""Number of the 20 ms frame in which to send it, and the RTP packet."""
_EVENTS = "0123456789*#ABCD"
_KEY_PACKETS = 5


def speech_with_keys(path: Path, samples: Samples, keys: Mapping[int, str], *, telephone_event: int = 101) -> Path:
    """PCMA in 20 ms packets; each `{at_ms: key}` is a 100 ms key press during which the speech is not sent."""
    timed = packets(samples, keys, ssrc=0x5EED0001, telephone_event=telephone_event)
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for sequence, (frame, packet) in enumerate(timed):
            data = _ethernet(numbered(packet, sequence))
            file.write(struct.pack("<IIII", frame // 50, frame % 50 * 20_000, len(data), len(data)) + data)
    return path


def numbered(packet: bytes, sequence: int, later_by: int = 0) -> bytes:
    """The same packet with this sequence number, and a timestamp later by so many samples."""
    (timestamp,) = struct.unpack(">I", packet[4:8])
    head = struct.pack(">HI", sequence & 0xFFFF, (timestamp + later_by) & 0xFFFFFFFF)
    return packet[:2] + head + packet[8:]


def packets(
    samples: Samples, keys: Mapping[int, str], *, ssrc: int, telephone_event: int = 101, payload_type: int = 8
) -> Iterator[Timed]:
    """The speech as RTP, PCMA (8) or PCMU (0), in order of sending; sequence numbers are still all nought."""
    coded = (to_alaw if payload_type else to_ulaw)(samples)
    presses = {ms // 20: key for ms, key in keys.items()}
    pressed, began = "", 0
    for frame in range(len(coded) // FRAME):
        if frame in presses:
            pressed, began = presses[frame], frame
        since = frame - began
        if pressed and since < _KEY_PACKETS:
            key = _rtp(telephone_event, began, ssrc, first=since == 0) + _event(pressed, since)
            # the last one twice more (RFC 4733 section 2.5.1.4)
            yield from [(frame, key)] * (3 if since == _KEY_PACKETS - 1 else 1)
        else:
            yield frame, _rtp(payload_type, frame, ssrc, first=frame == 0) + coded[frame * FRAME : (frame + 1) * FRAME]


def _rtp(payload_type: int, frame: int, ssrc: int, *, first: bool) -> bytes:
    return struct.pack(">BBHII", 0x80, payload_type | (0x80 if first else 0), 0, frame * FRAME, ssrc)


def _event(key: str, since: int) -> bytes:
    last = 0x80 if since == _KEY_PACKETS - 1 else 0
    return struct.pack(">BBH", _EVENTS.index(key), last | 10, (since + 1) * FRAME)


def _ethernet(rtp: bytes) -> bytes:
    """As if it had been captured; sipp puts its own addresses and ports in."""
    udp = struct.pack(">HHHH", 4000, 4000, 8 + len(rtp), 0) + rtp
    loopback = b"\x7f\0\0\1"
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + loopback + loopback
    return bytes(12) + b"\x08\0" + ip + udp
