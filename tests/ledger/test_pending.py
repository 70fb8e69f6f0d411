"""The side journal: what the ledger cannot take is neither lost nor told twice."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callrec.core.kinds import Kind
from callrec.errors import Broken, Unavailable
from callrec.ledger.entry import Moment
from callrec.ledger.pending import Note, PendingJournal
from callrec.ledger.reading import read_entries
from tests.ledger.world import entry

MOMENT = Moment(utc="2026-03-01T12:00:00.000000Z", boot_id="boot-1", boottime_ns=2**60, clock="synchronised")


def note(n):
    return Note(entry=entry(call_uid=f"c{n}", what=str(n)), moment=MOMENT, until_ns=2**60 + 1, agent_run="run")


def what(journal):
    return [n.entry.body["what"] for n in journal.notes()]


async def replayed(ledger):
    """Bounded wait for the writer thread to have given the journal back."""
    assert await asyncio.to_thread(ledger.wait_writable, 20)
    async with asyncio.timeout(20):
        while ledger._journal.notes():
            await ledger.append(entry(Kind.CHOICE_MADE), timeout_s=5)


async def test_what_the_ledger_cannot_take_is_appended_later_marked_late_with_its_own_time(world):
    ledger = world.ledger()
    world.fault.error = "database or disk is full"
    before = world.clock.ns
    assert await ledger.note(entry(Kind.CALL_CLOSED, call_uid="c1")) is None
    after = world.clock.ns
    world.clock.ns += 60_000_000_000
    world.fault.error = None
    await replayed(ledger)
    late = [e for e in read_entries(world.database) if e.late]
    assert [(e.kind, e.call_uid) for e in late] == [("call.closed", "c1")]
    assert before < late[0].boottime_ns <= after


async def test_a_note_is_an_ordinary_append_while_the_ledger_works(world):
    ledger = world.ledger()
    receipt = await ledger.note(entry())
    assert receipt is not None
    assert [e.late for e in read_entries(world.database)] == [False]


async def test_notes_survive_a_restart(world):
    ledger = world.ledger()
    world.fault.error = "disk I/O error"
    for n in range(3):
        await ledger.note(entry(what=str(n)))
    ledger.close()
    world.fault.error = None
    await replayed(world.ledger())
    assert [e.body["what"] for e in read_entries(world.database) if e.late] == ["0", "1", "2"]


async def test_a_note_whose_commit_succeeded_late_is_not_told_twice(world):
    ledger = world.ledger()
    world.fault.hold()
    assert await ledger.note(entry(what="once"), timeout_s=0.05) is None
    world.fault.release()
    await replayed(ledger)
    assert [e.body["what"] for e in read_entries(world.database) if e.kind == "incident"] == ["once"]


async def test_a_crash_between_replay_and_clearing_does_not_tell_twice(world):
    ledger = world.ledger()
    world.fault.error = "disk I/O error"
    await ledger.note(entry(what="once"))
    world.fault.error = None
    journal = world.journal
    kept = journal.read_bytes()
    await replayed(ledger)
    ledger.close()
    journal.write_bytes(kept)
    await replayed(world.ledger())
    assert [e.body["what"] for e in read_entries(world.database) if e.kind == "incident"] == ["once"]


async def test_two_equal_facts_at_different_times_are_two_facts(world):
    ledger = world.ledger()
    world.fault.error = "disk I/O error"
    await ledger.note(entry(what="beat"))
    await ledger.note(entry(what="beat"))
    world.fault.error = None
    await replayed(ledger)
    assert [e.body["what"] for e in read_entries(world.database) if e.kind == "incident"] == ["beat", "beat"]


async def test_where_neither_can_be_written_it_is_said(world):
    ledger = world.ledger(journal_bytes=4096)
    world.fault.error = "database or disk is full"
    with pytest.raises(Unavailable, match="side journal of the ledger is full"):
        await ledger.note(entry(what="x" * 8000))


def test_a_torn_tail_is_ignored_and_written_over(tmp_path):
    path = tmp_path / "journal"
    journal = PendingJournal(path, size=4096)
    journal.write(note(1))
    end = journal._end
    journal.write(note(2))
    journal.close()
    data = bytearray(path.read_bytes())
    data[end + 40] ^= 1
    path.write_bytes(data)
    again = PendingJournal(path, size=4096)
    assert what(again) == ["1"]
    again.write(note(3))
    again.close()
    last = PendingJournal(path, size=4096)
    assert what(last) == ["1", "3"]
    last.close()


def test_what_was_cleared_never_comes_back(tmp_path):
    path = tmp_path / "journal"
    journal = PendingJournal(path, size=4096)
    for n in range(3):
        journal.write(note(n))
    old = path.read_bytes()
    assert journal.clear(3)
    journal.write(note(9))
    end = journal._end
    journal.close()
    path.write_bytes(path.read_bytes()[:end] + old[end:])
    again = PendingJournal(path, size=4096)
    assert what(again) == ["9"]
    again.close()


def test_what_came_in_while_replaying_is_not_cleared(tmp_path):
    journal = PendingJournal(tmp_path / "journal", size=4096)
    journal.write(note(1))
    journal.write(note(2))
    assert not journal.clear(1)
    assert what(journal) == ["1", "2"]
    journal.close()


def test_another_file_is_not_taken_for_a_journal(tmp_path):
    path = tmp_path / "journal"
    path.write_bytes(b"something else that somebody wants to keep" * 100)
    with pytest.raises(Broken):
        PendingJournal(path, size=4096)


@given(st.lists(st.integers(0, 9), max_size=8), st.integers(0, 4095), st.binary(max_size=60))
def test_whatever_is_damaged_what_is_read_is_a_beginning_of_what_was_written(tmp_path_factory, numbers, at, junk):
    path = tmp_path_factory.mktemp("j") / "journal"
    journal = PendingJournal(path, size=4096)
    for n in numbers:
        journal.write(note(n))
    journal.close()
    data = bytearray(path.read_bytes())
    at = max(24, at)
    data[at : at + len(junk)] = junk
    path.write_bytes(data[:4096])
    again = PendingJournal(path, size=4096)
    read = what(again)
    again.close()
    assert read == [str(n) for n in numbers][: len(read)]
