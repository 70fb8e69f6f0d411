"""A disposal that is cut off anywhere is run again: every step tried as failed and lost, and as failed but kept."""

import shutil
from dataclasses import replace

import pytest

from callrec.cli import disposal
from callrec.cli.disposal_bench import bench
from callrec.core.kinds import Kind
from callrec.errors import Unavailable
from tests.disposal.office import Office

STORE = ("destroy", "bury")
PLACES = ("begin", "write_certificate", "drop")


class CutError(Exception):
    """The process ends here."""


class Steps:
    """Counts the steps of a disposal, and fails one: before it happened, or after."""

    def __init__(self, at, *, kept, error=Unavailable):
        self.at, self.kept, self.error = at, kept, error
        self.taken = []

    def _failing(self, name):
        self.taken.append(name)
        return len(self.taken) - 1 == self.at

    def plain(self, name, work):
        def step(*args):
            failing = self._failing(name)
            if failing and not self.kept:
                raise self.error("lost")
            found = work(*args)
            if failing:
                raise self.error("kept")
            return found

        return step

    def waited(self, name, work):
        async def step(*args):
            failing = self._failing(name)
            if failing and not self.kept:
                raise self.error("lost")
            await work(*args)
            if failing:
                raise self.error("kept")

        return step

    def around(self, found):
        for name in STORE:
            setattr(found.store, name, self.waited(name, getattr(found.store, name)))
        for name in PLACES:
            setattr(found.places, name, self.plain(name, getattr(found.places, name)))
        return replace(
            found, append=self.plain("append", found.append), leftovers=self.plain("leftovers", found.leftovers)
        )


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A list of two, agreed to, one of them classified; and one recording that is not due."""
    folder = tmp_path_factory.mktemp("office")
    with pytest.MonkeyPatch.context() as patch:
        office = Office(folder, patch)
        first = office.old()
        office.old()
        office.record()
        table = folder / "table.csv"
        table.write_text(f"recording_id,last_contact\n{first},2012-03-01\n")
        assert "Classified 1" in str(office.run("records", "classify", "--from", table))
        office.agreed()
        yield office


@pytest.fixture
def cut(prepared, tmp_path, monkeypatch):
    """Runs the list in a copy of the prepared office, with one step failing; then what was there and what is left."""

    def run(steps):
        folder = tmp_path / f"{steps.at}-{steps.kept}"
        shutil.copytree(prepared.folder, folder)
        office = Office.__new__(Office)
        office.__dict__ |= prepared.__dict__ | {"folder": folder, "config_path": folder / "callrec.yaml"}
        from callrec.config import load  # noqa: PLC0415 - beside its only use

        office.config = load(office.config_path)
        monkeypatch.setattr(disposal, "bench", lambda desk: steps.around(bench(desk)))
        result = office.callrec("recordings", "dispose", folder / "list.json", "--execute")
        monkeypatch.setattr(disposal, "bench", bench)
        return office, result

    return run


def check_well_ended(office, said):
    """Everything of the list is gone, claimed once, and an auditor is content."""
    assert "Destroyed and certified: 2 recordings." in str(said)
    claims = [entry.body["recording_id"] for entry in office.entries(Kind.DISPOSAL_DONE)]
    assert len(claims) == len(set(claims)) == 2
    assert not office.audio() & set(claims)
    assert not office.keys() & set(claims)
    assert len(list((office.folder / "var/disposal/certificates").iterdir())) == 1
    assert len(list(office.folder.glob("var/store/objects/*/*/tombstone.json"))) == 2
    assert list((office.folder / "var/disposal/facts").iterdir()) == []
    result = office.verified()
    assert (result.findings, result.open) == ((), ())


def check_nothing_half_claimed(office):
    """Whatever the ledger claims is gone; whatever is gone is claimed or open; nothing contradicts itself."""
    result = office.verified()
    assert result.findings == ()
    claims = {entry.body["recording_id"] for entry in office.entries(Kind.DISPOSAL_DONE)}
    assert not claims & (office.audio() | office.keys())
    assert len(office.audio()) + len(claims) + sum("is not finished" in each for each in result.open) == 3


def steps_there_are(cut):
    steps = Steps(-1, kept=False)
    office, result = cut(steps)
    check_well_ended(office, result.output)
    return steps.taken


def test_every_step_may_fail_lost_or_kept_and_the_next_run_ends_well(cut):
    names = steps_there_are(cut)
    assert {*STORE, *PLACES, "append", "leftovers"} == set(names)

    for at in range(len(names)):
        for kept in (False, True):
            office, result = cut(Steps(at, kept=kept))
            assert isinstance(result.exception, Unavailable), (names[at], kept, result.output)
            check_nothing_half_claimed(office)
            check_well_ended(office, office.run("root", "dispose", office.folder / "list.json", "--execute"))


@pytest.mark.parametrize("at", [1, 5])
def test_a_recording_half_destroyed_when_its_hold_came_is_told_as_it_was(cut, at):
    """Of what was still whole nothing more is destroyed; of what was gone already the certificate is honest."""
    office, _ = cut(Steps(at, kept=True, error=CutError))
    whole = len(office.keys()) - 1  # one more is not on the list
    office.run("guardian", "hold", "--line", "advice", "--kind", "inquiry", "--reason", "inquiry-7")

    said = office.run("root", "dispose", office.folder / "list.json", "--execute")

    assert len(office.keys()) - 1 == whole
    assert f"Destroyed and certified: {2 - whole} recordings." in said
    assert said.count("left out:") == whole
    result = office.verified()
    assert result.findings == ()


def test_a_process_that_is_killed_gives_its_lock_back(cut):
    office, result = cut(Steps(2, kept=True, error=CutError))

    assert isinstance(result.exception, CutError)
    check_well_ended(office, office.run("root", "dispose", office.folder / "list.json", "--execute"))
