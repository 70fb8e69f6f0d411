"""The notice to the caller: played, judged, played again or given up. The line is dialled whatever comes of it."""

from __future__ import annotations

from dataclasses import replace

from callrec.core import commands as c
from callrec.core import events as e
from callrec.core.call.capture import start_when_permitted
from callrec.core.call.dialling import dial, expect
from callrec.core.call.state import Call, CallPlan, Capture, Notice, Stage, Step, and_then
from callrec.core.evidence import KeyHeard
from callrec.core.permission import Permission, PermissionFact, after
from callrec.core.proof import acknowledges
from callrec.core.reasons import Reason
from callrec.core.values import LANGUAGE_CHOICE, Grade, Leg, NoticeWhen


def answered(call: Call, event: e.CallerAnswered | e.StaffAnswered) -> Step:
    """Whoever called us is up: play the notice, or dial at once where it is not their turn, or none can be had."""
    expect(call, event, call.plan.direction.offered)
    call = replace(call, staff_up=call.plan.direction.offered is Leg.STAFF)
    if call.plan.obstacle is not None or call.permission is Permission.WITHDRAWN:
        return dial(replace(call, notice=Notice.SETTLED))
    if call.plan.notice_when is not NoticeWhen.BEFORE_DIALLING:
        return dial(call)
    begun = replace(call, stage=Stage.NOTICE, permission=after(call.permission, PermissionFact.NOTICE_BEGAN))
    return and_then((c.StartTimer(timer=e.Timer.NOTICE_WAIT),), play(begun))


def play(call: Call) -> Step:
    """Begin an attempt, or wait until the caller leg is off hold."""
    if Leg.CALLER in call.held or Leg.CALLER in call.held_behind:
        return replace(call, notice=Notice.WAITING), ()
    attempt = call.attempt + 1
    order = c.PlayNotice(attempt=attempt, segment=call.segment)
    return replace(call, notice=Notice.PLAYING, attempt=attempt, somebody_else=False), (order,)


def ask(call: Call) -> Step:
    """Give whoever is there the notice in the talk: as many attempts as before any other."""
    pending = replace(
        call,
        permission=after(call.permission, PermissionFact.NOTICE_BEGAN),
        earlier_attempts=call.attempt,
        in_talk=True,
        window_open=False,
        window_closed_ns=-1,
        digits="",
    )
    return and_then((c.StartTimer(timer=e.Timer.NOTICE_WAIT),), play(pending))


def may_be_asked(call: Call) -> bool:
    """Staff may order a notice: in the talk, where none was proven or is about to be, and nothing forbids recording."""
    return (
        call.stage is Stage.BRIDGED
        and call.permission is Permission.NONE
        and call.notice in (Notice.NOT_BEGUN, Notice.SETTLED)
        and call.capture is Capture.OFF
        and not call.strangers
    )


def go_on(call: Call) -> Step:
    """The notice is over. The line is dialled, where it was not: a later segment's notice plays in the talk."""
    return dial(call) if call.stage is Stage.NOTICE else (call, ())


def notice_ended(call: Call, event: e.NoticeEnded) -> Step:
    """Have the attempt judged within the time; the choice window opens behind a whole notice."""
    if call.notice is not Notice.PLAYING or event.attempt != call.attempt:
        return call, ()
    seen = event.observation
    window = call.plan.has_choice_window and seen.heard
    closed_ns = event.at_ns if seen.heard and not window else call.window_closed_ns
    ended = replace(call, unjudged=seen, window_open=window, window_closed_ns=closed_ns)
    opened = (c.StartTimer(timer=e.Timer.CHOICE_WINDOW),) if window else ()
    if window and _wants_a_key(call) and not any(_acknowledges(call, key) for key in seen.keys):
        return and_then(opened, _go_on_without_verdict(replace(ended, notice=Notice.UNACKNOWLEDGED)))
    judging, orders = _judge(ended)
    return judging, (*orders, *opened)


def _judge(call: Call) -> Step:
    """What was seen is judged now."""
    if call.unjudged is None:
        return call, ()
    order = c.JudgeNotice(attempt=call.attempt, observation=call.unjudged)
    return replace(call, notice=Notice.JUDGING, unjudged=None), (order, c.StartTimer(timer=e.Timer.DECIDE))


# ---------------------------------------------------------------- the caller's own key


def _wants_a_key(call: Call) -> bool:
    return call.plan.required_grade is Grade.ACKNOWLEDGED and call.plan.keys.acknowledge is not None


def _acknowledges(call: Call, key: KeyHeard) -> bool:
    return acknowledges(key, digit=call.plan.keys.acknowledge or "", after_ms=call.plan.essential_ms)


def _go_on_without_verdict(call: Call) -> Step:
    """The caller does not wait for a key that may never come, but where a call without notice is not to be carried."""
    return (call, ()) if call.plan.reject_without_notice else go_on(call)


def acknowledged(call: Call, event: e.KeyPressed) -> Step:
    """The key that is waited for becomes part of what was seen, and that is judged."""
    seen = call.unjudged
    if call.notice is not Notice.UNACKNOWLEDGED or seen is None:
        return call, ()
    at_ms = max(0, event.at_ns - seen.start_ns) // 1_000_000
    key = KeyHeard(digit=event.digit, method=event.method, leg=event.leg, at_ms=at_ms)
    if not _acknowledges(call, key):
        return call, ()
    told = (c.RecordChoice(digit=event.digit, choice="acknowledge", method=event.method),)
    return and_then(told, _judge(replace(call, unjudged=replace(seen, keys=(*seen.keys, key)))))


# ---------------------------------------------------------------- its language, and its tail


