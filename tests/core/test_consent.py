"""A consent that is asked for in the talk (R17, R19-R21): what makes a yes, what does not, and what a yes does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from callrec.core import commands as c
from callrec.core import events as e
from callrec.core.call import Capture, StaffCodes, advance, keys_in_use, open_call
from callrec.core.consent import ConsentKind, GivenBy, who_agrees
from callrec.core.kinds import Kind
from callrec.core.people import A_CHILD, About, Answer, Speaker
from callrec.core.permission import Permission
from callrec.core.proof import NoticeProof
from callrec.core.purposes import WIDENINGS, Widening
from callrec.core.reasons import Reason
from callrec.core.retention import Subject
from callrec.core.values import Grade, KeyMethod, Leg, Order, Purpose, Signal
from tests.core.builders import GOOD_OBSERVATION, SCRIPT, a_consent, a_granted_verdict, a_plan, a_receipt
from tests.core.test_call import HELD, key, timer
from tests.core.test_segments import CHANGED, TALKING, asked

TOLD = frozenset({Purpose.MEDICO_LEGAL, Purpose.AUDIT})
"""What the line's notice names: no training."""
CODES = StaffCodes(prefix="*7", orders=(("9", Order.TRAINING), ("8", Order.AGREED), ("0", Order.STOP)))
PLAN = a_plan(codes=CODES, script=SCRIPT)
SAID = GOOD_OBSERVATION.start_ns + 6_000_000_000
YES, NO = key("1", at_ns=SAID), key("2", at_ns=SAID)
ASKED = e.NoticeEnded(at_ns=20, attempt=2, observation=replace(GOOD_OBSERVATION, attempt=2))
VERDICT = replace(a_granted_verdict(), segment=1, purposes=TOLD, grade=Grade.ACKNOWLEDGED)
GRANTED = e.NoticeGranted(at_ns=21, attempt=2, verdict=VERDICT)
PROOF = NoticeProof(granted=VERDICT, receipt=replace(a_receipt(), segment=1))
PROVEN = e.ProofRecorded(at_ns=22, proof=PROOF)
TALK = tuple(
    replace(event, proof=replace(event.proof, granted=replace(event.proof.granted, purposes=TOLD)))
    if isinstance(event, e.ProofRecorded)
    else event
    for event in TALKING
)


def code(order=Order.TRAINING, actor="staff"):
    return e.OrderGiven(at_ns=15, order=order, actor=actor)


def talk(*events, plan=PLAN):
    """A call that is recorded for what its notice named, then these facts: the call, and only what they brought."""
    call, _ = open_call(plan)
    for event in TALK:
        call, _ = advance(call, event)
    assert call.capture is Capture.ON
    orders = []
    for event in events:
        call, more = advance(call, event)
        orders += more
    return call, orders


def agreed(call):
    return next(order.agreed for order in call if isinstance(order, c.RecordConsent))


def given(*events, plan=PLAN):
    """The same, and the ledger holds the consent that came of it."""
    call, orders = talk(*events, plan=plan)
    call, more = advance(call, e.ConsentRecorded(at_ns=23, consent=a_consent(agreed(orders))))
    return call, [*orders, *more]


def of(orders, kind):
    return [order for order in orders if isinstance(order, kind)]


BY_KEY = (code(), ASKED, YES, GRANTED, PROVEN)
ALOUD = (code(Order.AGREED), ASKED, GRANTED, PROVEN)


# ---------------------------------------------------------------- asked


def test_the_code_plays_the_script_to_the_caller_and_nothing_is_captured_meanwhile():
    call, orders = talk(code())

    assert orders == [
        c.SuspendRecording(why="the caller is asked for consent", actor="staff"),
        c.PlayNotice(attempt=2, segment=1, script=True),
    ]
    assert call.capture is Capture.SUSPENDED
    assert keys_in_use(call) == ("1", "2", "**2")


def test_the_same_code_pressed_by_staff_and_no_other_way():
    by_keys = talk(*(key(digit, leg=Leg.STAFF, at_ns=15) for digit in "*79"))

    assert by_keys == talk(code())
    for order in (Order.TRAINING, Order.AGREED):
        call, orders = talk(code(order, actor="uid:0"))
        assert call == talk()[0]
        assert [type(each) for each in orders] == [c.RecordDenial, c.SignalStaff]


