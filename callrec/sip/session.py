"""One call with its two legs, as the engine sees it: orders in, facts out, nothing decided. SIP thread only.

A leg is named by who is at its far end; `_offered` is the one that called us, and `_dialled` the one that we call.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pjsua2 as pj

from callrec.core import events as e
from callrec.core.evidence import Interruption, Observation
from callrec.core.reasons import Reason
from callrec.core.values import CallDirection, KeyMethod, Leg, Tone
from callrec.errors import CallrecError
from callrec.ports import CapturePaths, Destination, Invite
from callrec.sip import parameters
from callrec.sip.caller_watch import CallerWatch, identity_of_caller
from callrec.sip.counters import Counters
from callrec.sip.dialling import Dialler, Dialling
from callrec.sip.house import House, Side
from callrec.sip.leg import NOT_ACCEPTABLE, LegCall
from callrec.sip.listening import CallKeys
from callrec.sip.media import RINGBACK, TONES
from callrec.sip.message import SipMessage
from callrec.sip.parking import Parking
from callrec.sip.play import NoticePlay
from callrec.sip.reports import ReportWatch
from callrec.sip.sound import Sound
from callrec.sip.translate import dial_failure_of, ending_of, status_of

TONE_S: Final = 4.0


class Session:
    """See above. Orders that no longer apply do nothing."""

    def __init__(self, house: House, invite: Invite, direction: CallDirection, *, info_allowed: bool) -> None:
        self._house = house
        self._invite = invite
        self._offered, self._dialled = direction.offered, direction.dialled
        self._ringing = self._bridged = self._over = False
        self.info_allowed = info_allowed and self._offered is Leg.CALLER  # who is called has not said yet
        self._sides = {Leg.CALLER: Side(), Leg.STAFF: Side()}
        self._sound = Sound(house.media, house.thread, self._audio, direction)
        self._keys = CallKeys(house, self._sides, self._sound, self._tell, lambda: self._bridged)
        self._watch = CallerWatch(house, identity_of_caller(invite, direction), self._somebody_else)
        self._changed_ns = 0
        self._parking = Parking(house.thread, lambda: self.caller)
        self._telling: set[NoticePlay] = set()
        self._waiting: list[e.Event] = []
        dialler = Dialler(legs=self, may_dial=self._may_dial, release=self._release, tell=self._tell)
        self._dialling = Dialling(house, invite, dialler, self._dialled, self._sides)
        self._reports = ReportWatch(house, lambda: self.caller, self._tell)

    def adopt(self, call: LegCall) -> None:
        """Take the incoming dialog."""
        self._sides[self._offered].call = call

    @property
    def _offering(self) -> LegCall | None:
        """The leg that called us, while it is there."""
        return self._sides[self._offered].call

    @property
    def caller(self) -> LegCall | None:
        """The caller leg while it is there: a playing notice needs it."""
        return self._sides[Leg.CALLER].call

    @property
    def tones_heard(self) -> bool:
        """Keys are heard in their audio."""
        return self._keys.listens

    # ------------------------------------------------------------ orders: answering

    def reject(self, status: int, phrase: str, retry_after_s: int | None) -> None:
        """A final status to the INVITE."""
        if (call := self._offering) is not None and not call.confirmed:
            call.answer(parameters.rejecting(status, phrase, retry_after_s))

    def answer(self) -> None:
        """200."""
        if (call := self._offering) is None:
            return
        try:
            call.answer(parameters.accepting())
        except pj.Error:
            self._end(self._offered, "SIP;cause=500")

    # ------------------------------------------------------------ orders: notice

    def play_notice(self, attempt: int, pcm: bytes, await_report_s: float = 0.0) -> None:
        """Play; the running one, if any, is stopped."""
        if self._over:
            return
        self._interrupt(Interruption.STOPPED)
        self._reports.end()
        self._keys.listen(self._invite.call_uid)
        uid = self._invite.call_uid
        self._sound.play = play = NoticePlay(self, self._house, attempt=attempt, name=uid, linger_s=await_report_s)
        play.begin(pcm)

    def stop_notice(self, attempt: int, *, after_ms: int | None = None) -> None:
        """Stop this attempt, or let it end once so much of it was played."""
        if (play := self._sound.play) is not None and play.attempt == attempt:
            self._interrupt(Interruption.STOPPED) if after_ms is None else play.skip(after_ms)

    def _interrupt(self, why: Interruption) -> None:
        if self._sound.play is not None:
            self._sound.play.interrupt(why)

    def notice_ending(self, play: NoticePlay) -> None:
        """It plays no more; its last word follows. What happens meanwhile waits for it."""
        self._telling.add(play)
        if self._sound.play is play:
            self._sound.play = None

    def notice_ended(self, play: NoticePlay, observation: Observation) -> None:
        """Its last word."""
        self._telling.discard(play)
        ended = e.NoticeEnded(at_ns=self._now(), attempt=play.attempt, observation=observation)
        self._house.happened(self._invite.call_uid, ended)
        if not self._telling:
            waiting, self._waiting = self._waiting, []
            for event in waiting:
                self._tell(event)
        if observation.heard and not self._over:
            self._reports.begin(play.attempt)
        self._close_if_over()

    # ------------------------------------------------------------ orders: who is to be called

    def dial(self, destination: Destination) -> None:
        """Call it; one at a time."""
        self._dialling.begin(destination)

    def cancel_dial(self) -> None:
        """Give the attempt up, silently."""
        self._dialling.cancel()

    def _may_dial(self) -> bool:
        return not self._over and self._offering is not None

    def bridge(self, *, pass_holds: bool) -> None:
        """Connect both legs from now on."""
        self._sound.bridging, self._parking.passes = True, pass_holds
        self._stop_alerting()
        self.rewire()

    # ------------------------------------------------------------ orders: capture and announcements

    def start_capture(self, paths: CapturePaths, heard_ns: int) -> None:
        """Start both recorders, for whoever heard a notice that ended then; nothing where that may be another by now,
        which whoever ordered it has yet to hear.
        """
        if self._over or self._sound.captures or heard_ns <= self._changed_ns:
            return
        try:
            self._sound.start_capture(paths)
        except (pj.Error, CallrecError, OSError):
            self._tell(e.RecordingFailed(at_ns=self._now(), reason=Reason.CAPTURE_FAILED, started=False))

    def suspend_capture(self, *, suspended: bool) -> None:
        """Only silence, or voices again."""
        self._sound.suspend_capture(suspended=suspended)

    def stop_capture(self) -> tuple[Path, ...]:
        """Close both files; their headers are complete soon after."""
        return self._sound.stop_capture()

    def announce(self, pcm: bytes, legs: tuple[Leg, ...]) -> None:
        """Play over the conversation."""
        if not self._over:
            self._sound.announce(pcm, legs)

    # ------------------------------------------------------------ orders: keys and ends

    def swallow_keys(self, leg: Leg, words: str) -> None:
        """Keys of this leg that are not passed on."""
        self._sides[leg].keys.swallow(words)

    def stop_listening(self) -> None:
        """Tones in the caller's audio are keys no more."""
        self._keys.stop_listening()

    def end_with_tone(self, tone: Tone, cause: str) -> None:
        """The tone, then BYE."""
        if self._offering is None:
            return
        self._house.thread.call_later(TONE_S, lambda: self._end(self._offered, cause))
        self._stop_alerting()
        self._sound.bridging = False
        self._sound.start_tone(TONES[tone])

    def hang_up(self, leg: Leg, cause: str) -> None:
        """End this leg."""
        if leg is self._dialled:
            self._dialling.forget()
        self._end(leg, cause)

    def _end(self, leg: Leg, cause: str) -> None:
        if (call := self._sides[leg].call) is None or call.getId() == pj.PJSUA_INVALID_ID:
            return
        status = status_of(cause) if leg is self._offered and not call.confirmed else 0
        call.hangup(parameters.ending(status, ending_of(cause) if call.confirmed else cause))

    # ------------------------------------------------------------ facts from the legs

    def leg_alerted(self, leg: Leg) -> None:
        """The destination rings. Whether it sends audio is known when the library is done with this message."""
        if leg is self._dialled and not self._ringing and not self._sides[leg].up:
            self._ringing = True
            number = self._dialling.newest
            self._house.thread.post(lambda: self._alert(number))

    def _alert(self, number: int) -> None:
        side = self._sides[self._dialled]
        if number != self._dialling.newest or side.up or side.call is None:
            return
        self._sound.early = early = side.call.media.negotiated
        self._tell(e.DestinationRinging(at_ns=self._now(), early_media=early))
        if early:
            self.rewire()
        else:
            self._sound.start_tone(RINGBACK)

    def leg_confirmed(self, leg: Leg) -> None:
        """ACK."""
        self._maybe_up(leg)

    def leg_media_changed(self, leg: Leg) -> None:
        """Media, first or again."""
        side = self._sides[leg]
        if side.call is None:
            return
        if side.call.media_strays():
            self._end(leg, f"SIP;cause={NOT_ACCEPTABLE}")
            return
        if side.up:
            self._compare(leg, side, side.call)
        elif leg is self._dialled and self._ringing and side.call.media.negotiated:
            self._sound.early = True
            self._sound.stop_tone()
        self._maybe_up(leg)
        self.rewire()
        self._parking.follow(leg, self._sides[Leg.STAFF], bridged=self._bridged)

    def _maybe_up(self, leg: Leg) -> None:
        side = self._sides[leg]
        if side.up or side.call is None or not (side.call.confirmed and side.call.media.negotiated):
            return
        side.up, side.held, side.streams = True, side.call.media.held, side.call.streams
        if leg is Leg.CALLER:
            self._watch.begin(lambda: self.caller)
        if leg is self._dialled:
            self._sound.answered()
            self._stop_alerting()
        self._tell((e.CallerAnswered if leg is Leg.CALLER else e.StaffAnswered)(at_ns=self._now()))
        if side.held:
            self._tell(e.LegHeld(at_ns=self._now(), leg=leg))

    def _compare(self, leg: Leg, side: Side, call: LegCall) -> None:
        """What a re-negotiation changed: hold, end of hold, or the stream alone."""
        held, renewed = call.media.held, call.streams != side.streams
        was, side.held, side.streams = side.held, held, call.streams
        if held != was:
            self._tell((e.LegHeld if held else e.LegResumed)(at_ns=self._now(), leg=leg))
        elif renewed:
            self._tell(e.LegRenegotiated(at_ns=self._now(), leg=leg))
        if leg is Leg.CALLER and self._sound.play is not None and (held != was or renewed):
            self._sound.play.window.direction(call.media.direction)
            self._sound.play.window.renegotiated()
            self._interrupt(Interruption.HELD if held else Interruption.RENEGOTIATED)
        if leg is Leg.CALLER:
            self._watch.renegotiated(call)

    def leg_asked(self, leg: Leg, message: SipMessage) -> None:
        """It may name somebody else."""
        if leg is Leg.CALLER:
            self._watch.asked(message)

    def _somebody_else(self, changed: e.PartyChanged) -> None:
        """What runs was permitted by somebody else, and ends before their audio is connected to anything: the loop may
        hear of it late.
        """
        self._changed_ns = changed.at_ns
        self._sound.stop_capture()
        self._tell(changed)

    def leg_stream_ending(self, leg: Leg, last: Counters) -> None:
        """Its counters are read for the last time; its port goes."""
        side = self._sides[leg]
        if leg is Leg.CALLER and self._sound.play is not None:
            self._sound.play.window.bank(last)
        if side.call is not None:
            self._sound.forget(side.call.media.port)

    def leg_key(self, leg: Leg, digit: str, method: KeyMethod) -> None:
        """A key: told in any case, passed on where it is not ours."""
        self._keys.pressed(leg, digit, method)

    def leg_ended(self, leg: Leg, status: int, cause: str) -> None:
        """It is over: let go of it before anything takes its slot, and capture nothing of whoever is left."""
        side = self._sides[leg]
        if side.call is None:
            return
        replied, dialling = side.call.alerted, leg is self._dialled and not side.up
        if leg is Leg.CALLER:
            self._interrupt(Interruption.HUNG_UP)
            self._reports.end()
            self._keys.forget()
        self._release(leg)
        if dialling and self._offering is not None:
            self._dialling.forget()
            self._tell(e.DialFailed(at_ns=self._now(), failure=dial_failure_of(status, replied=replied)))
        else:
            self._sound.part()
            self._tell(e.LegEnded(at_ns=self._now(), leg=leg, cause=cause))
        self._house.thread.post(self._close_if_over)

    # ------------------------------------------------------------ inside

    def _release(self, leg: Leg) -> None:
        side = self._sides[leg]
        if side.call is not None:
            side.call.detach()
            self._sound.forget(side.call.media.port)
        side.call, side.up = None, False
        if leg is self._dialled:
            self._bridged = self._sound.bridging = False
            self._stop_alerting()
        self.rewire()

    def _stop_alerting(self) -> None:
        self._ringing = self._sound.early = False
        self._sound.stop_tone()

    def _audio(self, leg: Leg) -> pj.AudioMedia | None:
        return call.audio() if (call := self._sides[leg].call) is not None else None

    def rewire(self) -> None:
        """Connect what is wanted now, and nothing else; the first time that joins both legs is told."""
        self._sound.rewire()
        if self._sound.bridging and not self._bridged and self._sound.both_there():
            self._bridged = True
            self._tell(e.LegsBridged(at_ns=self._now()))

    def _tell(self, event: e.Event) -> None:
        """Tell now, or after the last word of a notice that is ending."""
        if self._telling:
            self._waiting.append(event)
        else:
            self._house.happened(self._invite.call_uid, event)

    def _now(self) -> int:
        return self._house.clock.boottime_ns()

    def _close_if_over(self) -> None:
        if self._over or self._telling or any(side.call is not None for side in self._sides.values()):
            return
        self._over = True
        self._sound.close()
        self._house.over(self._invite.call_uid)
