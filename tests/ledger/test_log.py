"""One log: what an append promises, and what happens when the disk, the lock or the commit does not play along."""

import asyncio
import os
from contextlib import closing

import pytest

from callrec import _sql
from callrec._sql import SqlFailed, SqlRefused
from callrec.core.kinds import Kind
from callrec.errors import Broken, ConfigError, Refused, Unavailable
from callrec.ledger.checkpoint import verify
from callrec.ledger.entry import NO_LEAF, commitment, opens
from callrec.ledger.init import create_log, create_signing_key, half_page, load_signing_key
from callrec.ledger.merkle import leaf_hash, root
from callrec.ledger.reading import open_log, read_entries
from callrec.ports import Entry
from tests.ledger.world import START, HandClock, entry


async def test_an_append_that_returned_is_in_the_file_and_under_a_signed_root(world):
    ledger = world.ledger()
    receipts = [await ledger.append(entry(what=str(n)), timeout_s=5) for n in range(5)]
    with open_log(world.database) as log:
        bodies = [body for _, _, _, body in log.rows()]
        checkpoint = verify(log.newest_note(), world.key)
    assert [receipt.leaf for receipt in receipts] == [leaf_hash(body).hex() for body in bodies]
    assert (checkpoint.size, checkpoint.root) == (5, root([leaf_hash(body) for body in bodies]))
    assert ledger.newest_checkpoint() == log_note(world)


def log_note(world):
    with open_log(world.database) as log:
        return log.newest_note()


async def test_every_entry_carries_what_binds_it(world):
    ledger = world.ledger()
    await ledger.append(entry(Kind.CHOICE_MADE, call_uid="c1", segment=2), timeout_s=5)
    await ledger.append(entry(), timeout_s=5)
    first, second = read_entries(world.database)
    assert (first.seq, second.seq, first.prev, second.prev) == (0, 1, NO_LEAF, first.leaf)
    assert (first.kind, first.call_uid, first.segment) == ("choice.made", "c1", 2)
    assert first.log_id == world.key.log_id == ledger.log_id
    assert (first.boot_id, first.clock, first.actor, first.agent_run) == (
        "boot-1",
        "synchronised",
        "agent",
        ledger.agent_run,
    )
    assert first.boottime_ns < second.boottime_ns
    assert first.utc.endswith("Z")
    assert not first.late


async def test_boot_time_may_be_larger_than_json_integers(world):
    world.clock.ns = 2**60
    await world.ledger().append(entry(), timeout_s=5)
    assert next(iter(read_entries(world.database))).boottime_ns > 2**60


async def test_a_body_that_lacks_a_field_is_a_mistake_of_the_program_and_nothing_is_written(world):
    ledger = world.ledger()
    with pytest.raises(ValueError, match="incident lacks reason, what"):
        await ledger.append(Entry(kind=Kind.INCIDENT, body={}), timeout_s=5)
    with pytest.raises(ValueError, match="longer than"):
        await ledger.append(entry(what="x" * 70_000), timeout_s=5)
    with pytest.raises(ValueError, match="canonical"):
        await ledger.append(entry(what=float("nan")), timeout_s=5)
    assert list(read_entries(world.database)) == []


async def test_what_comes_together_goes_into_one_commit(world):
    ledger = world.ledger()
    world.fault.hold()
    first = asyncio.ensure_future(ledger.append(entry(), timeout_s=20))
    await asyncio.to_thread(world.fault.held.wait, 20)
    rest = [asyncio.ensure_future(ledger.append(entry(), timeout_s=20)) for _ in range(40)]
    await asyncio.sleep(0)
    world.fault.release()
    await asyncio.gather(first, *rest)
    with open_log(world.database) as log:
        assert [size for size, _ in log.notes()] == [0, 1, 41]


