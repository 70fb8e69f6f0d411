"""What is measured while a notice plays: counters per stream, how the player fed the leg, keys, directions.

Numbers only: `play.py` takes the readings, this file keeps the books.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from callrec.core.evidence import (
    CallerMedia,
    Direction,
    DirectionChange,
    Interruption,
    KeyCapability,
    KeyHeard,
    Observation,
    PlayerWatch,
    SipText,
    StreamIncarnation,
)
from callrec.core.values import KeyMethod, Leg, Tap
from callrec.core.wire_records import TakenWindow
from callrec.ports import Clock
from callrec.sip.counters import Counters
from callrec.sip.media import FRAME_MS, RATE

_FRAME: Final = RATE * FRAME_MS // 1000
_LOUD: Final = 500
"""RMS of int16 from which a frame of the prompt counts as loud (about -36 dBFS)."""
_LOUD_FRAMES: Final = 4
"""So many frames before and after must be loud too: position and level are not read at the same instant."""
SILENT_LEVEL: Final = 16
"""A level (0..255) below which the leg is silent."""


def loud_frames(pcm: bytes) -> Sequence[bool]:
    """For each frame of the prompt whether it is loud, and its neighbours too."""
    samples = np.frombuffer(pcm[: len(pcm) // 2 * 2], dtype="<i2").astype(np.float64)
    frames = samples[: len(samples) // _FRAME * _FRAME].reshape(-1, _FRAME)
    loud = np.sqrt((frames**2).mean(axis=1)) >= _LOUD if len(frames) else np.zeros(0, dtype=bool)
    around = range(-_LOUD_FRAMES, _LOUD_FRAMES + 1)
    padded = np.pad(loud, _LOUD_FRAMES)
    return [bool(all(padded[at + _LOUD_FRAMES + step] for step in around)) for at in range(len(loud))]


def incarnation(first: Counters, last: Counters) -> StreamIncarnation:
    """What one stream sent between two readings of its counters."""
    sent = last.sent - first.sent
    return StreamIncarnation(
        payload_type=last.payload_type,
        codec=last.codec,
        sent=sent,
        octets=last.octets - first.octets,
        first_sequence=(last.last_sequence - sent + 1) & 0xFFFF if sent > 0 else None,
        last_sequence=last.last_sequence if sent > 0 else None,
        first_timestamp=(first.last_timestamp + _FRAME) & 0xFFFFFFFF if first.sent else None,
        last_timestamp=last.last_timestamp if sent > 0 else None,
    )


@dataclass(slots=True)
class Watch:
    """How the player was seen to feed the leg."""

    checks: int = 0
    listener_misses: int = 0
    other_sources: int = 0
    level_checks: int = 0
    level_misses: int = 0

    def frozen(self) -> PlayerWatch:
        """As evidence."""
        return PlayerWatch(
            checks=self.checks,
            listener_misses=self.listener_misses,
            other_sources=self.other_sources,
            level_checks=self.level_checks,
            level_misses=self.level_misses,
        )


class Window:
    """What gathers between the start of a notice and its end. Times are read from the clock when things happen."""

    def __init__(
        self,
        clock: Clock,
        *,
        attempt: int,
        base: Counters,
        direction: Direction,
        info_allowed: bool,
        tones_heard: bool = False,
    ) -> None:
        self._clock = clock
        self._attempt = attempt
        self._start_ns, self._start_utc = clock.boottime_ns(), clock.utc().isoformat()
        self._end_ns, self._end_utc = self._start_ns, self._start_utc
        self._base: Counters | None = base
        self._last = base
        self._received = self._reports = self._renegotiations = 0
        self._streams: list[StreamIncarnation] = []
        self._directions: list[DirectionChange] = []
        self._keys: list[KeyHeard] = []
        self._info_allowed, self._tones_heard = info_allowed, tones_heard
        self._closed = False
        self.watch = Watch()
        self.direction(direction)

    def direction(self, direction: Direction) -> None:
        """The caller leg has this direction from now on."""
        if not self._directions or self._directions[-1].direction is not direction:
            self._directions.append(DirectionChange(at_ms=self._at_ms(), direction=direction))

    def key(self, leg: Leg, digit: str, method: KeyMethod, at_ns: int) -> None:
        """A key was pressed then."""
        at_ms = max(0, at_ns - self._start_ns) // 1_000_000
        self._keys.append(KeyHeard(digit=digit, method=method, leg=leg, at_ms=at_ms))

    def renegotiated(self) -> None:
        """The caller leg's media was negotiated again."""
        self._renegotiations += 1

    def bank(self, counters: Counters) -> None:
        """The running stream ends, or the window does: close its share."""
        if self._base is None:
            return
        self._streams.append(incarnation(self._base, counters))
        self._received += counters.received - self._base.received
        self._reports += counters.reports - self._base.reports
        self._last, self._base = counters, None

    def close(self) -> None:
        """The window ends now; it ends once."""
        if self._closed:
            return
        self._closed = True
        self._end_ns, self._end_utc = self._clock.boottime_ns(), self._clock.utc().isoformat()

    def _at_ms(self) -> int:
        return (self._clock.boottime_ns() - self._start_ns) // 1_000_000

    def observation(
        self,
        *,
        why: Interruption | None,
        prompt_bytes: int,
        tap: Tap,
        tap_pcm: bytes,
        taken: TakenWindow | None,
        answered: bool,
        signalling: tuple[SipText, ...] = (),
    ) -> Observation:
        """Everything, as evidence. The window was closed."""
        return Observation(
            attempt=self._attempt,
            complete=why is None,
            interruption=why,
            tap=tap,
            tap_pcm=tap_pcm,
            answered=answered,
            early_media=False,
            start_ns=self._start_ns,
            end_ns=self._end_ns,
            start_utc=self._start_utc,
            end_utc=self._end_utc,
            expected_packets=prompt_bytes // (2 * _FRAME),
            streams=tuple(self._streams),
            renegotiations=self._renegotiations,
            directions=tuple(self._directions),
            player=self.watch.frozen() if tap is Tap.PLAYER else None,
            caller=self._caller(),
            key_capability=self._capability(),
            keys=tuple(self._keys),
            window=taken,
            signalling=signalling,
        )

    def _caller(self) -> CallerMedia:
        return CallerMedia(
            sdp_address=self._last.sdp_address,
            source_address=self._last.source_address if self._received else "",
            rtp_packets=self._received,
            rtcp_reports=self._reports,
            foreign_packets=None,
        )

    def _capability(self) -> KeyCapability:
        return KeyCapability(
            telephone_event=self._last.telephone_event, info=self._info_allowed, inband=self._tones_heard
        )
