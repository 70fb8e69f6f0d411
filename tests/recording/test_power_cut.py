"""The power goes at every moment of a recording's life, and what was not synced is gone or torn.

What was acknowledged is there afterwards, whole and once; ledger and index say nothing of which the disk does not hold
what they say; what was destroyed stays destroyed. A kill of the process alone is tried in `test_salvage` and by chaos.
"""

import random
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from callrec.core.kinds import Kind
from callrec.errors import Broken, Unavailable
from callrec.ledger.entry import read
from callrec.ledger.memory import MemoryLedger
from callrec.ledger.merkle import leaf_hash
from callrec.recording.mover import Mover
from callrec.recording.salvage import Outcome, salvage
from callrec.recording.spool import Spool
from callrec.store.filesystem import FilesystemStore, create_store
from callrec.store.keys import FileKeyRing, create_keeper_keys
from tests.recording.handing import Finder, House, StoppedClock
from tests.recording.powercut import Disk, Loss, watched
from tests.store.builders import a_door

SEED = 20260301


class HouseOnDisk(House):
    """Spool, store and wrapped keys under `disk`; what is in memory under `memory`. The ledger syncs by itself."""

    def __init__(self, disk, memory, *, ring, ledger):
        memory.mkdir()
        self.spool = Spool(disk / "spool", memory, reserve_s=2)
        self.ring, self.ledger = ring, ledger
        self.finder = Finder(ledger)
        self.store = FilesystemStore(disk / "store", admission=a_door(self.finder))
        self.told, self.kept, self.pauses = [], [], []

    def mover(self, on_kept=None):
        return Mover(self.spool, self.store, self.ledger, self.finder, notify=self.told.append, on_kept=on_kept)


class Watched(MemoryLedger):
    """Says on the disk's log when an entry became durable."""

    disk = None

    def _take(self, entry):
        receipt = super()._take(entry)
        if self.disk is not None:
            self.disk.note("ledger", len(self.entries))
        return receipt


def as_it_was(ledger, size):
    """The ledger with its first entries, to go on from there."""
    earlier = MemoryLedger(StoppedClock())
    earlier.log_id = ledger.log_id
    for body in ledger.bodies[:size]:
        earlier._frontier.append(leaf_hash(body))
        earlier.bodies.append(body)
        earlier.entries.append(read(body))
    return earlier


async def a_life(house, disk):
    """Two recordings that are kept, one of which is destroyed then; a third that waits, a fourth that is live."""
    house.ledger.disk = disk
    mover = house.mover(on_kept=lambda sealed, _kept, leaf: disk.note("index", (sealed.recording_id, leaf)))
    for segment in range(3):
        sealed = await house.recorded(segment)
        disk.note("acknowledged", (sealed.recording_id, sealed.cipher_sha256))
        if segment < 2:
            await mover.hand_over(sealed.recording_id)
    first = house.ledger.of(Kind.RECORDING_KEPT)[0]
    destroyed = f"{first.call_uid}-{first.segment}"
    disk.note("destroying", destroyed)
    await house.store.destroy(destroyed)
    disk.note("destroyed", destroyed)
    await mover.announce(sealed)