@pytest.mark.parametrize("word", WIDENINGS)
def test_who_but_the_caller_wants_a_call_to_be_for_more_is_denied_whenever_it_is_and_staff_hear_nothing(word):
    wanted = e.WideningAsked(at_ns=23, wanted=Widening(word), actor="http")
    for call in (
        open_call(PLAN)[0],
        talk()[0],
        talk(code())[0],
        talk(e.LegEnded(at_ns=22, leg=Leg.CALLER, cause=""))[0],
    ):
        after, (denial,) = advance(call, wanted)
        assert after == call
        assert (denial.purpose, denial.actor, denial.why) == (word, "http", wanted.wanted.why_not)
    with pytest.raises(ValueError, match="the purposes are"):
        Widening("anything")


@pytest.mark.parametrize(
    ("plan", "before", "why"),
    [
        (replace(PLAN, script=None), (), "no script"),
        (replace(PLAN, asks_most=0), (), "asked before"),
        (PLAN, (code(),), "being asked"),
        (PLAN, (code(), ASKED, NO), "asked before"),
        (PLAN, (e.OrderGiven(at_ns=9, order=Order.PAUSE, actor="staff"),), "nothing is being recorded"),
        (PLAN, (e.OrderGiven(at_ns=9, order=Order.WITHOUT_TRAINING, actor="staff"),), "not to be used so"),
        (PLAN, (e.OrderGiven(at_ns=9, order=Order.CAPACITY_DOUBT, actor="staff"),), "no secondary use"),
        (PLAN, (e.OrderGiven(at_ns=9, order=Order.CHILD, actor="staff"),), "may decide"),
        (PLAN, (e.OrderGiven(at_ns=9, order=Order.STOP, actor="staff"),), "nothing is being recorded"),
        (replace(PLAN, subject=Subject.CHILD), (), "may decide"),
    ],
)
@pytest.mark.parametrize("order", [Order.TRAINING, Order.AGREED])
def test_who_must_not_be_asked_is_not_asked_and_the_attempt_is_written_down(plan, before, why, order):
    call, _ = talk(*before, plan=plan)
    after, (denial, signal) = advance(call, code(order))

    assert after == call
    assert why in denial.why
    assert (denial.purpose, denial.actor) == (Purpose.TRAINING.value, "staff")
    assert signal == c.SignalStaff(signal=Signal.REFUSED)


@pytest.mark.parametrize(
    ("about", "line", "by"),
    [
        (None, Subject.ADULT, GivenBy.SUBJECT),
        (None, Subject.UNKNOWN, None),
        (None, Subject.CHILD, None),
        (A_CHILD, Subject.ADULT, None),
        (replace(A_CHILD, competent=Answer.YES), Subject.ADULT, GivenBy.SUBJECT),
        (replace(A_CHILD, caller=Speaker.PARENT), Subject.ADULT, GivenBy.PARENT),
        (About(subject=Subject.ADULT, caller=Speaker.OTHER), Subject.ADULT, None),
        (About(subject=Subject.ADULT, caller=Speaker.PARENT), Subject.ADULT, None),
        (About(subject=Subject.UNKNOWN), Subject.ADULT, None),
    ],
)
def test_only_whoever_may_decide_can_agree(about, line, by):
    assert who_agrees(about, line) is by


# ---------------------------------------------------------------- no


