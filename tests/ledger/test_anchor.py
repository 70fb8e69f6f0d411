"""Checkpoints that somebody else holds: shipped on time, never replaced, and compared at every start."""

import asyncio
import shutil
import sys
import threading

import pytest

from callrec import places, wiring
from callrec.agent.agent import ANCHOR_S
from callrec.core.kinds import Kind
from callrec.errors import Broken, Unavailable
from callrec.ledger.anchor import (
    COMMAND_S,
    AnchorShipper,
    CommandAnchor,
    DirectoryAnchor,
    PrefixGate,
    check_prefix,
    newest,
)
from callrec.ledger.checkpoint import verify
from callrec.ledger.reading import open_log, read_entries
from tests.cli.house import House
from tests.ledger.world import World, entry
from tests.peers.ports import until

SECOND = 1_000_000_000


@pytest.fixture
def anchor(tmp_path):
    return DirectoryAnchor(tmp_path / "anchors")


def checked(world, *anchors):
    with open_log(world.database) as log:
        return check_prefix(log, anchors, world.key)


async def test_the_newest_checkpoint_is_shipped_when_due_and_told_to_the_ledger(world, anchor):
    ledger = world.ledger()
    shipper = AnchorShipper(ledger, [anchor], every_s=60)
    await ledger.append(entry(), timeout_s=5)
    assert await shipper.ship(0)
    await ledger.append(entry(), timeout_s=5)
    assert not await shipper.ship(59 * SECOND)
    assert await shipper.ship(60 * SECOND)
    assert [path.name for path in sorted(anchor.path.iterdir())] == [
        "0000000000000001.checkpoint",
        "0000000000000003.checkpoint",
    ]
    told = [e for e in read_entries(world.database) if e.kind == Kind.CHECKPOINT_SHIPPED.value]
    assert [e.body["size"] for e in told] == [1, 3]


async def test_shipping_alone_is_no_reason_to_ship_again(world, anchor):
    ledger = world.ledger()
    shipper = AnchorShipper(ledger, [anchor], every_s=1)
    await ledger.append(entry(), timeout_s=5)
    assert await shipper.ship(0)
    assert not await shipper.ship(100 * SECOND)


async def test_entries_say_what_was_anchored_before_them(world, anchor):
    ledger = world.ledger()
    await ledger.append(entry(), timeout_s=5)
    await AnchorShipper(ledger, [anchor]).ship(0)
    ledger.close()
    await world.ledger().append(entry(), timeout_s=5)
    first, shipped, after = read_entries(world.database)
    assert (first.anchor_size, shipped.anchor_size, after.anchor_size) == (0, 0, 1)
    assert after.anchor_root == shipped.body["root"]


async def test_an_anchor_that_cannot_be_written_is_said_and_tried_again(world, tmp_path):
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder should be")
    ledger = world.ledger()
    await ledger.append(entry(), timeout_s=5)
    shipper = AnchorShipper(ledger, [DirectoryAnchor(blocked)])
    with pytest.raises(Unavailable):
        await shipper.ship(0)
    blocked.unlink()
    assert await shipper.ship(1)


async def test_a_log_that_went_on_from_its_anchor_is_what_it_was(world, anchor):
    ledger = world.ledger()
    for _ in range(5):
        await ledger.append(entry(), timeout_s=5)
    anchor.ship(ledger.newest_checkpoint())
    await ledger.append(entry(), timeout_s=5)
    assert checked(world, anchor).size == 5


async def test_nothing_anchored_is_said_as_nothing(world, anchor):
    assert checked(world, anchor) is None
    anchor.ship(world.ledger().newest_checkpoint())
    assert checked(world, anchor).size == 0


