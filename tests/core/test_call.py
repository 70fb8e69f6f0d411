"""Both promises, read from the tables and then sought for in every reachable state.

Invariant 1: a StartRecording carries the proof that the ledger confirmed for this call, once, and only where the call
is bridged, nobody is on hold, the choice window is over and nothing was declined.
Invariant 2: whatever happened so far, a caller who is still there is on the way to the line as soon as the clocks run
out; no state keeps a caller waiting for the recording.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from callrec.core import commands as c
from callrec.core import events as e
from callrec.core.call import (
    TABLE,
    Call,
    Capture,
    Keys,
    Notice,
    StaffCodes,
    Stage,
    advance,
    keys_in_use,
    language_chosen,
    open_call,
)
from callrec.core.evidence import Interruption, KeyHeard
from callrec.core.outoforder import OutOfOrder
from callrec.core.permission import PERMISSIONS, Permission, PermissionFact
from callrec.core.purposes import SECONDARY, WIDENINGS, TagSource, Widening
from callrec.core.reasons import Reason
from callrec.core.values import DialFailure, Grade, KeyMethod, Leg, Order, Purpose, Tone
from tests.core.builders import GOOD_OBSERVATION, a_granted_verdict, a_plan, a_proof

PROOF = a_proof()
VERDICT = a_granted_verdict()
ACKNOWLEDGED_PROOF = replace(PROOF, granted=replace(PROOF.granted, grade=Grade.ACKNOWLEDGED))
HELD = replace(GOOD_OBSERVATION, complete=False, interruption=Interruption.HELD)


def key(digit, leg=Leg.CALLER, at_ns=1):
    return e.KeyPressed(at_ns=at_ns, leg=leg, digit=digit, method=KeyMethod.TELEPHONE_EVENT)


def timer(which, at_ns=5):
    return e.TimerExpired(at_ns=at_ns, timer=which)


def alphabet(attempt):
    return (
        e.CallerAnswered(at_ns=1),
        *(kind(at_ns=1, leg=leg) for kind in (e.LegHeld, e.LegResumed) for leg in Leg),
        e.NoticeEnded(at_ns=2, attempt=attempt, observation=replace(GOOD_OBSERVATION, attempt=attempt)),
        e.NoticeEnded(at_ns=2, attempt=attempt, observation=replace(HELD, attempt=attempt)),
        e.NoticeGranted(at_ns=3, attempt=attempt, verdict=VERDICT),
        e.NoticeGranted(at_ns=3, attempt=attempt, verdict=replace(VERDICT, grade=Grade.ACKNOWLEDGED)),
        e.NoticeRefused(at_ns=3, attempt=attempt, reasons=(Reason.NOTICE_INTERRUPTED,)),
        e.NoticeRefused(at_ns=3, attempt=attempt, reasons=(Reason.NOTICE_ALTERED,)),
        e.ProofRecorded(at_ns=4, proof=PROOF),
        e.ProofRecorded(at_ns=4, proof=ACKNOWLEDGED_PROOF),
        e.ProofUnrecorded(at_ns=4, attempt=attempt),
        *(key(digit) for digit in "23*0"),
        key("1", at_ns=GOOD_OBSERVATION.start_ns + 5_000_000_000),
        key("2", at_ns=9),
        *(timer(which) for which in e.Timer),
        e.StaffAnswered(at_ns=6),
        e.DialFailed(at_ns=6, failure=DialFailure.BUSY),
        e.LegsBridged(at_ns=7),
        e.LegEnded(at_ns=8, leg=Leg.CALLER, cause="bye"),
        e.LegEnded(at_ns=8, leg=Leg.STAFF, cause="bye"),
        e.StopRequested(at_ns=8, reason=Reason.OPERATOR_STOPPED, actor="uid:0"),
        e.ProofContradicted(at_ns=8, attempt=attempt),
        e.RecordingFailed(at_ns=8, reason=Reason.STORE_UNAVAILABLE, started=True),
        e.RecordingFailed(at_ns=8, reason=Reason.STORE_UNAVAILABLE, started=False),
    )


def with_orders(attempt):
    """Orders of staff beside the alphabet, less of the caller's keys and holds: else there are too many states."""
    left_out = (e.LegHeld, e.LegResumed)
    fewer = (each for each in alphabet(attempt) if not (isinstance(each, left_out) and each.leg is Leg.CALLER))
    fewer = (each for each in fewer if not isinstance(each, e.KeyPressed) or each.digit == "2")
    orders = (Order.PAUSE, Order.RESUME, Order.DISTRESS)
    return (*fewer, *(e.OrderGiven(at_ns=8, order=order, actor="uid:0") for order in orders))


