"""Calls that staff place to somebody outside: given / when / then against the core (R4, R6, R8)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from callrec.core import commands as c
from callrec.core import events as e
from callrec.core.call import Capture, Notice, Stage, advance, keys_in_use, line_changed, staff_keys_in_use
from callrec.core.evidence import Interruption
from callrec.core.outoforder import OutOfOrder
from callrec.core.permission import Permission
from callrec.core.reasons import REASON_CLASS, Reason, ReasonClass
from callrec.core.values import CallDirection, DialFailure, Leg, NoticeWhen, Order, Signal
from tests.core.builders import GOOD_OBSERVATION, a_granted_verdict, a_plan, a_proof
from tests.core.test_call import CODES, key, timer, walk

OUTBOUND = a_plan(codes=CODES, direction=CallDirection.OUTBOUND, notice_when=NoticeWhen.STAFF_CODE)
AT_ANSWER = replace(OUTBOUND, notice_when=NoticeWhen.ANSWER)
STAFF_UP, OUTSIDE_UP, BOTH = e.StaffAnswered(at_ns=1), e.CallerAnswered(at_ns=2), e.LegsBridged(at_ns=3)
TALKING = (STAFF_UP, OUTSIDE_UP, BOTH)
CODE = tuple(key(digit, leg=Leg.STAFF, at_ns=4) for digit in "*77")
HEARD = e.NoticeEnded(at_ns=5, attempt=1, observation=GOOD_OBSERVATION)
PROVEN = (
    HEARD,
    e.NoticeGranted(at_ns=6, attempt=1, verdict=a_granted_verdict()),
    e.ProofRecorded(at_ns=7, proof=a_proof()),
    timer(e.Timer.CHOICE_WINDOW, 8),
)


def over(leg):
    return e.LegEnded(at_ns=20, leg=leg, cause="bye")


def of(kind, orders):
    return [order for order in orders if isinstance(order, kind)]


def decided(*events, plan=OUTBOUND):
    """What came of the call in the end, and every order on the way."""
    call, orders = walk(*events, plan=plan)
    assert call.stage is Stage.CLOSED
    return of(c.CloseCall, orders)[0], orders


def test_staff_who_call_are_answered_and_the_outside_party_is_dialled_without_a_notice():
    call, orders = walk(*TALKING, plan=OUTBOUND)

    assert orders == [c.AnswerCaller(), c.Dial(target=0), c.Bridge()]
    assert (call.stage, call.permission, call.capture) == (Stage.BRIDGED, Permission.NONE, Capture.OFF)


@pytest.mark.parametrize(
    ("plan", "wrong"), [(OUTBOUND, OUTSIDE_UP), (a_plan(), STAFF_UP)], ids=["nobody dialled", "nobody called"]
)
def test_the_leg_that_called_us_comes_up_first(plan, wrong):
    with pytest.raises(OutOfOrder):
        walk(wrong, plan=plan)


def test_recording_begins_after_the_code_the_notice_and_its_proof():
    before, _ = walk(*TALKING, *CODE, *PROVEN[:2], plan=OUTBOUND)
    assert before.capture is Capture.OFF

    call, orders = walk(*TALKING, *CODE, *PROVEN, plan=OUTBOUND)

    assert call.capture is Capture.ON
    assert [type(order) for order in orders[3:]] == [
        *(c.StartTimer, c.PlayNotice),
        *(c.JudgeNotice, c.StartTimer, c.StartTimer),
        *(c.RecordProof, c.StartRecording),
    ]
    assert decided(*TALKING, *CODE, *PROVEN, over(Leg.STAFF))[0].recorded


@pytest.mark.parametrize("leg", list(Leg), ids=lambda leg: leg.value)
def test_without_the_code_nothing_is_played_nothing_recorded_and_the_reason_says_so(leg):
    summary, orders = decided(*TALKING, over(leg))

    assert summary.reason is Reason.NOTICE_NOT_ORDERED
    assert REASON_CLASS[summary.reason] is ReasonClass.BYPASSED, "an answering machine is nobody's fault"
    assert not of(c.PlayNotice, orders)


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ((over(Leg.STAFF),), Reason.NOT_ANSWERED),
        ((STAFF_UP, over(Leg.STAFF)), Reason.NOT_ANSWERED),
        ((STAFF_UP, OUTSIDE_UP, over(Leg.CALLER)), Reason.CALLER_HUNG_UP),
    ],
    ids=["before we answered", "while it rang", "at once after the answer"],
)
def test_a_call_that_comes_to_no_talk(events, reason):
    assert decided(*events)[0].reason is reason


def test_who_is_busy_is_told_to_staff_by_tone_after_every_fallback():
    busy = e.DialFailed(at_ns=2, failure=DialFailure.BUSY)
    summary, orders = decided(STAFF_UP, busy, busy, over(Leg.STAFF))

    assert [order.target for order in of(c.Dial, orders)] == [0, 1]
    assert len(of(c.EndWithTone, orders)) == 1
    assert summary.reason is Reason.NOT_ANSWERED


def test_a_line_that_says_so_plays_the_notice_when_the_call_is_answered():
    call, orders = walk(*TALKING, *PROVEN, plan=AT_ANSWER)

    assert [type(order) for order in orders[:5]] == [c.AnswerCaller, c.Dial, c.Bridge, c.StartTimer, c.PlayNotice]
    assert call.capture is Capture.ON


def test_keys_and_code_have_their_legs():
    asked, _ = walk(*TALKING, *CODE, HEARD, plan=OUTBOUND)
    no, orders = advance(asked, key("2", leg=Leg.CALLER, at_ns=6))
    unmoved, nothing = advance(asked, key("2", leg=Leg.STAFF, at_ns=6))

    assert (no.permission, no.reason) == (Permission.WITHDRAWN, Reason.CALLER_DECLINED)
    assert of(c.RecordChoice, orders)
    assert (unmoved.permission, nothing) == (asked.permission, ())
    assert "2" in keys_in_use(asked)
    assert "*77" in staff_keys_in_use(asked)
    assert walk(*TALKING, *(key(digit) for digit in "*77"), plan=OUTBOUND)[0].notice is Notice.NOT_BEGUN


def test_no_code_asks_again_whoever_said_no():
    declined = (*TALKING, *CODE, HEARD, key("2", at_ns=6))
    call, orders = walk(*declined, *CODE, plan=OUTBOUND)

    assert call.permission is Permission.WITHDRAWN
    assert orders[-1] == c.SignalStaff(signal=Signal.REFUSED)
    assert len(of(c.PlayNotice, orders)) == 1


def test_a_notice_that_was_interrupted_is_played_again_while_attempts_last():
    cut = replace(GOOD_OBSERVATION, complete=False, interruption=Interruption.RENEGOTIATED)
    refused = (
        e.NoticeEnded(at_ns=5, attempt=1, observation=cut),
        e.NoticeRefused(at_ns=6, attempt=1, reasons=(Reason.NOTICE_INTERRUPTED,)),
    )
    assert [order.attempt for order in of(c.PlayNotice, walk(*TALKING, *CODE, *refused, plan=OUTBOUND)[1])] == [1, 2]


def test_staff_may_have_a_notice_played_again_that_was_not_proven_also_to_who_called_us():
    inbound = a_plan(codes=CODES)
    refused = (
        e.CallerAnswered(at_ns=1),
        HEARD,
        e.NoticeRefused(at_ns=6, attempt=1, reasons=(Reason.NOTICE_ALTERED,)),
        e.StaffAnswered(at_ns=7),
        e.LegsBridged(at_ns=8),
    )
    again = replace(GOOD_OBSERVATION, attempt=2)
    proven = (
        e.NoticeEnded(at_ns=9, attempt=2, observation=again),
        e.NoticeGranted(at_ns=10, attempt=2, verdict=a_granted_verdict()),
        e.ProofRecorded(at_ns=11, proof=a_proof()),
        timer(e.Timer.CHOICE_WINDOW, 12),
    )
    assert walk(*refused, plan=inbound)[0].reason is Reason.NOTICE_ALTERED
    assert walk(*refused, *CODE, *proven, plan=inbound)[0].capture is Capture.ON


def test_a_second_code_in_a_notice_or_after_its_proof_changes_nothing():
    for before in ((), PROVEN[:1], PROVEN[:2], PROVEN):
        call, _ = walk(*TALKING, *CODE, *before, plan=OUTBOUND)
        again, orders = advance(call, e.OrderGiven(at_ns=9, order=Order.NOTICE, actor="http"))
        assert (again, orders) == (call, (c.SignalStaff(signal=Signal.REFUSED),))


def test_a_line_that_cannot_record_still_places_the_call():
    plan = replace(OUTBOUND, obstacle=Reason.NOTICE_MISSING)
    call, orders = walk(*TALKING, *CODE, plan=plan)

    assert call.stage is Stage.BRIDGED
    assert orders[-1] == c.SignalStaff(signal=Signal.REFUSED)
    assert decided(*TALKING, over(Leg.CALLER), plan=plan)[0].reason is Reason.NOTICE_MISSING


def test_a_transfer_to_another_line_leaves_who_was_called_the_outside_party():

    waiting, _ = walk(*TALKING, plan=OUTBOUND)
    moved, orders = line_changed(waiting, a_plan(codes=CODES))
    assert (moved.plan.direction, orders) == (CallDirection.OUTBOUND, ())
    asked, _ = walk(*TALKING, *CODE, *PROVEN, plan=OUTBOUND)
    moved, orders = line_changed(asked, a_plan(codes=CODES))
    assert of(c.PlayNotice, orders), "the other line's notice governs from then on"