async def test_a_hung_commit_costs_the_caller_its_timeout_and_no_more(world):
    ledger = world.ledger()
    world.fault.hold()
    with pytest.raises(Unavailable, match=r"did not answer within 0\.05 s"):
        await ledger.append(entry(what="hung"), timeout_s=0.05)
    assert not ledger.writable()
    world.fault.release()
    assert await asyncio.to_thread(ledger.wait_writable, 20)
    receipt = await ledger.append(entry(what="after"), timeout_s=5)
    assert [e.body["what"] for e in read_entries(world.database)] == ["hung", "after"]
    assert receipt.seq == 1


async def test_an_append_given_up_before_its_commit_began_never_happens(world):
    ledger = world.ledger()
    world.fault.hold()
    first = asyncio.ensure_future(ledger.append(entry(what="first"), timeout_s=20))
    await asyncio.to_thread(world.fault.held.wait, 20)
    with pytest.raises(Unavailable):
        await ledger.append(entry(what="given up"), timeout_s=0.05)
    world.fault.release()
    await first
    await ledger.append(entry(what="last"), timeout_s=5)
    assert [e.body["what"] for e in read_entries(world.database)] == ["first", "last"]


async def test_a_failed_commit_leaves_nothing_and_is_told_to_everyone_who_waited(world):
    ledger = world.ledger()
    await ledger.append(entry(what="before"), timeout_s=5)
    world.fault.error = "database or disk is full"
    with pytest.raises(Unavailable, match="disk is full") as told:
        await ledger.append(entry(what="lost"), timeout_s=5)
    assert "free space" in told.value.next_step
    assert not ledger.writable()
    world.fault.error = None
    assert await asyncio.to_thread(ledger.wait_writable, 20)
    await ledger.append(entry(what="after"), timeout_s=5)
    assert [e.body["what"] for e in read_entries(world.database)] == ["before", "after"]


async def test_a_commit_that_failed_after_it_took_effect_is_found_out(world):
    ledger = world.ledger()
    honest = world.fault.__class__.__call__

    class Liar:
        def __call__(self, session):
            honest(world.fault, session)
            raise SqlFailed("disk I/O error")

    ledger._log._commit = Liar()
    with pytest.raises(Unavailable, match="I/O"):
        await ledger.append(entry(what="kept all the same"), timeout_s=5)
    ledger._log._commit = world.fault
    receipt = await ledger.append(entry(what="next"), timeout_s=5)
    assert receipt.seq == 1
    assert [e.body["what"] for e in read_entries(world.database)] == ["kept all the same", "next"]


async def test_a_log_locked_by_another_program_does_not_hold_up_the_loop(world):
    ledger = world.ledger()
    await ledger.append(entry(), timeout_s=5)
    with closing(_sql.writing(world.database)) as other:
        other.begin("ledger")
        with pytest.raises(Unavailable):
            await ledger.append(entry(), timeout_s=0.1)
        ticks = [await asyncio.sleep(0, n) for n in range(3)]
        other.rollback()
    assert ticks == [0, 1, 2]
    assert await asyncio.to_thread(ledger.wait_writable, 20)


async def test_a_second_process_is_told_who_holds_the_log(world):
    world.ledger(holder="agent advice-1")
    with pytest.raises(Unavailable, match=rf"held by agent advice-1 \(process {os.getpid()}") as told:
        world.ledger(holder="command line")
    assert "stop that one first" in told.value.next_step


async def test_the_lease_goes_on_to_the_next_when_the_first_closes(world):
    world.ledger().close()
    assert (await world.ledger().append(entry(), timeout_s=5)).seq == 0


async def test_a_log_goes_on_where_it_stopped(world):
    first = world.ledger()
    await first.append(entry(what="a"), timeout_s=5)
    first.close()
    second = world.ledger()
    await second.append(entry(what="b"), timeout_s=5)
    a, b = read_entries(world.database)
    assert b.prev == a.leaf
    assert a.agent_run != b.agent_run


async def test_a_closed_log_takes_nothing(world):
    ledger = world.ledger()
    ledger.close()
    ledger.close()
    with pytest.raises(Unavailable, match="closed"):
        await ledger.append(entry(), timeout_s=5)