EVERY_ORDER = (
    key("9"),
    *(e.OrderGiven(at_ns=8, order=order, actor="uid:0") for order in Order),
    *(key(digit, leg=Leg.STAFF, at_ns=8) for digit in "*7012345689"),
    *(e.WideningAsked(at_ns=8, wanted=Widening(word), actor="http") for word in WIDENINGS),
)
"""Beside the alphabet, where chance seeks and not every state is visited."""


def walk(*events, plan=None):
    call, orders = open_call(plan or a_plan())
    all_orders = list(orders)
    for event in events:
        call, orders = advance(call, event)
        all_orders += orders
    return call, all_orders


def check_step(before, event, after, orders):
    """What must hold for every single step, whatever came before it."""
    for order in orders:
        if isinstance(order, c.StartRecording):
            assert order.proof is after.proof
            assert after.permission is Permission.GRANTED
            assert after.stage is Stage.BRIDGED
            assert not after.held
            assert not after.paused
            assert not after.window_open
            assert before.capture is Capture.OFF
            added = order.consent.purposes if order.consent is not None else frozenset()
            named = (order.proof.granted.purposes & after.plan.purposes) | added
            assert order.purposes <= named - after.without
        if isinstance(order, c.ResumeRecording):
            assert after.permission is Permission.GRANTED
            assert not after.held
            assert not after.paused
    if before.proof is None and after.proof is not None:
        assert isinstance(event, e.ProofRecorded)
    if before.permission is Permission.WITHDRAWN:
        assert after.permission is Permission.WITHDRAWN
        assert not any(isinstance(order, c.StartRecording | c.ResumeRecording) for order in orders)
    if after.permission is Permission.WITHDRAWN or after.held or after.paused:
        assert after.capture is not Capture.ON


def check_purposes(before, after, orders):
    """Tags come with a start, within what the notice named, and only ever become fewer."""
    started = [order for order in orders if isinstance(order, c.StartRecording)]
    assert started or after.purposes <= before.purposes
    for order in orders:
        if isinstance(order, c.ChangeTags):
            assert order.purposes <= dict(before.tagged).get(order.segment, frozenset())


def reaches_the_line(call):
    """With every clock run out, a caller who is there is dialled for (or talking, or gone)."""
    orders = []
    for which in (e.Timer.NOTICE_WAIT, e.Timer.DECIDE):
        call, more = advance(call, timer(which, at_ns=99))
        orders += more
    return call.stage in (Stage.DIALLING, Stage.BRIDGED) and any(isinstance(order, c.Dial) for order in orders)


def essence(call):
    """The state without what no rule looks at: which reason was written first, and which strange keys were told."""
    return replace(call, reason=call.reason and Reason.AGENT_FAILED, strange=frozenset())


def explore(plan, facts=alphabet):
    """Every state that these facts reach, breadth first; states are values, so each is visited once."""
    start, _ = open_call(plan)
    seen, queue = {start}, deque([start])
    while queue:
        before = queue.popleft()
        for event in facts(before.attempt) if before.stage is not Stage.CLOSED else ():
            try:
                after, orders = advance(before, event)
            except OutOfOrder:
                continue
            check_step(before, event, after, orders)
            check_purposes(before, after, orders)
            after = essence(after)
            if after not in seen:
                seen.add(after)
                queue.append(after)
    return seen


WAITS_FOR_THE_KEY = {
    "required_grade": Grade.ACKNOWLEDGED,
    "keys": Keys(decline="2", acknowledge="1", stop="**2"),
    "essential_ms": 5000,
}


