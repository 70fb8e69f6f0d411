"""What the caller's keys mean, and when. A key of doubt only ever takes away."""

from __future__ import annotations

from dataclasses import replace

from callrec.core import commands as c
from callrec.core import events as e
from callrec.core.call.capture import discard, stop
from callrec.core.call.notice import acknowledged, go_on, play
from callrec.core.call.state import EMERGENCY, Call, Capture, Notice, Step, and_then
from callrec.core.permission import Permission, PermissionFact, after
from callrec.core.reasons import Reason
from callrec.core.values import Leg, Purpose


def key_pressed(call: Call, event: e.KeyPressed) -> Step:
    """One key of the caller; keys of staff mean nothing here."""
    if event.leg is not Leg.CALLER or call.permission is Permission.WITHDRAWN:
        return call, ()
    digits = (call.digits + event.digit)[-8:]
    call = replace(call, digits=digits)
    keys = call.plan.keys
    if _choosing(call, event) and digits.endswith(EMERGENCY):
        return _withdraw(call, EMERGENCY, Reason.EMERGENCY_BYPASS)
    if keys.stop and digits.endswith(keys.stop):
        return _caller_stops(call, event, keys.stop)
    if not _choosing(call, event):
        return call, ()
    return _choose(call, event)


def keys_in_use(call: Call) -> tuple[str, ...]:
    """Sequences of the caller that mean something now; every other key is for the advice line."""
    if call.permission is Permission.WITHDRAWN:
        return ()
    if call.permission is not Permission.NONE and call.window_closed_ns < 0:
        return call.plan.keys.words()
    return (call.plan.keys.stop,) if call.plan.keys.stop else ()


def _choosing(call: Call, event: e.KeyPressed) -> bool:
    """Single keys count from the first sound of the notice until the window closed, told by when they were pressed."""
    asked = call.permission in (Permission.PENDING, Permission.GRANTED)
    return asked and (call.window_closed_ns < 0 or event.at_ns <= call.window_closed_ns)


def _choose(call: Call, event: e.KeyPressed) -> Step:
    keys, digit = call.plan.keys, event.digit
    if digit == keys.decline:
        return _withdraw(call, digit, Reason.CALLER_DECLINED)
    if digit == keys.decline_training:
        return _without_training(call, digit)
    if digit == keys.acknowledge:
        return acknowledged(call, event)
    if digit == keys.repeat and call.notice is Notice.PLAYING and call.attempts_left:
        again = (c.RecordChoice(digit=digit, choice="repeat"), c.StopNotice(attempt=call.attempt))
        return and_then(again, play(call))
    return call, ()


def _without_training(call: Call, digit: str) -> Step:
    told = (c.RecordChoice(digit=digit, choice="without training"),)
    reduced = replace(call, without=call.without | {Purpose.TRAINING})
    if call.capture in (Capture.ON, Capture.SUSPENDED):  # pressed in time, arrived late: captured under too much
        return and_then(told, discard(reduced, Reason.NO_PURPOSE))
    return reduced, told


def _withdraw(call: Call, digit: str, reason: Reason) -> Step:
    """No, or an emergency: nothing is recorded, what a race had begun is destroyed, and the line is dialled at once."""
    told = (c.RecordChoice(digit=digit, choice="emergency" if digit == EMERGENCY else "decline"),)
    stopped = (c.StopNotice(attempt=call.attempt),) if call.notice is Notice.PLAYING else ()
    no = replace(
        call,
        permission=after(call.permission, PermissionFact.WITHDRAWN),
        notice=Notice.SETTLED,
        window_open=False,
        unjudged=None,
        reason=reason,
    )
    if call.capture in (Capture.ON, Capture.SUSPENDED):
        return and_then(told, discard(no, reason))
    return and_then((*told, *stopped), go_on(no))


def _caller_stops(call: Call, event: e.KeyPressed, sequence: str) -> Step:
    """Before capture a stop is a decline; while it runs it ends the segment, and what was captured is kept (R15)."""
    if call.capture not in (Capture.ON, Capture.SUSPENDED) or event.at_ns <= call.window_closed_ns:
        return _withdraw(call, sequence, Reason.CALLER_DECLINED) if call.capture is not Capture.ENDED else (call, ())
    told = (c.RecordChoice(digit=sequence, choice="stop"),)
    no = replace(call, permission=after(call.permission, PermissionFact.WITHDRAWN))
    return and_then(told, stop(no, Reason.CALLER_STOPPED, "caller", announce=True))
