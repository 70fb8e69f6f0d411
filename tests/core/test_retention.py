from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from callrec.core.dates import age_on, birthday, plus
from callrec.core.retention import (
    Action,
    Due,
    Facts,
    Item,
    LineKind,
    Nation,
    Period,
    Subject,
    due,
    due_after,
    later,
    retriggered,
    schedule,
    uncovered,
)
from callrec.core.retention_rules import parse_rules
from callrec.core.values import Purpose

RAW = yaml.safe_load((Path(__file__).parents[2] / "config" / "retention.yaml").read_text(encoding="utf-8"))
RULES = parse_rules(RAW)
ML, AUDIT, TRAINING = Purpose.MEDICO_LEGAL, Purpose.AUDIT, Purpose.TRAINING
CALL = date(2026, 11, 22)


def facts(**changes) -> Facts:
    return replace(Facts(nation=Nation.ENGLAND, call=CALL, subject=Subject.ADULT), **changes)


def a_due(on: date | None) -> Due:
    return Due(rule_id="X", rule_version=1, trigger=CALL, on=on, action=Action.REVIEW, basis="b")


VECTORS = [
    ("2026-11-22", None, "adult", True, "ML-A", "2034-11-22"),
    ("2028-02-29", None, "adult", True, "ML-A", "2036-02-29"),
    ("2028-02-29", None, "adult", False, "ML-A6", "2034-03-01"),
    ("2026-11-22", "2016-05-01", "child", True, "ML-C", "2041-05-01"),
    ("2026-11-22", "2009-11-22", "child", True, "ML-C", "2035-11-22"),
    ("2026-11-22", "2009-11-23", "child", True, "ML-C", "2034-11-23"),
    ("2026-11-22", "2008-11-23", "child", True, "ML-C", "2034-11-23"),
    ("2026-11-22", "2008-11-22", "child", True, "ML-A", "2034-11-22"),
    ("2026-11-22", "2012-02-29", "child", True, "ML-C", "2037-03-01"),
    ("2026-11-22", None, "child", True, "ML-C?", "2051-11-22"),
]


@pytest.mark.parametrize(("call", "born", "subject", "record", "rule", "on"), VECTORS)
def test_the_worked_dates_come_out(call, born, subject, record, rule, on) -> None:  # noqa: PLR0917 - one column each
    known = facts(
        call=date.fromisoformat(call),
        born=date.fromisoformat(born) if born else None,
        subject=Subject(subject),
        health_record=record,
    )

    found = due(RULES, known, ML)

    assert (found.rule_id, found.on) == (rule, date.fromisoformat(on))


def test_a_day_that_does_not_exist_means_the_next_one() -> None:
    assert birthday(date(2012, 2, 29), 25) == date(2037, 3, 1)
    assert plus(date(2026, 8, 31), months=6) == date(2027, 3, 1)
    assert plus(date(2026, 10, 31), months=13) == date(2027, 12, 1)


def test_somebody_born_on_29_february_ages_on_1_march() -> None:
    assert age_on(date(2008, 2, 29), date(2026, 2, 28)) == 17
    assert age_on(date(2008, 2, 29), date(2026, 3, 1)) == 18


def test_a_birth_after_the_call_is_a_mistake_that_is_named() -> None:
    with pytest.raises(ValueError, match="before the date of birth"):
        due(RULES, facts(subject=Subject.CHILD, born=date(2027, 1, 1)), ML)


def test_a_date_past_the_calendar_is_an_error_and_no_other_date() -> None:
    with pytest.raises(OverflowError):
        plus(date(9999, 1, 1), years=1)


@given(st.dates(date(1920, 1, 1), date(2100, 1, 1)), st.integers(0, 40), st.integers(0, 30))
def test_a_longer_period_never_ends_earlier(start, years, months) -> None:
    assert plus(start, years=years, months=months) < plus(start, years=years, months=months + 1)
    assert plus(start, years=years, months=12) == plus(start, years=years + 1)


@given(st.dates(date(1995, 1, 1), CALL), st.sampled_from([LineKind.GENERAL, LineKind.MENTAL_HEALTH]))
def test_the_date_for_a_child_is_never_before_the_one_for_an_adult(born, line) -> None:
    adult = due(RULES, facts(line=line), ML).on

    assert due(RULES, facts(line=line, subject=Subject.CHILD, born=born), ML).on >= adult
    assert due(RULES, facts(line=line, subject=Subject.UNKNOWN), ML).on >= adult


def test_an_unknown_subject_is_only_ever_reviewed_and_must_be_classified() -> None:
    found = due(RULES, facts(subject=Subject.UNKNOWN), ML)

    assert (found.rule_id, found.action) == ("ML-U", Action.REVIEW)
    assert found.tasks == ("classify the subject within 30 days",)


