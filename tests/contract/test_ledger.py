"""What every ledger promises to those who write to it (callrec.ports.Ledger), asked of each one."""

import asyncio

import pytest

from callrec.core.kinds import Kind
from callrec.errors import Unavailable
from callrec.ledger.memory import MemoryLedger
from callrec.ledger.reading import read_entries
from tests.ledger.world import HandClock, World, entry


class OfTables:
    def __init__(self, folder, server=None):
        self.world = World(folder, server)
        self.ledger = self.world.ledger()

    def hang(self):
        self.world.fault.hold()

    def fail(self):
        self.world.fault.error = "disk I/O error"

    def recover(self):
        self.world.fault.error = None
        self.world.fault.release()
        assert self.ledger.wait_writable(20)

    def entries(self):
        return list(read_entries(self.world.database))

    def close(self):
        self.world.close()


class Memory:
    def __init__(self, folder):
        self.ledger = MemoryLedger(HandClock())
        self.hang, self.recover = self.ledger.hang, self.ledger.recover

    def fail(self):
        self.ledger.fail = True

    def entries(self):
        return self.ledger.entries

    def close(self):
        pass


HOUSES = {
    "sqlite": lambda folder, _: OfTables(folder),
    "postgres": lambda folder, ask: OfTables(folder, ask("postgres")),
    "memory": lambda folder, _: Memory(folder),
}


@pytest.fixture(params=HOUSES)
def house(request, tmp_path):
    house = HOUSES[request.param](tmp_path, request.getfixturevalue)
    yield house
    house.close()


async def test_a_receipt_says_where_the_entry_stands(house):
    receipt = await house.ledger.append(entry(Kind.CHOICE_MADE, call_uid="c", segment=3), timeout_s=5)
    stored = house.entries()[receipt.seq]
    assert (receipt.kind, receipt.call_uid, receipt.segment) == (Kind.CHOICE_MADE, "c", 3)
    assert (stored.leaf, stored.kind, stored.call_uid, stored.segment) == (receipt.leaf, "choice.made", "c", 3)
    assert receipt.boottime_ns >= stored.boottime_ns


async def test_places_are_given_without_gaps_to_all_who_append_at_once(house):
    receipts = await asyncio.gather(*(house.ledger.append(entry(what=str(n)), timeout_s=20) for n in range(50)))
    assert sorted(receipt.seq for receipt in receipts) == list(range(50))
    for n, receipt in enumerate(receipts):
        assert house.entries()[receipt.seq].body["what"] == str(n)


async def test_each_entry_names_the_one_before(house):
    for _ in range(3):
        await house.ledger.append(entry(), timeout_s=5)
    entries = house.entries()
    assert [e.prev for e in entries[1:]] == [e.leaf for e in entries[:-1]]


async def test_the_same_fact_again_is_a_second_entry(house):
    first = await house.ledger.append(entry(), timeout_s=5)
    second = await house.ledger.append(entry(), timeout_s=5)
    assert (first.seq, second.seq) == (0, 1)
    assert first.leaf != second.leaf


async def test_a_missing_field_is_a_mistake_of_the_program(house):
    bad = entry(Kind.NOTICE_PROVEN)
    del bad.body["evidence_sha256"]
    with pytest.raises(ValueError, match="evidence_sha256"):
        await house.ledger.append(bad, timeout_s=5)
    with pytest.raises(ValueError, match="evidence_sha256"):
        await house.ledger.note(bad)
    assert house.entries() == []


async def test_a_ledger_that_hangs_is_unavailable_after_the_timeout_and_says_so_to_the_next(house):
    assert house.ledger.writable()
    house.hang()
    with pytest.raises(Unavailable):
        await house.ledger.append(entry(), timeout_s=0.05)
    assert not house.ledger.writable()
    await asyncio.to_thread(house.recover)
    assert house.ledger.writable()
    await house.ledger.append(entry(), timeout_s=5)


async def test_a_note_outlives_a_ledger_that_fails(house):
    house.fail()
    assert await house.ledger.note(entry(), timeout_s=5) is None
    assert not house.ledger.writable()


async def test_an_append_to_a_ledger_that_fails_raises(house):
    house.fail()
    with pytest.raises(Unavailable):
        await house.ledger.append(entry(), timeout_s=5)
    assert house.entries() == []
