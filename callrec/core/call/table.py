"""Which fact may happen when, and the two doors into the core: `open_call` and `advance`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from callrec.core import commands as c
from callrec.core import events as e
from callrec.core.call.capture import (
    proof_contradicted,
    proof_recorded,
    proof_unrecorded,
    recording_failed,
    stop_requested,
)
from callrec.core.call.dialling import dial_failed, staff_answered
from callrec.core.call.keys import key_pressed
from callrec.core.call.legs import bridged, leg_ended, leg_held, leg_resumed, staff_joined
from callrec.core.call.notice import answered, granted, later_timer, notice_ended, notice_timer, refused
from callrec.core.call.state import Call, CallPlan, Handler, Stage, Step, nothing
from callrec.core.outoforder import OutOfOrder
from callrec.core.reasons import Reason


def open_call(plan: CallPlan) -> Step:
    """Begin a call: answer it, or turn it away where the line asks for that when no notice can be given."""
    call = Call(plan=plan, reason=plan.obstacle, staff_there=not plan.waits_for_staff)
    if plan.obstacle is not None and plan.reject_without_notice and plan.obstacle is not Reason.LINE_NOT_RECORDED:
        return call, (c.RejectCaller(reason=plan.obstacle),)
    return call, (c.AnswerCaller(),)


def advance(call: Call, event: e.Event) -> Step:
    """The call after this fact, and what to do now. Raises OutOfOrder, changing nothing, where it cannot happen."""
    handler = TABLE[call.stage].get(type(event))
    if handler is None:
        raise OutOfOrder(f"call {call.stage.value}", type(event).__name__)
    return handler(call, event)


_ALWAYS: Final[Mapping[type[e.Event], Handler]] = {
    e.LegHeld: leg_held,
    e.LegResumed: leg_resumed,
    e.LegRenegotiated: nothing,
    e.KeyPressed: key_pressed,
    e.StopRequested: stop_requested,
    e.ReportsHeard: nothing,
    e.ProofContradicted: proof_contradicted,
    e.StaffJoined: staff_joined,
    e.LegEnded: leg_ended,
}
"""Facts that may come at any time while the call is up."""

_AFTER_NOTICE: Final[Mapping[type[e.Event], Handler]] = {
    **_ALWAYS,
    e.NoticeEnded: nothing,
    e.NoticeGranted: granted,
    e.NoticeRefused: refused,
    e.ProofRecorded: proof_recorded,
    e.ProofUnrecorded: proof_unrecorded,
    e.TimerExpired: later_timer,
}
"""A verdict that comes after the notice was settled is late, and changes nothing any more; one that waited for the
caller's key is not.
"""

TABLE: Final[Mapping[Stage, Mapping[type[e.Event], Handler]]] = {
    Stage.OFFERED: {**_ALWAYS, e.CallerAnswered: answered},
    Stage.NOTICE: {
        **_ALWAYS,
        e.NoticeEnded: notice_ended,
        e.NoticeGranted: granted,
        e.NoticeRefused: refused,
        e.TimerExpired: notice_timer,
    },
    Stage.DIALLING: {
        **_AFTER_NOTICE,
        e.StaffRinging: nothing,
        e.StaffAnswered: staff_answered,
        e.DialFailed: dial_failed,
        e.LegsBridged: bridged,
    },
    Stage.BRIDGED: {
        **_AFTER_NOTICE,
        e.LegsBridged: nothing,
        e.RecordingFailed: recording_failed,
    },
    Stage.CLOSED: dict.fromkeys(
        (
            *_AFTER_NOTICE,
            e.StaffRinging,
            e.StaffAnswered,
            e.DialFailed,
            e.LegsBridged,
            e.RecordingFailed,
        ),
        nothing,
    ),
}
"""Which fact may happen when. Legs close in their own time, so that a closed call still hears of them."""
