"""Facts that arrive after a call: the whole table or nothing, a date never earlier, no right of use later."""

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callrec import places
from callrec.cli.desk import Desk
from callrec.cli.disposal_bench import due_rows
from callrec.core.kinds import Kind
from callrec.core.retention import Action, Facts, Nation, Subject, schedule
from callrec.core.retention_record import parse_schedule, schedule_json
from callrec.core.values import Purpose
from callrec.disposal.classify import read_table
from callrec.errors import ConfigError, Refused, Unavailable
from tests.core.test_retention import RULES

CALL = date(2026, 3, 1)


def kept(subject=Subject.ADULT, purposes=(Purpose.AUDIT, Purpose.MEDICO_LEGAL)):
    known = Facts(nation=Nation.ENGLAND, call=CALL, subject=subject)
    return schedule_json(known, schedule(RULES, known, purposes))


def recorded(office, subject=Subject.ADULT):
    return office.record(retention=kept(subject))


def give(office, *lines, who="records", options=()):
    table = office.folder / "table.csv"
    table.write_text("\n".join(lines) + "\n")
    return office.run(who, "classify", "--from", table, *options)


def dues(office):
    return {row.recording_id: row.due for row in due_rows(Desk(office.config_path), date(9000, 1, 1), limit=99)}


def test_a_later_use_and_a_birthday_move_the_dates(office):
    adult, child = recorded(office), recorded(office, Subject.UNKNOWN)

    said = give(office, "recording_id,subject,born,later_use", f"{adult},,,2026-06-01", f"{child},child,2015-05-01,")

    assert "Classified 2 recordings" in str(said)
    assert dues(office) == {adult: "2034-06-01", child: "2040-05-01"}
    (entry,) = office.entries(Kind.TAG_CHANGED)
    assert (entry.body["change"], entry.body["recordings"], entry.body["person"]) == ("retention", 2, "records")
    assert "2015" not in str(entry.body)
    assert office.verified().findings == ()


def test_facts_add_up_and_never_bring_a_date_forward(office):
    recording = recorded(office)
    give(office, "recording_id,later_use", f"{recording},2026-06-01")
    give(office, "recording_id,later_use", f"{recording},2026-05-01")
    assert dues(office) == {recording: "2034-06-01"}

    give(office, "recording_id,subject,born", f"{recording},child,2024-01-01")
    assert dues(office) == {recording: "2049-01-01"}
    give(office, "recording_id,subject,born", f"{recording},child,2010-01-01")
    assert dues(office) == {recording: "2049-01-01"}


def test_a_trial_changes_nothing(office):
    recording = recorded(office)
    before = office.kinds()

    said = give(office, "recording_id,later_use", f"{recording},2026-06-01", options=["--dry-run"])

    assert "2034-06-01" in said
    assert "Nothing was changed." in said
    assert (dues(office), office.kinds()) == ({recording: "2034-03-01"}, before)


BAD = [
    ("{id},2026-13-01", "line 3: later_use '2026-13-01' is no date"),
    ("{id},20260301", "line 3: later_use '20260301' is no date"),
    ("{id},9999-01-01", "line 3: later_use lies in the future"),
    ("{id},", "line 3: it says nothing"),
    ("{id},2026-05-01,more", "line 3: more or fewer cells"),
    ("{id}", "line 3: more or fewer cells"),
    ("ffff-0,2026-05-01", "line 3: 'ffff-0' is no recording that is kept"),
    ("{id},2026-05-01\n{id},2026-05-02", "stands on line 3 already"),
    ('{id},"2026-05-01', "line 3"),
]


@pytest.mark.parametrize(("line", "said"), BAD)
def test_one_bad_line_is_named_and_nothing_is_applied(office, line, said):
    good, bad = recorded(office), recorded(office)

    told = give(office, "recording_id,later_use", f"{good},2026-06-01", line.replace("{id}", bad))

    assert isinstance(told, ConfigError)
    assert said in str(told)
    assert set(dues(office).values()) == {"2034-03-01"}
    assert office.entries(Kind.TAG_CHANGED) == []


def test_every_bad_line_is_named(office):
    recording = recorded(office)

    told = give(office, "recording_id,subject,born", f"{recording},martian,", f"{recording},,1.5.2015")

    assert "line 2: subject 'martian'" in str(told)
    assert "line 3: born '1.5.2015'" in str(told)


@pytest.mark.parametrize("header", ["recording_id", "subject,born", "recording_id,age", "recording_id,born,born"])
def test_a_table_with_other_columns_is_a_mistake(office, header):
    assert isinstance(give(office, header, "x,2015-05-01"), ConfigError)


def test_a_birth_after_the_call_or_after_the_death_is_named(office):
    recording = recorded(office)

    for line, said in (("2026-05-01,", "before the date of birth"), ("2020-05-01,2019-01-01", "died lies before")):
        assert said in str(give(office, "recording_id,born,died", f"{recording},{line}"))


def test_who_may_not_classify_is_told_so(office):
    recording = recorded(office)

    told = give(office, "recording_id,later_use", f"{recording},2026-06-01", who="checker")

    assert isinstance(told, Refused)
    assert "may not classify" in str(told)


def test_where_the_ledger_cannot_be_told_nothing_counts(office, monkeypatch):
    recording = recorded(office)

    def fails(_desk, _entry):
        raise Unavailable("the ledger's disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(Desk, "append", fails)
        assert isinstance(give(office, "recording_id,later_use", f"{recording},2026-06-01"), Unavailable)

    assert dues(office) == {recording: "2034-03-01"}
    give(office, "recording_id,later_use", f"{recording},2026-07-01")
    assert dues(office) == {recording: "2034-07-01"}


def test_facts_whose_file_was_changed_date_nothing(office):
    old = office.old()
    give(office, "recording_id,last_contact", f"{old},2012-03-01")
    (facts,) = (places.disposal_dir(office.config) / "facts").iterdir()
    facts.chmod(0o600)
    facts.write_bytes(facts.read_bytes().replace(b"2020-03-01", b"2019-03-01"))

    told = office.run("records", "dispose", "--propose", office.folder / "list.json")

    assert "is not what the ledger knows" in str(told)


def test_a_child_of_unknown_birth_may_be_destroyed_once_it_was_classified(office):
    retention = {**kept(Subject.CHILD), "due": "2020-03-01"}
    old = office.record(started="2012-03-01T10:00:00.000Z", retention=retention)
    file = office.folder / "list.json"
    assert "find the date of birth" in str(office.run("records", "dispose", "--propose", file))

    give(office, "recording_id,born", f"{old},1999-05-01")

    assert old not in due_now(office)


def due_now(office):
    today = date.today().isoformat()  # noqa: DTZ011 - the day is enough
    return {name for name, due in dues(office).items() if due <= today}


@settings(deadline=None, max_examples=50)
@given(st.text(max_size=100))
def test_whatever_stands_in_a_table_it_is_rows_or_a_mistake(text):
    for given_text in (text, f"recording_id,born\n{text}"):
        assert said_of(given_text)


def test_dates_come_back_as_they_were_written():
    known = Facts(nation=Nation.ENGLAND, call=CALL, subject=Subject.ADULT)
    whole = schedule(RULES, known, [*Purpose])

    assert parse_schedule(schedule_json(known, whole), frozenset(Purpose)) == whole
    assert whole.file.action is Action.REVIEW_DESTROY


def said_of(text):
    try:
        return read_table(text)
    except ConfigError as error:
        return str(error)