@pytest.mark.parametrize(
    ("window", "facts", "waits"),
    [
        (True, alphabet, {}),
        (False, alphabet, {}),
        (True, with_orders, {}),
        (True, alphabet, WAITS_FOR_THE_KEY),
    ],
)
def test_no_reachable_state_records_without_proof_or_keeps_a_caller_waiting(window, facts, waits):
    states = explore(a_plan(has_choice_window=window, destinations=1, **waits), facts)

    assert any(state.capture is Capture.ON for state in states), (
        "the search never reached a recording: it proves nothing"
    )
    for state in states:
        if state.stage is Stage.NOTICE:
            assert reaches_the_line(state), state
        if state.capture is Capture.ON:
            assert state.proof.granted.grade.rank >= state.plan.required_grade.rank


def test_only_a_recorded_proof_grants_permission():
    into = {(p, f) for p, row in PERMISSIONS.items() for f, to in row.items() if to is Permission.GRANTED}

    assert into == {(Permission.PENDING, PermissionFact.PROVEN)}


def test_there_is_no_way_out_of_withdrawn():
    assert set(PERMISSIONS[Permission.WITHDRAWN].values()) == {Permission.WITHDRAWN}


def test_a_proof_means_something_only_after_the_notice_was_settled():
    assert [stage for stage, row in TABLE.items() if e.ProofRecorded in row] == [
        Stage.DIALLING,
        Stage.BRIDGED,
        Stage.CLOSED,
    ]


@pytest.mark.parametrize("stage", [stage for stage in Stage if stage is not Stage.CLOSED])
def test_an_unknown_event_raises_and_changes_nothing(stage):
    call = replace(open_call(a_plan())[0], stage=stage)
    unknown = [event for event in alphabet(0) if type(event) not in TABLE[stage]]

    assert unknown
    for event in unknown:
        copy = replace(call)
        with pytest.raises(OutOfOrder):
            advance(call, event)
        assert call == copy


CODES = StaffCodes(prefix="*7", orders=(*zip("01423568", Order, strict=False), ("7", Order.NOTICE)))

GOOD = (
    e.CallerAnswered(at_ns=1),
    e.NoticeEnded(at_ns=2, attempt=1, observation=GOOD_OBSERVATION),
    e.NoticeGranted(at_ns=3, attempt=1, verdict=VERDICT),
    e.ProofRecorded(at_ns=4, proof=PROOF),
    timer(e.Timer.CHOICE_WINDOW),
    e.StaffAnswered(at_ns=6),
    e.LegsBridged(at_ns=7),
)


def test_a_call_whose_notice_was_proven_is_recorded_for_what_the_notice_named():
    call, orders = walk(*GOOD)

    assert call.stage is Stage.BRIDGED
    assert orders[-1] == c.StartRecording(proof=PROOF, segment=0, purposes=frozenset(Purpose))


@pytest.mark.parametrize("missing", [e.ProofRecorded, e.LegsBridged, e.TimerExpired])
def test_without_any_one_of_these_facts_nothing_is_recorded(missing):
    _, orders = walk(*(event for event in GOOD if not isinstance(event, missing)))

    assert not any(isinstance(order, c.StartRecording) for order in orders)


def test_the_line_is_dialled_before_the_ledger_has_answered():
    _, orders = walk(*GOOD[:3])

    assert orders[-2:] == [c.Dial(target=0), c.RecordProof(attempt=1, verdict=VERDICT)]


def test_a_notice_cut_by_a_hold_plays_again_from_the_start_when_media_is_back():
    call, orders = walk(
        GOOD[0],
        e.LegHeld(at_ns=2, leg=Leg.CALLER),
        e.NoticeEnded(at_ns=2, attempt=1, observation=HELD),
        e.NoticeRefused(at_ns=2, attempt=1, reasons=(Reason.NOTICE_INTERRUPTED,)),
        e.LegResumed(at_ns=3, leg=Leg.CALLER),
    )

    assert orders[-1] == c.PlayNotice(attempt=2)
    assert call.notice is Notice.PLAYING


