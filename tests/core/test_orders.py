"""What staff and operators order: given / when / then, one row for each rule, against the core."""

from __future__ import annotations

from dataclasses import replace

import pytest

from callrec.core import commands as c
from callrec.core import events as e
from callrec.core.call import Capture, advance, staff_keys_in_use
from callrec.core.people import A_CHILD
from callrec.core.permission import Permission
from callrec.core.purposes import SECONDARY, TagSource
from callrec.core.reasons import Reason
from callrec.core.values import Leg, Order, Purpose, Signal
from tests.core.builders import a_plan
from tests.core.test_call import CODES, GOOD, key, timer, walk

PLAN = a_plan(codes=CODES)
ALL = frozenset(Purpose)
MEDICO_LEGAL = frozenset({Purpose.MEDICO_LEGAL})
STAFF_LEFT = e.LegEnded(at_ns=200, leg=Leg.STAFF, cause="bye")


def order(which, actor="uid:7", at_ns=99):
    return e.OrderGiven(at_ns=at_ns, order=which, actor=actor)


def pressed(digits, leg=Leg.STAFF, at_ns=99):
    return [key(digit, leg=leg, at_ns=at_ns) for digit in digits]


def signal(which):
    return c.SignalStaff(signal=which)


def tags(purposes, why, *, suspended, source, actor="uid:7"):
    return c.ChangeTags(segment=0, suspended=suspended, purposes=purposes, source=source, actor=actor, why=why)


def recorded(*then, plan=PLAN):
    """A call that is being recorded, then these facts: the call, and only what they brought."""
    before, _ = walk(*GOOD, plan=plan)
    assert before.capture is Capture.ON
    orders = []
    call = before
    for event in then:
        call, more = advance(call, event)
        orders += more
    return call, orders


# ---------------------------------------------------------------- codes


@pytest.mark.parametrize(("keys", "which"), [(f"*7{k}", o) for k, o in CODES.orders], ids=str)
def test_a_code_from_staff_is_the_order_itself(keys, which):
    by_code = recorded(*pressed(keys))
    by_order = recorded(order(which, actor="staff"))

    if which is Order.STOP:  # by whom it was stopped makes the reason: R15
        assert by_code[1][-1].reason is Reason.STAFF_STOPPED
    assert by_code == by_order


def test_the_same_keys_from_the_caller_order_nothing():
    for keys in CODES.words():
        assert recorded(*pressed(keys, leg=Leg.CALLER))[1] == []


def test_keys_before_a_code_do_not_spoil_it():
    assert recorded(*pressed("12*5**71"))[0].paused


def test_an_unknown_code_changes_nothing_is_written_down_and_staff_hear_that():
    call, orders = recorded(*pressed("*79"))

    assert orders == [c.RecordChoice(digit="*79", choice="unknown code", leg=Leg.STAFF), signal(Signal.REFUSED)]
    assert call == recorded()[0]


def test_codes_are_not_passed_on_and_all_other_keys_of_staff_are():
    assert staff_keys_in_use(recorded()[0]) == CODES.words()
    assert staff_keys_in_use(walk(plan=a_plan(codes=CODES, obstacle=Reason.LINE_NOT_RECORDED))[0]) == ()
    assert staff_keys_in_use(walk(plan=a_plan())[0]) == ()


def test_on_a_line_that_is_not_recorded_there_is_nothing_to_order():
    plan = a_plan(codes=CODES, obstacle=Reason.LINE_NOT_RECORDED)
    call, _ = walk(GOOD[0], e.StaffAnswered(at_ns=6), e.LegsBridged(at_ns=7), plan=plan)

    assert advance(call, order(Order.PAUSE)) == (call, (signal(Signal.REFUSED),))


# ---------------------------------------------------------------- R15: stop


@pytest.mark.parametrize(("actor", "reason"), [("staff", Reason.STAFF_STOPPED), ("uid:7", Reason.OPERATOR_STOPPED)])
def test_a_stop_ends_capture_both_hear_it_and_no_use_is_made_of_it_until_reviewed(actor, reason):
    call, orders = recorded(order(Order.STOP, actor=actor))

    assert orders == [
        tags(ALL, "stopped", suspended=True, source=TagSource.STAFF, actor=actor),
        c.StopRecording(reason=reason, actor=actor, announce=True),
    ]
    assert call.recorded, "what was captured stays: staff destroy nothing"


def test_a_stop_before_capture_forbids_it():
    call, orders = walk(*GOOD[:3], order(Order.STOP), *GOOD[3:], plan=PLAN)

    assert not any(isinstance(each, c.StartRecording) for each in orders)
    assert call.reason is Reason.OPERATOR_STOPPED


