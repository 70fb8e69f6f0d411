"""Checkpoints that somebody else holds: shipped on time, never replaced, and compared at every start."""

import pytest

from callrec.core.kinds import Kind
from callrec.errors import Broken, Unavailable
from callrec.ledger.anchor import AnchorShipper, DirectoryAnchor, check_prefix, newest
from callrec.ledger.reading import open_log, read_entries
from tests.ledger.world import World, entry

SECOND = 1_000_000_000


@pytest.fixture
def anchor(tmp_path):
    return DirectoryAnchor(tmp_path / "anchors")


def checked(world, *anchors):
    with open_log(world.path) as log:
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
    told = [e for e in read_entries(world.path) if e.kind == Kind.CHECKPOINT_SHIPPED.value]
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
    first, shipped, after = read_entries(world.path)
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
    old = world.path.read_bytes()
    second = world.ledger()
    await second.append(entry(), timeout_s=5)
    anchor.ship(second.newest_checkpoint())
    second.close()
    world.path.write_bytes(old)
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
    with open_log(world.path) as log:
        return log.newest_note()


async def test_anchors_of_another_log_and_forks_are_broken(world, anchor, tmp_path):
    (tmp_path / "other").mkdir()
    other = World(tmp_path / "other")
    anchor.ship(note_of(other))
    with pytest.raises(Broken, match="not of"):
        newest([anchor], world.key)