def test_a_caller_who_stays_on_hold_reaches_the_line_unrecorded_when_the_wait_is_over():
    call, orders = walk(
        GOOD[0],
        e.LegHeld(at_ns=2, leg=Leg.CALLER),
        e.NoticeEnded(at_ns=2, attempt=1, observation=HELD),
        e.NoticeRefused(at_ns=2, attempt=1, reasons=(Reason.NOTICE_INTERRUPTED,)),
        timer(e.Timer.NOTICE_WAIT),
    )

    assert orders[-1] == c.Dial(target=0)
    assert call.reason is Reason.NOTICE_INTERRUPTED


def test_a_decline_stops_the_notice_and_dials_at_once():
    call, orders = walk(GOOD[0], key("2"))

    assert orders[-3:] == [
        c.RecordChoice(digit="2", choice="decline"),
        c.StopNotice(attempt=1),
        c.Dial(target=0),
    ]
    assert call.permission is Permission.WITHDRAWN
    assert call.reason is Reason.CALLER_DECLINED


def test_a_decline_pressed_in_time_that_arrives_late_destroys_what_was_captured():
    call, orders = walk(*GOOD, key("2", at_ns=4))

    assert orders[-2:] == [
        c.RecordChoice(digit="2", choice="decline"),
        c.DiscardRecording(reason=Reason.CALLER_DECLINED),
    ]
    assert not call.recorded


def test_a_no_that_comes_when_it_was_stopped_already_quarantines_what_is_kept():
    stop = e.StopRequested(at_ns=98, reason=Reason.MAX_LENGTH, actor="agent")
    call, orders = walk(*GOOD, stop, key("2", at_ns=4))

    told, removed, withdrawn = orders[-3:]
    assert told == c.RecordChoice(digit="2", choice="stop")
    assert (removed.purposes, removed.why, withdrawn) == (SECONDARY, "stop", c.RecordWithdrawal(segment=0))
    assert call.permission is Permission.WITHDRAWN


def test_training_left_out_when_it_was_stopped_already_is_taken_from_what_is_kept():
    stop = e.StopRequested(at_ns=98, reason=Reason.MAX_LENGTH, actor="agent")
    _, orders = walk(*GOOD, stop, key("3", at_ns=4))

    assert (orders[-1].purposes, orders[-1].source) == ({Purpose.TRAINING}, TagSource.CALLER)


def test_a_two_pressed_during_the_talk_is_the_callers_own_business():
    call, orders = walk(*GOOD, key("2", at_ns=99))

    assert call.capture is Capture.ON
    assert isinstance(orders[-1], c.StartRecording)


def test_a_key_that_means_nothing_here_any_more_is_the_lines():
    choosing, _ = walk(*GOOD[:2])
    talking, _ = walk(*GOOD)
    declined, _ = walk(*GOOD[:2], key("2"))

    assert keys_in_use(choosing) == choosing.plan.keys.words()
    assert keys_in_use(talking) == (talking.plan.keys.stop,)
    assert keys_in_use(declined) == ()


def test_leaving_out_training_leaves_the_other_purposes():
    _, orders = walk(GOOD[0], key("3"), *GOOD[1:])

    assert orders[-1].purposes == {Purpose.MEDICO_LEGAL, Purpose.AUDIT}


def test_nine_nine_nine_connects_at_once_and_unrecorded():
    call, orders = walk(GOOD[0], key("9"), key("9"), key("9"))

    assert orders[-1] == c.Dial(target=0)
    assert call.reason is Reason.EMERGENCY_BYPASS


def test_the_stop_sequence_ends_the_recording_and_keeps_what_was_captured():
    call, orders = walk(*GOOD, *(key(digit, at_ns=99) for digit in "**2"))

    assert orders[-1] == c.StopRecording(reason=Reason.CALLER_STOPPED, actor="caller", announce=True)
    removed, withdrawn = orders[-3:-1]
    assert (removed.purposes, removed.source, removed.suspended) == (SECONDARY, TagSource.CALLER, False)
    assert withdrawn == c.RecordWithdrawal(segment=0)
    assert call.purposes == {Purpose.MEDICO_LEGAL}
    assert call.recorded
    assert call.permission is Permission.WITHDRAWN


ACKNOWLEDGED = e.NoticeGranted(at_ns=3, attempt=1, verdict=replace(VERDICT, grade=Grade.ACKNOWLEDGED))
KEY_1 = key("1", at_ns=GOOD_OBSERVATION.start_ns + 5_000_000_000)


