"""`callrec keys`: another keeper for what is stored, by persons who may."""

import json
import re

import pytest

from callrec.core.kinds import Kind
from callrec.errors import ConfigError, Refused, Unavailable
from callrec.ledger.beside import beside, rewritten
from callrec.ports import SegmentHeader
from callrec.recording.segment import write_description
from callrec.store.contacts import NAME
from callrec.store.keys import fingerprint, load_private, wrap
from tests.cli.house import facts
from tests.disposal.office import Office


@pytest.fixture
def office(tmp_path, monkeypatch):
    return Office(tmp_path, monkeypatch)


def renewed(office):
    """A second pair, named in the configuration; the first pair's private key."""
    old = office.folder / "keys/keeper.key"
    (office.folder / "second").mkdir()
    made = office.runs("records", "keys", "create", office.folder / "second")
    assert "which opens recordings" in made
    office.change("wrap_to: file:keys/keeper.pub", "wrap_to: file:second/keeper.pub")
    return old


def wrapped(office):
    return json.loads(office.runs("records", "keys", "list", "--json"))


def test_after_a_rotation_the_new_keeper_opens_what_the_old_one_opened(office):
    recording = office.record()
    before = office.entries()
    old = renewed(office)
    listed = wrapped(office)
    assert list(listed["keepers"].values()) == [1]
    assert listed["wrap_to"] not in listed["keepers"]

    said = office.runs("records", "keys", "rotate", "--key", old)

    assert re.search(r"^1 keys wrapped anew; 0 had been\. No audio was touched\.$", said, re.MULTILINE)
    assert "Keep the old key" in said
    assert wrapped(office)["keepers"] == {listed["wrap_to"]: 1}
    exported = ("recordings", "export", recording, "--purpose", "audit", "-o")
    assert "Wrote" in office.runs("checker", *exported, office.folder / "new.flac")
    assert isinstance(office.runs("checker", *exported, office.folder / "old.flac", "--key", old), Refused)
    assert office.verified().counts == {}
    told = [e.body for e in office.entries(Kind.KEY_CREATED, Kind.KEY_ROTATED)[1:]]
    assert [(body.get("step"), body["use"]) for body in told] == [
        (None, "recordings"),
        ("begun", "recordings"),
        ("done", "recordings"),
    ]
    assert told[-1]["key_id"] == told[0]["key_id"] == listed["wrap_to"]
    assert (told[-1]["rewrapped"], told[-1]["person"]) == (1, "records")
    assert len(before) < len(office.entries())


def test_a_rotation_run_again_changes_nothing(office):
    office.record()
    old = renewed(office)
    office.runs("records", "keys", "rotate", "--key", old)

    assert "0 keys wrapped anew; 1 had been" in office.runs("records", "keys", "rotate", "--key", old)


def test_callers_numbers_are_found_with_the_new_key_alone(office):
    uid = office.refuse(caller="+441632960111")
    office.record(caller="+441632960111")
    old = renewed(office)
    asked = ("subject", "find", "--number", "+441632960111", "--json")
    assert wrapped(office)["contacts"] == {fingerprint(load_private(old).public_key()): 2}

    said = office.runs("records", "keys", "rotate", "--key", old)

    assert "2 callers' numbers are sealed for the new keeper" in said
    assert wrapped(office)["contacts"] == {wrapped(office)["wrap_to"]: 2}
    old.unlink()
    assert uid in office.runs("guardian", *asked)
    assert office.verified().counts == {}


def test_a_number_that_was_erased_does_not_come_back_with_a_rotation(office):
    office.refuse(caller="+441632960111")
    database = office.config.ledger.database

    def meanwhile(_seq, sealed):
        office.tamper("DELETE FROM salts WHERE name = ?", NAME)
        return sealed.replace("key", "other")

    rewritten(database, NAME, meanwhile)

    assert list(beside(database, NAME)) == []


def test_the_old_key_is_not_given_up_while_the_spool_needs_it(office):
    office.record()
    waiting = office.record(keep=False)
    old = renewed(office)
    assert sum(wrapped(office)["waiting"].values()) == 1

    refused = office.runs("records", "keys", "rotate", "--key", old)

    assert isinstance(refused, Unavailable)
    assert "1 recordings in the spool" in str(refused)
    assert "run again" in refused.next_step
    told = office.entries(Kind.KEY_ROTATED)[-1].body
    assert (told["step"], told["rewrapped"], told["waiting"]) == ("unfinished", 1, 1)

    office.hand_over(waiting)
    assert "1 keys wrapped anew; 1 had been" in office.runs("records", "keys", "rotate", "--key", old)
    assert office.entries(Kind.KEY_ROTATED)[-1].body["step"] == "done"


def test_a_live_recording_needs_its_keeper_too(office):
    old = renewed(office)
    header = SegmentHeader(
        log_id="1" * 64, call_uid="c" * 32, segment=0, key_id="k", proven_leaf="2" * 64, started_leaf="3" * 64
    )
    wrapped_key = wrap(b"s" * 32, "k", load_private(old).public_key())
    folder = office.spool.tmp(header.recording_id)
    folder.mkdir()
    write_description(folder, header, wrapped_key, facts("e" * 64, ["audit"], "2026-03-01T10:00:00.000Z", {}))

    assert isinstance(office.runs("records", "keys", "rotate", "--key", old), Unavailable)


def test_only_who_may_rotates_and_a_refusal_changes_nothing(office):
    office.record()
    old = renewed(office)
    before = wrapped(office)

    assert isinstance(office.runs("teacher", "keys", "rotate", "--key", old), Refused)
    assert isinstance(office.runs("checker", "keys", "rotate", "--key", old), Refused)

    assert wrapped(office) == before
    assert office.entries(Kind.KEY_ROTATED) == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "old keeper's key"),
        (("--from", "keys/keeper.pub"), "needs a program"),
        (("--key", "keys/keeper.key"), "are the same"),
        (("--key", "none.key"), "none.key"),
    ],
)
def test_what_cannot_be_rotated_is_told_with_what_to_do(office, words, told):
    found = office.runs("records", "keys", "rotate", *(office.folder / w if "/" in w or "." in w else w for w in words))

    assert isinstance(found, ConfigError)
    assert told in str(found)
    assert found.next_step


def test_a_pair_is_never_written_over(office):
    renewed(office)

    assert isinstance(office.runs("records", "keys", "create", office.folder / "second"), Refused)
    assert isinstance(office.runs("records", "keys", "create", office.folder / "nowhere"), ConfigError)
