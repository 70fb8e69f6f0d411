"""Another outside party: the segment ends, and the next one has a notice and a proof of its own (R4).

One proof starts at most one segment. Whatever forbade recording before, forbids it after: a no holds for the whole
call, and so does a stop by anybody; then no segment is begun, and nobody hears a notice for nothing.
"""

from __future__ import annotations

from dataclasses import replace

from callrec.core import commands as c
from callrec.core import events as e
from callrec.core.call.capture import stop
from callrec.core.call.notice import ask
from callrec.core.call.state import Call, CallPlan, Capture, Notice, Stage, Step, and_then
from callrec.core.permission import Permission
from callrec.core.reasons import Reason
from callrec.core.values import Leg


def party_changed(call: Call, event: e.PartyChanged) -> Step:
    """On the caller's leg. On the other one it is somebody of the line, unless the PBX tells otherwise."""
    if event.leg is not Leg.CALLER or not _may_be_recorded(call):
        return call, ()
    if call.stage is Stage.NOTICE:
        return _begin_notice_again(call)
    return _next_segment(call, announce=False)


def _begin_notice_again(call: Call) -> Step:
    """Before the talk there is one segment all the same: whoever is there now is to hear the notice whole. One that
    plays is stopped; where it has ended before it could be, it proves nothing either.
    """
    heard_by_another = call.notice in (Notice.PLAYING, Notice.JUDGING, Notice.UNACKNOWLEDGED)
    stopped = (c.StopNotice(attempt=call.attempt),) if call.notice is Notice.PLAYING else ()
    return replace(call, somebody_else=call.somebody_else or heard_by_another), stopped


def outside_joined(call: Call, _event: e.OutsideJoined) -> Step:
    """On the line's side no notice can be proven: nothing is recorded while somebody outside is there."""
    joined = replace(call, strangers=call.strangers + 1)
    if call.strangers or not _may_be_recorded(call) or call.stage in (Stage.OFFERED, Stage.NOTICE):
        return joined, ()
    return _next_segment(joined, announce=call.capture in (Capture.ON, Capture.SUSPENDED))


def outside_left(call: Call, _event: e.OutsideLeft) -> Step:
    """The last of them is gone: the caller may be recorded again, under a new notice."""
    left = replace(call, strangers=max(0, call.strangers - 1))
    if not call.strangers or left.strangers or not _may_be_recorded(left):
        return left, ()
    if left.stage in (Stage.OFFERED, Stage.NOTICE):
        return left, ()
    return _next_segment(left, announce=False)


def line_changed(call: Call, plan: CallPlan) -> Step:
    """Transferred to another line: its notice governs from now on, and its rules. Who called whom stays as it was."""
    same_way = replace(plan, direction=call.plan.direction)
    moved = replace(call, plan=same_way, staff_there=not plan.waits_for_staff)
    forbidden = call.permission is Permission.WITHDRAWN or call.capture is Capture.ENDED
    if call.stage not in (Stage.DIALLING, Stage.BRIDGED) or forbidden:
        return moved, ()
    if call.unasked or (plan.obstacle is not None and not _may_be_recorded(call)):
        return moved, ()
    return _next_segment(moved, announce=False)


def _may_be_recorded(call: Call) -> bool:
    """False where something forbids it for the rest of the call."""
    waits = call.notice is Notice.NOT_BEGUN and call.segment > 0
    asked = call.permission in (Permission.PENDING, Permission.GRANTED)
    return call.plan.obstacle is None and call.capture is not Capture.ENDED and (asked or waits)


def _next_segment(call: Call, *, announce: bool) -> Step:
    """End what runs, decide it, and ask whoever is there now, unless somebody is there who cannot be asked."""
    silenced = (c.StopNotice(attempt=call.attempt),) if call.notice is Notice.PLAYING else ()
    fresh, orders = begin_segment(call, Reason.PARTY_WITHOUT_NOTICE, announce=announce)
    return and_then((*silenced, *orders), _ask(fresh))


def begin_segment(call: Call, why: Reason | None, *, announce: bool = False) -> Step:
    """End what runs, for this reason, and decide it. Of the segment after it nothing is known or permitted yet."""
    stopped, orders = stop(call, why, "agent", announce=announce)
    reason = None if call.recorded else call.reason or why
    fresh = replace(
        stopped,
        segment=call.segment + 1,
        decided=(*call.decided, c.Decision(segment=call.segment, recorded=call.recorded, reason=reason)),
        permission=Permission.NONE,
        proof=None,
        notice=Notice.NOT_BEGUN,
        unjudged=None,
        earlier_attempts=call.attempt,
        in_talk=False,
        window_open=False,
        window_closed_ns=-1,
        capture=Capture.OFF,
        recorded=False,
        purposes=frozenset(),
        earlier=call.tagged,
        reason=call.plan.obstacle,
        digits="",
        agreed=None,
        consent=None,
    )
    return given_up((fresh, orders))


def given_up(step: Step) -> Step:
    """Nobody is asked for consent any more once what is recorded beside it has ended."""
    call, orders = step
    asking = call.asking
    if asking is None or call.captures:
        return step
    silenced = (c.StopNotice(attempt=asking.attempt),) if asking.playing else ()
    told = c.RecordChoice(digit="", choice="no consent: the recording ended", method=None)
    return replace(call, asking=None), (*silenced, told, *orders)


def _ask(call: Call) -> Step:
    if call.plan.obstacle is not None:
        return replace(call, notice=Notice.SETTLED), ()
    if call.strangers:
        return replace(call, reason=Reason.PARTY_WITHOUT_NOTICE), ()
    return ask(call)
