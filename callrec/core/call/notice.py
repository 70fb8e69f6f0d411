"""The notice to the caller: played, judged, played again or given up. The line is dialled whatever comes of it."""

from __future__ import annotations

from dataclasses import replace

from callrec.core import commands as c
from callrec.core import events as e
from callrec.core.call.capture import window_closed
from callrec.core.call.dialling import dial
from callrec.core.call.state import Call, Notice, Stage, Step, and_then
from callrec.core.permission import PermissionFact, after
from callrec.core.reasons import Reason
from callrec.core.values import Leg


def answered(call: Call, _event: e.CallerAnswered) -> Step:
    """The caller is up: play the notice, or dial at once where nothing can be recorded anyway."""
    if call.plan.obstacle is not None:
        return dial(replace(call, notice=Notice.SETTLED))
    begun = replace(call, stage=Stage.NOTICE, permission=after(call.permission, PermissionFact.NOTICE_BEGAN))
    return and_then((c.StartTimer(timer=e.Timer.NOTICE_WAIT),), play(begun))


def play(call: Call) -> Step:
    """Begin an attempt, or wait until the caller leg is off hold."""
    if Leg.CALLER in call.held:
        return replace(call, notice=Notice.WAITING), ()
    attempt = call.attempt + 1
    return replace(call, notice=Notice.PLAYING, attempt=attempt), (c.PlayNotice(attempt=attempt),)


def notice_ended(call: Call, event: e.NoticeEnded) -> Step:
    """Have the attempt judged within the time; the choice window opens behind a whole notice."""
    if call.notice is not Notice.PLAYING or event.attempt != call.attempt:
        return call, ()
    orders: tuple[c.Command, ...] = (
        c.JudgeNotice(attempt=event.attempt, observation=event.observation),
        c.StartTimer(timer=e.Timer.DECIDE),
    )
    window = call.plan.has_choice_window and event.observation.complete
    if window:
        orders += (c.StartTimer(timer=e.Timer.CHOICE_WINDOW),)
    closed_ns = event.at_ns if event.observation.complete and not window else call.window_closed_ns
    return replace(call, notice=Notice.JUDGING, window_open=window, window_closed_ns=closed_ns), orders


def granted(call: Call, event: e.NoticeGranted) -> Step:
    """The line is dialled, and the ledger asked to make the proof."""
    if call.notice is not Notice.JUDGING or event.attempt != call.attempt:
        return call, ()
    if event.verdict.grade.rank < call.plan.required_grade.rank:
        return _refuse(call, (Reason.GRADE_TOO_LOW,))
    dialled, orders = dial(replace(call, notice=Notice.SETTLED))
    return dialled, (*orders, c.RecordProof(attempt=event.attempt, verdict=event.verdict))


def refused(call: Call, event: e.NoticeRefused) -> Step:
    """Play again what was interrupted while attempts last; otherwise go on unrecorded."""
    if call.notice is not Notice.JUDGING or event.attempt != call.attempt:
        return call, ()
    again = event.reasons[0] is Reason.NOTICE_INTERRUPTED and call.attempt < call.plan.attempts
    if again:
        told = (c.RecordRefusal(attempt=event.attempt, reasons=event.reasons),)
        return and_then(told, play(replace(call, window_open=False)))
    return _refuse(call, event.reasons)


def _refuse(call: Call, reasons: tuple[Reason, ...]) -> Step:
    """The notice is not proven: write it, and let the call go on unrecorded."""
    told = (c.RecordRefusal(attempt=call.attempt, reasons=reasons),)
    settled = replace(
        call,
        notice=Notice.SETTLED,
        permission=after(call.permission, PermissionFact.REFUSED),
        window_open=False,
        reason=call.reason or reasons[0],
    )
    if call.plan.reject_without_notice:
        return settled, (*told, c.HangUp(leg=Leg.CALLER, cause="notice could not be given"))
    return and_then(told, dial(settled))


def notice_timer(call: Call, event: e.TimerExpired) -> Step:
    """Neither a verdict nor a held caller keeps the call from the line."""
    if event.timer is e.Timer.CHOICE_WINDOW:
        return window_closed(call, event)
    if event.timer is e.Timer.DECIDE:
        return _refuse(call, (Reason.NOTICE_UNDECIDED,)) if call.notice is Notice.JUDGING else (call, ())
    if call.notice is Notice.PLAYING:
        return and_then((c.StopNotice(attempt=call.attempt),), _refuse(call, (Reason.NOTICE_INTERRUPTED,)))
    return _refuse(call, (Reason.NOTICE_INTERRUPTED,)) if call.notice is Notice.WAITING else (call, ())
