"""Plays one notice to the caller leg and tells, exactly once, what was observed. SIP thread only.

With the wire tap its window is opened before the player is connected, and taken whatever ends the notice. Without, the
player is tapped, and watched feeding the leg; the leg is connected before that tap: what the tap holds from its first
sample on, the leg was fed as well. The library reports the end of the file one frame after the last one went out; once
the packet that may still wait for its last samples is out too, SETTLE_S more, and the counters are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from time import monotonic
from typing import Final, Protocol

import pjsua2 as pj

from callrec.core.evidence import Interruption, Observation, SipText
from callrec.core.values import Tap
from callrec.core.wire_records import TakenWindow
from callrec.errors import CallrecError
from callrec.sip.counters import Counters
from callrec.sip.house import House
from callrec.sip.leg import LegCall, LegMedia
from callrec.sip.media import FRAME_MS, RATE, Connection, Player, finished_pcm, finished_size
from callrec.sip.observe import SILENT_LEVEL, Window, loud_frames
from callrec.sip.wire import WireWindow, room_for

LEVEL_TRIES: Final = 4
"""How often the leg's level is read, a frame apart, before loud prompt and silent leg count as a miss."""
POLL_S: Final = 0.1
"""Between two looks at a player whose output is tapped: each look is part of the proof."""
WIRE_POLL_S: Final = 0.25
"""Where the wire is tapped it proves more than a look could; only a stall is to be seen in time."""
SETTLE_S: Final = 0.01
STALL_S: Final = 1.0
"""A player that does not advance for so long has stalled; and one that nobody could watch for so long may have: a
process that was stopped plays on as if nothing had been, and the caller heard a hole.
"""
SKIP_LATER_MS: Final = 60
"""How much more than the essential part is played before a skip, so that all of it has left for sure; and how long the
last packets of it may take.
"""
_TAP_WAIT_S: Final = 0.5
_TAP_POLL_S: Final = 0.005


class Stage(Protocol):
    """What a playing notice needs of its call."""

    @property
    def caller(self) -> LegCall | None:
        """The caller leg while it is there."""

    @property
    def info_allowed(self) -> bool:
        """The caller's side understands INFO."""

    @property
    def tones_heard(self) -> bool:
        """Keys are heard in the caller's audio."""

    def rewire(self) -> None:
        """Connect what is wanted now."""

    def notice_ending(self, play: NoticePlay) -> None:
        """It plays no more."""

    def notice_ended(self, play: NoticePlay, observation: Observation) -> None:
        """The last word of this notice."""