def test_a_line_that_wants_the_callers_key_is_dialled_meanwhile_and_judged_with_it():
    call, orders = walk(*GOOD[:2], plan=a_plan(**WAITS_FOR_THE_KEY))
    assert orders[-2:] == [c.StartTimer(timer=e.Timer.CHOICE_WINDOW), c.Dial(target=0)]

    call, orders = advance(call, KEY_1)
    pressed = KeyHeard(digit="1", method=KeyMethod.TELEPHONE_EVENT, leg=Leg.CALLER, at_ms=5000)
    assert orders[0] == c.RecordChoice(digit="1", choice="acknowledge")
    assert orders[1] == c.JudgeNotice(attempt=1, observation=replace(GOOD_OBSERVATION, keys=(pressed,)))
    assert advance(call, ACKNOWLEDGED)[1] == (c.RecordProof(attempt=1, verdict=ACKNOWLEDGED.verdict),)


def test_a_key_pressed_before_the_notice_named_it_is_not_the_one_that_is_waited_for():
    early = replace(KEY_1, at_ns=KEY_1.at_ns - 1_000_000)
    call, orders = walk(*GOOD[:2], early, plan=a_plan(**WAITS_FOR_THE_KEY))

    assert call.notice is Notice.UNACKNOWLEDGED
    assert orders[-1] == c.Dial(target=0)


def test_a_caller_who_presses_nothing_is_talking_to_the_line_unrecorded():
    silent = (*GOOD[:2], timer(e.Timer.CHOICE_WINDOW), e.NoticeGranted(at_ns=3, attempt=1, verdict=VERDICT))
    call, orders = walk(*silent, *GOOD[5:], plan=a_plan(**WAITS_FOR_THE_KEY))

    assert call.stage is Stage.BRIDGED
    assert call.reason is Reason.GRADE_TOO_LOW
    assert not any(isinstance(order, c.StartRecording) for order in orders)


def test_where_a_call_without_notice_is_not_carried_the_key_is_waited_for_first():
    plan = a_plan(reject_without_notice=True, **WAITS_FOR_THE_KEY)
    _, orders = walk(*GOOD[:2], plan=plan)
    assert not any(isinstance(order, c.Dial) for order in orders)

    _, orders = walk(*GOOD[:2], KEY_1, ACKNOWLEDGED, plan=plan)
    assert c.Dial(target=0) in orders
    _, orders = walk(*GOOD[:2], timer(e.Timer.CHOICE_WINDOW), GOOD[2], plan=plan)
    assert orders[-1] == c.HangUp(leg=Leg.CALLER, cause="notice could not be given")


def test_a_report_that_contradicts_the_proof_stops_the_recording_and_keeps_it_and_the_call_goes_on():
    call, orders = walk(*GOOD, e.ProofContradicted(at_ns=8, attempt=1), e.LegHeld(at_ns=9, leg=Leg.STAFF))

    assert orders[-1] == c.StopRecording(reason=Reason.PROOF_CONTRADICTED, actor="agent", announce=False)
    assert call.stage is Stage.BRIDGED
    assert call.permission is Permission.NONE


@pytest.mark.parametrize("before", range(2, len(GOOD)))
def test_a_proof_that_is_contradicted_before_the_talk_starts_nothing(before):
    call, orders = walk(*GOOD[:before], e.ProofContradicted(at_ns=8, attempt=1), *GOOD[before:])

    assert not any(isinstance(order, c.StartRecording) for order in orders)
    assert call.stage is Stage.BRIDGED
    assert call.reason is Reason.PROOF_CONTRADICTED


def test_a_hold_leaves_a_gap_and_the_end_of_the_hold_ends_it():
    _, orders = walk(*GOOD, e.LegHeld(at_ns=8, leg=Leg.STAFF), e.LegResumed(at_ns=9, leg=Leg.STAFF))

    assert orders[-2:] == [c.SuspendRecording(why="staff leg on hold"), c.ResumeRecording()]