def skip(call: Call, event: e.KeyPressed) -> Step:
    """The caller wants to get on: the notice ends once all that must be heard was said. Pressed again: nothing."""
    if call.notice is not Notice.PLAYING or call.skipped == call.attempt:
        return call, ()
    told = c.RecordChoice(digit=event.digit, choice="shorten", method=event.method)
    return replace(call, skipped=call.attempt), (told, c.SkipNotice(attempt=call.attempt))


def choose_language(call: Call, event: e.KeyPressed, language: str) -> Step:
    """The notice begins again in the caller's language; what played until now proves nothing (R59). Once the line is
    being called there is no time for another notice: the call goes on, unrecorded.
    """
    told: tuple[c.Command, ...] = (
        c.RecordChoice(digit=event.digit, choice=f"{LANGUAGE_CHOICE}{language}", method=event.method),
    )
    if call.notice is Notice.CHOOSING:
        return call, ()
    if call.stage is not Stage.NOTICE and call.notice is not Notice.PLAYING:
        reason = call.reason or Reason.WRONG_LANGUAGE
        permission = after(call.permission, PermissionFact.REFUSED)
        settled = replace(call, notice=Notice.SETTLED, permission=permission, window_open=False, unjudged=None)
        return replace(settled, reason=reason), told
    if call.notice is Notice.PLAYING:
        told += (c.StopNotice(attempt=call.attempt),)
    chosen = replace(call, notice=Notice.CHOOSING, window_open=False, unjudged=None, window_closed_ns=-1)
    return chosen, (*told, c.ChooseLanguage(language=language, key=event.digit))


def language_chosen(call: Call, plan: CallPlan) -> Step:
    """The notice in that language, or why there is none. Where nobody waits for it any more it changes nothing."""
    if call.notice is not Notice.CHOOSING:
        return call, ()
    call = replace(call, plan=plan, earlier_attempts=call.attempt)
    return _refuse(call, (plan.obstacle,)) if plan.obstacle is not None else play(call)


# ---------------------------------------------------------------- the verdict


def granted(call: Call, event: e.NoticeGranted) -> Step:
    """The line is dialled, and the ledger asked to make the proof."""
    if call.notice is not Notice.JUDGING or event.attempt != call.attempt:
        return call, ()
    if call.somebody_else:
        return _refused_for(call, (Reason.NOTICE_INTERRUPTED,))
    if event.verdict.grade.rank < call.plan.required_grade.rank:
        return _refuse(call, (Reason.GRADE_TOO_LOW,))
    dialled, orders = go_on(replace(call, notice=Notice.SETTLED))
    return dialled, (*orders, c.RecordProof(attempt=event.attempt, verdict=event.verdict))


def refused(call: Call, event: e.NoticeRefused) -> Step:
    """Play again what was interrupted while attempts last; otherwise go on unrecorded."""
    if call.notice is not Notice.JUDGING or event.attempt != call.attempt:
        return call, ()
    return _refused_for(call, event.reasons)


def _refused_for(call: Call, reasons: tuple[Reason, ...]) -> Step:
    """As above, for these reasons."""
    in_time = call.stage is Stage.NOTICE or call.in_talk
    if reasons[0] is Reason.NOTICE_INTERRUPTED and call.attempts_left and in_time:
        return and_then((_refusal(call, reasons),), play(replace(call, window_open=False)))
    return _refuse(call, reasons)


def _refuse(call: Call, reasons: tuple[Reason, ...]) -> Step:
    """The notice is not proven: write it, and let the call go on unrecorded."""
    told = (_refusal(call, reasons),)
    settled = replace(
        call,
        notice=Notice.SETTLED,
        permission=after(call.permission, PermissionFact.REFUSED),
        window_open=False,
        unjudged=None,
        reason=call.reason or reasons[0],
    )
    if call.plan.reject_without_notice and call.stage is Stage.NOTICE:
        return settled, (*told, c.HangUp(leg=Leg.CALLER, cause="notice could not be given"))
    return and_then(told, go_on(settled))


def _refusal(call: Call, reasons: tuple[Reason, ...]) -> c.RecordRefusal:
    return c.RecordRefusal(attempt=call.attempt, reasons=reasons, segment=call.segment)


def notice_timer(call: Call, event: e.TimerExpired) -> Step:
    """Neither a verdict nor a held caller keeps the call from the line."""
    if event.timer is not e.Timer.NOTICE_WAIT:
        return _later_timer(call, event)
    if call.notice is Notice.PLAYING:
        return and_then((c.StopNotice(attempt=call.attempt),), _refuse(call, (Reason.NOTICE_INTERRUPTED,)))
    if call.notice is Notice.UNACKNOWLEDGED and call.stage is Stage.NOTICE:
        return _refuse(call, (Reason.GRADE_TOO_LOW,))
    waits = call.notice in (Notice.WAITING, Notice.CHOOSING)
    return _refuse(call, (Reason.NOTICE_INTERRUPTED,)) if waits else (call, ())


def _later_timer(call: Call, event: e.TimerExpired) -> Step:
    """Clocks that may run out while the line is dialled already: the judge's, and the choice window."""
    if event.timer is e.Timer.DECIDE:
        return _refuse(call, (Reason.NOTICE_UNDECIDED,)) if call.notice is Notice.JUDGING else (call, ())
    return _window_closed(call, event) if event.timer is e.Timer.CHOICE_WINDOW else (call, ())


def _window_closed(call: Call, event: e.TimerExpired) -> Step:
    """The caller had the time to choose; what is pressed from now on is for the line."""
    if not call.window_open:
        return call, ()
    closed = replace(call, window_open=False, window_closed_ns=event.at_ns)
    return _judge(closed) if closed.notice is Notice.UNACKNOWLEDGED else start_when_permitted(closed)
