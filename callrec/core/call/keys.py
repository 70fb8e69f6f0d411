"""What the caller's keys mean, and when. A key of doubt only ever takes away."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from callrec.core import commands as c
from callrec.core import events as e
from callrec.core.call.capture import discard, stop, tags_changed
from callrec.core.call.consent import answered_by_key
from callrec.core.call.notice import acknowledged, choose_language, go_on, play, skip
from callrec.core.call.orders import staff_key, staff_keys_in_use
from callrec.core.call.state import EMERGENCY, Asking, Call, Capture, Keys, Notice, Step, and_then, unfinished
from callrec.core.consent import ConsentKind
from callrec.core.permission import Permission, PermissionFact, after
from callrec.core.purposes import SECONDARY, TagSource
from callrec.core.reasons import Reason
from callrec.core.values import Leg, Purpose

CALLER: Final = "caller"
"""Who chooses by keys."""
SAY_NO: Final = frozenset({"decline", "emergency", "stop"})
"""Choices after which the caller is recorded no more, as `choice.made` names them."""


def key_pressed(call: Call, event: e.KeyPressed) -> Step:
    """One key. Those of staff are orders. Of the caller's, only what may still become a word of ours is kept."""
    if event.leg is Leg.STAFF:
        return staff_key(call, event)
    if call.permission is Permission.WITHDRAWN:
        return call, ()
    keys = call.plan.keys
    digits = call.digits + event.digit
    call = replace(call, digits=unfinished(digits, keys_in_use(call) if call.paused else keys.words()))
    if call.asking is not None:
        return _while_asked(call, event, digits, call.asking)
    if _choosing(call, event) and digits.endswith(EMERGENCY):
        return _withdraw(call, event, EMERGENCY, Reason.EMERGENCY_BYPASS)
    if keys.stop and digits.endswith(keys.stop):
        return _caller_stops(call, event, keys.stop)
    return _choose(call, event) if _choosing(call, event) else (call, ())


def asks_for_keys(call: Call) -> bool:
    """True from the first sound of the notice until the choice window closed, or the caller said no: single keys count,
    and so do tones in the caller's audio, where there is no better way.
    """
    return call.permission in (Permission.PENDING, Permission.GRANTED) and call.window_closed_ns < 0


def _while_asked(call: Call, event: e.KeyPressed, digits: str, asking: Asking) -> Step:
    """Whoever stops is not asked any more; a key that may become a stop answers nothing yet. The notice that plays
    after a yes that was said aloud offers its own keys: who declines by one of them is stopped.
    """
    keys = call.plan.keys
    if keys.stop and digits.endswith(keys.stop):
        return _caller_stops(call, event, keys.stop)
    if asking.kind is ConsentKind.ORAL and event.digit == keys.decline:
        return _stopped_by_caller(call, event, event.digit)
    stopping = (keys.stop,) if keys.stop else ()
    left = replace(call, digits=unfinished(digits, stopping))
    return (left, ()) if left.digits else answered_by_key(left, event)


def keys_in_use(call: Call) -> tuple[str, ...]:
    """Sequences of the caller that mean something now; every other key is for the advice line."""
    if call.permission is Permission.WITHDRAWN:
        return ()
    if call.asking is not None:
        return _asked_keys(call, call.asking)
    if asks_for_keys(call):
        return call.plan.keys.words()
    return (call.plan.keys.stop,) if call.plan.keys.stop else ()


def _asked_keys(call: Call, asking: Asking) -> tuple[str, ...]:
    keys, script = call.plan.keys, asking.script
    own = (keys.decline,) if asking.kind is ConsentKind.ORAL else (script.agree, script.refuse)
    return tuple(word for word in (*own, keys.stop) if word)


def words_in_use(call: Call, leg: Leg) -> tuple[str, ...]:
    """What this leg may press that is for us, and is not passed on."""
    return keys_in_use(call) if leg is Leg.CALLER else staff_keys_in_use(call)


def _choosing(call: Call, event: e.KeyPressed) -> bool:
    """Single keys count from the first sound of the notice until the window closed, told by when they were pressed."""
    asked = call.permission in (Permission.PENDING, Permission.GRANTED)
    return asked and (call.window_closed_ns < 0 or event.at_ns <= call.window_closed_ns)


def _choose(call: Call, event: e.KeyPressed) -> Step:
    keys = call.plan.keys
    if event.digit == keys.decline:
        return _withdraw(call, event, event.digit, Reason.CALLER_DECLINED)
    if event.digit == keys.decline_training:
        return _without_training(call, event)
    if event.digit == keys.acknowledge:
        return acknowledged(call, event)
    return _change_notice(call, event, keys)