@pytest.mark.parametrize(
    ("answer", "choice", "digit"),
    [
        ((ASKED, timer(e.Timer.CONSENT)), "no consent: no answer", ""),
        ((ASKED, NO), "no consent: by key", "2"),
        ((ASKED, key("5", at_ns=SAID)), "no consent: by key", "5"),
        ((NO,), "no consent: by key", "2"),
        ((e.NoticeEnded(at_ns=20, attempt=2, observation=HELD),), "no consent: it was not heard whole", ""),
        ((ASKED, YES, timer(e.Timer.DECIDE)), "no consent: not decided in time", ""),
        (
            (ASKED, YES, e.NoticeRefused(at_ns=21, attempt=2, reasons=(Reason.NOTICE_ALTERED,))),
            "no consent: not proven (NOTICE_ALTERED)",
            "",
        ),
        (
            (ASKED, YES, replace(GRANTED, verdict=replace(VERDICT, grade=Grade.RECEIVED))),
            "no consent: not proven (GRADE_TOO_LOW)",
            "",
        ),
        (
            (ASKED, YES, e.OrderGiven(at_ns=9, order=Order.CAPACITY_DOUBT, actor="uid:1"), GRANTED),
            "no consent: this call is for no secondary use",
            "",
        ),
    ],
)
def test_whatever_is_no_sure_yes_adds_nothing_and_the_recording_goes_on(answer, choice, digit):
    call, orders = talk(code(), *answer)

    (told,) = of(orders, c.RecordChoice)
    assert (told.choice, told.digit) == (choice, digit)
    assert orders[-2:] == [c.ResumeRecording(), c.SignalStaff(signal=Signal.REFUSED)]
    assert (call.capture, call.segment, call.purposes) == (Capture.ON, 0, TOLD)
    assert not of(orders, c.StartRecording | c.StopRecording | c.RecordProof | c.RecordConsent)


def test_a_yes_before_the_question_was_out_or_by_a_sound_in_the_audio_is_none():
    early = key("1", at_ns=GOOD_OBSERVATION.start_ns + 4_000_000_000)
    inband = replace(YES, method=KeyMethod.INBAND)
    for answers in ((early, ASKED), (ASKED, early), (ASKED, inband)):
        call, orders = talk(code(), *answers)
        assert not of(orders, c.JudgeNotice)
        assert advance(call, timer(e.Timer.CONSENT))[0].capture is Capture.ON


def test_a_caller_who_stops_while_asked_is_stopped_and_a_hang_up_ends_the_question():
    for how in (
        [key(digit, at_ns=SAID) for digit in "**2"],
        [e.OrderGiven(at_ns=16, order=Order.STOP, actor="staff")],
        [e.LegEnded(at_ns=16, leg=Leg.CALLER, cause="bye")],
        [CHANGED],
    ):
        call, orders = talk(code(), *how)
        assert of(orders, c.StopRecording)
        assert c.StopNotice(attempt=2) in orders
        assert call.asking is None
        assert any(each.choice.startswith("no consent") for each in of(orders, c.RecordChoice))
        assert advance(call, GRANTED)[1] == () or not of(advance(call, GRANTED)[1], c.StartRecording)


def test_a_stop_that_comes_between_the_yes_and_the_next_segment_is_for_both():
    call, _ = talk(code(), ASKED, YES, GRANTED)
    orders = []
    for event in (*(key(digit, at_ns=SAID) for digit in "**2"), PROVEN):
        call, more = advance(call, event)
        orders += more

    assert call.permission is Permission.WITHDRAWN
    assert c.RecordWithdrawal(segment=0) in orders
    assert not of(orders, c.StartRecording | c.RecordConsent)


# ---------------------------------------------------------------- yes


@pytest.mark.parametrize("events", [BY_KEY, ALOUD])
def test_a_yes_begins_a_segment_that_alone_carries_the_purpose_with_its_consent(events):
    call, orders = given(*events)

    assert of(orders, c.StopRecording) == [c.StopRecording(reason=None, actor="agent", announce=False)]
    (start,) = of(orders, c.StartRecording)
    assert (start.segment, start.proof, start.purposes) == (1, PROOF, TOLD | {Purpose.TRAINING})
    assert start.consent.purposes == {Purpose.TRAINING}
    assert call.tagged == ((0, TOLD), (1, TOLD | {Purpose.TRAINING}))
    assert orders.index(of(orders, c.RecordConsent)[0]) < orders.index(start)
    assert c.SignalStaff(signal=Signal.DONE) in orders