async def test_a_log_put_back_from_an_old_copy_is_broken(world, anchor):
    first = world.ledger()
    await first.append(entry(), timeout_s=5)
    first.close()
    old = world.backup()
    second = world.ledger()
    await second.append(entry(), timeout_s=5)
    anchor.ship(second.newest_checkpoint())
    second.close()
    world.restore(old)
    with pytest.raises(Broken, match="shorter than the 2 entries"):
        checked(world, anchor)
    await world.ledger().append(entry(what="another story"), timeout_s=5)
    with pytest.raises(Broken, match="first 2 entries are not those"):
        checked(world, anchor)


async def test_a_checkpoint_is_never_replaced_by_another_of_its_size(world, anchor, tmp_path):
    (tmp_path / "other").mkdir()
    other = World(tmp_path / "other")
    anchor.ship(world.ledger().newest_checkpoint())
    anchor.ship(note_of(world))
    with pytest.raises(Broken, match="another checkpoint of the same size"):
        anchor.ship(note_of(other))


def note_of(world):
    with open_log(world.database) as log:
        return log.newest_note()


async def test_anchors_of_another_log_and_forks_are_broken(world, anchor, tmp_path):
    (tmp_path / "other").mkdir()
    other = World(tmp_path / "other")
    anchor.ship(note_of(other))
    with pytest.raises(Broken, match="not of"):
        newest([anchor], world.key)


# ---------------------------------------------------------------- on a schedule


async def test_at_most_a_minute_of_entries_is_held_by_nobody_else(world, anchor):
    """The agent asks every 15 s; an entry may come right after any shipment."""
    ledger = world.ledger()
    shipper = AnchorShipper(ledger, [anchor])
    shipped_at, longest = 0, 0
    for second in range(0, 1200, int(ANCHOR_S)):
        await ledger.append(entry(), timeout_s=5)
        if await shipper.ship(second * SECOND):
            longest, shipped_at = max(longest, second - shipped_at), second

    assert longest > 0
    assert longest + 2 * COMMAND_S <= 70
    assert longest <= 60


async def test_an_anchor_that_fails_holds_up_no_other(world, anchor, tmp_path):
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder should be")
    ledger = world.ledger()
    shipper = AnchorShipper(ledger, [DirectoryAnchor(blocked), anchor])
    await ledger.append(entry(), timeout_s=5)
    with pytest.raises(Unavailable):
        await shipper.ship(0)
    assert len(anchor.notes()) == 1
    blocked.unlink()
    assert await shipper.ship(1)
    assert len(anchor.notes()) == 1
    assert len(DirectoryAnchor(blocked).notes()) == 1


async def test_an_anchor_that_hangs_is_left_behind_and_asked_again_when_it_answers(world, anchor):
    class Hanging(DirectoryAnchor):
        let_go, asked = threading.Event(), 0

        def ship(self, note):
            Hanging.asked += 1
            assert self.let_go.wait(60)
            super().ship(note)

    hanging = Hanging(anchor.path.with_name("hanging"))
    ledger = world.ledger()
    shipper = AnchorShipper(ledger, [hanging, anchor], timeout_s=0.05)
    await ledger.append(entry(), timeout_s=5)
    for now in (0, 1):
        with pytest.raises(Unavailable, match="hanging did not answer"):
            await shipper.ship(now)
    assert len(anchor.notes()) == 1
    assert Hanging.asked == 1
    Hanging.let_go.set()
    assert await asyncio.to_thread(until, hanging.notes, seconds=30, what="the checkpoint that hung")


# ---------------------------------------------------------------- a program


PROGRAM = """
import pathlib, sys
held = pathlib.Path(sys.argv[1])
if sys.argv[2] == "put":
    held.write_bytes(sys.stdin.buffer.read())
elif held.exists():
    sys.stdout.buffer.write(held.read_bytes())
"""


@pytest.fixture
def carried(tmp_path):
    program = tmp_path / "carry.py"
    program.write_text(PROGRAM)
    return CommandAnchor(tmp_path / "copies", [sys.executable, "-S", program, tmp_path / "far-away"], timeout_s=30)


