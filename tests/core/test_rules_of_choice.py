"""The caller's choice, a row for each rule in RULES: given / when / then, against the core.

A rule that touches media or the store names, with `shown_by`, the tests in which real calls, files and people show it.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from callrec.core import commands as c
from callrec.core import events as e
from callrec.core.call import Capture, Stage, advance, open_call
from callrec.core.consent import sealed_json
from callrec.core.people import Necessity, Proxy, ProxyRole, asked_again_on, basis_refused, parse_about
from callrec.core.permission import Permission
from callrec.core.purposes import SECONDARY, Protection, Role, TagChange, TagSource, effective, shared, why_not
from callrec.core.reasons import REASON_CLASS, Reason, ReasonClass
from callrec.core.retention import Facts, Nation, Subject, uncovered
from callrec.core.tags import REMOVED, RESTORED, SUSPENDED, replayed
from callrec.core.values import Grade, Leg, Order, Purpose, Signal
from callrec.notice.wording import CONSENT_EXPLAINS, lint_consent, lint_periods
from tests.core.builders import SCRIPT, a_plan
from tests.core.test_call import CODES, GOOD, WAITS_FOR_THE_KEY, key, timer, walk
from tests.core.test_consent import ALOUD, ASKED, BY_KEY, PROOF, TOLD, code, given, of, talk
from tests.core.test_orders import MEDICO_LEGAL, order, pressed, recorded
from tests.core.test_segments import AGAIN, CHANGED, TALKING
from tests.core.test_tags import changed
from tests.notice.asking import QUESTION, SPEAKS

ROOT = Path(__file__).parents[2]
ALL = frozenset(Purpose)
TRAINING = frozenset({Purpose.TRAINING})
BRIDGE = (e.StaffAnswered(at_ns=6), e.LegsBridged(at_ns=7))
SHOWN: dict[str, tuple[str, ...]] = {}
"""By the name of a row, where it is shown with real calls, files or people."""


def shown_by(*tests: str) -> Callable:
    def named(row: Callable) -> Callable:
        SHOWN[row.__name__] = tests
        return row

    return named


def ordered(orders, kind):
    return [each for each in orders if isinstance(each, kind)]


def dialled(orders):
    return [each.target for each in ordered(orders, c.Dial)]


def seen(*entries, tags=ALL):
    return replayed(tags, entries)


def unsaid(text=QUESTION, **says):
    """What a prompt for consent that says these leaves out."""
    named = {Purpose.MEDICO_LEGAL: "record of our advice"}
    asks = {Purpose.TRAINING: "for teaching our staff"}
    keys = {"1": "agree", "2": "refuse"}
    return lint_consent(text, purposes=named, asks=asks, keys=keys, explains={**SPEAKS, **says})


# ---------------------------------------------------------------- B: choice


@shown_by(
    "tests/calls/test_refusals.py::test_a_caller_who_declines_by_key_reaches_staff_at_once_and_nothing_is_kept",
    "tests/calls/test_choices.py::test_a_no_in_the_choice_window_is_a_no_and_nothing_was_kept",
    "tests/calls/test_choices.py::test_a_caller_whose_keys_are_only_heard_says_no_in_the_choice_window",
    "tests/calls/test_kill.py::test_a_no_outlives_the_agent_and_holds_when_the_pbx_brings_the_call_back",
    "tests/calls/test_choices.py::test_whoever_says_no_is_connected_no_later_and_treated_the_same",
)
def test_r14_whoever_declines_in_notice_or_window_is_not_recorded_and_is_dialled_for_like_everybody():
    _, willing = walk(*GOOD)

    for before in (GOOD[:1], GOOD[:3]):
        call, orders = walk(*before, key("2"), *BRIDGE)
        assert dialled(orders) == dialled(willing)
        assert not ordered(orders, c.StartRecording)
        assert (call.reason, REASON_CLASS[call.reason]) == (Reason.CALLER_DECLINED, ReasonClass.CALLERS_CHOICE)


def test_r14_no_sound_is_captured_before_the_choice_was_over():
    bridged, orders = walk(*(event for event in GOOD if event != timer(e.Timer.CHOICE_WINDOW)))

    assert bridged.window_open
    assert not ordered(orders, c.StartRecording)
    assert ordered(advance(bridged, timer(e.Timer.CHOICE_WINDOW))[1], c.StartRecording)


@shown_by(
    "tests/calls/test_choices.py::test_the_stop_keys_end_the_recording_both_hear_it_and_other_keys_reach_staff",
    "tests/calls/test_choices.py::test_an_operator_stops_a_recording_by_its_call_and_what_was_captured_is_kept",
    "tests/calls/test_orders.py::test_staff_pause_for_a_card_go_on_and_stop",
)
@pytest.mark.parametrize("by", [pressed("**2", leg=Leg.CALLER), pressed("*70"), [order(Order.STOP)]], ids=str)
def test_r15_whoever_stops_a_recording_ends_it_both_hear_it_no_use_is_left_and_nothing_starts_it_again(by):
    stopped, orders = recorded(*by)

    (stop,) = ordered(orders, c.StopRecording)
    assert stop.announce
    touched = frozenset().union(*(each.purposes for each in ordered(orders, c.ChangeTags)))
    assert touched | (ALL if ordered(orders, c.RecordWithdrawal) else frozenset()) == ALL
    for again in (order(Order.RESUME), *AGAIN, *BRIDGE[1:]):
        assert not ordered(advance(stopped, again)[1], c.StartRecording | c.ResumeRecording)


@shown_by(
    "tests/disposal/test_withdraw.py::test_a_withdrawal_quarantines_at_once_and_secondary_use_is_gone_for_good",
    "tests/disposal/test_withdraw.py::test_what_is_kept_for_nothing_else_is_destroyed_on_the_callers_word_and_certified",
    "tests/disposal/test_withdraw.py::test_a_record_of_advice_is_kept_or_erased_by_somebody_who_answers_for_it",
)
def test_r16_what_was_withdrawn_is_quarantined_and_only_the_record_of_advice_can_be_decided_to_stay():
    withdrawn = seen(("withdrawn", {}))

    assert (withdrawn.usable, withdrawn.live) == (frozenset(), MEDICO_LEGAL)
    assert seen(("withdrawn", {}), changed(RESTORED, *ALL)).usable == MEDICO_LEGAL
    assert seen(("withdrawn", {}), tags=SECONDARY).live == frozenset(), "nothing left that it could be kept for"


def test_r17_silence_where_a_key_was_asked_for_is_no_and_changes_nothing_of_the_call():
    plan = a_plan(**WAITS_FOR_THE_KEY)
    assert plan.required_grade is Grade.ACKNOWLEDGED

    call, orders = walk(*GOOD[:2], timer(e.Timer.CHOICE_WINDOW), *BRIDGE, plan=plan)

    assert not ordered(orders, c.StartRecording)
    assert len(ordered(orders, c.PlayNotice)) == 1, "asked once"
    assert dialled(orders) == dialled(walk(*GOOD)[1])
    assert call.stage is Stage.BRIDGED


@shown_by("tests/calls/test_orders.py::test_what_was_stopped_by_staff_is_not_used_until_somebody_looked_at_it")
def test_r18_distress_stops_and_ends_secondary_use_of_the_call_for_good():
    call, orders = recorded(order(Order.DISTRESS))

    (gone,) = (each.purposes for each in ordered(orders, c.ChangeTags) if not each.suspended)
    assert gone == SECONDARY
    assert ordered(orders, c.StopRecording)[0].reason is Reason.SUBJECT_PROTECTED
    assert call.purposes == MEDICO_LEGAL
    assert seen(changed(REMOVED, *SECONDARY), changed(RESTORED, *ALL)).usable == MEDICO_LEGAL


# ---------------------------------------------------------------- C: purpose


@shown_by("tests/calls/test_orders.py::test_a_caller_who_does_not_answer_is_recorded_as_before_and_nothing_is_added")
def test_r17_silence_when_consent_is_asked_for_is_no_is_asked_once_and_changes_nothing():
    before, _ = talk()
    call, orders = talk(code(), ASKED, timer(e.Timer.CONSENT))

    assert (call.purposes, call.segment, call.capture) == (before.purposes, 0, Capture.ON)
    assert not ordered(orders, c.StopRecording)
    assert not ordered(orders, c.HangUp)
    _, again = advance(call, code())
    assert not ordered(again, c.PlayNotice)
    assert "asked before" in ordered(again, c.RecordDenial)[0].why


@shown_by(
    "tests/calls/test_orders.py::test_a_caller_who_agrees_by_key_is_recorded_for_training_from_then_on_and_not_before",
    "tests/store/test_admission.py::test_a_purpose_beyond_the_notice_needs_the_consent_that_lies_in_the_object",
    "tests/core/test_consent.py::test_no_order_to_record_can_be_written_for_more_than_notice_and_consent_name",
)
@pytest.mark.parametrize("events", [BY_KEY, ALOUD])
def test_r19_a_consent_is_in_the_ledger_before_the_recording_that_carries_it_begins(events):
    _, orders = talk(*events)
    (wanted,) = ordered(orders, c.RecordConsent)
    assert not ordered(orders, c.StartRecording)
    assert (wanted.segment, wanted.agreed.script, wanted.agreed.proof) == (1, SCRIPT, PROOF)

    _, orders = given(*events)
    (start,) = ordered(orders, c.StartRecording)
    said = sealed_json(start.consent)
    assert said["consent"] == ("keypress" if events is BY_KEY else "oral")
    assert (said["prompt_id"], said["version"], said["language"]) == ("training-consent", 1, "en")
    assert (said["purposes"], said["given_by"], said["taker"]) == (["training"], "subject", "staff sip:6000@pbx")
    assert said.keys() >= {"given_utc", "offset_ms", "heard_in", "proven_leaf", "script_leaf", "leaf"}


@shown_by(
    "tests/notice/test_prompts_command.py::test_a_prompt_that_asks_for_consent_says_all_seven_things_and_the_schedules_period"
)
def test_r20_a_prompt_for_consent_says_all_seven_things_and_the_period_of_the_schedule():
    assert unsaid() == ()
    assert len(CONSENT_EXPLAINS) == len(SPEAKS) == 7
    for name, meaning in CONSENT_EXPLAINS.items():
        (wrong,) = unsaid(**{name: ""})
        assert meaning in wrong
    kept = {Purpose.TRAINING: frozenset({12})}
    assert lint_periods(QUESTION, [Purpose.TRAINING], kept) == ()
    assert lint_periods(QUESTION.replace("twelve", "six"), [Purpose.TRAINING], kept)
    assert "names no period" in unsaid(period="store it")[0]


@shown_by(
    "tests/calls/test_orders.py::test_a_caller_who_agrees_by_key_is_recorded_for_training_from_then_on_and_not_before",
    "tests/core/test_consent.py::test_whatever_is_no_sure_yes_adds_nothing_and_the_recording_goes_on",
)
def test_r21_only_a_yes_adds_training_and_only_to_what_is_said_from_then_on():
    call, orders = given(*BY_KEY)

    (start,) = ordered(orders, c.StartRecording)
    assert (start.segment, start.purposes) == (1, TOLD | TRAINING)
    assert call.tagged[0] == (0, TOLD), "what was captured before never carries it"
    assert not of(orders, c.ChangeTags)


@shown_by(
    "tests/core/test_journeys.py::test_tags_stay_within_the_ceiling_and_nothing_leads_out_of_a_withdrawal",
    "tests/audit/test_verify.py::*",
)
def test_r22_tags_are_never_more_than_the_notice_that_was_played_names():
    for named in (MEDICO_LEGAL, SECONDARY, frozenset()):
        assert effective(proposed=ALL, granted_by_notice=named) == named
    assert effective(proposed=ALL, granted_by_notice=MEDICO_LEGAL, consents=TRAINING) == MEDICO_LEGAL | TRAINING


@shown_by(
    "tests/disposal/test_access.py::test_a_role_opens_a_recording_for_its_own_purpose",
    "tests/disposal/test_access.py::test_another_role_is_denied_and_the_denial_is_kept",
)
def test_r23_a_use_needs_a_live_purpose_and_a_role_that_is_trusted_with_it():
    assert why_not(Purpose.AUDIT, role=Role.AUDITOR, live=ALL) == ""
    assert "not tagged" in why_not(Purpose.AUDIT, role=Role.AUDITOR, live=MEDICO_LEGAL)
    assert "may not" in why_not(Purpose.MEDICO_LEGAL, role=Role.TRAINER, live=ALL)


@shown_by("tests/disposal/test_withdraw.py::test_a_purpose_that_was_taken_away_never_comes_back")
@pytest.mark.parametrize("source", list(TagSource))
def test_r24_a_purpose_is_added_only_by_a_further_consent_or_an_authority_that_the_ledger_names(source):
    change = {"purpose": Purpose.TRAINING, "added": True, "source": source, "actor": "ann", "why": "asked"}
    may = source in (TagSource.NOTICE, TagSource.CONSENT, TagSource.AUTHORITY)

    with pytest.raises(ValueError, match=r"needs the ledger entry|may only remove"):
        TagChange(**change, at=datetime(2026, 1, 1, tzinfo=UTC))
    if may:
        assert TagChange(**change, at=datetime(2026, 1, 1, tzinfo=UTC), basis_leaf="ab").added
    else:
        with pytest.raises(ValueError, match="may only remove"):
            TagChange(**change, at=datetime(2026, 1, 1, tzinfo=UTC), basis_leaf="ab")


@shown_by(
    "tests/calls/test_choices.py::test_a_three_leaves_out_training_and_a_key_that_the_notice_does_not_name_nothing"
)
def test_r25_any_purpose_can_be_taken_away_at_any_time_and_with_the_last_one_the_recording_ends():
    for at in range(1, len(GOOD)):
        left, _ = walk(*GOOD[:at], order(Order.WITHOUT_TRAINING), *GOOD[at:], plan=a_plan(codes=CODES))
        assert Purpose.TRAINING not in left.purposes

    _, orders = recorded(order(Order.WITHOUT_AUDIT), plan=a_plan(codes=CODES, purposes=frozenset({Purpose.AUDIT})))
    assert orders[-1].reason is Reason.NO_PURPOSE
    assert "nothing is left" in seen(changed(REMOVED, *ALL)).in_words()


@shown_by("tests/disposal/test_dates_at_commit.py::*")
def test_r26_what_contributes_to_care_is_kept_as_a_record_of_advice_or_not_at_all():
    facts = Facts(nation=Nation.ENGLAND, call=date(2026, 1, 1), subject=Subject.ADULT)

    assert facts.health_record, "unless the line says otherwise"
    assert "must be kept" in uncovered((), facts, TRAINING)[0]
    assert "must be kept" not in " ".join(uncovered((), replace(facts, health_record=False), TRAINING))


@shown_by(
    "tests/rights/test_copies.py::test_a_training_copy_leaves_only_once_somebody_who_listened_has_signed",
    "tests/rights/test_copies.py::test_nothing_of_a_coded_copy_names_caller_call_line_time_or_path",
)
def test_r27_training_hears_a_coded_copy_unless_the_caller_consented_to_the_voice_itself():
    hears = {"role": Role.TRAINER, "live": ALL}

    assert "coded or anonymised" in why_not(Purpose.TRAINING, **hears)
    assert why_not(Purpose.TRAINING, **hears, identifiable=False) == ""
    assert why_not(Purpose.TRAINING, **hears, consented=TRAINING) == ""


# ---------------------------------------------------------------- E: capacity, children


@shown_by("tests/disposal/test_withdraw.py::test_what_was_suspended_is_used_again_only_after_a_review")
def test_r33_a_doubt_about_capacity_suspends_secondary_use_until_it_was_reviewed_and_recording_goes_on():
    call, orders = recorded(order(Order.CAPACITY_DOUBT))

    (doubt,) = ordered(orders, c.ChangeTags)
    assert (doubt.suspended, doubt.purposes) == (True, SECONDARY)
    assert call.capture is Capture.ON
    doubted = changed(SUSPENDED, *SECONDARY)
    assert seen(doubted).usable == MEDICO_LEGAL
    assert seen(doubted, changed(RESTORED, Purpose.AUDIT)).usable == MEDICO_LEGAL | {Purpose.AUDIT}


@shown_by(
    "tests/disposal/test_people.py::test_a_doubt_is_lifted_by_whoever_may_decide_and_the_ledger_says_on_what_it_rests"
)
def test_r34_whoever_decides_for_somebody_else_has_a_role_that_their_nation_knows_and_shows_it():
    child = {"nation": Nation.SCOTLAND, "subject": Subject.CHILD}
    adult = {"nation": Nation.SCOTLAND, "subject": Subject.ADULT}

    assert basis_refused(Proxy(role=ProxyRole.PARENT, seen="doc-7"), **child) == ""
    assert basis_refused(Proxy(role=ProxyRole.WELFARE_GUARDIAN, seen="doc-7"), **adult) == ""
    assert "must be said" in basis_refused(Proxy(role=ProxyRole.PARENT, seen=""), **child)
    assert "is for a child" in basis_refused(Proxy(role=ProxyRole.PARENT, seen="doc-7"), **adult)
    assert "for an adult" in basis_refused(Proxy(role=ProxyRole.WELFARE_ATTORNEY, seen="doc-7"), **child)
    assert "by the law of scotland" in basis_refused(Proxy(role=ProxyRole.DEPUTY, seen="doc-7"), **adult)


@shown_by(
    "tests/agent/test_call_task.py::test_who_a_call_is_about_goes_into_its_recording_and_into_the_ledger",
    "tests/calls/test_orders.py::test_an_operator_pauses_goes_on_and_says_that_it_is_about_a_child",
)
def test_r35_who_a_call_is_about_is_said_with_age_competence_and_parents_and_need_not_be_who_speaks():
    about = parse_about(
        {"subject": "child", "age": "9", "competent": "no", "parents_encouraged": "yes", "caller": "parent"}
    )

    _, before = walk(*GOOD[:3], e.SubjectTold(at_ns=3, about=about, actor="http"), *GOOD[3:])
    _, during = recorded(e.SubjectTold(at_ns=99, about=about, actor="http"), order(Order.CHILD))
    assert ordered(before, c.StartRecording)[0].about == about
    assert ordered(during, c.ClassifySubject) == [c.ClassifySubject(segment=0, about=about, actor="http")]
    assert ordered(walk(*GOOD)[1], c.StartRecording)[0].about is None, "else as the line says"
    for wrong in (
        {"subject": "adult", "age": 9},
        {"subject": "child", "age": 18},
        {"subject": "adult", "competent": "no"},
    ):
        with pytest.raises(ValueError, match=r"age|competent"):
            parse_about(wrong)


@pytest.mark.parametrize("which", [Order.OBJECTION, Order.DISTRESS])
def test_r36_a_child_or_parent_who_objects_stops_the_recording_whoever_had_agreed(which):
    call, orders = recorded(order(Order.CHILD), order(which))

    assert ordered(orders, c.StopRecording)[0].reason is Reason.SUBJECT_PROTECTED
    assert call.purposes == MEDICO_LEGAL, "staff destroy nothing; its use is suspended"
    assert ordered(orders, c.ChangeTags)[-1].suspended
    for agreed in (*AGAIN, order(Order.RESUME)):
        assert not ordered(advance(call, agreed)[1], c.StartRecording | c.ResumeRecording)
    assert effective(proposed=ALL, granted_by_notice=ALL, consents=ALL, protections=[Protection.CHILD_OBJECTS]) == set()


@shown_by(
    "tests/disposal/test_people.py::test_what_a_parent_let_be_kept_is_asked_about_again_at_sixteen_and_eighteen",
    "tests/rights/test_later_calls.py::"
    "test_a_later_call_of_the_same_number_is_a_task_until_somebody_has_asked_and_so_is_the_next",
)
@pytest.mark.parametrize(
    ("known", "days"),
    [
        ({"born": date(2012, 2, 29), "age": None}, {16: date(2028, 2, 29), 18: date(2030, 3, 1)}),
        ({"born": None, "age": 9}, {16: date(2032, 11, 23), 18: date(2034, 11, 23)}),
        ({"born": None, "age": 16}, {18: date(2027, 11, 23)}),
        ({"born": None, "age": None}, {}),
    ],
)
def test_r37_whoever_was_a_child_is_asked_again_on_the_earliest_day_that_they_can_be_sixteen_and_eighteen(known, days):
    assert asked_again_on(date(2026, 11, 22), **known) == days


@shown_by("tests/disposal/test_people.py::test_without_anybody_who_may_decide_two_persons_must_find_it_necessary")
@pytest.mark.parametrize("missing", ["necessity", "benefit", "less_restrictive"])
def test_r38_without_capacity_and_proxy_a_secondary_use_needs_every_ground_said(missing):
    said = Necessity(necessity="n-1", benefit="b-1", less_restrictive="l-1")
    who = {"nation": Nation.ENGLAND, "subject": Subject.ADULT}

    assert basis_refused(said, **who) == ""
    assert basis_refused(replace(said, **{missing: ""}), **who) == f"{missing.replace('_', '-')} must be said"
    assert "is lifted by" in basis_refused(None, **who)


@shown_by(
    "tests/agent/test_call_task.py::test_a_caller_with_a_standing_refusal_starts_as_declined_and_is_connected_unasked",
    "tests/calls/test_choices.py::test_a_caller_who_refused_for_good_is_not_recorded_and_staff_see_and_hear_it",
)
def test_r39_what_was_said_of_one_call_says_nothing_of_the_next_and_only_a_refusal_may_stand():
    for flag in (Order.CAPACITY_DOUBT, Order.DISTRESS, Order.CHILD, Order.WITHOUT_TRAINING):
        recorded(order(flag))
        fresh, _ = open_call(a_plan(codes=CODES))
        assert (fresh.protections, fresh.without, fresh.about) == (frozenset(), frozenset(), None)

    refused, orders = open_call(a_plan(declined_before=True))
    assert (refused.permission, refused.reason) == (Permission.WITHDRAWN, Reason.CALLER_DECLINED)
    assert orders == (c.AnswerCaller(),)


# ---------------------------------------------------------------- pause, staff, minimise


@shown_by("tests/calls/test_orders.py::test_staff_pause_for_a_card_go_on_and_stop")
def test_r52_a_pause_drops_the_sound_keeps_no_key_and_ends_only_when_somebody_says_so():
    paused, orders = recorded(order(Order.PAUSE), *pressed("4929", leg=Leg.CALLER), *pressed("4929"))

    assert (paused.capture, paused.digits, paused.staff_digits) == (Capture.SUSPENDED, "", "")
    assert not ordered(orders, c.RecordChoice)
    still, told = advance(paused, timer(e.Timer.PAUSE, at_ns=500))
    assert still.capture is Capture.SUSPENDED
    assert ordered(told, c.SignalStaff)
    again, told = advance(still, order(Order.RESUME))
    assert again.capture is Capture.ON
    assert not ordered(told, c.PlayNotice), "the same parties need no other notice"


@shown_by(
    "tests/agent/test_outgoing.py::test_whether_a_call_is_recorded_is_on_the_display_and_in_a_header",
    "tests/agent/test_call_task.py::test_a_status_code_is_answered_to_staff_alone_in_the_lines_language",
    "tests/agent/test_call_task.py::test_staff_who_did_not_acknowledge_the_policy_are_told_of_or_cost_the_recording",
    "tests/sip/test_bridged_calls.py::test_an_announcement_is_in_no_capture",
    "tests/calls/test_choices.py::test_a_caller_who_refused_for_good_is_not_recorded_and_staff_see_and_hear_it",
)
def test_r53_staff_are_told_and_where_one_did_not_acknowledge_the_policy_nothing_is_recorded():
    must = a_plan(codes=CODES, uninformed=frozenset({0}), whispers=True)
    call, orders = walk(*GOOD, plan=must)
    assert not ordered(orders, c.StartRecording)
    (over,) = ordered(advance(call, e.LegEnded(at_ns=99, leg=Leg.CALLER, cause="bye"))[1], c.CloseCall)
    assert over.reason is Reason.STAFF_NOT_INFORMED
    joined, orders = advance(call, e.StaffJoined(at_ns=98, informed=True))
    assert ordered(orders, c.StartRecording), "the PBX says who it is, and they have"
    assert ordered(orders, c.SignalStaff) == [c.SignalStaff(signal=Signal.RECORDED)]
    assert advance(joined, e.StaffJoined(at_ns=99, informed=False))[0].capture is Capture.SUSPENDED

    heard = {False: Signal.RECORDED, True: Signal.NOT_RECORDED}
    for paused, signal in heard.items():
        before = [order(Order.PAUSE)] if paused else []
        asked, orders = recorded(*before, order(Order.STATUS))
        assert (asked, orders[-1]) == (recorded(*before)[0], c.SignalStaff(signal=signal)), "it changes nothing"
    plain, whispered = (walk(*GOOD, plan=a_plan(whispers=yes))[1] for yes in (False, True))
    assert ordered(whispered, c.SignalStaff) == [c.SignalStaff(signal=Signal.RECORDED)]
    assert not ordered(plain, c.SignalStaff)
    _, orders = walk(GOOD[0], key("2"), *BRIDGE, plan=a_plan(whispers=True))
    assert ordered(orders, c.SignalStaff) == [c.SignalStaff(signal=Signal.NOT_RECORDED)]


@shown_by(
    "tests/neighbours/test_asterisk.py::test_ringing_of_the_line_is_heard_and_not_recorded",
    "tests/neighbours/test_asterisk.py::test_a_hold_by_staff_is_a_gap_in_the_recording_however_long_it_lasts",
    "tests/neighbours/test_asterisk.py::test_what_staff_ask_a_colleague_before_an_attended_transfer_is_not_recorded",
    "tests/calls/test_asterisk_recipe.py::test_a_recording_from_a_queue_begins_with_a_person",
)
def test_r55_nothing_is_captured_before_the_talk_on_hold_among_staff_or_after_the_caller_left():
    for length in range(len(GOOD)):
        assert not ordered(walk(*GOOD[:length])[1], c.StartRecording)
    for away in (
        *(e.LegHeld(at_ns=98, leg=leg) for leg in Leg),
        *(e.HeldBehind(at_ns=98, leg=leg) for leg in Leg),
        e.StaffLeft(at_ns=98),
    ):
        call, orders = recorded(away)
        assert call.capture is Capture.SUSPENDED
        assert ordered(orders, c.SuspendRecording)
    _, orders = recorded(e.LegEnded(at_ns=98, leg=Leg.CALLER, cause="bye"))
    assert ordered(orders, c.StopRecording)


@shown_by("tests/calls/test_parties.py::*", "tests/neighbours/test_asterisk_tells.py::*")
def test_r55_each_segment_has_what_everybody_heard_in_it_was_told_and_a_stranger_to_the_notice_ends_it():
    """One outside party is asked at a time, on the caller's leg; where another is there whom no notice reaches, the
    intersection of what they were told is nothing.
    """
    assert shared([ALL, frozenset()]) == frozenset()
    joined, orders = walk(*TALKING, e.OutsideJoined(at_ns=20))
    assert ordered(orders, c.StopRecording)
    assert not joined.captures

    less = [replace(event, proof=replace(event.proof, granted=replace(event.proof.granted, purposes=MEDICO_LEGAL)))
            if isinstance(event, e.ProofRecorded) else event for event in AGAIN]  # fmt: skip
    _, orders = walk(*TALKING, CHANGED, *less)
    assert [each.purposes for each in ordered(orders, c.StartRecording)] == [ALL, MEDICO_LEGAL]


# ---------------------------------------------------------------- the table itself

RULES = {*range(14, 28), *range(33, 40), 52, 53, 55}


def rows():
    return [name for name in vars(sys.modules[__name__]) if name.startswith("test_r") and name[6:8].isdigit()]


def test_every_rule_has_its_row():
    assert {int(name[6:8]) for name in rows()} == RULES


@pytest.mark.parametrize("named", sorted({each for tests in SHOWN.values() for each in tests}))
def test_what_shows_a_rule_with_real_calls_is_there(named):
    path, _, name = named.partition("::")
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    found = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}

    assert name == "*" or name in found
    assert any(each.startswith("test_") for each in found)