class AfterTheCut:
    """The house as it is found, before and after it settled."""

    def __init__(self, house, disk, cut):
        self.house = house
        self.acknowledged = dict(disk.notes(cut, "acknowledged"))
        self.index = disk.notes(cut, "index")
        self.doomed = set(disk.notes(cut, "destroying"))
        self.destroyed = set(disk.notes(cut, "destroyed"))

    async def expect_nothing_ahead_of_the_disk(self):
        """Each kept recording is in the store as the ledger says, each sealed one there or in the spool."""
        kept = {entry.leaf: entry for entry in self.house.ledger.of(Kind.RECORDING_KEPT)}
        for recording_id, leaf in self.index:
            assert leaf in kept, f"the index holds {recording_id}, and the ledger does not say that it is kept"
        for entry in kept.values():
            await self._expect_held(f"{entry.call_uid}-{entry.segment}", entry.body["readback_sha256"])
        for entry in self.house.ledger.of(Kind.RECORDING_SEALED):
            name = f"{entry.call_uid}-{entry.segment}"
            if not self.house.spool.ready(name).exists():
                await self._expect_held(name, entry.body["cipher_sha256"])

    async def _expect_held(self, name, cipher_sha256):
        if name not in self.doomed:
            held = await self.house.store.stat(name)
            assert held is not None, f"{name} is not in the store"
            assert held.cipher_sha256 == cipher_sha256, name

    async def settle(self):
        """What an agent does at its start."""
        for found in salvage(self.house.spool):
            assert found.outcome in (Outcome.PARKED, Outcome.LOST, Outcome.DISCARDED), found
            assert found.recording_id not in self.acknowledged, found
        await self.house.store.clear_unfinished()
        await self.house.mover().sweep()

    async def expect_all_there_whole_and_once(self):
        for name, cipher_sha256 in self.acknowledged.items():
            await self._expect_held(name, cipher_sha256)
        assert self.house.spool.ids_in("corrupt") == self.house.spool.ready_ids() == ()
        for kind in (Kind.RECORDING_SEALED, Kind.RECORDING_KEPT):
            said = [(entry.call_uid, entry.segment) for entry in self.house.ledger.of(kind)]
            assert len(said) == len(set(said)) >= len(self.acknowledged)

    async def expect_the_destroyed_to_stay_so(self):
        for name in self.destroyed:
            assert await self.house.store.stat(name) is None
            with pytest.raises(Unavailable):
                await self.house.store.wrapped_key(name)


@pytest.fixture
def memory():
    """A folder in memory: thousands of syncs cost nothing there."""
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="callrec-cut-") as folder:
        yield Path(folder)


@dataclass(frozen=True, slots=True)
class Lived:
    """A life, written down, and what is needed to go on after it was cut."""

    disk: Disk
    ledger: MemoryLedger
    ring: FileKeyRing
    memory: Path

    async def expect_the_promises_whenever_it_is_cut(self):
        """At every moment, whatever becomes of what was not synced."""
        dice = random.Random(SEED)
        for cut in range(len(self.disk.log) + 1):
            for loss in Loss:
                where = f"cut {cut} of {len(self.disk.log)} ({loss.value}), after {self.disk.log[max(0, cut - 1)]}"
                found = self.memory / "found"
                self.disk.found_after(cut, loss, found, dice=dice)
                try:
                    await self._expect_the_promises(cut, found)
                except (AssertionError, Broken, Unavailable) as error:
                    raise AssertionError(f"{where:.400}: {error}") from error
                finally:
                    shutil.rmtree(found)

    async def _expect_the_promises(self, cut, found):
        ledger = as_it_was(self.ledger, max(self.disk.notes(cut, "ledger"), default=0))
        after = AfterTheCut(HouseOnDisk(found, found / "run", ring=self.ring, ledger=ledger), self.disk, cut)
        await after.expect_nothing_ahead_of_the_disk()
        await after.settle()
        await after.expect_all_there_whole_and_once()
        await after.expect_the_destroyed_to_stay_so()


@pytest.fixture
async def lived(tmp_path, memory):
    for name in ("disk", "disk/spool"):
        (memory / name).mkdir()
    create_store(memory / "disk/store")
    ring, ledger = FileKeyRing(create_keeper_keys(tmp_path).public), Watched(StoppedClock())
    house = HouseOnDisk(memory / "disk", memory / "run", ring=ring, ledger=ledger)
    with watched(memory / "disk") as disk:
        await a_life(house, disk)
    assert not house.told
    return Lived(disk=disk, ledger=ledger, ring=ring, memory=memory)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_whenever_the_power_goes_nothing_is_lost_and_nothing_is_said_that_is_not_so(lived):
    await lived.expect_the_promises_whenever_it_is_cut()

    assert len(lived.disk.notes(len(lived.disk.log), "acknowledged")) == 3


@pytest.mark.parametrize("forgotten", ["sync", "sync names"])
async def test_a_writer_that_forgot_to_sync_would_be_found_out(lived, forgotten):
    lived.disk.log[:] = [change for change in lived.disk.log if change.kind != forgotten]

    with pytest.raises(AssertionError, match="cut"):
        await lived.expect_the_promises_whenever_it_is_cut()