def test_a_child_without_a_birth_date_is_kept_past_the_ceiling_and_says_so() -> None:
    found = due(RULES, facts(subject=Subject.CHILD), ML)

    assert found.past_ceiling
    assert not due(RULES, facts(), ML).past_ceiling


def test_a_later_linked_use_moves_the_record_but_never_a_training_tag() -> None:
    used = facts(later_uses=(date(2030, 1, 1),))

    assert due(RULES, used, ML).on == date(2038, 1, 1)
    assert due(RULES, used, TRAINING).on == date(2027, 5, 22)


def test_audio_kept_outside_the_record_is_not_moved_by_a_later_use() -> None:
    assert due(RULES, facts(health_record=False, later_uses=(date(2030, 1, 1),)), ML).on == date(2032, 11, 22)


def test_death_moves_the_date_only_where_less_than_three_years_are_left() -> None:
    assert due(RULES, facts(died=date(2027, 1, 1)), ML).on == date(2034, 11, 22)
    assert due(RULES, facts(died=date(2034, 1, 1)), ML).on == date(2037, 1, 1)


def test_on_a_mental_health_line_ten_years_after_death_take_the_place_of_twenty() -> None:
    line = facts(line=LineKind.MENTAL_HEALTH)

    assert due(RULES, line, ML).on == date(2046, 11, 22)
    assert due(RULES, replace(line, died=date(2027, 1, 1)), ML).on == date(2037, 1, 1)


def test_a_dead_childs_record_on_a_mental_health_line_is_not_kept_for_less() -> None:
    child = facts(line=LineKind.MENTAL_HEALTH, subject=Subject.CHILD, born=date(2020, 1, 1))

    assert due(RULES, replace(child, died=date(2027, 1, 1)), ML).on == due(RULES, child, ML).on


def test_a_maternity_line_counts_from_the_birth_and_else_from_the_call() -> None:
    line = facts(line=LineKind.MATERNITY)

    assert due(RULES, line, ML).on == date(2051, 11, 22)
    assert due(RULES, replace(line, birth=date(2027, 2, 1)), ML).on == date(2052, 2, 1)


def test_consented_training_ends_no_later_than_the_caller_was_told() -> None:
    asked = facts(consent=CALL)

    assert due(RULES, asked, TRAINING).on == date(2027, 11, 22)
    assert due(RULES, replace(asked, spoken=Period(months=3)), TRAINING).on == date(2027, 2, 22)
    assert due(RULES, replace(asked, spoken=Period(years=3)), TRAINING).on == date(2027, 11, 22)


def test_a_parents_consent_ends_on_the_sixteenth_birthday() -> None:
    child = facts(subject=Subject.CHILD, consent=CALL, born=date(2011, 3, 1))

    assert due(RULES, child, TRAINING).on == date(2027, 3, 1)
    assert due(RULES, replace(child, born=date(2010, 3, 1)), TRAINING).on == date(2027, 11, 22)


def test_each_tag_ends_on_its_own_date_while_the_file_stays_for_care() -> None:
    found = schedule(RULES, facts(), Purpose)

    assert {tag: one.on for tag, one in found.tags.items()} == {
        ML: date(2034, 11, 22),
        AUDIT: date(2027, 11, 22),
        TRAINING: date(2027, 5, 22),
    }
    assert found.file.rule_id == "ML-A"


def test_a_secondary_purpose_never_lengthens_the_life_of_audio_kept_for_care() -> None:
    raw = {"rules": [dict(rule, period={"years": 30}) if rule["id"] == "AU-R" else rule for rule in RAW["rules"]]}

    found = schedule(parse_rules(raw), facts(), [ML, AUDIT])

    assert found.file.on == found.tags[AUDIT].on == date(2034, 11, 22)


def test_without_medico_legal_the_file_ends_with_its_last_tag() -> None:
    assert schedule(RULES, facts(), [AUDIT, TRAINING]).file.rule_id == "AU-R"


def test_no_purpose_means_no_rule_and_nothing_is_kept() -> None:
    with pytest.raises(ValueError, match="must not be kept"):
        schedule(RULES, facts(), [])


def test_a_nation_without_a_rule_keeps_nothing_and_says_what_is_missing() -> None:
    scotland = facts(nation=Nation.SCOTLAND)

    with pytest.raises(ValueError, match="no retention rule for medico-legal, adult, general line, scotland"):
        due(RULES, scotland, ML)
    assert "scotland" in uncovered(RULES, scotland, [ML])[0]