@pytest.mark.parametrize("which", [Order.STOP, Order.DISTRESS, Order.OBJECTION])
def test_whoever_stops_what_has_not_begun_is_written_down_once(which):
    _, orders = walk(*GOOD[:3], order(which), order(which), *GOOD[3:], plan=PLAN)

    assert [each for each in orders if isinstance(each, c.RecordStop)] == [c.RecordStop(order=which, actor="uid:7")]


def test_nobody_is_said_to_have_stopped_what_its_caller_had_declined():
    _, orders = walk(*GOOD[:3], key("2"), order(Order.STOP), plan=PLAN)

    assert not any(isinstance(each, c.RecordStop) for each in orders)


@pytest.mark.parametrize("which", [Order.RESUME, Order.PAUSE])
def test_what_stopped_does_not_start_again_by_any_order(which):
    stopped, _ = recorded(order(Order.STOP))

    call, orders = advance(stopped, order(which))

    assert (call.capture, orders) == (Capture.ENDED, (signal(Signal.REFUSED),))


# ---------------------------------------------------------------- R52: pause


def test_a_pause_leaves_a_gap_until_somebody_resumes():
    paused, orders = recorded(order(Order.PAUSE))

    assert paused.capture is Capture.SUSPENDED
    assert orders == [
        c.SuspendRecording(why="paused", actor="uid:7"),
        c.StartTimer(timer=e.Timer.PAUSE),
        signal(Signal.PAUSED),
    ]
    resumed, orders = advance(paused, order(Order.RESUME))
    assert resumed.capture is Capture.ON
    assert orders == (c.ResumeRecording(actor="uid:7"), signal(Signal.RESUMED))


def test_no_hold_and_no_end_of_a_hold_ends_a_pause():
    call, orders = recorded(
        order(Order.PAUSE), e.LegHeld(at_ns=100, leg=Leg.STAFF), e.LegResumed(at_ns=101, leg=Leg.STAFF)
    )

    assert call.capture is Capture.SUSPENDED
    assert not any(isinstance(each, c.ResumeRecording) for each in orders)


def test_a_pause_within_a_hold_lasts_beyond_it_and_both_reasons_are_told():
    held = e.LegHeld(at_ns=98, leg=Leg.CALLER)
    call, orders = recorded(held, order(Order.PAUSE), e.LegResumed(at_ns=101, leg=Leg.CALLER))

    assert call.capture is Capture.SUSPENDED
    assert [each.why for each in orders if isinstance(each, c.SuspendRecording)] == ["caller leg on hold", "paused"]


def test_a_resume_during_a_hold_waits_for_its_end():
    held = e.LegHeld(at_ns=98, leg=Leg.CALLER)
    call, orders = recorded(held, order(Order.PAUSE), order(Order.RESUME), e.LegResumed(at_ns=102, leg=Leg.CALLER))

    assert call.capture is Capture.ON
    assert isinstance(orders[-1], c.ResumeRecording)


def test_a_pause_before_capture_keeps_it_from_beginning_and_a_resume_lets_it():
    paused, orders = walk(*GOOD[:3], order(Order.PAUSE), *GOOD[3:], plan=PLAN)

    assert not any(isinstance(each, c.StartRecording) for each in orders)
    assert isinstance(advance(paused, order(Order.RESUME))[1][0], c.StartRecording)


def test_a_pause_that_lasts_is_reminded_of_again_and_again_and_does_not_end():
    paused, _ = recorded(order(Order.PAUSE))
    for _ in range(3):
        again, orders = advance(paused, timer(e.Timer.PAUSE, at_ns=500))
        assert again == paused
        assert orders == (signal(Signal.STILL_PAUSED), c.StartTimer(timer=e.Timer.PAUSE))


def test_only_where_the_line_says_so_does_a_pause_end_by_itself():
    paused, _ = recorded(order(Order.PAUSE), plan=replace(PLAN, pause_resumes=True))

    resumed, orders = advance(paused, timer(e.Timer.PAUSE, at_ns=500))

    assert resumed.capture is Capture.ON
    assert orders[0] == c.ResumeRecording(actor="agent")


def test_a_reminder_that_comes_after_the_pause_says_nothing():
    call, _ = recorded(order(Order.PAUSE), order(Order.RESUME))

    assert advance(call, timer(e.Timer.PAUSE, at_ns=500)) == (call, ())


def test_what_is_pressed_in_a_pause_is_neither_written_down_nor_kept():
    before, _ = recorded(order(Order.PAUSE))

    call, orders = recorded(order(Order.PAUSE), *pressed("4929*79#", leg=Leg.STAFF), *pressed("4929", leg=Leg.CALLER))

    assert not any(isinstance(each, c.RecordChoice) for each in orders)
    assert call == before


