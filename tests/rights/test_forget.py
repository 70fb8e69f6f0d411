"""A number goes at a request, wholly, or by the schedule, leaving its keyed hash; a kept recording keeps it."""

import json

import pytest

from callrec.core.kinds import Kind
from callrec.errors import ConfigError, Refused
from callrec.ledger.reading import open_log

CALLER, NUMBER = "sip:+441632960001@192.0.2.5", "01632960001"
REQUEST = ("--number", NUMBER, "--ground", "no-longer-needed")


def forget(office, *words, who="guardian"):
    return office.runs(who, "subject", "forget", *words)


def found(office):
    office.sits("daemon")
    result = office.callrec("subject", "find", "--json", "--number", NUMBER)
    value = json.loads(result.output)
    return [call["call_uid"] for call in value["calls"]], value["blind"]


def salts(office):
    with open_log(office.config.ledger.database) as log:
        return {seq: dict(log.salts(seq)) for seq in range(log.size()) if log.salts(seq)}


def test_at_a_request_nothing_finds_the_calls_by_number_again_and_the_ledger_still_verifies(office):
    office.refuse(caller=CALLER)
    other = office.refuse(caller="sip:+441632960002@h")

    said = forget(office, *REQUEST, "--execute")

    assert said.startswith("Forgotten: the numbers of 1 call.")
    assert found(office) == ([], {"erased": 1})
    assert len(salts(office)) == 1  # the other caller's
    (entry,) = office.entries(Kind.SALT_ERASED)
    assert (entry.body["why"], entry.body["ground"], entry.body["person"]) == (
        "erasure",
        "no-longer-needed",
        "guardian",
    )
    assert office.verified().sound
    assert other in office.runs("guardian", "subject", "find", "--number", "01632960002")


def test_without_execute_nothing_is_touched(office):
    uid = office.refuse(caller=CALLER)

    said = forget(office, *REQUEST)

    assert said.startswith("Would be forgotten: the numbers of 1 call.")
    assert found(office) == ([uid], {})
    assert office.entries(Kind.SALT_ERASED) == []


def test_a_call_whose_recording_is_kept_is_left_so_that_its_caller_can_be_told(office):
    recording = office.record(caller=CALLER)

    said = forget(office, *REQUEST, "--execute")

    assert "Left: 1 with a recording that is kept: dispose of it first." in said
    assert found(office)[0] == [recording.partition("-")[0]]


def test_once_its_recording_was_disposed_of_the_number_goes_by_the_schedule_and_its_hash_stays(office):
    gone = office.record(started="2012-03-01T10:00:00.000Z", retention=_long_ago(), caller=CALLER)
    young = office.refuse(caller=CALLER)
    listed = office.agreed("--reviewed", f"{gone}=nothing-open")
    office.sits("root")
    assert office.callrec("recordings", "dispose", listed, "--execute").exit_code == 0

    said = forget(office, "--schedule", "--execute")

    uid = gone.partition("-")[0]
    assert said.startswith("Forgotten: the numbers of 1 call.")
    assert found(office) == ([uid, young], {})
    assert len(salts(office)) == 1
    (entry,) = office.entries(Kind.SALT_ERASED)
    assert entry.body["why"] == "schedule"
    assert "forgotten before" in forget(office, "--schedule")


def test_the_sealed_number_is_gone_from_the_file_of_the_ledger(office):
    office.refuse(caller=CALLER)
    before = salts(office)
    contact = next(iter(before.values()))["contact"].encode()
    assert any(contact in file.read_bytes() for file in _ledger_files(office))

    forget(office, *REQUEST, "--execute")

    assert not any(contact in file.read_bytes() for file in _ledger_files(office))


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--number", NUMBER),
        ("--schedule", "--ground", "unlawful"),
        ("--schedule", "--number", NUMBER),
        ("--date", "2026-03-01", "--ground", "unlawful"),
        ("--number", "5001", "--ground", "unlawful"),
    ],
)
def test_what_is_meant_must_be_said(office, words):
    office.refuse(caller=CALLER)

    assert isinstance(forget(office, *words, "--execute"), ConfigError)
    assert office.entries(Kind.SALT_ERASED) == []


@pytest.mark.parametrize("who", ["teacher", "checker", "records"])
def test_nobody_else_lets_a_number_go(office, who):
    office.refuse(caller=CALLER)

    assert isinstance(forget(office, *REQUEST, "--execute", who=who), Refused)
    assert office.entries(Kind.SALT_ERASED) == []


def _long_ago():
    return {"rule": "ML-A", "version": 1, "trigger": "2012-03-01", "due": "2020-03-01"}


def _ledger_files(office):
    return list(office.config.ledger.database.parent.glob(f"{office.config.ledger.database.name}*"))
