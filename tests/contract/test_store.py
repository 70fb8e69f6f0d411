"""The contract of RecordingStore, run over every store. A new store is one more row of STORES."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from callrec._canonical import canonical
from callrec.errors import Broken, Refused, Unavailable
from callrec.store.admission import UnsafeAdmitEverything
from callrec.store.filesystem import FilesystemStore, create_store
from callrec.store.memory import MemoryStore
from callrec.store.retrying import RetryingStore
from tests.store.builders import (
    CALL,
    DAMAGES,
    WRAPPED,
    FailsAndLoses,
    FailsButKeeps,
    LedgerOf,
    a_door,
    a_sealed,
    damaged,
    no_pause,
)
from tests.store.s3 import a_store_that_locks_for_a_moment, destroy_once_unlocked


def filesystem(request, tmp_path, admission):
    create_store(tmp_path / "store")
    return FilesystemStore(tmp_path / "store", admission=admission)


def memory(request, tmp_path, admission):
    return MemoryStore(admission=admission)


def s3(request, tmp_path, admission):
    return a_store_that_locks_for_a_moment(request.getfixturevalue("ceph"), tmp_path, admission)


STORES = {
    "filesystem": filesystem,
    "memory": memory,
    "s3": s3,
    "retrying filesystem": lambda *args: RetryingStore(filesystem(*args), sleep=no_pause),
    "retrying memory": lambda *args: RetryingStore(memory(*args), sleep=no_pause),
    "retrying s3": lambda *args: RetryingStore(s3(*args), sleep=no_pause),
}
ALL = [pytest.param(name, marks=pytest.mark.ceph if name.endswith("s3") else ()) for name in STORES]
LATER = datetime.now(UTC).date() + timedelta(days=1)
OWN = [each for each in ALL if not each.values[0].startswith("retrying")]


@pytest.fixture(params=ALL)
def make(request, tmp_path):
    return lambda admission: STORES[request.param](request, tmp_path, admission)


@pytest.fixture
def store(make):
    return make(UnsafeAdmitEverything())


@pytest.fixture(params=OWN)
def own(request, tmp_path):
    return STORES[request.param](request, tmp_path, UnsafeAdmitEverything())


@pytest.fixture
def sealed(tmp_path):
    return a_sealed(tmp_path)


async def everything(store):
    return [recording_id async for recording_id in store.ids()]


async def audio(store, recording_id):
    return b"".join([piece async for piece in store.read(recording_id)])


async def test_what_was_put_is_held_as_it_was(store, sealed):
    kept = await store.put(sealed)

    assert kept.cipher_sha256 == sealed.cipher_sha256
    assert await store.stat(sealed.recording_id) == kept
    assert await audio(store, sealed.recording_id) == b"ciphertext" * 1000
    assert await store.manifest(sealed.recording_id) == sealed.manifest
    assert await everything(store) == [sealed.recording_id]


async def test_an_empty_store_holds_nothing(store):
    assert await everything(store) == []
    assert await store.stat(f"{CALL}-0") is None
    with pytest.raises(Unavailable):
        await store.manifest(f"{CALL}-0")
    with pytest.raises(Unavailable):
        await audio(store, f"{CALL}-0")


async def test_putting_the_same_again_changes_nothing(store, sealed):
    assert await store.put(sealed) == await store.put(sealed)
    assert await everything(store) == [sealed.recording_id]


async def test_the_same_put_many_times_at_once_is_one_object(store, sealed):
    kept = await asyncio.gather(*(store.put(sealed) for _ in range(8)))

    assert len(set(kept)) == 1
    assert await everything(store) == [sealed.recording_id]


async def test_ids_come_in_order(store, tmp_path):
    for segment in (2, 0, 1):
        await store.put(a_sealed(tmp_path, segment=segment))

    assert await everything(store) == [f"{CALL}-{segment}" for segment in range(3)]


async def test_another_content_under_the_same_id_is_broken_and_changes_nothing(store, sealed, tmp_path):
    kept = await store.put(sealed)

    with pytest.raises(Broken):
        await store.put(a_sealed(tmp_path, audio=b"other words", name="again"))
    with pytest.raises(Broken):
        await store.put(a_sealed(tmp_path, line="other line", name="and again"))

    assert await store.stat(sealed.recording_id) == kept
    assert await audio(store, sealed.recording_id) == b"ciphertext" * 1000


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_damaged_recording_is_broken_and_leaves_nothing(store, sealed, damage):
    with pytest.raises(Broken):
        await store.put(damaged(sealed, damage))

    assert await everything(store) == []
    assert await store.stat(sealed.recording_id) is None


async def test_a_hash_that_is_claimed_wrongly_is_broken(store, sealed):
    with pytest.raises(Broken):
        await store.put(replace(sealed, cipher_sha256="0" * 64))

    assert await everything(store) == []


@pytest.mark.parametrize("fault", [FailsAndLoses, FailsButKeeps])
async def test_a_put_that_failed_is_simply_repeated(store, sealed, fault):
    failing = fault(store)

    with pytest.raises(Unavailable):
        await failing.put(sealed)
    kept = await failing.put(sealed)

    assert await store.stat(sealed.recording_id) == kept
    assert await everything(store) == [sealed.recording_id]


@pytest.mark.parametrize("fault", [FailsAndLoses, FailsButKeeps])
async def test_a_retrying_store_hides_a_fault_that_passes(store, sealed, fault):
    retrying = RetryingStore(fault(store, times=3), attempts=4, sleep=no_pause)

    assert (await retrying.put(sealed)).cipher_sha256 == sealed.cipher_sha256


@pytest.mark.parametrize("recording_id", ["../outside", "", ".", "a/b", "a\0b", "x" * 300])
async def test_an_id_that_is_no_name_is_refused(own, recording_id):
    with pytest.raises(Refused):
        await own.stat(recording_id)
    with pytest.raises(Refused):
        await audio(own, recording_id)


async def test_a_recording_with_its_proof_is_admitted(make, sealed):
    assert (await make(a_door(LedgerOf(sealed))).put(sealed)).cipher_sha256 == sealed.cipher_sha256


async def test_the_store_itself_refuses_what_the_ledger_does_not_know(make, sealed):
    ledger = LedgerOf(sealed)
    ledger.entries.clear()
    store = make(a_door(ledger))

    with pytest.raises(Refused, match="the ledger holds no"):
        await store.put(sealed)

    assert await everything(store) == []


async def test_the_wrapped_key_is_held_and_can_be_wrapped_anew(own, sealed):
    await own.put(sealed)
    assert await own.wrapped_key(sealed.recording_id) == WRAPPED

    rotated = canonical({"key_id": "k" * 32, "for": "the next keeper"})
    await own.rewrapped(sealed.recording_id, rotated)

    assert await own.wrapped_key(sealed.recording_id) == rotated
    assert await own.put(sealed) == await own.stat(sealed.recording_id)


async def test_a_wrapping_of_another_key_is_refused(own, sealed):
    await own.put(sealed)

    with pytest.raises(Refused):
        await own.rewrapped(sealed.recording_id, canonical({"key_id": "other"}))

    assert await own.wrapped_key(sealed.recording_id) == WRAPPED


async def test_what_was_destroyed_is_gone_but_its_manifest(own, sealed):
    await own.put(sealed)

    await destroy_once_unlocked(own, sealed.recording_id)
    await own.destroy(sealed.recording_id)

    assert await everything(own) == []
    assert await own.stat(sealed.recording_id) is None
    assert await own.manifest(sealed.recording_id) == sealed.manifest
    for gone in (own.wrapped_key(sealed.recording_id), audio(own, sealed.recording_id)):
        with pytest.raises(Unavailable):
            await gone


async def test_what_was_destroyed_does_not_come_back(own, sealed):
    await own.put(sealed)
    await destroy_once_unlocked(own, sealed.recording_id)

    with pytest.raises(Refused, match="destroyed"):
        await own.put(sealed)

    assert await everything(own) == []


async def test_a_lock_that_is_asked_for_again_stays_as_it_was(own, sealed):
    kept = await own.put(sealed)

    said = await own.lock(sealed.recording_id, until=LATER, held=True)

    assert await own.lock(sealed.recording_id, until=LATER, held=True) == said
    assert (await own.lock(sealed.recording_id, until=None, held=False)).replace(", legal hold", "") == said.replace(
        ", legal hold", ""
    )
    assert (await own.stat(sealed.recording_id)).cipher_sha256 == kept.cipher_sha256


async def test_what_is_not_there_is_not_locked(own, sealed):
    with pytest.raises(Unavailable):
        await own.lock(sealed.recording_id, until=LATER, held=True)


async def test_only_what_was_destroyed_is_buried_and_once(own, sealed):
    await own.put(sealed)
    with pytest.raises(Refused, match="was not destroyed"):
        await own.bury(sealed.recording_id, b"here it was")

    await destroy_once_unlocked(own, sealed.recording_id)
    await own.bury(sealed.recording_id, b"here it was")
    await own.bury(sealed.recording_id, b"here it was")

    with pytest.raises(Refused, match="another tombstone"):
        await own.bury(sealed.recording_id, b"it never was")
