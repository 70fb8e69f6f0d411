"""What waits goes into one commit: in order, with a receipt for what is durable and for nothing else."""

from __future__ import annotations

import asyncio
import tempfile
from enum import Enum, unique
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callrec._sql import SqlFailed
from callrec.core.kinds import Kind
from callrec.errors import Unavailable
from callrec.ledger import writer
from callrec.ledger.logfile import commit
from callrec.ledger.reading import open_log, read_entries
from tests.ledger.world import World, entry


@unique
class Fate(Enum):
    WELL = "written and told"
    LOST = "not written"
    KEPT = "written, and said not to be"


class Fated:
    """Commits that end as it was foretold; well once there is no more to tell."""

    def __init__(self, fates):
        self.fates = list(fates)

    def __call__(self, session):
        fate = self.fates.pop(0) if self.fates else Fate.WELL
        if fate is not Fate.LOST:
            commit(session)
        if fate is not Fate.WELL:
            raise SqlFailed("disk I/O error")


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.booleans()), max_size=12),
    st.lists(st.sampled_from([Fate.WELL, Fate.WELL, Fate.LOST, Fate.KEPT]), max_size=6),
)
def test_what_is_patient_keeps_its_place_and_receipts_are_of_what_is_durable(asked, fates):
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), None)
        ledger = world.ledger()
        assert ledger.wait_replayed(20)
        ledger._log._commit = Fated(fates)
        told = []
        for number, (patient, waits) in enumerate(asked):
            told.append(ledger._writer.submit(entry(what=str(number)), patient=patient))
            if waits:
                told[-1].exception(20)
        failed = [future.exception(20) for future in told]
        ledger.close()
        stood = [(each.body["what"], each.leaf) for each in read_entries(world.database)]
        world.close()

    names = [int(what) for what, _ in stood]
    assert names == sorted(set(names))
    for number, (future, error) in enumerate(zip(told, failed, strict=True)):
        if error is None:
            receipt = future.result()
            assert stood[receipt.seq] == (str(number), receipt.leaf)
        else:
            assert isinstance(error, Unavailable)


async def test_what_nobody_waits_for_is_written_with_what_somebody_does(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "PATIENCE_S", 30.0)
    world = World(tmp_path, None)
    ledger = world.ledger()
    course = entry(Kind.LEG_CHANGED, call_uid="c")
    notes = [asyncio.ensure_future(ledger.note(course, timeout_s=20)) for _ in range(2)]
    await asyncio.sleep(0)

    await ledger.append(entry(what="urgent"), timeout_s=20)

    assert [(await note).seq for note in notes] == [0, 1]
    with open_log(world.database) as log:
        assert [size for size, _ in log.notes()] == [0, 3]
    world.close()


@pytest.mark.parametrize("kind", [Kind.CALL_OFFERED, Kind.CHOICE_MADE, Kind.WITHDRAWN, Kind.INCIDENT])
async def test_that_there_was_a_call_and_what_was_said_in_it_is_written_at_once(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(writer, "PATIENCE_S", 30.0)
    world = World(tmp_path, None)

    receipt = await world.ledger().note(entry(kind, call_uid="c"), timeout_s=20)

    assert receipt.seq == 0
    world.close()


async def test_an_entry_that_was_written_before_anybody_could_wait_for_it_is_told_all_the_same(tmp_path, monkeypatch):
    world = World(tmp_path, None)
    ledger = world.ledger()
    submit = ledger._writer.submit

    def written(one, **words):
        future = submit(one, **words)
        future.result(20)
        assert ledger.wait_replayed(20)
        return future

    monkeypatch.setattr(ledger._writer, "submit", written)

    assert (await ledger.append(entry(), timeout_s=20)).seq == 0
    world.close()


def test_a_log_that_is_closed_has_written_what_was_patient(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "PATIENCE_S", 30.0)
    world = World(tmp_path, None)
    ledger = world.ledger()
    future = ledger._writer.submit(entry(what="patient"), patient=True)

    ledger.close()

    assert future.result(0).seq == 0
    world.close()