def test_a_caller_can_stop_a_paused_recording():
    call, orders = recorded(order(Order.PAUSE), *pressed("**2", leg=Leg.CALLER, at_ns=120))

    assert call.permission is Permission.WITHDRAWN
    assert any(isinstance(each, c.StopRecording) for each in orders)


# ---------------------------------------------------------------- R18, R25, R33, R35, R36: purposes


@pytest.mark.parametrize(
    ("which", "purpose"), [(Order.WITHOUT_TRAINING, Purpose.TRAINING), (Order.WITHOUT_AUDIT, Purpose.AUDIT)]
)
def test_leaving_out_a_purpose_takes_it_from_what_runs_and_nothing_else(which, purpose):
    call, orders = recorded(order(which))

    gone = tags(frozenset({purpose}), which.value, suspended=False, source=TagSource.STAFF)
    assert orders == [gone, signal(Signal.DONE)]
    assert call.purposes == ALL - {purpose}
    assert call.capture is Capture.ON


def test_a_purpose_left_out_before_capture_is_never_recorded_for():
    _, orders = walk(*GOOD[:3], order(Order.WITHOUT_TRAINING), *GOOD[3:], plan=PLAN)

    assert orders[-1].purposes == ALL - {Purpose.TRAINING}


def test_without_any_purpose_left_nothing_more_is_recorded_and_nothing_is_destroyed():
    call, orders = recorded(order(Order.WITHOUT_TRAINING), plan=replace(PLAN, purposes=frozenset({Purpose.TRAINING})))

    assert orders[-1] == c.StopRecording(reason=Reason.NO_PURPOSE, actor="uid:7", announce=True)
    assert call.recorded


def test_distress_stops_the_recording_and_ends_secondary_use_for_good():
    call, orders = recorded(order(Order.DISTRESS))

    assert orders == [
        tags(SECONDARY, "distress", suspended=False, source=TagSource.PROTECTION),
        tags(MEDICO_LEGAL, "distress", suspended=True, source=TagSource.PROTECTION),
        c.StopRecording(reason=Reason.SUBJECT_PROTECTED, actor="uid:7", announce=True),
    ]
    assert call.purposes == MEDICO_LEGAL


def test_distress_after_a_stop_still_ends_secondary_use():
    _, orders = recorded(order(Order.STOP), order(Order.DISTRESS))

    assert orders[-1] == tags(SECONDARY, "distress", suspended=False, source=TagSource.PROTECTION)


def test_a_doubt_about_capacity_suspends_secondary_use_and_the_recording_goes_on():
    call, orders = recorded(order(Order.CAPACITY_DOUBT))

    doubted = tags(SECONDARY, "capacity doubt", suspended=True, source=TagSource.PROTECTION)
    assert orders == [doubted, signal(Signal.DONE)]
    assert call.capture is Capture.ON


def test_a_doubt_before_capture_leaves_no_secondary_purpose():
    _, orders = walk(*GOOD[:3], order(Order.CAPACITY_DOUBT), *GOOD[3:], plan=PLAN)

    assert orders[-2].purposes == MEDICO_LEGAL
    assert orders[-1] == tags(frozenset(), "capacity doubt", suspended=True, source=TagSource.PROTECTION)


def test_a_call_about_a_child_is_dated_as_one_whenever_that_is_said():
    _, before = walk(*GOOD[:3], order(Order.CHILD), *GOOD[3:], plan=PLAN)
    _, during = recorded(order(Order.CHILD), order(Order.CHILD))

    assert before[-2].about == A_CHILD
    said = c.ClassifySubject(segment=0, about=A_CHILD, actor="uid:7")
    assert before[-1] == said
    assert during == [said, signal(Signal.DONE), signal(Signal.DONE)]


def test_flags_are_those_of_one_call_and_nobody_elses():
    doubted, _ = recorded(order(Order.CAPACITY_DOUBT), order(Order.CHILD), STAFF_LEFT)
    fresh, _ = walk(plan=PLAN)

    assert doubted.protections
    assert (fresh.protections, fresh.about, fresh.without) == (frozenset(), None, frozenset())


@pytest.mark.parametrize("which", list(Order))
def test_no_order_ever_adds_a_purpose_or_starts_what_no_proof_started(which):
    for length in range(len(GOOD)):
        before, _ = walk(*GOOD[:length], plan=PLAN)
        after, orders = advance(before, order(which))
        assert after.purposes <= before.purposes
        assert not any(isinstance(each, c.StartRecording) for each in orders)


def test_an_order_after_the_end_comes_to_nothing():
    over, _ = recorded(STAFF_LEFT)

    for which in Order:
        assert advance(over, order(which)) == (over, ())
