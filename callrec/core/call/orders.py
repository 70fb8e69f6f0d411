"""What others than the caller order: by a code from the staff leg, by a command, by whoever else may ask the agent.

An order only ever takes away. It may stop capture and suspend use; what was captured stays, whoever ordered it. Some
ask: `notice` has the outside party told, on an outbound call once staff know who has answered (R4), or again (R8);
`training` has the caller asked for consent, and `agreed` says that they gave it aloud (R21, R59).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from callrec.core import commands as c
from callrec.core import events as e
from callrec.core.call.capture import settle, status, stop_requested, tags_changed
from callrec.core.call.consent import ask_for_consent
from callrec.core.call.notice import ask, may_be_asked
from callrec.core.call.state import STAFF, Call, Capture, Handler, Step, and_then, unfinished
from callrec.core.people import A_CHILD
from callrec.core.permission import Permission
from callrec.core.purposes import SECONDARY, Protection, TagSource
from callrec.core.reasons import Reason
from callrec.core.retention import Subject
from callrec.core.values import FROM_STAFF, Leg, Order, Purpose, Signal

_KEYPAD: Final = "0123456789*#"


def order_given(call: Call, event: e.OrderGiven) -> Step:
    """Carry the order out, or tell staff that there is nothing to order."""
    if call.plan.obstacle is not None and event.order not in FROM_STAFF:
        return call, _signal(call, Signal.REFUSED)
    return _ORDERS[event.order](call, event)


def staff_key(call: Call, event: e.KeyPressed) -> Step:
    """One key of staff. Only whole codes mean anything; what is pressed in a pause is never written down."""
    codes = call.plan.codes
    before = call.staff_digits
    if not codes.prefix or before != codes.prefix:
        any_code = tuple(codes.prefix + each for each in _KEYPAD) if codes.prefix else ()
        return replace(call, staff_digits=unfinished(before + event.digit, any_code)), ()
    call = replace(call, staff_digits="")
    order = codes.order(event.digit)
    if order is not None:
        return order_given(call, e.OrderGiven(at_ns=event.at_ns, order=order, actor=STAFF))
    told = c.RecordChoice(digit=codes.prefix + event.digit, choice="unknown code", leg=Leg.STAFF, method=event.method)
    return call, (*(() if call.paused else (told,)), *_signal(call, Signal.REFUSED))


def staff_keys_in_use(call: Call) -> tuple[str, ...]:
    """Codes that are not passed on to the caller."""
    codes = call.plan.codes
    return codes.words() if call.plan.obstacle is None else codes.words(Order.STATUS)


def _signal(call: Call, signal: Signal) -> tuple[c.Command, ...]:
    return (c.SignalStaff(signal=signal),) if call.staff_up else ()


# ---------------------------------------------------------------- notice, stop, pause, resume


def _notice(call: Call, _event: e.OrderGiven) -> Step:
    """R4, R8: whoever is there is given the notice now. Staff hear it too, and that nothing comes of it."""
    return ask(call) if may_be_asked(call) else (call, _signal(call, Signal.REFUSED))


def _stop(call: Call, event: e.OrderGiven) -> Step:
    """R15: capture ends, both hear it, and nothing of it is used until somebody looked at it."""
    if call.capture is Capture.ENDED:
        return call, _signal(call, Signal.REFUSED)
    early = (*_stopped_early(call, event), *_signal(call, Signal.DONE))
    captured = call.captures or call.agreed is not None
    before = _suspended(call, frozenset(Purpose), event.actor, "stopped") if captured else early
    reason = Reason.STAFF_STOPPED if event.actor == STAFF else Reason.OPERATOR_STOPPED
    stopped = e.StopRequested(at_ns=event.at_ns, reason=reason, actor=event.actor)
    return and_then(before, stop_requested(call, stopped))


def _stopped_early(call: Call, event: e.OrderGiven) -> tuple[c.Command, ...]:
    """Nobody will record what is not being recorded yet: who saw to that is written down as well."""
    may_begin = call.capture is Capture.OFF and call.permission is not Permission.WITHDRAWN
    return (c.RecordStop(order=event.order, actor=event.actor),) if may_begin else ()


def _pause(call: Call, event: e.OrderGiven) -> Step:
    """R52: nothing is captured until somebody says so, and staff are reminded of it."""
    if call.paused or call.capture is Capture.ENDED or call.permission is Permission.WITHDRAWN:
        return call, _signal(call, Signal.REFUSED)
    paused = replace(call, paused=True, digits="", staff_digits="")
    told = (c.StartTimer(timer=e.Timer.PAUSE), *_signal(call, Signal.PAUSED))
    if not call.captures:
        return paused, told
    gap = c.SuspendRecording(why="paused", actor=event.actor)
    return replace(paused, capture=Capture.SUSPENDED), (gap, *told)


def _resume(call: Call, event: e.OrderGiven) -> Step:
    """The same parties go on: no new notice (R52)."""
    if not call.paused:
        return call, _signal(call, Signal.REFUSED)
    resumed, orders = settle(replace(call, paused=False, digits="", staff_digits=""), event.actor)
    return resumed, (*orders, *_signal(call, Signal.RESUMED))


def with_pauses(other_timers: Handler) -> Handler:
    """These clocks, and that of a pause that lasts."""

    def expired(call: Call, event: e.TimerExpired) -> Step:
        return _pause_lasts(call, event) if event.timer is e.Timer.PAUSE else other_timers(call, event)

    return expired


def _pause_lasts(call: Call, event: e.TimerExpired) -> Step:
    if not call.paused:
        return call, ()
    if call.plan.pause_resumes:
        return _resume(call, e.OrderGiven(at_ns=event.at_ns, order=Order.RESUME, actor="agent"))
    return call, (*_signal(call, Signal.STILL_PAUSED), c.StartTimer(timer=e.Timer.PAUSE))


# ---------------------------------------------------------------- purposes and protections


def _removed(call: Call, purposes: frozenset[Purpose], source: TagSource, event: e.OrderGiven) -> tuple[c.Command, ...]:
    why = event.order.value
    return tags_changed(call, purposes, suspended=False, source=source, actor=event.actor, why=why)


def _suspended(call: Call, purposes: frozenset[Purpose], actor: str, why: str) -> tuple[c.Command, ...]:
    source = TagSource.STAFF if why == "stopped" else TagSource.PROTECTION
    return tags_changed(call, purposes, suspended=True, source=source, actor=actor, why=why)


def _without(purpose: Purpose) -> Callable[[Call, e.OrderGiven], Step]:
    def narrow(call: Call, event: e.OrderGiven) -> Step:
        told = _removed(call, frozenset({purpose}), TagSource.STAFF, event)
        narrowed = replace(call.less(frozenset({purpose})), without=call.without | {purpose})
        if call.captures and not narrowed.purposes:  # nothing is left that it could be kept for
            stopped = e.StopRequested(at_ns=event.at_ns, reason=Reason.NO_PURPOSE, actor=event.actor)
            return and_then(told, stop_requested(narrowed, stopped))
        return narrowed, (*told, *_signal(call, Signal.DONE))

    return narrow


def _protects(protection: Protection) -> Callable[[Call, e.OrderGiven], Step]:
    """R18, R36: as a stop, and no secondary use of this call, ever, whoever else had agreed."""

    def protect(call: Call, event: e.OrderGiven) -> Step:
        told = (*_removed(call, SECONDARY, TagSource.PROTECTION, event), *_stopped_early(call, event))
        left = replace(call.less(SECONDARY), protections=call.protections | {protection})
        if call.captures:
            told += _suspended(left, frozenset(Purpose), event.actor, event.order.value)
        stopped = e.StopRequested(at_ns=event.at_ns, reason=Reason.SUBJECT_PROTECTED, actor=event.actor)
        return and_then(told, stop_requested(left, stopped))

    return protect


def _capacity_doubt(call: Call, event: e.OrderGiven) -> Step:
    """R33: no secondary use until somebody looked at it. A doubt about this call, which says nothing of the next."""
    told = _suspended(call, SECONDARY, event.actor, event.order.value)
    protections = call.protections | {Protection.CAPACITY_DOUBT}
    doubted = replace(call, protections=protections, doubted_by=event.actor)
    return doubted, (*told, *_signal(call, Signal.DONE))


def _child(call: Call, event: e.OrderGiven) -> Step:
    """R35: the call is about a child, whoever speaks; what was said of the child before stays."""
    known = call.about if call.about is not None and call.about.subject is Subject.CHILD else A_CHILD
    return subject_told(call, e.SubjectTold(at_ns=event.at_ns, about=known, actor=event.actor))


def subject_told(call: Call, event: e.SubjectTold) -> Step:
    """R35: who the call is about, as far as somebody said it; the newest word counts."""
    told: tuple[c.Command, ...] = ()
    if call.captures and call.about != event.about:
        told = (c.ClassifySubject(segment=call.segment, about=event.about, actor=event.actor),)
    return replace(call, about=event.about, about_by=event.actor), (*told, *_signal(call, Signal.DONE))


def widening_asked(call: Call, event: e.WideningAsked) -> Step:
    """R22: nobody but the caller widens. Whoever tries is told so, and it is written down; staff hear nothing of it."""
    wanted = event.wanted
    return call, (c.RecordDenial(segment=call.segment, purpose=wanted.word, actor=event.actor, why=wanted.why_not),)


def _status(call: Call, _event: e.OrderGiven) -> Step:
    """R53: asked on a line that is never recorded as well, and changes nothing."""
    return call, (status(call),) if call.staff_up else ()


_ORDERS: Final[Mapping[Order, Callable[[Call, e.OrderGiven], Step]]] = {
    Order.STOP: _stop,
    Order.PAUSE: _pause,
    Order.RESUME: _resume,
    Order.WITHOUT_TRAINING: _without(Purpose.TRAINING),
    Order.WITHOUT_AUDIT: _without(Purpose.AUDIT),
    Order.DISTRESS: _protects(Protection.DISTRESS),
    Order.CAPACITY_DOUBT: _capacity_doubt,
    Order.CHILD: _child,
    Order.OBJECTION: _protects(Protection.CHILD_OBJECTS),
    Order.STATUS: _status,
    Order.NOTICE: _notice,
    Order.TRAINING: ask_for_consent,
    Order.AGREED: ask_for_consent,
}
