"""`callrec subject pack`: what is there of one caller in one file, unrecorded calls and why included."""

import json
import zipfile
from datetime import UTC, date, datetime, timedelta

import pytest

from callrec.cli.subject_pack import due_by
from callrec.core.dates import plus
from callrec.core.kinds import Kind
from callrec.core.reasons import Reason
from callrec.errors import ConfigError, Refused, Unavailable

CALLER = "sip:+441632960001@192.0.2.5"


def packed(office, *words, who="guardian"):
    out = office.folder / "pack.zip"
    said = office.runs(who, "subject", "pack", "-o", out, *words)
    return (said, zipfile.ZipFile(out)) if isinstance(said, str) else (said, None)


def test_a_pack_holds_every_call_of_the_caller_recorded_or_not_in_words_and_for_programs(office):
    recording = office.record(caller=CALLER)
    declined = office.refuse(caller=CALLER)
    office.refuse(Reason.STORE_UNAVAILABLE, caller=CALLER)
    other = office.record(caller="sip:+441632960002@h")
    office.run("claims", "export", recording, "-o", office.folder / "x.flac", "--purpose", "medico-legal")

    said, archive = packed(office, "--number", "01632 960001")

    text, value = archive.read("calls.txt").decode(), json.loads(archive.read("calls.json"))
    assert [call["call_uid"] for call in value["calls"]][:2] == [recording.partition("-")[0], declined]
    (told,) = value["calls"][0]["recordings"]
    assert (told["rule"], told["due"], told["state"]) == ("ML-A", "2034-03-01", "kept")
    assert "flac" in told["copies"][0]
    assert f"call {declined}\n  not recorded: you asked us not to record it" in text
    assert "not recorded: STORE_UNAVAILABLE" in text
    assert "what you heard, nobody can show" in text
    assert other.partition("-")[0] not in text + json.dumps(value)
    assert "callrec disclosure request" in said
    assert not [name for name in archive.namelist() if name.endswith(".flac")]


def test_every_call_that_goes_along_is_told_to_the_ledger_and_an_auditor_finds_nothing_wrong(office):
    calls = [office.refuse(caller=CALLER), office.refuse(caller=CALLER)]

    packed(office, "--number", "01632 960001")

    granted = [e for e in office.entries(Kind.ACCESS_GRANTED) if e.call_uid]
    made = office.entries(Kind.EXPORT_MADE)
    assert [e.call_uid for e in granted] == [e.call_uid for e in made] == calls
    assert {e.body["form"] for e in made} == {"subject pack"}
    assert office.callrec("audit", "access").exit_code == 0


def test_what_is_packed_is_held_while_the_request_is_open_and_once_is_enough(office):
    recording = office.old(caller=CALLER)

    said, _ = packed(office, "--number", "01632 960001", "--matter", "SAR-2026-7")
    (office.folder / "pack.zip").unlink()
    again, _ = packed(office, "--number", "01632 960001")

    (hold,) = office.entries(Kind.HOLD_PLACED)
    assert (hold.body["hold_kind"], hold.body["reason"], hold.body["person"]) == (
        "subject-access",
        "SAR-2026-7",
        "guardian",
    )
    assert f"Held while the request is open: {recording}, by {hold.body['hold_id']}" in said
    assert "Held while" not in again
    assert "forbids it" in str(office.run("records", "dispose", "--propose", office.folder / "l.json"))


def test_where_nothing_is_found_nothing_is_packed(office):
    office.refuse(caller="sip:anonymous@anonymous.invalid")

    told, archive = packed(office, "--number", "01632 960001")

    assert isinstance(told, Unavailable)
    assert archive is None
    assert list(office.folder.glob("*.zip")) == []


def test_calls_that_no_number_finds_are_told_in_the_pack(office):
    office.refuse(caller=CALLER)
    office.refuse(caller="sip:anonymous@anonymous.invalid")

    said, archive = packed(office, "--number", "01632 960001")

    assert "1 calls could not be searched by a number" in archive.read("calls.txt").decode()
    assert "Not searched by number: 1" in said


def test_an_existing_file_is_never_overwritten_and_others_may_not_pack(office):
    office.refuse(caller=CALLER)
    assert isinstance(packed(office, "--number", "01632 960001", who="teacher")[0], Refused)
    packed(office, "--number", "01632 960001")

    assert "never overwritten" in str(packed(office, "--number", "01632 960001")[0])


@pytest.mark.parametrize(
    ("received", "paused", "due"),
    [("2026-01-31", 0, "2026-02-28"), ("2026-03-01", 0, "2026-04-01"), ("2026-03-01", 10, "2026-04-11")],
)
def test_the_answer_is_due_a_month_after_the_day_of_asking_and_the_days_that_the_clock_stood(received, paused, due):
    assert due_by(received, paused) == date.fromisoformat(due)


def test_a_day_that_is_none_or_lies_ahead_is_a_mistake():
    today = datetime.now(UTC).date()
    assert due_by("", 0) == plus(today, months=1)
    for given in ("soon", (today + timedelta(days=2)).isoformat()):
        with pytest.raises(ConfigError):
            due_by(given, 0)