@pytest.mark.parametrize("nation", [Nation.ENGLAND, Nation.WALES])
@pytest.mark.parametrize("subject", Subject)
@pytest.mark.parametrize("line", LineKind)
@pytest.mark.parametrize("consent", [None, CALL])
def test_every_kind_of_call_has_exactly_one_rule_for_each_purpose(nation, subject, line, consent) -> None:
    known = facts(
        nation=nation,
        subject=subject,
        line=line,
        consent=consent,
        born=date(2016, 1, 1) if subject is Subject.CHILD else None,
    )

    assert uncovered(RULES, known, Purpose) == ()


def test_a_health_record_is_not_kept_for_a_purpose_nobody_was_told() -> None:
    assert "health record" in uncovered(RULES, facts(), [AUDIT])[0]
    assert uncovered(RULES, facts(health_record=False), [AUDIT]) == ()


def test_two_rules_for_one_call_are_named_and_neither_is_taken() -> None:
    twice = (*RULES, replace(next(rule for rule in RULES if rule.id == "AU-R"), id="AU-R2"))

    with pytest.raises(ValueError, match="AU-R, AU-R2"):
        due(twice, facts(), AUDIT)


@pytest.mark.parametrize(
    ("item", "on"),
    [
        (Item.EVIDENCE, date(2032, 11, 22)),
        (Item.UNRECORDED_CALL, date(2032, 11, 22)),
        (Item.NOTICE_VERSION, CALL),
        (Item.ACCESS_LOG, date(2034, 11, 22)),
        (Item.CODED_COPY, date(2028, 11, 22)),
        (Item.ANONYMISED_COPY, None),
        (Item.AUDIT_PAPERS, date(2031, 11, 22)),
    ],
)
def test_what_is_no_recording_has_its_date_too(item, on) -> None:
    assert due_after(RULES, item, CALL).on == on


def test_a_new_trigger_never_brings_a_date_forward() -> None:
    early, late, never = a_due(date(2030, 1, 1)), a_due(date(2031, 1, 1)), a_due(None)

    assert retriggered(early, late).on == date(2031, 1, 1)
    assert retriggered(late, early).on == date(2031, 1, 1)
    assert retriggered(never, early).on is None
    assert later(early, never) is never


BAD = [
    ({"perod": {"years": 1}}, "unknown key 'perod'"),
    ({"period": {"year": 1}}, r"period: unknown key 'year'; known keys are"),
    ({"period": {}}, "period: say one of"),
    ({"period": {"years": 1, "birthday": 25}}, "period: say one of"),
    ({"period": {"years": -1}}, r"period\.years: expected a whole number"),
    ({"period": {"years": True}}, r"period\.years: expected a whole number"),
    ({"period": {"years": "8"}}, r"period\.years: expected a whole number"),
    ({"period": {"years": 1, "spoken": "yes"}}, r"period\.spoken: expected true or false"),
    ({"nation": "england"}, "nation: expected 'any' or a list"),
    ({"nation": ["mars"]}, "nation: 'mars' is none of: england"),
    ({"subject": []}, "subject: expected 'any' or a list"),
    ({"purpose": "marketing"}, "purpose: 'marketing' is not offered"),
    ({"trigger": "full moon"}, "trigger: 'full moon' is none of"),
    ({"action": "burn"}, "action: 'burn' is none of"),
    ({"version": 0}, "version: expected a whole number"),
    ({"grade": "Z"}, "grade: 'Z' is none of"),
    ({"basis": " "}, "basis: expected words"),
    ({"tasks": "x"}, "tasks: expected a list"),
    ({"id": "ML-A6"}, "ML-A6 is already in use"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_a_mistake_in_the_schedule_is_named_with_its_place(change, message) -> None:
    raw = {"rules": [{**RAW["rules"][0], **change}, *RAW["rules"][1:]]}

    with pytest.raises(ValueError, match=message) as caught:
        parse_rules(raw)

    assert str(caught.value).startswith("retention.rules[")


@pytest.mark.parametrize("key", ["id", "version", "nation", "trigger", "period", "action", "basis", "grade"])
def test_a_rule_without_a_needed_key_is_refused(key) -> None:
    rule = {name: value for name, value in RAW["rules"][0].items() if name != key}

    with pytest.raises(ValueError, match=rf"rules\[0\]: {key} is missing"):
        parse_rules({"rules": [rule]})


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(json_like, st.sampled_from(list(RAW["rules"][0])))
def test_whatever_stands_in_the_schedule_it_is_rules_or_a_sentence(value, key) -> None:
    for raw in (value, {"rules": value}, {"rules": [{**RAW["rules"][0], key: value}]}):
        assert said_of(raw).startswith("retention") or parse_rules(raw) is not None


def said_of(raw) -> str:
    try:
        parse_rules(raw)
    except ValueError as error:
        return str(error)
    return ""
