"""Refusals that stand, and staff who know: by whom, what the ledger is told, and what lies on the disk."""

from __future__ import annotations

import json

import pytest

from callrec import places
from callrec.core.kinds import Kind
from callrec.errors import ConfigError, Refused, Unavailable
from callrec.rights.standing import KEY_FILE, Standing
from tests.disposal.office import Office

FROM = '"Ann" <sip:+441632960001@pbx;user=phone>'


@pytest.fixture
def standing(tmp_path):
    return Standing(tmp_path / "standing", tmp_path / KEY_FILE, country="44")


@pytest.mark.parametrize("written", ["01632 960001", "+44 (0)1632 960001", "00441632960001"])
def test_a_number_is_refused_however_it_was_written(standing, written):
    assert not standing.refuses([FROM])
    standing.refuse(written, since="2026-01-01", why="letter-1", by="ann")

    assert standing.refuses(["sip:anonymous@pbx", "<tel:01632960001>"])
    assert standing.refuses([FROM])
    assert not standing.refuses(["sip:anonymous@pbx", "sip:6000@pbx", "sip:+441632960002@pbx"])


def test_nobody_reads_a_number_from_what_lies_there(standing, tmp_path):
    found = standing.refuse("01632 960001", since="2026-01-01", why="letter-1", by="ann")

    data = b"".join(path.name.encode() + path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"1632960001" not in data
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o400
    other = Standing(tmp_path / "other", tmp_path / "other.key", country="44")
    assert other.refuse("01632 960001", since="2026-01-01", why="x", by="ann") != found, "a hash of another key"


def test_without_the_key_nobody_says_that_a_caller_has_not_refused(standing, tmp_path):
    standing.refuse("01632 960001", since="2026-01-01", why="letter-1", by="ann")
    (tmp_path / KEY_FILE).chmod(0o600)
    (tmp_path / KEY_FILE).write_bytes(b"short")

    with pytest.raises(Unavailable, match="is no key"):
        standing.refuses(["sip:01632960002@pbx"])


def test_a_refusal_is_removed_by_its_id_or_its_number_and_by_nothing_less(standing):
    ids = [standing.refuse(f"0163296000{n}", since="2026-01-01", why="letter-1", by="ann") for n in (1, 2, 3)]
    with pytest.raises(Refused, match="exists"):
        standing.refuse("+441632960001", since="2026-02-01", why="again", by="ann")

    assert standing.forget_refusal(ids[0]) == ids[0]
    assert standing.forget_refusal("01632 960002") == ids[1]
    for wrong in (ids[0], ids[2][:7], "01632 960009", "../../etc"):
        with pytest.raises(Refused, match="no one such refusal"):
            standing.forget_refusal(wrong)
    assert [each.id for each in standing.refusals()] == [ids[2]]
    with pytest.raises(ConfigError, match="no full telephone number"):
        standing.refuse("6000", since="2026-01-01", why="x", by="ann")


def test_staff_know_one_version_of_the_policy_and_the_newest_word_counts(standing):
    assert not standing.informed("sip:6000@pbx", "3")
    standing.acknowledged("sip:6000@pbx", "2", on="2025-01-01")
    assert not standing.informed("sip:6000@pbx", "3")
    standing.acknowledged("sip:6000@pbx", "3", on="2026-01-01")

    assert standing.informed("sip:6000@pbx", "3")
    assert [(each.identity, each.policy) for each in standing.staff()] == [("sip:6000@pbx", "3")]
    standing.forget_staff("sip:6000@pbx")
    with pytest.raises(Refused, match="nobody is known"):
        standing.forget_staff("sip:6000@pbx")


# ---------------------------------------------------------------- people


@pytest.fixture
def office(tmp_path, monkeypatch):
    office = Office(tmp_path, monkeypatch)
    monkeypatch.setattr("callrec.cli.standing.owns", lambda _path: True)
    return office


def test_a_person_enters_a_refusal_and_the_ledger_holds_no_number(office):
    said = office.runs("records", "refusals", "add", "01632 960001", "--reason", "letter-7")
    (listed,) = json.loads(office.runs("records", "refusals", "list", "--json"))

    assert listed["id"] in said
    assert (listed["by"], listed["why"]) == ("records", "letter-7")
    (told,) = office.entries(Kind.CONFIG_CHANGED)
    assert (told.body["what"], told.body["person"], told.body["refusal"]) == ("refusal added", "records", listed["id"])
    assert "960001" not in json.dumps(told.body)
    assert places.standing(office.config).refuses([FROM])

    assert "Removed" in office.runs("guardian", "refusals", "remove", listed["id"], "--reason", "phoned")
    assert not places.standing(office.config).refuses([FROM])
    assert office.verified().sound


@pytest.mark.parametrize("who", ["checker", "teacher", "nobody"])
def test_whoever_may_not_manage_enters_nothing(office, who):
    assert isinstance(office.runs(who, "refusals", "add", "01632 960001", "--reason", "x"), Refused)
    assert isinstance(office.runs(who, "staff", "add", "sip:6000@pbx", "--policy", "3"), Refused)
    assert not office.entries(Kind.CONFIG_CHANGED)


def test_staff_are_listed_with_who_of_the_destinations_is_missing(office):
    destination = office.config.lines[0].destination.written
    assert isinstance(office.runs("records", "staff", "add", destination), Refused), "no version is named"
    office.runs("records", "staff", "add", destination, "--policy", "3", "--on", "2026-03-01")

    listed = {each["identity"]: each for each in json.loads(office.runs("records", "staff", "list", "--json"))}

    assert (listed[destination]["policy"], listed[destination]["on"]) == ("3", "2026-03-01")
    assert {name for name, each in listed.items() if each["policy"] == "-"} == {
        target.written for target in office.config.lines[0].fallback
    }
    assert isinstance(office.runs("records", "staff", "add", destination, "--policy", "3", "--on", "soon"), ConfigError)


def test_registers_of_an_agent_that_is_away_are_left_to_its_own_account(office, monkeypatch):
    monkeypatch.setattr("callrec.cli.standing.owns", lambda _path: False)

    assert isinstance(office.runs("records", "refusals", "list"), Unavailable)
