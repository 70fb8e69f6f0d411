"""`callrec keys`: another keeper for what is stored, by persons who may."""

import json
import re

import pytest

from callrec.core.kinds import Kind
from callrec.errors import ConfigError, Refused
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