async def test_a_program_carries_checkpoints_away_and_brings_back_the_newest(world, carried):
    ledger = world.ledger()
    await ledger.append(entry(), timeout_s=5)
    assert carried.notes() == []
    assert await AnchorShipper(ledger, [carried], timeout_s=60).ship(0)
    note = carried.notes()[-1]
    assert verify(note, world.key).size == 1
    assert checked(world, carried).size == 1


async def test_a_log_put_back_is_found_by_the_program_though_its_copies_are_gone(world, carried):
    ledger = world.ledger()
    ledger.close()
    old = world.backup()
    ledger = world.ledger()
    await ledger.append(entry(), timeout_s=5)
    carried.ship(ledger.newest_checkpoint())
    ledger.close()
    shutil.rmtree(carried._copies.path)
    world.restore(old)
    with pytest.raises(Broken, match="shorter than the 1 entries"):
        checked(world, carried)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["no-such-program"], "cannot be started"),
        ([sys.executable, "-S", "-c", "raise SystemExit(3)"], "ended with status 3"),
        ([sys.executable, "-S", "-c", "import threading; threading.Event().wait(99)"], "took over 0.5 s"),
    ],
)
def test_a_program_that_fails_is_said_and_keeps_no_copy(world, tmp_path, words, told):
    anchor = CommandAnchor(tmp_path / "copies", words, timeout_s=0.5 if "took" in told else 30)
    with pytest.raises(Unavailable, match=told):
        anchor.ship(note_of(world))
    assert not (tmp_path / "copies").exists()


# ---------------------------------------------------------------- at a start


def gate_of(world, *anchors):
    gate = PrefixGate(world.database, anchors, world.key)
    gate.look()
    return gate


async def test_a_ledger_that_its_anchor_contradicts_is_broken_for_good_and_nothing_more_is_shipped(world, anchor):
    first = world.ledger()
    first.close()
    old = world.backup()
    second = world.ledger()
    await second.append(entry(), timeout_s=5)
    anchor.ship(second.newest_checkpoint())
    second.close()
    world.restore(old)

    gate = gate_of(world, anchor)
    third = world.ledger()
    for _ in range(3):
        await third.append(entry(what="another story"), timeout_s=5)

    assert gate.why.startswith("Broken: the ledger is shorter than the 1 entries anchored outside")
    with pytest.raises(Unavailable, match="nothing is shipped: Broken"):
        await AnchorShipper(third, [anchor], gate=gate).ship(0)
    assert len(anchor.notes()) == 1
    shutil.rmtree(anchor.path)
    gate.look()
    assert gate.broken


async def test_an_anchor_that_is_away_holds_recording_back_until_it_answers(world, anchor):
    ledger = world.ledger()
    await ledger.append(entry(), timeout_s=5)
    await AnchorShipper(ledger, [anchor]).ship(0)
    await ledger.append(entry(), timeout_s=5)
    away = anchor.path.with_name("unmounted")
    anchor.path.rename(away)

    gate = gate_of(world, anchor)
    assert "no anchor holds anything now" in gate.why
    assert not gate.broken
    away.rename(anchor.path)
    assert await AnchorShipper(ledger, [anchor], gate=gate).ship(10**12)

    assert gate.open


def test_an_agent_on_an_old_backup_says_broken_and_records_nothing(tmp_path):
    house = House(tmp_path)
    path = house.config.ledger.database
    old = path.read_bytes()
    house.append(Kind.INCIDENT, what="x", reason="x")
    (anchor,) = places.anchors(house.config)
    with open_log(path) as log:
        anchor.ship(log.newest_note())
        key = log.key()
    path.write_bytes(old)

    gate = PrefixGate(path, places.anchors(house.config), key)
    reason, why = wiring._standing_obstacle(house.config, gate, allow_unsafe_memory=True)()

    assert reason.value == "LEDGER_UNAVAILABLE"
    assert why.startswith("Broken: the ledger is shorter than")
