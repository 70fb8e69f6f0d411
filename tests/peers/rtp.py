"""A call's media under the test's own hand: what comes in, packet by packet, and what goes out, good or bad.

For what baresip and sipp cannot do: hear on after a re-INVITE, stop and go on, press keys in the stream, be a stranger
that sends into a call. sipp does the signalling:

    with Media() as media:
        caller = sipp.calling(folder, [invite(offer=sdp(port=str(media.port))), talk(5000), bye()], to=agent)
        media.speak(voice, to=caller.wait_received("SIP/2.0 200", seconds=5).media_address)
        media.heard_so_far(2, within_s=5)
    assert audio.share(media.heard, audio.STAFF_HZ) > 0.9
"""

from __future__ import annotations

import secrets
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from tests.peers import audio, pcap, ports, rtcp
from tests.peers.audio import FRAME, RATE, Samples
from tests.peers.ports import LOOPBACK

Address = tuple[str, int]
_PCMU, _PCMA = 0, 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """One RTP packet that came in. `at` is time.monotonic()."""

    at: float
    source: Address
    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes


class Media:
    """One RTP port, and its RTCP port above it or elsewhere. Takes everything in from the start; sends when told."""

    def __init__(self, host: str = LOOPBACK, *, rtcp_port: int | None = None) -> None:
        self.port = ports.free_range(2)
        self.rtcp_port = rtcp_port or self.port + 1
        self.packets: list[Packet] = []
        self.rtcp: list[bytes] = []
        self.ssrc = secrets.randbits(32)
        self._rtp, self._rtcp = (self._open(host, self.port), self._open(host, self.rtcp_port))
        self._due: tuple[float, Callable[[], None]] | None = None
        self._over = threading.Event()
        self._quiet, self._ended = threading.Event(), threading.Event()
        self._began, self._sequence = 0.0, 0
        self._saying: Callable[[Mapping[int, str]], None] | None = None
        self._speaking: threading.Thread | None = None
        self._taking = [threading.Thread(target=take, daemon=True) for take in (self._take_rtp, self._take_rtcp)]
        for thread in self._taking:
            thread.start()

    def _open(self, host: str, port: int) -> socket.socket:
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.bind((host, port))
        one.settimeout(0.1)
        return one

    # ------------------------------------------------------------ taking in

    def _take_rtp(self) -> None:
        while not self._over.is_set():
            try:
                data, source = self._rtp.recvfrom(4096)
            except TimeoutError:
                continue
            self.packets.append(_parse(data, source))
            if self._due is not None and len(self.packets) * FRAME / RATE >= self._due[0]:
                (_, report), self._due = self._due, None
                report()

    def _take_rtcp(self) -> None:
        while not self._over.is_set():
            try:
                self.rtcp.append(self._rtcp.recvfrom(4096)[0])
            except TimeoutError:
                continue

    @property
    def heard(self) -> Samples:
        """All sound that came in, each packet at the place its timestamp says, silence where none came; one incarnation
        of the stream (SSRC) after the other.
        """
        streams: dict[int, list[Packet]] = {}
        for packet in list(self.packets):
            if packet.payload_type in (_PCMA, _PCMU):
                streams.setdefault(packet.ssrc, []).append(packet)
        return np.concatenate([audio.silence(0), *map(_placed, streams.values())])

    def heard_so_far(self, seconds: float, *, within_s: float) -> None:
        """Wait until this much sound has come in."""
        ports.until(
            lambda: len(self.packets) * FRAME / RATE >= seconds,
            seconds=within_s,
            what=f"{seconds:g} s of sound come in at port {self.port}",
        )

    # ------------------------------------------------------------ sending

    def speak(
        self, samples: Samples, *, to: Address, keys: Mapping[int, str] | None = None, payload_type: int = _PCMA
    ) -> None:
        """Send this from now on, one packet each 20 ms, over and over; `{at_ms: key}` are pressed in the first round,
        as telephone-event 101. Returns at once. Said while it speaks, the stream goes on with the new sound: same SSRC,
        numbers and timestamps that follow.
        """
        self._end_speaking()
        self._saying = lambda keys: self.speak(samples, to=to, keys=keys, payload_type=payload_type)
        sound = list(pcap.packets(samples, keys or {}, ssrc=self.ssrc, payload_type=payload_type))
        again = list(pcap.packets(samples, {}, ssrc=self.ssrc, payload_type=payload_type))
        self._speaking = threading.Thread(target=self._speak, args=(sound, again, len(samples), to), daemon=True)
        self._speaking.start()

    def press(self, keys: Mapping[int, str]) -> None:
        """Press these keys so many milliseconds from now, in the stream that is being sent."""
        assert self._saying is not None, "nothing is being said"
        self._saying(keys)

    def _speak(self, sound: list[pcap.Timed], again: list[pcap.Timed], length: int, to: Address) -> None:
        self._began = self._began or time.monotonic()
        base = round((time.monotonic() - self._began) * RATE / FRAME) * FRAME
        while not self._ended.is_set():
            for frame, packet in sound:
                due = self._began + base / RATE + frame * 0.02
                if self._ended.wait(max(0.0, due - time.monotonic())):
                    return
                if not self._quiet.is_set():
                    self._rtp.sendto(_of(pcap.numbered(packet, self._sequence, base), self.ssrc), to)
                    self._sequence += 1
            sound, base = again, base + length // FRAME * FRAME

    def _end_speaking(self) -> None:
        self._ended.set()
        if self._speaking is not None:
            self._speaking.join(5)
        self._ended.clear()

    def become_another(self) -> None:
        """Go on under another SSRC, as whatever sends in this place of a sudden."""
        self.ssrc = secrets.randbits(32)

    def be_quiet(self) -> None:
        """Send no more packets until `go_on`; time runs on."""
        self._quiet.set()

    def go_on(self) -> None:
        self._quiet.clear()

    def send(self, data: bytes, *, to: Address, rtcp: bool = False) -> None:
        """Send these very bytes once."""
        (self._rtcp if rtcp else self._rtp).sendto(data, to)

    def report(self, *, to: Address, from_rtp: bool = False, **wrong: int) -> None:
        """Report what came in (RFC 3550 section 6.4.2) on the newest stream, in answer to the newest sender report that
        came; `wrong` names parts of the block that are to be others. Waits for both. `from_rtp`: from the port of RTP.
        """
        heard = ports.until(lambda: rtcp.newest_report(list(self.rtcp)), seconds=10, what="a sender report comes in")
        newest = ports.until(lambda: self.packets[-1:], seconds=10, what="sound comes in")[0]
        said = {"ssrc": newest.ssrc, "highest": newest.sequence, "last_report": heard.middle_ntp} | wrong
        report = rtcp.receiver_report(self.ssrc, rtcp.block(said.pop("ssrc"), **said))
        self.send(report, to=to, rtcp=not from_rtp)

    def report_after(self, seconds: float, *, to: Address, from_rtp: bool = False) -> None:
        """As above, once so much sound has come in: told by the packet itself, since who asked may wake too late."""
        self._due = (seconds, lambda: self.report(to=to, from_rtp=from_rtp))

    # ------------------------------------------------------------ ending

    def stop(self) -> None:
        self._over.set()
        self._end_speaking()
        for thread in self._taking:
            thread.join(5)
        self._rtp.close()
        self._rtcp.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _of(packet: bytes, ssrc: int) -> bytes:
    """This packet as one of this stream (RFC 3550 section 5.1)."""
    return packet[:8] + struct.pack(">I", ssrc) + packet[12:]


def _parse(data: bytes, source: Address) -> Packet:
    _, kind, sequence, timestamp, ssrc = struct.unpack(">BBHII", data[:12].ljust(12, b"\0"))
    return Packet(
        at=time.monotonic(),
        source=source,
        payload_type=kind & 0x7F,
        marker=bool(kind & 0x80),
        sequence=sequence,
        timestamp=timestamp,
        ssrc=ssrc,
        payload=data[12:],
    )


def _placed(stream: list[Packet]) -> Samples:
    first = stream[0].timestamp
    decoded = [
        ((one.timestamp - first) & 0xFFFFFFFF, (audio.from_alaw if one.payload_type == _PCMA else audio.from_ulaw))
        for one in stream
    ]
    length = max(at + len(one.payload) for (at, _), one in zip(decoded, stream, strict=True))
    assert length < RATE * 3600, "the timestamps of one stream leap by more than an hour"
    sound = audio.silence(length / RATE)
    for (at, decode), one in zip(decoded, stream, strict=True):
        sound[at : at + len(one.payload)] = decode(one.payload)
    return sound