def test_a_busy_line_takes_the_fallback_and_then_the_tone():
    failed = e.DialFailed(at_ns=6, failure=DialFailure.BUSY)
    call, orders = walk(*GOOD[:5], failed, failed)

    assert orders[-2:] == [c.Dial(target=1), c.EndWithTone(tone=Tone.BUSY, cause="User busy")]
    assert call.reason is Reason.NOT_ANSWERED


@pytest.mark.parametrize("obstacle", [Reason.NOTICE_MISSING, Reason.LEDGER_UNAVAILABLE, Reason.LINE_NOT_RECORDED])
def test_an_obstacle_known_before_costs_the_recording_and_not_the_call(obstacle):
    call, orders = walk(GOOD[0], plan=a_plan(obstacle=obstacle))

    assert orders == [c.AnswerCaller(), c.Dial(target=0)]
    assert call.reason is obstacle


def test_a_line_that_says_so_turns_a_call_away_when_no_notice_can_be_given():
    _, orders = open_call(a_plan(obstacle=Reason.NOTICE_MISSING, reject_without_notice=True))

    assert orders == (c.RejectCaller(reason=Reason.NOTICE_MISSING),)


def test_a_refused_notice_stays_our_fault_whatever_keys_follow():
    refused = e.NoticeRefused(at_ns=3, attempt=1, reasons=(Reason.NOTICE_ALTERED,))
    call, _ = walk(*GOOD[:2], refused, key("2"))

    assert call.reason is Reason.NOTICE_ALTERED


def test_a_verdict_that_comes_too_late_changes_nothing():
    call, orders = walk(*GOOD[:2], timer(e.Timer.DECIDE), GOOD[2])

    assert orders[-1] == c.Dial(target=0)
    assert call.permission is Permission.NONE
    assert call.reason is Reason.NOTICE_UNDECIDED


@pytest.mark.parametrize("digits", ["", "3", "2", "999"])
def test_every_call_that_ends_is_closed_with_one_word_on_its_recording(digits):
    ended = e.LegEnded(at_ns=8, leg=Leg.CALLER, cause="bye")
    for length in range(1, len(GOOD) + 1):
        call, orders = walk(*GOOD[:length], *(key(digit) for digit in digits), ended)
        closing = orders[-1]

        assert isinstance(closing, c.CloseCall)
        assert closing.recorded is (closing.reason is None)
        assert call.stage is Stage.CLOSED


class AnyJourney(RuleBasedStateMachine):
    """Invariant: over any sequence of facts, both promises of this file's docstring hold at every step."""

    def __init__(self):
        super().__init__()
        self.call, _ = open_call(a_plan(codes=CODES))
        self.starts = 0
        self.proven = False
        self.dialled = False

    @rule(data=st.data())
    def anything_happens(self, data):
        event = data.draw(st.sampled_from((*alphabet(self.call.attempt), *EVERY_ORDER)))
        before = self.call
        try:
            self.call, orders = advance(before, event)
        except OutOfOrder:
            return
        check_step(before, event, self.call, orders)
        check_purposes(before, self.call, orders)
        self.proven |= isinstance(event, e.ProofRecorded)
        self.starts += sum(isinstance(order, c.StartRecording) for order in orders)
        self.dialled |= any(isinstance(order, c.Dial) for order in orders)

    @invariant()
    def one_proof_starts_at_most_one_segment(self):
        assert self.starts <= int(self.proven)

    @invariant()
    def the_line_is_dialled_once_the_notice_is_over(self):
        assert self.dialled or self.call.stage in (Stage.OFFERED, Stage.NOTICE, Stage.CLOSED)


TestAnyJourney = AnyJourney.TestCase


def test_a_closed_call_hears_of_everything_late_and_does_nothing():
    call, _ = walk(*GOOD, e.LegEnded(at_ns=8, leg=Leg.STAFF, cause="bye"))

    for event in alphabet(1)[1:]:
        assert advance(call, event) == (call, ())


def test_a_call_is_a_value():
    call, _ = open_call(a_plan())

    assert isinstance(call, Call)
    assert hash(call) == hash(replace(call))


# ---------------------------------------------------------------- less of the notice, or another language

CHOICES = Keys(decline="2", skip="7", languages=(("5", "cy"),))