class NoticePlay:
    """One attempt."""

    def __init__(self, stage: Stage, house: House, *, attempt: int, name: str, linger_s: float = 0.0) -> None:
        self._stage, self._thread, self._media = stage, house.thread, house.media
        self._conference = house.conference
        self.attempt = attempt
        self._linger_s = linger_s
        self._tap_path = house.media.taps / f"{name}-{attempt}.wav"
        call = stage.caller
        self._answered = call is not None and call.confirmed
        self._signalling: tuple[SipText, ...] = call.signalling if call is not None else ()
        self.window = Window(
            house.clock,
            attempt=attempt,
            base=call.counters() if call is not None else Counters(),
            direction=(call.media if call is not None else LegMedia()).direction,
            info_allowed=stage.info_allowed,
            tones_heard=stage.tones_heard,
        )
        self._pcm = b""
        self._player: Player | None = None
        self._tap: pj.AudioMediaRecorder | None = None
        self._wire: WireWindow | None = None
        self._taken: TakenWindow | None = None
        self._loud: Sequence[bool] = ()
        self._position, self._moved_s = 0, monotonic()
        self._looked_s = self._moved_s
        self._skip_at, self._cut = -1, False
        self._ending = self._tapped = self._outplayed = False

    def begin(self, pcm: bytes) -> None:
        """Play this copy. Ends at once where the leg is held or gone, or where no player can be had."""
        self._pcm = pcm
        call = self._stage.caller
        if call is None or call.media.held:
            self.interrupt(Interruption.HUNG_UP if call is None else Interruption.HELD)
            return
        try:
            self._open(call)
        except Exception:  # noqa: BLE001 - no file, no player, no port: whatever it was, there was no notice
            self.interrupt(Interruption.PLAYER_FAILED)

    def _open(self, call: LegCall) -> None:
        if self._media.wire is not None:
            self._open_window(call)
        else:
            self._loud = loud_frames(self._pcm)
            self._tap = self._media.recorder(self._tap_path)
        self._player = self._media.player(self._pcm, lambda: self._thread.post(self._end_of_file))
        self._stage.rewire()
        self._thread.call_later(self._poll_s, self._poll)

    def _open_window(self, call: LegCall) -> None:
        """Where there is none, the caller hears the notice, and nothing will be proven."""
        wire = self._media.wire
        if wire is not None:
            with suppress(CallrecError):
                self._wire = wire.open(call.getId(), 0, room_for(len(self._pcm) // 2))

    def connections(self) -> list[Connection]:
        """Player to leg, then player to its tap; nothing once it is ending."""
        call = self._stage.caller
        audio = call.audio() if call is not None else None
        if self._ending or self._cut or self._player is None or audio is None:
            return []
        sinks = (audio, self._tap)
        return [(self._player, sink) for sink in sinks if sink is not None]

    def heard_by(self, other: pj.AudioMedia) -> list[Connection]:
        """Player to somebody else who listens in; nothing once it is ending."""
        return [(self._player, other)] if self._player is not None and not self._ending else []

    # ------------------------------------------------------------ while it plays

    def _poll(self) -> None:
        if self._ending or self._outplayed:
            return
        unwatched_s, self._looked_s = monotonic() - self._looked_s, monotonic()
        self._look()
        if max(unwatched_s, monotonic() - self._moved_s) > STALL_S:
            self.interrupt(Interruption.STALLED)
            return
        self._thread.call_later(self._poll_s, self._poll)

    @property
    def _poll_s(self) -> float:
        return POLL_S if self._media.wire is None else WIRE_POLL_S

    def _look(self) -> None:
        call, player = self._stage.caller, self._player
        if call is None or player is None:
            return
        position = int(player.getPos())
        if position == self._position:
            return
        self._position, self._moved_s = position, monotonic()
        if 0 <= self._skip_at <= position:
            self._cut_off(call)
        if self._tap is not None:
            self._watch(call, player)

    def skip(self, after_ms: int) -> None:
        """End it once so much was played and left, not before; what is beyond its end is its end."""
        self._skip_at = (after_ms + SKIP_LATER_MS) * RATE // 1000
        self._look_for_skip()

    def _look_for_skip(self) -> None:
        """Now, and when so much will have been played."""
        if self._player is None or self._ending or self._cut or self._outplayed:
            return
        self._look()
        left_s = (self._skip_at - self._position) / RATE
        if left_s > 0:
            self._thread.call_later(max(left_s, FRAME_MS / 1000), self._look_for_skip)

    def _cut_off(self, call: LegCall) -> None:
        """Nothing feeds the leg any more; the packet that waits for its last samples leaves with silence in it."""
        if self._cut:
            return
        self._cut = True
        self._stage.rewire()
        waiting_s = max(0, call.counters().packet_ms - FRAME_MS) / 1000
        self._thread.call_later(waiting_s + SKIP_LATER_MS / 1000, lambda: self._finish(Interruption.SKIPPED))

    def _watch(self, call: LegCall, player: Player) -> None:
        port, watch = call.media.port, self.window.watch
        info = player.getPortInfo()
        watch.checks += 1
        watch.listener_misses += port not in list(info.listeners)
        watch.other_sources += self._others_feed(port, player.getPortId())
        self._look_at_level(call)

    def _others_feed(self, port: int, player: int) -> bool:
        others = (one for one in self._conference() if one.getPortId() != player)
        return any(_feeds(one, port) for one in others)

    def _look_at_level(self, call: LegCall) -> None:
        frame, audio = self._position * 1000 // (RATE * FRAME_MS), call.audio()
        if audio is None or frame >= len(self._loud) or not self._loud[frame]:
            return
        self.window.watch.level_checks += 1
        self._expect_sound(LEVEL_TRIES)

    def _expect_sound(self, tries: int) -> None:
        """Position and level are not read at the same instant: only silence over some frames in a row is a miss."""
        call = self._stage.caller
        audio = call.audio() if call is not None else None
        if self._ending or audio is None or audio.getRxLevel() >= SILENT_LEVEL:
            return
        if tries > 1:
            self._thread.call_later(FRAME_MS / 1000, lambda: self._expect_sound(tries - 1))
        else:
            self.window.watch.level_misses += 1

    # ------------------------------------------------------------ end

    def _end_of_file(self) -> None:
        call = self._stage.caller
        if self._ending or self._cut or call is None:
            return
        waiting_s = max(0, call.counters().packet_ms - FRAME_MS) / 1000
        self._thread.call_later(waiting_s + SETTLE_S, self._played)

    def _played(self) -> None:
        """The player is done; where the line asks for it, the far end gets a moment to report."""
        self._outplayed = True
        self.window.close()
        if self._linger_s > 0 and self._wire is not None:
            self._thread.call_later(self._linger_s, lambda: self._finish(None))
        else:
            self._finish(None)

    def interrupt(self, why: Interruption) -> None:
        """End it now, incomplete. Nothing where it is ending already."""
        self._finish(why)

    def _finish(self, why: Interruption | None) -> None:
        if self._ending:
            return
        self._ending = True
        self._stage.notice_ending(self)
        call = self._stage.caller
        self.window.bank(call.counters() if call is not None else Counters())
        self._signalling = call.signalling if call is not None else self._signalling
        self.window.close()
        self._let_go()
        self._await_tap(why, monotonic() + _TAP_WAIT_S)

    def _let_go(self) -> None:
        """Disconnect, put the player away, drop the tap so that its header is written."""
        self._tapped = self._tap is not None
        self._stage.rewire()
        if self._player is not None:
            self._media.retire(self._player)
        self._player = self._tap = None
        window, self._wire = self._wire, None
        if window is not None:
            with suppress(CallrecError):  # what could not be taken proves nothing
                self._taken = window.take()

    def _await_tap(self, why: Interruption | None, deadline: float) -> None:
        if self._tapped and not finished_size(self._tap_path) and monotonic() < deadline:
            self._thread.call_later(_TAP_POLL_S, lambda: self._await_tap(why, deadline))
            return
        pcm = finished_pcm(self._tap_path) if finished_size(self._tap_path) else b""
        self._tap_path.unlink(missing_ok=True)
        told = self.window.observation(
            why=why,
            prompt_bytes=2 * self._position if why is Interruption.SKIPPED else len(self._pcm),
            tap=Tap.PLAYER if self._media.wire is None else Tap.WIRE,
            tap_pcm=pcm,
            taken=self._taken,
            answered=self._answered,
            signalling=self._signalling,
        )
        self._stage.notice_ended(self, told)


def _feeds(source: pj.AudioMedia, port: int) -> bool:
    try:
        info = source.getPortInfo()
    except pj.Error:
        return False
    return port in list(info.listeners)
