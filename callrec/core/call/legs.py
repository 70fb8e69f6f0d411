"""What happens to the two legs: bridged, held, resumed, ended."""

from __future__ import annotations

from dataclasses import replace

from callrec.core import commands as c
from callrec.core import events as e
from callrec.core.call.capture import start_when_permitted, stop
from callrec.core.call.notice import play
from callrec.core.call.state import Call, Capture, Notice, Stage, Step
from callrec.core.reasons import Reason
from callrec.core.values import Leg


def bridged(call: Call, _event: e.LegsBridged) -> Step:
    """Both legs hear each other; recording may begin."""
    return start_when_permitted(replace(call, stage=Stage.BRIDGED))


def staff_joined(call: Call, _event: e.StaffJoined) -> Step:
    """A person is there, where the destination had answered before one was."""
    return start_when_permitted(replace(call, staff_there=True))


def leg_held(call: Call, event: e.LegHeld) -> Step:
    """A held leg suspends a running recording: a gap, and the same segment after it."""
    held = replace(call, held=call.held | {event.leg})
    if call.capture is Capture.ON:
        return replace(held, capture=Capture.SUSPENDED), (c.SuspendRecording(why=f"{event.leg.value} leg on hold"),)
    return held, ()


def leg_resumed(call: Call, event: e.LegResumed) -> Step:
    """A leg is back: the notice that waits for it plays, the recording goes on."""
    resumed = replace(call, held=call.held - {event.leg})
    if call.notice is Notice.WAITING and event.leg is Leg.CALLER:
        return play(resumed)
    if call.capture is Capture.SUSPENDED and not resumed.held:
        return replace(resumed, capture=Capture.ON), (c.ResumeRecording(),)
    return start_when_permitted(resumed)


def leg_ended(call: Call, event: e.LegEnded) -> Step:
    """The call is over: end the recording, the other leg, and say what became of it."""
    stopped, orders = stop(call, None, event.leg.value)
    other = Leg.STAFF if event.leg is Leg.CALLER else Leg.CALLER
    closed = replace(
        stopped,
        stage=Stage.CLOSED,
        notice=Notice.SETTLED,
        unjudged=None,
        reason=None if call.recorded else _why(call, event),
    )
    return closed, (
        *orders,
        c.HangUp(leg=other, cause=event.cause),
        c.CloseCall(recorded=closed.recorded, reason=closed.reason),
    )


def _why(call: Call, event: e.LegEnded) -> Reason:
    """Why nothing was recorded, where nothing else had been found before the end."""
    if call.reason is not None:
        return call.reason
    if event.leg is Leg.CALLER and call.stage is not Stage.BRIDGED:
        return Reason.CALLER_HUNG_UP
    return Reason.ENDED_BEFORE_CAPTURE
