"""`callrec subject find`: by number, reference or hour; the ledger is told who looked, and "none" is never a guess."""

import json
from datetime import UTC, datetime

import pytest

from callrec.cli.desk import Desk
from callrec.cli.subject_search import Asked, search
from callrec.core.kinds import Kind
from callrec.errors import Broken, ConfigError, Refused, Unavailable

CALLER = "sip:+441632960001@192.0.2.5"
ACCESS = (Kind.ACCESS_GRANTED, Kind.ACCESS_DENIED)


def found(office, *words, who="guardian"):
    said = office.runs(who, "subject", "find", "--json", *words)
    assert isinstance(said, str), said
    return json.loads(said)


def test_every_call_of_a_caller_is_found_recorded_or_not_and_why_not(office):
    recording = office.record(caller=CALLER)
    declined = office.refuse(caller="sip:01632960001@pbx")
    office.record(caller="sip:+441632960002@192.0.2.5")

    value = found(office, "--number", "01632 960 001")

    recorded, unrecorded = value["calls"]
    assert recorded["recordings"][0]["recording_id"] == recording
    assert recorded["recordings"][0]["state"] == "kept"
    assert recorded["recordings"][0]["due"] == "2034-03-01"
    assert recorded["notices"][0].startswith("proven (sent to the next hop 192.0.2.5:5060")
    assert (unrecorded["call_uid"], unrecorded["decision"]) == (declined, "NOT_RECORDED")
    assert (unrecorded["reason"], unrecorded["reason_class"]) == ("CALLER_DECLINED", "caller's choice")


def test_it_is_told_to_people_in_a_table_on_the_callers_clock(office):
    declined = office.refuse(caller=CALLER)

    text = office.runs("claims", "subject", "find", "--number", "+441632960001")

    head, row = text.splitlines()
    assert head.split() == ["when", "call", "line", "recorded", "why", "recordings"]
    assert declined in row
    assert "CALLER_DECLINED (caller's choice)" in row


@pytest.mark.parametrize("written", ["960001", "5001", "anonymous", "", "+44", "07700 90000x"])
def test_a_number_that_cannot_be_normalised_is_an_error_and_never_none(office, written):
    office.record(caller=CALLER)

    told = office.runs("guardian", "subject", "find", "--number", written)

    assert isinstance(told, ConfigError)


def test_nothing_found_is_no_answer_where_some_calls_have_no_number(office):
    office.record(caller="sip:anonymous@anonymous.invalid")

    office.sits("daemon")
    result = office.callrec("subject", "find", "--number", "01632960001")

    assert result.exit_code == 20
    assert "No such call was found." in result.output
    assert "Not searched by number: 1 call, each of which came without a number that can be compared" in result.output
    assert "look by --date and --around" in result.output


def test_nothing_found_among_calls_that_all_have_numbers_is_an_answer(office):
    office.record(caller="sip:+441632960002@h")

    office.sits("daemon")
    result = office.callrec("subject", "find", "--number", "01632960001")

    assert (result.exit_code, result.output) == (0, "No such call was found.\n")


def test_a_call_is_found_by_its_id_its_recordings_id_and_its_sip_call_id(office):
    recording = office.record(caller=CALLER)
    office.record(caller=CALLER)
    uid = recording.partition("-")[0]

    for reference in (uid, uid[:12], recording, "1@pbx"):
        assert [call["call_uid"] for call in found(office, "--ref", reference)["calls"]] == [uid]
    for reference in ("ffffffff", "9@pbx", "ab"):
        assert isinstance(office.runs("guardian", "subject", "find", "--ref", reference), Unavailable)


def test_a_call_is_found_by_day_and_hour_give_or_take(office):
    office.refuse(caller="sip:anonymous@anonymous.invalid")
    now = datetime.now(UTC)

    def at(day, hour, tolerance="30m", *more):
        words = ["--date", day, "--around", hour, "--tolerance", tolerance, "--zone", "UTC", *more]
        return len(found(office, *words)["calls"])

    today, hour = now.date().isoformat(), now.strftime("%H:%M")
    assert at(today, hour) == at(today, hour, "5m", "--line", "advice") == 1
    assert at(today, hour, "5m", "--line", "other") == at("2020-01-01", hour) == 0


@pytest.mark.parametrize(
    "words", [(), ("--number", "01632960001", "--ref", "x"), ("--around", "15:00"), ("--ref", "x", "--around", "15:00")]
)
def test_one_question_is_asked_at_a_time(office, words):
    assert isinstance(office.runs("guardian", "subject", "find", *words), ConfigError)
    assert office.entries(*ACCESS) == []


def test_the_ledger_is_told_who_looked_and_by_what_but_no_number(office):
    office.record(caller=CALLER)

    found(office, "--number", "01632960001")
    found(office, "--number", "+44 1632 960001", who="claims")

    first, second = office.entries(*ACCESS)
    assert (first.body["person"], second.body["person"]) == ("os:daemon", "os:bin")
    assert first.body["action"] == "subject.find"
    assert first.body["purpose"] == "subject-access"
    assert (first.body["by"], first.body["found"]) == ("number", 1)
    assert first.body["subject"] == second.body["subject"] != ""  # one caller, whoever looks
    assert b"632960001" not in office.config.ledger.database.read_bytes()
    assert office.verified().sound


@pytest.mark.parametrize("who", ["checker", "records", "teacher", "nobody"])
def test_nobody_else_may_look_and_the_denial_is_kept(office, who):
    office.record(caller=CALLER)

    told = office.runs(who, "subject", "find", "--number", "01632960001")

    assert isinstance(told, Refused)
    (entry,) = office.entries(*ACCESS)
    assert (entry.kind, entry.body["action"]) == ("access.denied", "subject.find")


def test_without_the_keepers_key_nothing_is_found_and_nothing_is_said_to_be_none(office):
    office.record(caller=CALLER)
    (key,) = office.folder.rglob("keeper.key")
    key.unlink()

    told = office.runs("guardian", "subject", "find", "--number", "01632960001")

    assert isinstance(told, ConfigError)
    assert "keeper's private key" in str(told)


def test_a_log_that_cannot_be_asked_is_named_and_finding_nothing_is_then_no_answer(office, tmp_path):
    recording = office.record(caller=CALLER)
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"no ledger" * 1000)
    logs = {"ours": office.config.ledger.database, "theirs": broken}
    office.sits("daemon")
    desk = Desk(office.config_path)

    there = search(desk, Asked(number="01632960001"), key=None, logs=logs)
    nowhere = search(desk, Asked(number="01632960009"), key=None, logs=logs)

    assert [(call.log, call.recordings[0].recording_id) for call in there.calls] == [("ours", recording)]
    assert set(there.missed) == set(nowhere.missed) == {"theirs"}
    assert (there.exit_code(), nowhere.exit_code()) == (0, 20)
    with pytest.raises(Broken):
        search(desk, Asked(number="01632960001"), key=None, logs={"theirs": broken})
