"""What the two legs of one call hear, and what is captured of them. SIP thread only.

Audio is wired by statement: `_wanted` says which connections this call should have now, and nothing else is connected.
Ports change with every re-negotiation, so that they are asked for anew each time.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Final, Protocol

import pjsua2 as pj

from callrec.core.values import CallDirection, Leg
from callrec.ports import CapturePaths
from callrec.sip.capture import Capture
from callrec.sip.media import RATE, Cadence, Connection, Media, Player, Wiring
from callrec.sip.play import NoticePlay
from callrec.sip.thread import SipThread

_ANNOUNCE_TAIL_S: Final = 0.3
_EARLY_TAIL_S: Final = 0.08
"""So long after its answer what a destination played before it (a queue's music) may still be on its way to us."""

Audio = Callable[[Leg], pj.AudioMedia | None]
"""The conference port of a leg as it is now."""


class Listener(Protocol):
    """Who listens to the caller."""

    def connections(self, caller: pj.AudioMedia | None) -> list[Connection]:
        """What it is to hear; `caller` is None where that leg has no audio now."""


class Sound:
    """Set what should be, then `rewire`. Methods that change something audible rewire by themselves."""

    def __init__(self, media: Media, thread: SipThread, audio: Audio, direction: CallDirection) -> None:
        self._media, self._thread, self._audio = media, thread, audio
        self._offered, self._dialled = direction.offered, direction.dialled
        self._wiring = Wiring()
        self._tone: pj.ToneGenerator | None = None
        self._capture: Capture | None = None
        self._captured: tuple[Path, ...] = ()
        self._parted = False
        self._announcements: list[tuple[Player, tuple[Leg, ...]]] = []
        self.play: NoticePlay | None = None
        self.ear: Listener | None = None
        self.early = self.bridging = False
        self._early_until_s = 0.0

    # ------------------------------------------------------------ tones

    def start_tone(self, cadence: Cadence) -> None:
        """Whoever called us hears this over and over."""
        self.stop_tone()
        self._tone = self._media.tone(cadence)
        self.rewire()

    def stop_tone(self) -> None:
        """They hear no tone any more."""
        tone, self._tone = self._tone, None
        if tone is not None:
            self.rewire()
            self._media.give_back(tone)

    # ------------------------------------------------------------ announcements

    def announce(self, pcm: bytes, legs: tuple[Leg, ...]) -> None:
        """These legs hear this beside whatever else they hear; recorders do not."""
        player = self._media.player(pcm, _ignore)
        self._announcements.append((player, legs))
        self.rewire()
        self._thread.call_later(len(pcm) / (2 * RATE) + _ANNOUNCE_TAIL_S, lambda: self._announced(player))

    def _announced(self, player: Player) -> None:
        if any(one is player for one, _ in self._announcements):
            self._announcements = [pair for pair in self._announcements if pair[0] is not player]
            self.rewire()
            self._media.retire(player)

    # ------------------------------------------------------------ capture

    @property
    def captures(self) -> bool:
        """True while recorders run."""
        return self._capture is not None

    def start_capture(self, paths: CapturePaths) -> None:
        """Start both recorders, unless the call ended meanwhile; raises what the library or the file system raises."""
        if self._parted:
            return
        self._capture = capture = Capture(self._media, paths)
        rest_s = self._early_until_s - monotonic()
        if rest_s > 0:
            capture.without = frozenset({self._dialled})
            self._thread.call_later(rest_s, lambda: self._early_is_over(capture))
        self.rewire()

    def answered(self) -> None:
        """The destination answered: what it plays before that is no part of the conversation."""
        if self.early:
            self._early_until_s = monotonic() + _EARLY_TAIL_S

    def _early_is_over(self, capture: Capture) -> None:
        capture.without = frozenset()
        if self._capture is capture:
            self.rewire()

    def suspend_capture(self, *, suspended: bool) -> None:
        """Only silence, or voices again."""
        if self._capture is not None:
            self._capture.suspended = suspended
            self.rewire()

    def stop_capture(self) -> tuple[Path, ...]:
        """Close both files; their headers are complete soon after. The newest files where it was stopped before."""
        capture, self._capture = self._capture, None
        if capture is not None:
            self.rewire()
            self._captured = capture.close()
        return self._captured

    def part(self) -> None:
        """A leg has ended, and with it what may be captured: whoever is left is not (R55), and the recording is no
        longer than the call, however late the loop hears of it.
        """
        self._parted = True
        self.stop_capture()

    # ------------------------------------------------------------ wiring

    def forget(self, port: int) -> None:
        """This port is gone."""
        self._wiring.forget(port)

    def rewire(self) -> None:
        """Connect what is wanted now, and nothing else."""
        self._wiring.apply(self._wanted())

    def both_there(self) -> bool:
        """True where both legs have audio that can be connected."""
        return self._audio(Leg.CALLER) is not None and self._audio(Leg.STAFF) is not None

    def close(self) -> None:
        """Let go of everything."""
        self.early = self.bridging = False
        self.stop_capture()
        self.stop_tone()
        for player, _ in self._announcements:
            self._media.retire(player)
        self._announcements.clear()
        self._wiring.apply(())

    def _wanted(self) -> list[Connection]:
        wanted = self._heard() if self.play is None else [*self.play.connections(), *self._heard_beside()]
        for player, legs in self._announcements:
            wanted += [(player, audio) for audio in map(self._audio, legs) if audio is not None]
        if self._capture is not None:
            wanted += self._capture.connections(self._audio)
        if self.ear is not None:
            wanted += self.ear.connections(self._audio(Leg.CALLER))
        return wanted

    def _heard_beside(self) -> list[Connection]:
        """While a notice plays in the talk staff hear it too, and whoever is told. Nothing of staff is heard there."""
        caller, staff = self._audio(Leg.CALLER), self._audio(Leg.STAFF)
        if self.play is None or staff is None or not self.bridging:
            return []
        voice: list[Connection] = [(caller, staff)] if caller is not None else []
        return [*voice, *self.play.heard_by(staff)]

    def _heard(self) -> list[Connection]:
        """What the legs hear while no notice plays."""
        calling, called = self._audio(self._offered), self._audio(self._dialled)
        wanted: list[Connection] = []
        if calling is not None and called is not None and (self.bridging or self.early):
            wanted.append((called, calling))
        if calling is not None and called is not None and self.bridging:
            wanted.append((calling, called))
        if self.bridging and (calling is None) != (called is None):
            alone = called if calling is None else calling
            assert alone is not None
            wanted.append((self._media.silence, alone))  # a leg that hears nothing for long is taken for dead
        if calling is not None and self._tone is not None:
            wanted.append((self._tone, calling))
        return wanted


def _ignore() -> None:
    """An announcement ends by time."""
