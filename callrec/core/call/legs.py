"""What happens to the two legs: bridged, held, resumed, ended."""

from __future__ import annotations

from dataclasses import replace

from callrec.core import commands as c
from callrec.core import events as e
from callrec.core.call.capture import settle, start_when_permitted, stop, whisper
from callrec.core.call.notice import ask, may_be_asked, play
from callrec.core.call.state import Call, Notice, Stage, Step
from callrec.core.reasons import Reason
from callrec.core.values import Leg, NoticeWhen


def bridged(call: Call, _event: e.LegsBridged) -> Step:
    """Both legs hear each other; recording may begin, or the notice to somebody who was called and has answered."""
    up = replace(call, stage=Stage.BRIDGED)
    if up.plan.notice_when is NoticeWhen.ANSWER and up.notice is Notice.NOT_BEGUN and may_be_asked(up):
        return whisper(*ask(up))
    return whisper(*start_when_permitted(up))


def staff_joined(call: Call, event: e.StaffJoined) -> Step:
    """A person is there, where the destination had answered before one was."""
    informed = call.informed if event.informed is None else event.informed
    return settle(replace(call, staff_there=True, informed=informed, held_behind=call.held_behind - {Leg.STAFF}))


def staff_left(call: Call, _event: e.StaffLeft) -> Step:
    """Nobody is there to be asked for advice: what is said now is not said to the line."""
    return settle(replace(call, staff_there=False))


def staff_transferred(call: Call, _event: e.StaffTransferred) -> Step:
    """To somebody else of the line: where the PBX tells when a person is there, that is waited for again."""
    return settle(replace(call, staff_there=call.staff_there and not call.plan.waits_for_staff))


def leg_held(call: Call, event: e.LegHeld) -> Step:
    """A held leg suspends a running recording: a gap, and the same segment after it."""
    return settle(replace(call, held=call.held | {event.leg}))


def held_behind(call: Call, event: e.HeldBehind) -> Step:
    """The same, where the PBX alone knows of it."""
    return settle(replace(call, held_behind=call.held_behind | {event.leg}))


def leg_resumed(call: Call, event: e.LegResumed) -> Step:
    """A leg is back: the notice that waits for it plays, the recording goes on."""
    return _resumed(replace(call, held=call.held - {event.leg}))


def resumed_behind(call: Call, event: e.ResumedBehind) -> Step:
    """The same, where the PBX alone knows of it."""
    return _resumed(replace(call, held_behind=call.held_behind - {event.leg}))


def _resumed(call: Call) -> Step:
    """A notice that waited begins, unless the caller is held all the same."""
    return play(call) if call.notice is Notice.WAITING else settle(call)


def leg_ended(call: Call, event: e.LegEnded) -> Step:
    """The call is over: end the recording, the other leg, and say what became of it."""
    stopped, orders = stop(call, None, event.leg.value)
    other = Leg.STAFF if event.leg is Leg.CALLER else Leg.CALLER
    reason = None if call.recorded else _why(call, event)
    last = c.Decision(segment=call.segment, recorded=call.recorded, reason=reason)
    decided = (*call.decided, last)
    closed = replace(stopped, stage=Stage.CLOSED, notice=Notice.SETTLED, unjudged=None, reason=reason, decided=decided)
    return closed, (*orders, c.HangUp(leg=other, cause=event.cause), c.CloseCall(segments=decided))


def _why(call: Call, event: e.LegEnded) -> Reason:
    """Why nothing was recorded, where nothing else had been found before the end."""
    if call.reason is not None:
        return call.reason
    if call.staff_uninformed and call.stage is Stage.BRIDGED:
        return Reason.STAFF_NOT_INFORMED
    if call.strangers:
        return Reason.PARTY_WITHOUT_NOTICE
    if call.stage is not Stage.BRIDGED:
        return _before_the_talk(call, event)
    return Reason.NOTICE_NOT_ORDERED if call.unasked else Reason.ENDED_BEFORE_CAPTURE


def _before_the_talk(call: Call, event: e.LegEnded) -> Reason:
    """Who called gave up, or, with the same end for a recording, the other side went as it came."""
    if event.leg is Leg.CALLER:
        return Reason.CALLER_HUNG_UP
    return Reason.NOT_ANSWERED if call.plan.direction.offered is Leg.STAFF else Reason.ENDED_BEFORE_CAPTURE
