"""The ledger for tests accuses whoever tells it what no log may hold."""

import pytest

from callrec.core.kinds import Kind
from callrec.ledger.memory import MemoryLedger
from tests.ledger.world import HandClock, entry


@pytest.fixture
def ledger():
    return MemoryLedger(HandClock())


async def tell(ledger, kind, uid="c", segment=0, **fields):
    return (await ledger.append(entry(kind, uid, segment, **fields), timeout_s=1)).leaf


async def proven(ledger, uid="c"):
    offered = await tell(ledger, Kind.CALL_OFFERED, uid)
    answered = await tell(ledger, Kind.CALL_ANSWERED, uid, offered_leaf=offered)
    return await tell(ledger, Kind.NOTICE_PROVEN, uid, offered_leaf=offered, answered_leaf=answered)


async def test_a_whole_recording_is_taken(ledger):
    leaf = await proven(ledger)
    started = await tell(ledger, Kind.RECORDING_STARTED, proven_leaves=[leaf])
    await tell(ledger, Kind.RECORDING_SEALED, started_leaf=started)
    assert [e.kind for e in ledger.of(Kind.RECORDING_SEALED)] == ["recording.sealed"]


@pytest.mark.parametrize("leaves", [[], ["ab" * 32]])
async def test_a_recording_without_proof_is_accused(ledger, leaves):
    with pytest.raises(AssertionError):
        await tell(ledger, Kind.RECORDING_STARTED, proven_leaves=leaves)


async def test_a_proof_used_twice_is_accused(ledger):
    leaf = await proven(ledger)
    await tell(ledger, Kind.RECORDING_STARTED, proven_leaves=[leaf])
    with pytest.raises(AssertionError, match="before"):
        await tell(ledger, Kind.RECORDING_STARTED, proven_leaves=[leaf])


async def test_a_proof_of_another_call_or_segment_is_accused(ledger):
    leaf = await proven(ledger)
    with pytest.raises(AssertionError):
        await tell(ledger, Kind.RECORDING_STARTED, "d", proven_leaves=[leaf])
    with pytest.raises(AssertionError, match="segment"):
        await tell(ledger, Kind.RECORDING_STARTED, segment=1, proven_leaves=[leaf])


async def test_a_link_to_nothing_is_accused(ledger):
    with pytest.raises(AssertionError):
        await tell(ledger, Kind.RECORDING_SEALED, started_leaf="ab" * 32)


async def test_a_note_that_fails_is_set_aside(ledger):
    ledger.fail = True
    await ledger.note(entry(what="kept"))
    assert [e.body["what"] for e in ledger.journal] == ["kept"]
