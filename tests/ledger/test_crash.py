"""Programs that write to a log and are killed: what was said to be durable is there, and the log goes on."""

import signal
import sys
from contextlib import ExitStack

from callrec.audit.verify import Places, verify
from callrec.errors import Unavailable
from callrec.ledger.anchor import DirectoryAnchor
from callrec.ledger.reading import read_entries
from tests.ledger.world import World, entry
from tests.peers.ports import Process, until

ROUNDS = 4
AT_LEAST = 25
"""Appends that a program makes before it may be killed; it has made some more by then."""


def writer(world, name):
    words = [sys.executable, "-m", "tests.ledger.writing_process", world.folder]
    if world.server is not None:
        words += [world.server.folder, world.server.user, world.database.schema]
    return Process(words, folder=world.folder, name=name, env={"PYTHONPATH": ":".join(sys.path)})


def said(process):
    """What it said to be durable; a line that the kill tore is no word of it."""
    return [line for line in process.output.splitlines() if len(line) == 64]


def reopened(world):
    """The log, opened for writing once the killed program's lease is given back."""

    def opened():
        try:
            return world.ledger()
        except Unavailable:
            return None

    return until(opened, seconds=30, what="the lease of a killed program is given back")


def verified(world, **more):
    return verify(Places(ledger=world.database, vkey=world.key.vkey(), **more))


def test_what_a_killed_program_said_to_be_durable_is_in_a_log_that_verifies(world):
    told = []
    for round_ in range(ROUNDS):
        process = writer(world, f"writer-{round_}")
        until(lambda p=process: len(said(p)) >= AT_LEAST or not p.alive, seconds=60, what="the program appends")
        process.signal(signal.SIGKILL)
        told += said(process)
        assert len(told) >= AT_LEAST * (round_ + 1), process.output
        ledger = reopened(world)
        ledger.append_blocking(entry(what="a person looked"))
        ledger.close()

    leaves = [each.leaf for each in read_entries(world.database)]
    assert set(told) <= set(leaves)
    assert [leaf for leaf in leaves if leaf in set(told)] == told
    assert verified(world).counts == {}


def test_an_anchor_taken_before_a_kill_is_a_beginning_of_the_log_after_it(world, tmp_path):
    anchor = DirectoryAnchor(tmp_path / "anchor")
    process = writer(world, "writer")
    until(lambda: len(said(process)) >= AT_LEAST or not process.alive, seconds=60, what="the program appends")
    process.signal(signal.SIGKILL)
    ledger = reopened(world)
    anchor.ship(ledger.newest_checkpoint())
    ledger.append_blocking(entry())

    found = verified(world, anchors=(anchor.path,))
    assert found.counts == {}
    assert found.anchored_size == found.size - 1


def test_two_programs_write_two_logs_in_one_database_at_once_and_both_verify(postgres, tmp_path):
    worlds = []
    with ExitStack() as stack:
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            worlds.append(World(tmp_path / name, postgres))
        running = [stack.enter_context(writer(world, "writer")) for world in worlds]
        for process in running:
            until(lambda p=process: len(said(p)) >= 4 * AT_LEAST or not p.alive, seconds=60, what="both append")
        assert all(process.alive for process in running), running[0].output + running[1].output

    for world, process in zip(worlds, running, strict=True):
        leaves = [each.leaf for each in read_entries(world.database)]
        assert leaves[: len(said(process))] == said(process)
        assert verified(world).counts == {}
        assert {each.log_id for each in read_entries(world.database)} == {world.key.log_id}