def test_a_log_is_never_made_by_the_way(world, tmp_path):
    missing = tmp_path / "none.db" if world.server is None else world.server.schema()
    with pytest.raises(ConfigError, match="there is no ledger") as told:
        world.ledger(database=missing)
    assert "callrec init" in told.value.next_step
    with pytest.raises(ConfigError, match="there is no ledger"), open_log(missing):
        pass
    assert world.server is not None or not missing.exists()


def test_a_log_is_never_replaced(world):
    with pytest.raises(Refused):
        create_log(world.database, world.key_path, created=START)
    with pytest.raises(Refused):
        create_signing_key(world.key_path)


@pytest.mark.parametrize("mode", [0o440, 0o404, 0o644])
def test_a_key_that_others_may_read_is_refused(world, mode):
    world.key_path.chmod(mode)
    with pytest.raises(ConfigError, match="others may read"):
        world.ledger()


def test_a_key_that_is_none_or_missing_is_refused(world, tmp_path):
    junk = tmp_path / "junk"
    junk.write_bytes(b"no key")
    junk.chmod(0o400)
    for path in (junk, tmp_path / "missing"):
        with pytest.raises(ConfigError):
            load_signing_key(path)


def test_the_key_of_another_log_does_not_open_this_one(world, tmp_path):
    create_signing_key(tmp_path / "other.key")
    with pytest.raises(ConfigError, match="the signing key is of"):
        world.ledger(signing_key=tmp_path / "other.key")


JUNK = {"junk": b"\0"}
CHANGES = [
    "UPDATE entries SET body = :junk",
    "DELETE FROM entries",
    "UPDATE checkpoints SET note = :junk",
    "DELETE FROM checkpoints",
    "DELETE FROM log",
    "INSERT INTO entries VALUES (7, :junk, '', :junk)",
    "INSERT INTO entries VALUES (0, :junk, '', :junk) ON CONFLICT (seq) DO UPDATE SET body = excluded.body",
    "INSERT INTO checkpoints VALUES (0, :junk)",
]


@pytest.mark.parametrize("statement", CHANGES)
async def test_the_database_itself_refuses_change(world, statement):
    await world.ledger().append(entry(), timeout_s=5)
    with pytest.raises(SqlRefused):
        world.execute((statement, JUNK))


async def test_a_file_refuses_to_have_an_entry_replaced(in_a_file):
    await in_a_file.ledger().append(entry(), timeout_s=5)
    with pytest.raises(SqlRefused):
        in_a_file.execute(("INSERT OR REPLACE INTO entries VALUES (0, :junk, '', :junk)", JUNK))


async def test_postgresql_refuses_to_empty_a_log(in_postgres):
    await in_postgres.ledger().append(entry(), timeout_s=5)
    with pytest.raises(SqlRefused):
        in_postgres.execute(("TRUNCATE entries", {}))


@pytest.mark.parametrize(
    "attack",
    [
        "DELETE FROM entries WHERE seq = 2",
        "UPDATE entries SET body = (SELECT body FROM entries WHERE seq = 1) WHERE seq = 2",
        "UPDATE tip SET size = 2, frontier = :none",
        "UPDATE tip SET prev = 'x'",
        "DELETE FROM checkpoints WHERE size = 3",
    ],
)
async def test_a_log_whose_end_was_changed_is_not_opened_for_writing(world, attack):
    ledger = world.ledger()
    for _ in range(3):
        await ledger.append(entry(), timeout_s=5)
    ledger.close()
    world.without_guards((attack, {"none": b""}))
    with pytest.raises(Broken):
        world.ledger()


async def test_what_is_no_database_is_told_so(in_a_file):
    in_a_file.database.write_bytes(b"not a database, but long enough to be taken for one" * 100)
    with pytest.raises(Broken), open_log(in_a_file.database) as log:
        list(log.rows())


