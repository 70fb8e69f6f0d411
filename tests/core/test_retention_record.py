"""New facts move the file's date later only, and no right of use later; each tag ends on its own date."""

from datetime import date

from hypothesis import given, settings
from hypothesis import strategies as st

from callrec.core.retention import Facts, LineKind, Nation, Subject, schedule
from callrec.core.retention_record import facts_json, learned, live_on, parse_facts, parse_schedule, reclassified
from callrec.core.values import Purpose
from tests.core.test_retention import RULES

ML, AUDIT, TRAINING = Purpose.MEDICO_LEGAL, Purpose.AUDIT, Purpose.TRAINING
CALL = date(2026, 11, 22)
days = st.dates(date(1950, 1, 1), CALL)
learnings = st.fixed_dictionaries(
    {},
    optional={
        "subject": st.sampled_from([Subject.ADULT, Subject.CHILD, Subject.UNKNOWN]),
        "born": days,
        "last_contact": st.dates(CALL, date(2040, 1, 1)),
        "later_uses": st.tuples(st.dates(CALL, date(2040, 1, 1))),
        "died": st.dates(CALL, date(2040, 1, 1)),
    },
)
calls = st.builds(
    Facts,
    nation=st.just(Nation.ENGLAND),
    call=st.just(CALL),
    subject=st.sampled_from([Subject.ADULT, Subject.CHILD, Subject.UNKNOWN]),
    line=st.sampled_from(list(LineKind)),
    health_record=st.just(True),
)


@settings(deadline=None)
@given(calls, st.lists(learnings, max_size=4))
def test_whatever_is_learned_the_file_is_never_due_earlier_and_no_use_ends_later(known, history):
    held = schedule(RULES, known, Purpose)
    for new in history:
        known = learned(known, new)
        fresh = reclassified(RULES, held, known)
        assert fresh.file.on >= held.file.on
        assert fresh.tags[ML].on >= held.tags[ML].on
        assert all(fresh.tags[tag].on <= held.tags[tag].on for tag in (AUDIT, TRAINING))
        held = fresh


@settings(deadline=None)
@given(calls, learnings)
def test_facts_come_back_as_they_were_written(known, new):
    assert parse_facts(facts_json(learned(known, new))) == learned(known, new)


def test_each_right_of_use_ends_on_its_own_day():
    whole = schedule(RULES, Facts(nation=Nation.ENGLAND, call=CALL, subject=Subject.ADULT), Purpose)

    assert live_on(whole, date(2027, 5, 21)) == set(Purpose)
    assert live_on(whole, date(2027, 5, 22)) == {ML, AUDIT}
    assert live_on(whole, date(2027, 11, 22)) == {ML}
    assert live_on(whole, date(2034, 11, 22)) == set()


def test_a_manifest_that_names_only_the_files_date_gives_it_to_every_tag():
    old = {"rule": "ML-A", "version": 1, "trigger": "2026-03-01", "due": "2034-03-01"}

    found = parse_schedule(old, {ML, AUDIT}, RULES)

    assert found.tags[AUDIT].on == found.file.on == date(2034, 3, 1)
    assert found.file.action.value == "review, then destroy"
