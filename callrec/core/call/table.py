"""Which fact may happen when, and the two doors into the core: `open_call` and `advance`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from callrec.core import commands as c
from callrec.core import events as e
from callrec.core.call.capture import (
    consent_recorded,
    consent_unrecorded,
    proof_contradicted,
    proof_recorded,
    proof_unrecorded,
    recording_failed,
    stop_requested,
)
from callrec.core.call.consent import consent_timer, of_the_script, script_ended, script_granted, script_refused
from callrec.core.call.dialling import dial_failed, dialled_answered
from callrec.core.call.keys import key_pressed
from callrec.core.call.legs import (
    bridged,
    held_behind,
    leg_ended,
    leg_held,
    leg_resumed,
    resumed_behind,
    staff_joined,
    staff_left,
    staff_transferred,
)
from callrec.core.call.notice import answered, granted, notice_ended, notice_timer, refused
from callrec.core.call.orders import order_given, subject_told, widening_asked, with_pauses
from callrec.core.call.segments import given_up, outside_joined, outside_left, party_changed
from callrec.core.call.state import Call, CallPlan, Handler, Stage, Step, nothing
from callrec.core.outoforder import OutOfOrder
from callrec.core.permission import PermissionFact, after
from callrec.core.reasons import Reason


def open_call(plan: CallPlan) -> Step:
    """Begin a call: answer it, or turn it away where the line asks for that when no notice can be given."""
    call = Call(plan=plan, reason=plan.obstacle, staff_there=not plan.waits_for_staff)
    if plan.declined_before and plan.obstacle is None:
        no = after(call.permission, PermissionFact.WITHDRAWN)
        return replace(call, permission=no, reason=Reason.CALLER_DECLINED), (c.AnswerCaller(),)
    if plan.obstacle is not None and plan.reject_without_notice and plan.obstacle is not Reason.LINE_NOT_RECORDED:
        return call, (c.RejectCaller(reason=plan.obstacle),)
    return call, (c.AnswerCaller(),)


def advance(call: Call, event: e.Event) -> Step:
    """The call after this fact, and what to do now. Raises OutOfOrder, changing nothing, where it cannot happen."""
    handler = TABLE[call.stage].get(type(event))
    if handler is None:
        raise OutOfOrder(f"call {call.stage.value}", type(event).__name__)
    return given_up(handler(call, event))


_ALWAYS: Final[Mapping[type[e.Event], Handler]] = {
    e.LegHeld: leg_held,
    e.LegResumed: leg_resumed,
    e.LegRenegotiated: nothing,
    e.KeyPressed: key_pressed,
    e.StopRequested: stop_requested,
    e.ReportsHeard: nothing,
    e.ProofContradicted: proof_contradicted,
    e.OrderGiven: order_given,
    e.SubjectTold: subject_told,
    e.WideningAsked: widening_asked,
    e.StaffJoined: staff_joined,
    e.StaffLeft: staff_left,
    e.StaffTransferred: staff_transferred,
    e.HeldBehind: held_behind,
    e.ResumedBehind: resumed_behind,
    e.PartyChanged: party_changed,
    e.OutsideJoined: outside_joined,
    e.OutsideLeft: outside_left,
    e.LegEnded: leg_ended,
}
"""Facts that may come at any time while the call is up."""

_NOTICE: Final[Mapping[type[e.Event], Handler]] = {
    e.NoticeEnded: of_the_script(script_ended, notice_ended),
    e.NoticeGranted: of_the_script(script_granted, granted),
    e.NoticeRefused: of_the_script(script_refused, refused),
    e.TimerExpired: with_pauses(consent_timer(notice_timer)),
}
"""A notice plays before the line is dialled, and again where another party comes. A verdict that comes after it was
settled is late, and changes nothing any more.
"""

_AFTER_NOTICE: Final[Mapping[type[e.Event], Handler]] = {
    **_ALWAYS,
    **_NOTICE,
    e.ProofRecorded: proof_recorded,
    e.ProofUnrecorded: proof_unrecorded,
    e.ConsentRecorded: consent_recorded,
    e.ConsentUnrecorded: consent_unrecorded,
}
"""Where a proof may come."""

TABLE: Final[Mapping[Stage, Mapping[type[e.Event], Handler]]] = {
    Stage.OFFERED: {**_ALWAYS, e.CallerAnswered: answered, e.StaffAnswered: answered},
    Stage.NOTICE: {**_ALWAYS, **_NOTICE},
    Stage.DIALLING: {
        **_AFTER_NOTICE,
        e.DestinationRinging: nothing,
        e.CallerAnswered: dialled_answered,
        e.StaffAnswered: dialled_answered,
        e.DialFailed: dial_failed,
        e.LegsBridged: bridged,
    },
    Stage.BRIDGED: {
        **_AFTER_NOTICE,
        e.LegsBridged: nothing,
        e.RecordingFailed: recording_failed,
    },
    Stage.CLOSED: {
        **dict.fromkeys(
            (
                *_AFTER_NOTICE,
                e.CallerAnswered,
                e.DestinationRinging,
                e.StaffAnswered,
                e.DialFailed,
                e.LegsBridged,
                e.RecordingFailed,
            ),
            nothing,
        ),
        e.WideningAsked: widening_asked,
    },
}
"""Which fact may happen when. Legs close in their own time, so that a closed call still hears of them."""