async def test_a_commitment_opens_only_to_its_value_and_salt_until_the_salt_is_erased(world):
    ledger = world.ledger()
    committed, salt = commitment("+441632960001")
    offered = Entry(kind=Kind.INCIDENT, body={"what": committed, "reason": "x"}, salts={"from": salt})
    receipt = await ledger.append(offered, timeout_s=5)
    with open_log(world.database) as log:
        kept = log.salts(receipt.seq)
    assert opens(committed, kept["from"], "+441632960001")
    assert not opens(committed, kept["from"], "+441632960002")
    await ledger.append(entry(Kind.SALT_ERASED, seqs=[receipt.seq]), timeout_s=5)
    with open_log(world.database) as log:
        assert log.salts(receipt.seq) == {}
    ledger.close()
    assert world.execute(("SELECT * FROM salts", {})) == []
    if world.server is None:
        assert all(salt.encode() not in file.read_bytes() for file in world.folder.iterdir())


async def test_entries_of_one_call_are_found_without_reading_the_log(world):
    ledger = world.ledger()
    for n in range(6):
        await ledger.append(entry(call_uid=f"c{n % 2}", what=str(n)), timeout_s=5)
    with open_log(world.database) as log:
        assert [e.body["what"] for e in log.of_call("c1")] == ["1", "3", "5"]
        assert log.entry(4).body["what"] == "4"
        assert log.entry(9) is None
        assert log.size() == 6


async def test_a_file_is_asked_for_a_call_by_its_index(in_a_file):
    await in_a_file.ledger().append(entry(call_uid="c1"), timeout_s=5)
    asked = []
    with open_log(in_a_file.database) as log:
        log._session._connection.set_trace_callback(asked.append)
        log.of_call("c1")
        (plan,) = log._session._connection.execute(f"EXPLAIN QUERY PLAN {asked[0]}").fetchall()
        assert plan[3].startswith("SEARCH entries USING INDEX")


async def test_a_reader_sees_one_moment_of_a_log_that_grows(world):
    ledger = world.ledger()
    await ledger.append(entry(), timeout_s=5)
    with open_log(world.database) as log:
        await ledger.append(entry(), timeout_s=5)
        assert (log.size(), log.newest().checkpoint.size, len(list(log.entries()))) == (1, 1, 1)
    with open_log(world.database) as log:
        assert log.size() == 2


async def test_a_copy_without_the_right_to_write_beside_it_can_be_read(in_a_file, tmp_path):
    ledger = in_a_file.ledger()
    await ledger.append(entry(), timeout_s=5)
    ledger.close()
    folder = tmp_path / "copy"
    folder.mkdir()
    copy = folder / "ledger.db"
    copy.write_bytes(in_a_file.database.read_bytes())
    folder.chmod(0o500)
    assert len(list(read_entries(copy))) == 1
    folder.chmod(0o700)


def test_the_command_line_appends_without_a_loop(world):
    ledger = world.ledger()
    assert ledger.append_blocking(entry()).seq == 0
    world.fault.hold()
    with pytest.raises(Unavailable):
        ledger.append_blocking(entry(), timeout_s=0.05)


def test_the_half_page_names_the_key_and_what_to_do_with_it(world):
    page = half_page(world.key, created=START, controller="Example Advice Line")
    assert world.key.vkey() in page
    assert world.key.log_id in page.replace(" ", "")
    assert "2026-03-01T12:00:00" in page
    assert "Example Advice Line" in page
    assert "keep this page" in page


async def test_a_reading_of_the_clock_comes_after_the_commit_so_that_a_late_receipt_shows(world):
    ledger = world.ledger()
    world.fault.hold()
    waiting = asyncio.ensure_future(ledger.append(entry(), timeout_s=20))
    await asyncio.to_thread(world.fault.held.wait, 20)
    world.clock.ns += 11_000_000_000
    world.fault.release()
    receipt = await waiting
    stamped = next(iter(read_entries(world.database))).boottime_ns
    assert receipt.boottime_ns - stamped > 10_000_000_000


def test_a_clock_of_another_boot_is_written_as_such(world):
    ledger = world.ledger(clock=HandClock(boot="boot-2"))
    ledger.append_blocking(entry())
    assert next(iter(read_entries(world.database))).boot_id == "boot-2"