def _change_notice(call: Call, event: e.KeyPressed, keys: Keys) -> Step:
    """Hear less of it, or hear it again, or in another language."""
    if event.digit == keys.skip:
        return skip(call, event)
    if (language := keys.language(event.digit)) is not None:
        return _other_language(call, event, language)
    if event.digit == keys.repeat and call.notice is Notice.PLAYING and call.attempts_left:
        again = (_told(event, event.digit, "repeat"), c.StopNotice(attempt=call.attempt))
        return and_then(again, play(call))
    return _strange(call, event)


def _other_language(call: Call, event: e.KeyPressed, language: str) -> Step:
    """Pressed in time and arrived late: what was captured had no notice in that language."""
    chosen, orders = choose_language(call, event, language)
    if not call.captures:
        return chosen, orders
    return and_then(orders, discard(chosen, Reason.WRONG_LANGUAGE))


def _told(event: e.KeyPressed, word: str, choice: str) -> c.RecordChoice:
    return c.RecordChoice(digit=word, choice=choice, leg=event.leg, method=event.method)


def _strange(call: Call, event: e.KeyPressed) -> Step:
    """A key that the notice does not name: written down once, and nothing else comes of it."""
    if call.paused or call.digits or event.digit in call.strange or event.digit == call.plan.keys.repeat:
        return call, ()
    return replace(call, strange=call.strange | {event.digit}), (_told(event, event.digit, "unknown key"),)


def _without_training(call: Call, event: e.KeyPressed) -> Step:
    told = (_told(event, event.digit, "without training"),)
    training = frozenset({Purpose.TRAINING})
    reduced = replace(call.less(training), without=call.without | training)
    if call.recorded and not call.captures:  # later still: it was stopped meanwhile, and is sealed
        return reduced, _removed(call, training, "without training")
    if call.captures:  # pressed in time, arrived late: captured under too much
        return and_then(told, discard(reduced, Reason.NO_PURPOSE))
    return reduced, told


def _withdraw(call: Call, event: e.KeyPressed, word: str, reason: Reason) -> Step:
    """No, or an emergency: nothing is recorded, what a race had begun is destroyed, and the line is dialled at once."""
    if call.recorded and not call.captures:  # it was stopped meanwhile, and is sealed: as if the caller had stopped it
        return _stopped_by_caller(call, event, word)
    told = (_told(event, word, "emergency" if word == EMERGENCY else "decline"),)
    stopped = (c.StopNotice(attempt=call.attempt),) if call.notice is Notice.PLAYING else ()
    no = replace(
        call,
        permission=after(call.permission, PermissionFact.WITHDRAWN),
        notice=Notice.SETTLED,
        window_open=False,
        unjudged=None,
        reason=reason,
    )
    if call.captures:
        return and_then(told, discard(no, reason))
    return and_then((*told, *stopped), go_on(no))


def _caller_stops(call: Call, event: e.KeyPressed, word: str) -> Step:
    """Before capture a stop is a decline; while it runs it ends the segment (R15). What was captured is for no
    secondary use, and is quarantined until somebody decided (R16).
    """
    if call.agreed is not None:  # between two segments of one talk: what was captured is stopped as well
        return _stopped_by_caller(replace(call, reason=Reason.CALLER_STOPPED), event, word)
    if not call.captures or event.at_ns <= call.window_closed_ns:
        declines = call.capture is not Capture.ENDED
        return _withdraw(call, event, word, Reason.CALLER_DECLINED) if declines else (call, ())
    return _stopped_by_caller(call, event, word)


def _stopped_by_caller(call: Call, event: e.KeyPressed, word: str) -> Step:
    permission = after(call.permission, PermissionFact.WITHDRAWN)
    told: tuple[c.Command, ...] = (_told(event, word, "stop"), *_removed(call, SECONDARY, "stop"))
    told += tuple(c.RecordWithdrawal(segment=segment) for segment, _ in call.tagged)
    no = replace(call.less(SECONDARY), permission=permission)
    return and_then(told, stop(no, Reason.CALLER_STOPPED, CALLER, announce=True))


def _removed(call: Call, purposes: frozenset[Purpose], why: str) -> tuple[c.Command, ...]:
    return tags_changed(call, purposes, suspended=False, source=TagSource.CALLER, actor=CALLER, why=why)