def test_a_key_is_part_of_what_is_judged_and_staffs_word_says_when_it_was_said():
    (judged,) = of(talk(*BY_KEY)[1], c.JudgeNotice)
    assert [each.digit for each in judged.observation.keys] == ["1"]
    by_key = agreed(talk(*BY_KEY)[1])
    assert (by_key.kind, by_key.at_ns, by_key.given_by) == (ConsentKind.KEYPRESS, SAID, GivenBy.SUBJECT)

    call, orders = talk(code(Order.AGREED))
    assert orders[-1] == c.PlayNotice(attempt=2, segment=1)
    assert keys_in_use(call) == ("2", "**2"), "the notice that plays offers its own"
    aloud = agreed(talk(*ALOUD)[1])
    assert (aloud.kind, aloud.at_ns, aloud.kind.evidence) == (ConsentKind.ORAL, 15, "AGENT_READ")


def test_a_no_to_the_notice_after_a_yes_aloud_is_a_no():
    call, orders = talk(code(Order.AGREED), key("2", at_ns=16))

    assert call.permission is Permission.WITHDRAWN
    assert of(orders, c.StopRecording)[0].reason is Reason.CALLER_STOPPED


def test_where_the_ledger_does_not_take_the_consent_it_is_recorded_without_and_without_the_proof_not_at_all():
    call, orders = talk(*BY_KEY, e.ConsentUnrecorded(at_ns=24, segment=1))
    (start,) = of(orders, c.StartRecording)
    assert (start.purposes, start.consent) == (TOLD, None)

    call, orders = talk(code(), ASKED, YES, GRANTED, e.ProofUnrecorded(at_ns=24, attempt=2))
    assert not of(orders, c.StartRecording)
    assert call.reason is Reason.LEDGER_UNAVAILABLE


def test_nothing_starts_before_the_ledger_holds_the_consent_whatever_else_comes():
    call, _ = talk(*BY_KEY)
    for event in (
        PROVEN,
        e.LegHeld(at_ns=24, leg=Leg.STAFF),
        e.LegResumed(at_ns=24, leg=Leg.STAFF),
        e.StaffJoined(at_ns=24),
        timer(e.Timer.CONSENT),
    ):
        call, orders = advance(call, event)
        assert not of(orders, c.StartRecording)


def test_training_left_out_meanwhile_makes_the_yes_none():
    out = e.OrderGiven(at_ns=16, order=Order.WITHOUT_TRAINING, actor="staff")
    _, orders = talk(code(), ASKED, YES, GRANTED, out, PROVEN)

    assert [start.purposes for start in of(orders, c.StartRecording)] == [TOLD]
    assert not of(orders, c.RecordConsent)


def test_another_party_has_agreed_to_nothing():
    call, _ = given(*BY_KEY)
    orders = []
    for event in (CHANGED, *asked(2, 3, purposes=TOLD)):
        call, more = advance(call, event)
        orders += more

    assert [start.purposes for start in of(orders, c.StartRecording)] == [TOLD]


def test_where_the_notice_named_training_a_consent_is_for_the_voice_itself():
    call, orders = given(*BY_KEY, plan=replace(PLAN, purposes=frozenset(Purpose)))

    assert of(orders, c.StartRecording)[0].consent is not None
    assert call.purposes == frozenset(Purpose)


# ---------------------------------------------------------------- what cannot be written down


def test_no_order_to_record_can_be_written_for_more_than_notice_and_consent_name():
    everything = frozenset(Purpose)
    with pytest.raises(ValueError, match="neither notice nor consent"):
        c.StartRecording(proof=PROOF, segment=1, purposes=everything)

    consent = a_consent(agreed(talk(*BY_KEY)[1]))
    other = replace(PROOF, receipt=replace(PROOF.receipt, leaf="ee" * 32))
    with pytest.raises(ValueError, match="another segment"):
        c.StartRecording(proof=other, segment=1, purposes=everything, consent=consent)


def test_no_consent_can_be_made_without_its_entry_its_proof_or_its_question():
    yes = agreed(talk(*BY_KEY)[1])
    with pytest.raises(ValueError, match="is no consent"):
        a_consent(yes, kind=Kind.TAG_CHANGED)
    with pytest.raises(ValueError, match="another call or segment"):
        a_consent(yes, segment=0)
    with pytest.raises(ValueError, match="asks for"):
        replace(yes, purposes=frozenset({Purpose.AUDIT}))
    sent = replace(PROOF, granted=replace(VERDICT, grade=Grade.SENT))
    with pytest.raises(ValueError, match="no key"):
        replace(yes, proof=sent)
