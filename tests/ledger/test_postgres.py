"""What only a log in PostgreSQL meets: a server that goes away, a second agent, a copy, a neighbour."""

import asyncio
import os
import signal
from contextlib import closing

import pytest

from callrec import _sql
from callrec._sql import SqlFailed
from callrec.audit.verify import Places, verify
from callrec.core.kinds import Kind
from callrec.errors import ConfigError, Unavailable
from callrec.ledger.reading import open_log, read_entries
from tests.ledger.test_pending import replayed
from tests.ledger.world import World, entry
from tests.peers.ports import until


@pytest.fixture
def world(in_postgres):
    return in_postgres


@pytest.fixture
def neighbour(postgres, tmp_path):
    (tmp_path / "neighbour").mkdir()
    world = World(tmp_path / "neighbour", postgres)
    yield world
    world.close()


def cut(world):
    """Break the connection of whoever holds the log."""
    world.server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE '%(process %'")


def sound(world):
    """Entries, links, roots and signatures are right; the calls that they tell of are made up."""
    found = verify(Places(ledger=world.database, vkey=world.key.vkey()))
    return found.size > 0 and not found.counts.keys() & {1, 2, 3, 4}


async def test_a_connection_that_broke_costs_one_answer_and_the_fact_comes_in_late(world):
    ledger = world.ledger()
    await ledger.append(entry(what="before"), timeout_s=5)
    cut(world)

    with pytest.raises(Unavailable, match="cannot be used"):
        await ledger.append(entry(what="lost"), timeout_s=5)
    assert not ledger.writable()
    assert await ledger.note(entry(Kind.CALL_CLOSED, call_uid="c1")) is None
    await replayed(ledger)

    entries = list(read_entries(world.database))
    assert [e.kind for e in entries if e.late] == ["call.closed"]
    assert "lost" not in [e.body.get("what") for e in entries]
    assert sound(world)


async def test_while_the_server_is_down_facts_wait_in_the_side_journal_and_come_in_late_when_it_is_back(world):
    ledger = world.ledger()
    await ledger.append(entry(what="before"), timeout_s=5)
    world.server.stop(signal.SIGQUIT)
    try:
        with pytest.raises(Unavailable) as told:
            await ledger.append(entry(what="lost"), timeout_s=10)
        assert "server is up" in told.value.next_step
        for number in range(3):
            assert await ledger.note(entry(Kind.CALL_CLOSED, call_uid=f"c{number}")) is None
        with pytest.raises(Unavailable), open_log(world.database):
            pass
    finally:
        world.server.start()
    await replayed(ledger)

    entries = list(read_entries(world.database))
    assert [(e.kind, e.call_uid) for e in entries if e.late] == [("call.closed", f"c{n}") for n in range(3)]
    assert entries[0].body["what"] == "before"
    assert sound(world)


async def test_who_lost_its_connection_does_not_write_into_a_log_that_another_took_meanwhile(world):
    first = world.ledger(holder="agent advice-1")
    await first.append(entry(what="first"), timeout_s=5)
    hold = world.fault
    hold.hold()
    stuck = asyncio.ensure_future(first.append(entry(what="stuck"), timeout_s=20))
    await asyncio.to_thread(hold.held.wait, 20)
    cut(world)
    second = await taken(world)
    await asyncio.to_thread(second.append_blocking, entry(what="second"))
    hold.release()

    with pytest.raises(Unavailable):
        await stuck
    with pytest.raises(Unavailable, match=r"held by agent advice-2 \(process"):
        await first.append(entry(what="again"), timeout_s=5)
    assert [e.body["what"] for e in read_entries(world.database)] == ["first", "second"]
    assert sound(world)


async def taken(world):
    """The log, opened by a second agent on another machine, which has a side journal of its own."""
    async with asyncio.timeout(20):
        while True:
            try:
                return world.ledger(
                    holder="agent advice-2", commit=lambda s: s.commit(), journal=world.folder / "other"
                )
            except Unavailable:
                await asyncio.sleep(0)


def test_a_second_agent_on_one_log_is_told_who_has_it_and_where(world):
    world.ledger(holder="agent advice-1")

    with pytest.raises(
        Unavailable, match=rf"held by agent advice-1 \(process {os.getpid()} on {os.uname().nodename}\)"
    ):
        world.ledger(holder="agent advice-2")


