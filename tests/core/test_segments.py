"""Another outside party is another segment: with a notice and a proof of its own, or not recorded (R4).

Invariants, over every reachable state and over random journeys: a StartRecording carries a proof that was made for that
very segment and was never used before; nothing runs while an outside party is there whom no notice reaches; what was
declined or stopped stays so in every later segment; every segment that was is decided once, from 0 on.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from callrec.core import commands as c
from callrec.core import events as e
from callrec.core.call import Capture, Notice, Stage, advance, line_changed, open_call
from callrec.core.call.capture import silence
from callrec.core.evidence import Interruption
from callrec.core.outoforder import OutOfOrder
from callrec.core.permission import Permission
from callrec.core.proof import NoticeProof
from callrec.core.reasons import Reason
from callrec.core.values import KeyMethod, Leg, Purpose
from tests.core.builders import GOOD_OBSERVATION, a_granted_verdict, a_plan, a_receipt

SHOWN = e.PartyShown.MEDIA_ADDRESS
CHANGED = e.PartyChanged(at_ns=20, leg=Leg.CALLER, shown_by=SHOWN)
CUT = replace(GOOD_OBSERVATION, complete=False, interruption=Interruption.STOPPED)


def verdict(segment=0, purposes=frozenset(Purpose)):
    return replace(a_granted_verdict(), segment=segment, purposes=purposes)


def proof(segment=0, purposes=frozenset(Purpose)):
    return NoticeProof(granted=verdict(segment, purposes), receipt=replace(a_receipt(), segment=segment))


def ended(attempt=1, observation=GOOD_OBSERVATION):
    return e.NoticeEnded(at_ns=2, attempt=attempt, observation=replace(observation, attempt=attempt))


def asked(segment=0, attempt=1, purposes=frozenset(Purpose)):
    """A notice that was played whole, judged and proven, and its choice window over."""
    return (
        ended(attempt),
        e.NoticeGranted(at_ns=3, attempt=attempt, verdict=verdict(segment, purposes)),
        e.ProofRecorded(at_ns=4, proof=proof(segment, purposes)),
        e.TimerExpired(at_ns=5, timer=e.Timer.CHOICE_WINDOW),
    )


TALKING = (e.CallerAnswered(at_ns=1), *asked(), e.StaffAnswered(at_ns=6), e.LegsBridged(at_ns=7))
AGAIN = asked(1, 2)
OVER = e.LegEnded(at_ns=99, leg=Leg.CALLER, cause="bye")


def key(digit, at_ns=21):
    return e.KeyPressed(at_ns=at_ns, leg=Leg.CALLER, digit=digit, method=KeyMethod.TELEPHONE_EVENT)


def walk(*events, plan=None):
    call, orders = open_call(plan or a_plan())
    every = list(orders)
    for event in events:
        call, orders = advance(call, event)
        every += orders
    return call, every


def starts(orders):
    return [order for order in orders if isinstance(order, c.StartRecording)]


def decisions(*events, **more):
    _, orders = walk(*events, OVER, **more)
    assert isinstance(orders[-1], c.CloseCall)
    return [(one.segment, one.recorded, one.reason) for one in orders[-1].segments]


# ---------------------------------------------------------------- one row for each rule of R4


@pytest.mark.parametrize("shown_by", list(e.PartyShown))
def test_another_party_on_the_callers_leg_ends_the_segment_and_is_asked(shown_by):
    call, orders = walk(*TALKING, replace(CHANGED, shown_by=shown_by))

    assert orders[-3:] == [
        c.StopRecording(reason=Reason.PARTY_WITHOUT_NOTICE, actor="agent", announce=False),
        c.StartTimer(timer=e.Timer.NOTICE_WAIT),
        c.PlayNotice(attempt=2, segment=1),
    ]
    assert (call.stage, call.capture, call.permission) == (Stage.BRIDGED, Capture.OFF, Permission.PENDING)


def test_the_next_segment_is_recorded_on_its_own_proof_alone():
    _, orders = walk(*TALKING, CHANGED, *AGAIN)

    assert [(start.segment, start.proof) for start in starts(orders)] == [(0, proof()), (1, proof(1))]
    assert decisions(*TALKING, CHANGED, *AGAIN) == [(0, True, None), (1, True, None)]


def test_the_proof_of_the_segment_before_starts_nothing_more():
    _, orders = walk(*TALKING, CHANGED, e.ProofRecorded(at_ns=22, proof=proof()))

    assert len(starts(orders)) == 1


def test_a_new_party_who_hears_no_whole_notice_is_not_recorded_and_the_call_goes_on():
    refused = e.NoticeRefused(at_ns=23, attempt=2, reasons=(Reason.UNHEARD_SUSPECT,))
    call, orders = walk(*TALKING, CHANGED, ended(2), refused)

    assert orders[-1] == c.RecordRefusal(attempt=2, reasons=(Reason.UNHEARD_SUSPECT,), segment=1)
    assert call.stage is Stage.BRIDGED
    assert not any(isinstance(order, c.HangUp | c.Dial) for order in orders[8:])
    assert decisions(*TALKING, CHANGED, ended(2), refused)[1] == (1, False, Reason.UNHEARD_SUSPECT)


def test_a_line_that_turns_calls_away_without_notice_does_not_hang_up_on_a_talk():
    refused = e.NoticeRefused(at_ns=23, attempt=2, reasons=(Reason.UNHEARD_SUSPECT,))
    call, orders = walk(*TALKING, CHANGED, ended(2), refused, plan=a_plan(reject_without_notice=True))

    assert call.stage is Stage.BRIDGED
    assert not any(isinstance(order, c.HangUp) for order in orders)


def test_an_interrupted_notice_of_a_later_segment_has_attempts_of_its_own():
    cut = e.NoticeRefused(at_ns=3, attempt=2, reasons=(Reason.NOTICE_INTERRUPTED,))
    _, orders = walk(*TALKING, CHANGED, ended(2, CUT), cut)
    _, spent = walk(*TALKING, CHANGED, ended(2, CUT), cut, ended(3, CUT), replace(cut, attempt=3))

    assert orders[-1] == c.PlayNotice(attempt=3, segment=1)
    assert spent[-1] == c.RecordRefusal(attempt=3, reasons=(Reason.NOTICE_INTERRUPTED,), segment=1)


def test_a_no_to_the_later_notice_keeps_what_was_recorded_before_it_and_records_nothing_more():
    call, orders = walk(*TALKING, CHANGED, key("2"))

    assert orders[-2:] == [c.RecordChoice(digit="2", choice="decline"), c.StopNotice(attempt=2)]
    assert call.permission is Permission.WITHDRAWN
    assert decisions(*TALKING, CHANGED, key("2")) == [(0, True, None), (1, False, Reason.CALLER_DECLINED)]


@pytest.mark.parametrize(
    "forbidden",
    [
        (e.CallerAnswered(at_ns=1), key("2", 2), e.StaffAnswered(at_ns=6), e.LegsBridged(at_ns=7)),
        (*TALKING, *(key(digit, 19) for digit in "**2")),
        (*TALKING, e.StopRequested(at_ns=19, reason=Reason.OPERATOR_STOPPED, actor="uid:0")),
        (*TALKING[:-1], e.StopRequested(at_ns=6, reason=Reason.STAFF_STOPPED, actor="staff"), TALKING[-1]),
    ],
    ids=["declined", "stopped by the caller", "stopped by an operator", "stopped before it began"],
)
def test_what_was_declined_or_stopped_stays_so_whoever_joins(forbidden):
    before, _ = walk(*forbidden)
    events = (CHANGED, e.OutsideJoined(at_ns=22), e.OutsideLeft(at_ns=23), CHANGED)
    after, orders = before, ()
    for event in events:
        after, more = advance(after, event)
        orders += more

    assert orders == ()
    assert after.segment == before.segment


def test_training_that_the_caller_left_out_stays_out_of_every_later_segment():
    without = (TALKING[0], key("3", 2), *TALKING[1:])
    _, orders = walk(*without, CHANGED, *AGAIN)

    assert [start.purposes for start in starts(orders)] == [{Purpose.MEDICO_LEGAL, Purpose.AUDIT}] * 2


def test_each_segment_is_recorded_for_what_its_own_notice_named():
    narrow = frozenset({Purpose.MEDICO_LEGAL})
    _, orders = walk(*TALKING, CHANGED, *asked(1, 2, narrow))

    assert [start.purposes for start in starts(orders)] == [frozenset(Purpose), narrow]


def test_another_party_before_the_line_answered_is_asked_before_anything_is_recorded():
    dialling = TALKING[:-2]
    _, orders = walk(*dialling, CHANGED, *TALKING[-2:])

    assert starts(orders) == []
    assert decisions(*dialling, CHANGED, *TALKING[-2:], *AGAIN) == [
        (0, False, Reason.PARTY_WITHOUT_NOTICE),
        (1, True, None),
    ]


WHOLE = e.NoticeGranted(at_ns=3, attempt=1, verdict=verdict())
CUT_SHORT = e.NoticeRefused(at_ns=3, attempt=1, reasons=(Reason.NOTICE_INTERRUPTED,))


@pytest.mark.parametrize(
    ("events", "then"),
    [
        ((TALKING[0],), (ended(1, CUT), CUT_SHORT)),
        ((TALKING[0],), (ended(), WHOLE)),
        ((TALKING[0], ended()), (WHOLE,)),
    ],
    ids=["while it plays", "while it plays, and it could not be stopped any more", "while it is judged"],
)
def test_another_party_during_the_first_notice_hears_it_from_the_beginning(events, then):
    call, orders = walk(*events, CHANGED, *then)

    assert (c.StopNotice(attempt=1) in orders) is (ended() not in events)
    assert orders[-1] == c.PlayNotice(attempt=2, segment=0)
    assert (call.segment, call.stage) == (0, Stage.NOTICE)


def test_a_change_on_the_staff_leg_is_the_lines_own_affair():
    _, orders = walk(*TALKING, replace(CHANGED, leg=Leg.STAFF))

    assert isinstance(orders[-1], c.StartRecording)


def test_a_conference_with_somebody_outside_is_not_recorded_until_they_are_gone_and_the_caller_asked_again():
    joined = (*TALKING, e.OutsideJoined(at_ns=20))
    two = (*joined, e.OutsideJoined(at_ns=21), e.OutsideLeft(at_ns=22))
    _, orders = walk(*joined)
    _, still = walk(*two)
    gone, again = walk(*two, e.OutsideLeft(at_ns=23))

    assert orders[-1] == c.StopRecording(reason=Reason.PARTY_WITHOUT_NOTICE, actor="agent", announce=True)
    assert still == orders
    assert again[-1] == c.PlayNotice(attempt=2, segment=2)
    assert gone.strangers == 0
    assert decisions(*two, e.OutsideLeft(at_ns=23), *asked(2, 2)) == [
        (0, True, None),
        (1, False, Reason.PARTY_WITHOUT_NOTICE),
        (2, True, None),
    ]


def test_somebody_outside_who_was_there_before_the_talk_keeps_it_unrecorded():
    assert decisions(TALKING[0], e.OutsideJoined(at_ns=1), *TALKING[1:]) == [(0, False, Reason.PARTY_WITHOUT_NOTICE)]


@pytest.mark.parametrize(
    ("away", "back", "why"),
    [
        (e.HeldBehind(at_ns=20, leg=Leg.STAFF), e.ResumedBehind(at_ns=21, leg=Leg.STAFF), "staff side on hold behind"),
        (e.StaffLeft(at_ns=20), e.StaffJoined(at_ns=21), "nobody of the line is there"),
        (e.HeldBehind(at_ns=20, leg=Leg.STAFF), e.StaffJoined(at_ns=21), "staff side on hold behind"),
    ],
)
def test_what_the_pbx_alone_knows_of_leaves_a_gap_and_no_new_segment(away, back, why):
    _, orders = walk(*TALKING, away, back)

    assert orders[-2].why.startswith(why)
    assert orders[-1] == c.ResumeRecording()


def test_a_line_whose_destination_answers_before_a_person_is_recorded_from_the_person_on():
    plan = a_plan(waits_for_staff=True)
    _, before = walk(*TALKING, plan=plan)
    _, after = walk(*TALKING, e.StaffJoined(at_ns=20), plan=plan)

    assert starts(before) == []
    assert len(starts(after)) == 1


def test_a_transfer_inside_such_a_line_waits_for_the_next_person_and_elsewhere_for_nobody():
    moved_on, back = e.StaffTransferred(at_ns=21), e.StaffJoined(at_ns=22)
    _, waits = walk(*TALKING, e.StaffJoined(at_ns=20), moved_on, back, plan=a_plan(waits_for_staff=True))
    _, talks_on = walk(*TALKING, moved_on)

    assert [type(order) for order in waits[-2:]] == [c.SuspendRecording, c.ResumeRecording]
    assert isinstance(talks_on[-1], c.StartRecording)


def moved(call, **changes):
    return line_changed(call, a_plan(**changes))


def test_another_lines_notice_and_purposes_govern_from_the_transfer_on():
    narrow = frozenset({Purpose.AUDIT})
    call, orders = moved(walk(*TALKING)[0], purposes=narrow)
    for event in AGAIN:
        call, more = advance(call, event)
        orders += more

    assert [start.purposes for start in starts(orders)] == [narrow]


def test_a_transfer_to_a_line_that_is_never_recorded_ends_the_recording_and_plays_nothing():
    call, orders = moved(walk(*TALKING)[0], obstacle=Reason.LINE_NOT_RECORDED)

    assert [type(order) for order in orders] == [c.StopRecording]
    assert (call.segment, call.reason) == (1, Reason.LINE_NOT_RECORDED)


def test_a_transfer_from_a_line_that_is_never_recorded_asks_for_the_new_line():
    plain = a_plan(obstacle=Reason.LINE_NOT_RECORDED)
    _, orders = moved(walk(TALKING[0], *TALKING[-2:], plan=plain)[0])

    assert orders[-1] == c.PlayNotice(attempt=1, segment=1)


def test_a_caller_who_declined_is_not_asked_again_by_the_next_line():
    _, orders = moved(walk(TALKING[0], key("2", 2), *TALKING[-2:])[0])

    assert orders == ()


def test_a_call_that_comes_back_after_a_no_is_connected_at_once_and_not_asked():
    call, orders = walk(TALKING[0], *TALKING[-2:], CHANGED, plan=a_plan(declined_before=True))

    assert orders == [c.AnswerCaller(), c.Dial(target=0), c.Bridge()]
    assert (call.permission, call.reason) == (Permission.WITHDRAWN, Reason.CALLER_DECLINED)


# ---------------------------------------------------------------- every state, every journey


def alphabet(call):
    """What may happen to parties, for this segment and for the one before."""
    attempt, here = call.attempt, call.segment
    return (
        e.CallerAnswered(at_ns=1),
        ended(attempt),
        ended(attempt, CUT),
        e.NoticeGranted(at_ns=3, attempt=attempt, verdict=verdict(here)),
        e.NoticeRefused(at_ns=3, attempt=attempt, reasons=(Reason.NOTICE_INTERRUPTED,)),
        *(e.ProofRecorded(at_ns=4, proof=proof(segment)) for segment in {here, max(here - 1, 0)}),
        e.TimerExpired(at_ns=5, timer=e.Timer.CHOICE_WINDOW),
        e.TimerExpired(at_ns=5, timer=e.Timer.NOTICE_WAIT),
        e.StaffAnswered(at_ns=6),
        e.LegsBridged(at_ns=7),
        key("2", 2),
        CHANGED,
        e.OutsideJoined(at_ns=20),
        e.OutsideLeft(at_ns=20),
        e.StaffLeft(at_ns=20),
        e.StaffJoined(at_ns=20),
        e.StopRequested(at_ns=20, reason=Reason.OPERATOR_STOPPED, actor="uid:0"),
        e.RecordingFailed(at_ns=20, reason=Reason.STORE_UNAVAILABLE, started=True, segment=here),
        OVER,
    )


def check_step(before, after, orders):
    for order in orders:
        if isinstance(order, c.StartRecording):
            assert order.proof.granted.segment == order.segment == after.segment
            assert before.capture is Capture.OFF
            assert not after.strangers
            assert not silence(after)
        if isinstance(order, c.PlayNotice):
            assert after.permission is Permission.PENDING
            assert not after.strangers or after.stage is Stage.NOTICE
    if after.capture is Capture.ON:
        assert after.permission is Permission.GRANTED
        assert not after.strangers
        assert not silence(after)
    if before.permission is Permission.WITHDRAWN or before.capture is Capture.ENDED:
        assert after.segment == before.segment
        assert not any(isinstance(order, c.StartRecording) for order in orders)
    assert [one.segment for one in after.decided] == list(range(len(after.decided)))


SEGMENTS_EXPLORED = 2


def essence(call):
    """The state without what no rule looks at."""
    return replace(call, digits="", reason=call.reason and Reason.AGENT_FAILED, decided=())


def test_no_reachable_state_records_somebody_who_was_not_asked():
    start, _ = open_call(a_plan(attempts=1))
    seen, queue = {start}, deque([start])
    reached = set()
    while queue:
        before = queue.popleft()
        for event in alphabet(before) if before.stage is not Stage.CLOSED else ():
            try:
                after, orders = advance(before, event)
            except OutOfOrder:
                continue
            check_step(before, replace(after, decided=()), orders)
            after = essence(after)
            if after not in seen and after.segment <= SEGMENTS_EXPLORED and after.strangers <= 1:
                seen.add(after)
                queue.append(after)
                reached.add((after.segment, after.capture))

    assert (SEGMENTS_EXPLORED, Capture.ON) in reached, "the search never recorded a later segment: it proves nothing"


class AnyParties(RuleBasedStateMachine):
    """Invariant: as this file's docstring says, over any sequence of facts."""

    def __init__(self):
        super().__init__()
        self.call, _ = open_call(a_plan())
        self.started = []
        self.proven = set()

    @rule(data=st.data())
    def anything_happens(self, data):
        event = data.draw(st.sampled_from(alphabet(self.call)))
        before = self.call
        try:
            self.call, orders = advance(before, event)
        except OutOfOrder:
            return
        check_step(before, self.call, orders)
        self.proven |= {event.proof.granted.segment} if isinstance(event, e.ProofRecorded) else set()
        self.started += [order.segment for order in starts(orders)]

    @invariant()
    def one_proof_starts_at_most_one_segment(self):
        assert len(self.started) == len(set(self.started))
        assert set(self.started) <= self.proven

    @invariant()
    def every_segment_before_this_one_is_decided(self):
        whole = self.call.segment + (self.call.stage is Stage.CLOSED)
        assert [one.segment for one in self.call.decided] == list(range(whole))

    @invariant()
    def a_notice_that_plays_is_this_segments(self):
        assert self.call.notice is not Notice.PLAYING or self.call.attempt > self.call.earlier_attempts


TestAnyParties = AnyParties.TestCase
TestAnyParties.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
