"""A consent that is asked for in the talk: by an approved script and a key, or read out by staff (R17, R19-R21, R59).

What is recorded goes on meanwhile with a gap. A no, silence, another key, and whatever goes wrong leave it as it was.
Only a yes that is proven ends the segment and begins one that rests on it: what was captured before never carries it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from callrec.core import commands as c
from callrec.core import events as e
from callrec.core.call.capture import settle
from callrec.core.call.segments import begin_segment
from callrec.core.call.state import STAFF, Asking, Call, Capture, Handler, Notice, Stage, Step, and_then
from callrec.core.consent import ConsentKind, who_agrees
from callrec.core.evidence import KeyHeard
from callrec.core.permission import Permission, PermissionFact, after
from callrec.core.proof import acknowledges
from callrec.core.values import Grade, KeyMethod, Order, Purpose, Signal

NO: Final = "no consent"
"""How `choice.made` begins where a caller who was asked did not agree."""
YES: Final = "consent"


def ask_for_consent(call: Call, event: e.OrderGiven) -> Step:
    """R21: the script plays to the caller, or, where staff say that the caller agreed aloud, the notice of what is
    recorded from now on. Where it must not be asked, that is denied and written down.
    """
    kind = ConsentKind.ORAL if event.order is Order.AGREED else ConsentKind.KEYPRESS
    script, given_by = call.plan.script, who_agrees(call.about, call.plan.subject)
    why = _why_not(call, event, kind)
    if why or script is None or given_by is None:
        return call, _denied(call, event, why)
    attempt = call.attempt + 1
    asking = Asking(
        kind=kind, script=script, attempt=attempt, actor=event.actor, given_by=given_by, said_ns=event.at_ns
    )
    quiet, orders = settle(replace(call, asking=asking, attempt=attempt, digits=""), event.actor)
    played = c.PlayNotice(attempt=attempt, segment=call.segment + 1, script=kind is ConsentKind.KEYPRESS)
    return quiet, (*orders, played)


def _why_not(call: Call, event: e.OrderGiven, kind: ConsentKind) -> str:
    """Why nobody is asked, as a sentence; empty where the caller may be."""
    script = call.plan.script
    facts = (
        (event.actor != STAFF, "whoever talks to the caller asks for it, by a code"),
        (script is None, "the line has no script that asks for consent"),
        (call.asking is not None, "the caller is being asked"),
        (call.stage is not Stage.BRIDGED or call.capture is not Capture.ON, "nothing is being recorded now"),
        (call.consent is not None, "the caller agreed already"),
        (call.asked >= call.plan.asks_most, "the caller was asked before, and is not asked again"),
        (
            kind is ConsentKind.ORAL and call.plan.required_grade is Grade.ACKNOWLEDGED,
            "the line wants the caller's own key, so that the caller must be asked by the prompt",
        ),
    )
    return next((why for holds, why in facts if holds), "") or _barred(call)


def _barred(call: Call) -> str:
    """What makes a yes of this caller none, whenever it comes, as a sentence; empty where nothing does."""
    if call.plan.script is not None and not call.plan.script.asks - call.without:
        return "it was said before that it is not to be used so"
    if call.protections:
        return "this call is for no secondary use"
    may = who_agrees(call.about, call.plan.subject) is not None
    return "" if may else "it is not known that the caller may decide this"


def _denied(call: Call, event: e.OrderGiven, why: str) -> tuple[c.Command, ...]:
    wanted = call.plan.script.asks if call.plan.script is not None else frozenset({Purpose.TRAINING})
    denials = (
        c.RecordDenial(segment=call.segment, purpose=purpose.value, actor=event.actor, why=why)
        for purpose in sorted(wanted, key=lambda each: each.value)
    )
    return (*denials, *_signal(call))


def _signal(call: Call) -> tuple[c.Command, ...]:
    return (c.SignalStaff(signal=Signal.REFUSED),) if call.staff_up else ()


# ---------------------------------------------------------------- the answer


def script_ended(call: Call, event: e.NoticeEnded) -> Step:
    """Heard whole, the caller has been asked, and has the time to answer. Staff's word needs no key of the caller's."""
    asking = call.asking
    if asking is None or not asking.playing:
        return call, ()
    seen = event.observation
    if not seen.complete or not seen.heard:
        return _no(call, "it was not heard whole")
    asked = replace(call, asked=call.asked + 1, asking=replace(asking, heard=seen))
    if asking.kind is ConsentKind.ORAL or any(_says_yes(asking, key) for key in seen.keys):
        return _judge(asked)
    return asked, (c.StartTimer(timer=e.Timer.CONSENT),)


def _says_yes(asking: Asking, key: KeyHeard) -> bool:
    return acknowledges(key, digit=asking.script.agree, after_ms=asking.script.essential_ms)


def _judge(call: Call) -> Step:
    asking = call.asking
    if asking is None or asking.heard is None:
        return call, ()
    order = c.JudgeNotice(attempt=asking.attempt, observation=asking.heard)
    return replace(call, asking=replace(asking, judging=True)), (order, c.StartTimer(timer=e.Timer.DECIDE))


def answered_by_key(call: Call, event: e.KeyPressed) -> Step:
    """Yes by the one key for it, once all was said; before, it counts for nothing. Any other key is a no."""
    asking = call.asking
    if asking is None:
        return call, ()
    if asking.kind is ConsentKind.ORAL or event.digit != asking.script.agree:
        return (call, ()) if asking.kind is ConsentKind.ORAL else _no(call, "by key", event)
    if asking.judging or asking.heard is None:
        return call, ()
    at_ms = max(0, event.at_ns - asking.heard.start_ns) // 1_000_000
    key = KeyHeard(digit=event.digit, method=event.method, leg=event.leg, at_ms=at_ms)
    if not _says_yes(asking, key):
        return call, ()
    seen = replace(asking.heard, keys=(*asking.heard.keys, key))
    return _judge(replace(call, asking=replace(asking, heard=seen, said_ns=event.at_ns)))


def consent_timer(other_timers: Handler) -> Handler:
    """These clocks, and those of a consent: silence is a no, and so is what cannot be judged in time."""

    def expired(call: Call, event: e.TimerExpired) -> Step:
        if call.asking is None or event.timer not in (e.Timer.CONSENT, e.Timer.DECIDE):
            return other_timers(call, event)
        if call.asking.judging is not (event.timer is e.Timer.DECIDE):
            return call, ()
        return _no(call, "not decided in time" if call.asking.judging else "no answer")

    return expired


def of_the_script(asked: Handler, otherwise: Handler) -> Handler:
    """What is told of a notice is of the one that asks for consent where it names its attempt."""

    def told(call: Call, event: e.NoticeEnded | e.NoticeGranted | e.NoticeRefused) -> Step:
        its = call.asking is not None and event.attempt == call.asking.attempt
        return asked(call, event) if its else otherwise(call, event)

    return told


def _no(call: Call, why: str, event: e.KeyPressed | None = None) -> Step:
    """Nothing is added, and what was recorded goes on (R17)."""
    asking = call.asking
    if asking is None:
        return call, ()
    silenced = (c.StopNotice(attempt=asking.attempt),) if asking.playing else ()
    digit, method = (event.digit, event.method) if event is not None else ("", None)
    told = (*silenced, c.RecordChoice(digit=digit, choice=f"{NO}: {why}", method=method))
    asked = call.asked + (event is not None and asking.playing)
    left, orders = settle(replace(call, asking=None, asked=asked))
    return left, (*told, *orders, *_signal(call))


# ---------------------------------------------------------------- the verdict


def script_refused(call: Call, event: e.NoticeRefused) -> Step:
    """It cannot be shown what the caller was asked: then nothing was agreed to."""
    if call.asking is None or not call.asking.judging:
        return call, ()
    return _no(call, f"not proven ({', '.join(reason.value for reason in event.reasons)})")


def script_granted(call: Call, event: e.NoticeGranted) -> Step:
    """A yes, shown by the caller's own key, or said by staff: the segment ends here, and the next one waits for the
    ledger to hold first the proof and then the consent.
    """
    yes = call.asking
    if yes is None or not yes.judging:
        return call, ()
    least = Grade.ACKNOWLEDGED if yes.kind is ConsentKind.KEYPRESS else call.plan.required_grade
    if event.verdict.grade.rank < least.rank:
        return _no(call, "not proven (GRADE_TOO_LOW)")
    if why := _barred(call):
        return _no(call, why)
    fresh, orders = begin_segment(replace(call, asking=None), None)
    waiting = replace(
        fresh,
        agreed=yes,
        notice=Notice.SETTLED,
        permission=after(Permission.NONE, PermissionFact.NOTICE_BEGAN),
        in_talk=True,
        window_closed_ns=event.at_ns,
        earlier_attempts=yes.attempt - 1,
    )
    key, method = (yes.script.agree, _method(yes)) if yes.kind is ConsentKind.KEYPRESS else ("", None)
    told = c.RecordChoice(digit=key, choice=YES, method=method)
    return and_then((told, *orders), (waiting, (c.RecordProof(attempt=yes.attempt, verdict=event.verdict),)))


def _method(yes: Asking) -> KeyMethod | None:
    keys = yes.heard.keys if yes.heard is not None else ()
    return next((key.method for key in keys if _says_yes(yes, key)), None)