def test_a_copy_of_a_log_in_the_same_database_is_the_same_log(world):
    world.ledger(holder="agent advice-1").append_blocking(entry())
    copy = world.copy()

    with pytest.raises(Unavailable, match="held by agent advice-1"):
        world.ledger(database=copy, journal=world.folder / "other")


async def test_a_log_that_is_held_up_holds_up_no_other(world, neighbour):
    ours, theirs = world.ledger(), neighbour.ledger()
    with closing(_sql.writing(world.database)) as other:
        other.begin("ledger")
        waiting = asyncio.ensure_future(ours.append(entry(), timeout_s=20))
        receipts = [await theirs.append(entry(), timeout_s=5) for _ in range(5)]
        still_waiting = not waiting.done()
        other.rollback()
    await waiting

    assert [receipt.seq for receipt in receipts] == list(range(5))
    assert still_waiting
    assert sound(world)
    assert sound(neighbour)


async def test_an_index_being_rebuilt_does_not_hold_up_the_ledger(world):
    ledger = world.ledger()
    with closing(_sql.writing(world.database)) as other:
        other.begin("index")
        receipt = await ledger.append(entry(), timeout_s=5)
        other.rollback()

    assert receipt.seq == 0


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes"])
def test_a_server_that_does_not_sync_is_refused_by_name(world, setting):
    world.server.sql(f"ALTER SYSTEM SET {setting} = off", "SELECT pg_reload_conf()")
    try:
        until_shown(world, setting, "off")
        with pytest.raises(ConfigError, match=f"the server runs with {setting} off") as told:
            world.ledger()
    finally:
        world.server.sql(f"ALTER SYSTEM RESET {setting}", "SELECT pg_reload_conf()")
        until_shown(world, setting, "on")
    assert "power cut" in told.value.next_step


def until_shown(world, setting, value):
    until(lambda: world.server.sql(f"SHOW {setting}") == [(value,)], seconds=20, what=f"{setting} is {value}")


def test_a_commit_is_synchronous_whatever_the_role_was_set_to(world):
    role = world.server.user
    world.server.sql(f"ALTER ROLE {role} SET synchronous_commit = off")
    try:
        with closing(_sql.writing(world.database)) as session:
            shown = session.row("SHOW synchronous_commit")
    finally:
        world.server.sql(f"ALTER ROLE {role} RESET synchronous_commit")
    assert shown == ("on",)


@pytest.mark.parametrize("opening", ["writing", "reading"])
def test_a_log_of_a_later_form_is_refused_by_name(world, opening):
    world.execute(
        ("CREATE TABLE ledger_forms (form integer PRIMARY KEY)", {}), ("INSERT INTO ledger_forms VALUES (2)", {})
    )

    with pytest.raises(ConfigError, match=r"the ledger .* newer than this program: they have form 2"):
        world.ledger() if opening == "writing" else list(read_entries(world.database))


def test_a_pooler_between_is_found_out_before_anything_is_written(world):
    with closing(_sql.writing(world.database)) as session:
        session._process = 1  # as if the next statement had gone to another server process

        with pytest.raises(SqlFailed, match="connect directly"):
            session.begin("ledger")


def test_a_reader_without_the_right_to_write_reads_everything(world):
    with closing(world.ledger()) as ledger:
        ledger.append_blocking(entry())
    schema, reader = world.database.schema, f"reader_{os.getpid()}"
    world.server.sql(
        f"CREATE ROLE {reader} LOGIN",
        f'GRANT USAGE ON SCHEMA "{schema}" TO {reader}',
        f'GRANT SELECT ON ALL TABLES IN SCHEMA "{schema}" TO {reader}',
    )
    options = tuple((dict(world.database.options) | {"user": reader}).items())
    asked = _sql.PostgresSchema(options=options, schema=schema)

    assert verify(Places(ledger=asked, vkey=world.key.vkey())).size == 1
    with pytest.raises(Unavailable, match="permission denied"):
        world.ledger(database=asked).append_blocking(entry())
    world.server.sql(f"DROP OWNED BY {reader}", f"DROP ROLE {reader}")
