"""The auditor's questions as commands, over a house with real recordings and real disposals."""

import csv
import json
from datetime import UTC, datetime

import pytest

from callrec.core.kinds import Kind
from tests.disposal.office import Office


@pytest.fixture
def office(tmp_path, monkeypatch):
    return Office(tmp_path, monkeypatch)


def ask(house, *words, code=0):
    result = house.callrec("audit", *words)
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


def rows(house, *words, code=0):
    return json.loads(ask(house, *words, "--json", code=code))["rows"]


def test_what_is_past_due_or_falls_due_is_told_with_its_rule_and_its_hold(office):
    past, held = office.old(), office.old()
    office.record()
    office.run("checker", "hold", held, "--kind", "claim", "--reason", "CLM-1")

    found = {row["recording"]: (row["rule"], row["what"]) for row in rows(office, "retention-due", code=1)}

    assert found == {past: ("ML-A", "is past due"), held: ("ML-A", "is past due, and held")}


def test_what_was_destroyed_is_proved_to_be_gone_and_what_is_left_of_it_is_found(office):
    gone = office.old()
    listed = office.agreed("--reviewed", f"{gone}=nothing-open")
    office.sits("root")
    assert office.callrec("recordings", "dispose", listed, "--execute").exit_code == 0

    (row,) = rows(office, "disposals", "--prove")
    assert (row["recording"], row["rule"], row["proposed by"]) == (gone, "ML-A version 1", "records")
    assert (row["approved by"], row["what is left"]) == ("guardian", "nothing is left of it")

    keys = office.config.store.path.with_name("store-keys") / gone[:2]
    keys.mkdir(exist_ok=True)
    (keys / f"{gone}.key").write_bytes(b"a key from a backup")
    (row,) = rows(office, "disposals", "--prove", code=1)
    assert row["what is left"] == "its wrapped key is still there"


def test_the_notices_in_use_are_held_against_the_register(office):
    (row,) = [row for row in rows(office, "notices") if row["prompt"] == "advice-line.en.1"]
    assert row["file"] == "the approved one"

    (wav,) = office.config.notice.register.glob("advice-line.en*.wav")
    wav.chmod(0o600)
    wav.write_bytes(wav.read_bytes()[:-2000] + b"\x11" * 2000)
    assert "is not the audio that was registered" in ask(office, "notices", code=1)


def test_the_report_asks_everything_and_ends_as_its_worst_answer(office):
    office.record()

    text = ask(office, "report", code=20)

    outcomes = {line.split()[0]: line for line in text.splitlines() if line}
    assert "clean" in outcomes["coverage"]
    assert "cannot be answered" in outcomes["selftest"]
    assert len(json.loads(ask(office, "report", "--json", code=20))) >= 14


def test_a_sample_without_a_seed_prints_the_one_that_draws_it_again(office):
    names = {office.record() for _ in range(4)}
    first = json.loads(ask(office, "sample", "--n", "2", "--json"))
    seed = first["summary"].rpartition(" ")[2]

    assert {row["recording"] for row in first["rows"]} < names
    assert rows(office, "sample", "--n", "2", "--seed", seed) == first["rows"]


def test_call_records_are_compared_from_a_file_and_told_as_csv(office):
    office.refuse(caller="sip:1@h")
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
    file = office.folder / "cdr.csv"
    file.write_text(f"Start,dst\n{now},5000\n2020-01-01 00:00:00,5000\n")

    text = ask(office, "reconcile", "--cdr", file, "--tolerance", "60", "--csv", code=1)

    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert [row["in"] for row in csv.DictReader(lines)] == ["both", "call records only"]
    assert "# verification: " in text


def test_who_looked_is_answered_from_the_same_ledger(office):
    recording = office.record()
    office.runs("teacher", "recordings", "export", recording, "-o", office.folder / "x.flac", "--purpose", "audit")

    (row,) = rows(office, "access")

    assert (row["recording"], row["outcome"][:6]) == (recording, "DENIED")
    assert office.entries(Kind.ACCESS_GRANTED) == []