def skipped(attempt=1, at_ns=5):
    seen = replace(GOOD_OBSERVATION, attempt=attempt, complete=False, interruption=Interruption.SKIPPED)
    return e.NoticeEnded(at_ns=at_ns, attempt=attempt, observation=seen)


def with_choices(attempt):
    """The keys that change a notice, beside what makes a call go on or wait."""
    ended = e.NoticeEnded(at_ns=2, attempt=attempt, observation=replace(GOOD_OBSERVATION, attempt=attempt))
    hold = (e.LegHeld(at_ns=1, leg=Leg.CALLER), e.LegResumed(at_ns=1, leg=Leg.CALLER))
    proof = (e.NoticeGranted(at_ns=3, attempt=attempt, verdict=VERDICT), e.ProofRecorded(at_ns=4, proof=PROOF))
    keys = (key("2"), key("5"), key("7"), key("5", at_ns=9))
    return (GOOD[0], ended, skipped(attempt, at_ns=2), *hold, *proof, *keys, *GOOD[4:])


def test_the_key_for_it_ends_the_notice_once_and_what_was_heard_is_judged():
    _, orders = walk(e.CallerAnswered(at_ns=1), key("7"), key("7"), skipped(), plan=a_plan(keys=CHOICES))

    assert orders.count(c.SkipNotice(attempt=1)) == 1
    assert [order.choice for order in orders if isinstance(order, c.RecordChoice)] == ["shorten"]
    assert any(isinstance(order, c.JudgeNotice) for order in orders)
    assert c.StartTimer(timer=e.Timer.CHOICE_WINDOW) in orders


def test_a_key_for_a_language_stops_the_notice_and_another_one_begins_in_it():
    call, orders = walk(e.CallerAnswered(at_ns=1), key("5"), plan=a_plan(keys=CHOICES))

    assert orders[-2:] == [c.StopNotice(attempt=1), c.ChooseLanguage(language="cy", key="5")]
    call, orders = advance(call, heard_late := e.NoticeEnded(at_ns=6, attempt=1, observation=GOOD_OBSERVATION))
    assert (orders, heard_late.attempt) == ((), 1)
    call, orders = language_chosen(call, a_plan(keys=Keys(decline="2")))
    assert orders == (c.PlayNotice(attempt=2),)
    assert call.attempts_left


def test_where_there_is_no_notice_in_that_language_the_call_goes_on_unrecorded():
    call, _ = walk(e.CallerAnswered(at_ns=1), key("5"), plan=a_plan(keys=CHOICES))

    call, orders = language_chosen(call, a_plan(obstacle=Reason.NOTICE_MISSING))

    assert c.Dial(target=0) in orders
    assert call.reason is Reason.NOTICE_MISSING


def test_a_caller_who_waits_for_another_language_reaches_the_line_all_the_same():
    call, _ = walk(e.CallerAnswered(at_ns=1), key("5"), plan=a_plan(keys=CHOICES))

    call, orders = advance(call, timer(e.Timer.NOTICE_WAIT, at_ns=9))

    assert c.Dial(target=0) in orders
    assert language_chosen(call, a_plan()) == (call, ())


def test_a_language_that_was_chosen_when_the_line_was_being_called_costs_the_recording():
    call, orders = walk(*GOOD[:4], key("5", at_ns=4), *GOOD[4:], plan=a_plan(keys=CHOICES))

    assert call.reason is Reason.WRONG_LANGUAGE
    assert not any(isinstance(order, c.StartRecording) for order in orders)
    assert [order.choice for order in orders if isinstance(order, c.RecordChoice)] == ["language cy"]


def test_every_way_through_choices_of_language_and_length_keeps_both_promises():
    seen = explore(a_plan(keys=CHOICES, attempts=1), with_choices)

    assert any(call.notice is Notice.CHOOSING for call in seen)
    for call in seen:
        if call.notice is Notice.CHOOSING and call.stage is Stage.NOTICE:
            for plan in (a_plan(), a_plan(obstacle=Reason.NOTICE_MISSING)):
                after, orders = language_chosen(call, plan)
                assert after.stage is Stage.DIALLING or after.notice in (Notice.PLAYING, Notice.WAITING)
                assert not any(isinstance(order, c.StartRecording) for order in orders)
