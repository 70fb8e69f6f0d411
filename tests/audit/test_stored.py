"""A store without a folder is held against the ledger as one of files is: what is altered, gone, or more, is found."""

import asyncio
import json
from dataclasses import replace

import pytest

from callrec._canonical import sha256_hex
from callrec.audit.findings import Findings
from callrec.audit.stored import StoredObjects
from callrec.audit.verify import Places
from callrec.disposal.register import Standing
from callrec.errors import Unavailable
from callrec.store.admission import UnsafeAdmitEverything
from callrec.store.memory import MemoryStore
from tests.store.builders import a_sealed


@pytest.fixture
def store(tmp_path):
    store = MemoryStore(admission=UnsafeAdmitEverything())
    store.accuse = lambda: None  # whoever runs the store alters what it holds
    for segment in (0, 1):
        asyncio.run(store.put(a_sealed(tmp_path, segment=segment)))
    return store


def standings(store):
    """As the ledger tells of both, before anybody altered anything."""
    return {
        name: Standing(
            recording_id=name,
            call_uid=name.partition("-")[0],
            segment=int(name[-1]),
            line="advice",
            started_utc="",
            cipher_sha256=held.kept.cipher_sha256,
            manifest_sha256=sha256_hex(held.manifest),
            kept=True,
            kept_seq=7,
        )
        for name, held in store.held.items()
    }


def found(store, told, *, under_way=frozenset(), between=lambda: None):
    objects, findings = StoredObjects(lambda: store, "memory"), Findings()
    objects.look()
    between()
    objects.check(findings, told, under_way)
    return [(one.check, one.sentence) for one in findings.found], findings.open


def alter(store, name, **change):
    store.held[name] = replace(store.held[name], **change)


def test_what_is_as_it_was_sealed_leaves_nothing_to_find(store):
    assert found(store, standings(store)) == ([], [])


def test_audio_and_manifest_that_were_altered_are_found(store):
    told = standings(store)
    first, second = sorted(told)
    alter(store, first, audio=b"other words")
    manifest = json.loads(store.held[second].manifest)
    alter(store, second, manifest=json.dumps(manifest | {"line": "other"}).encode())

    wrong = [
        (11, f"the audio of {first} is not the one that was sealed"),
        (11, f"the manifest of {second} is not the one that was sealed"),
    ]
    assert found(store, told) == (wrong, [])


def test_what_is_gone_what_is_more_and_what_was_certified_as_destroyed_and_is_there_are_found(store):
    told = standings(store)
    first, second = sorted(told)
    told[second].done_leaf = "d" * 64
    asyncio.run(store.destroy(first))
    other = told.pop(first)

    assert found(store, {**told, first: other})[0] == [
        (11, f"{second} was certified as destroyed, and its audio is there"),
        (11, f"the object {first} is gone from the store without a certificate"),
    ]
    assert found(store, {})[0] == [(12, f"{second} is stored, and no entry sealed it")]


def test_a_disposal_that_was_begun_is_open_and_what_an_agent_adds_meanwhile_is_nothing(store, tmp_path):
    told = standings(store)
    first = min(told)
    asyncio.run(store.destroy(first))

    def agent_goes_on():
        asyncio.run(store.put(a_sealed(tmp_path, segment=2)))

    wrong, still_open = found(store, told, under_way=frozenset({first}), between=agent_goes_on)
    assert wrong == []
    assert len(still_open) == 1


def test_a_store_that_is_away_is_no_clean_bill(store):
    async def away():
        raise Unavailable("the store cannot be reached")
        yield

    store.ids = away
    with pytest.raises(Unavailable):
        StoredObjects(lambda: store, "memory").look()


# ---------------------------------------------------------------- what a question asks of it


def asked(store, **more):
    return Places(ledger=None, objects=StoredObjects(lambda: store, "the memory"), **more)


def test_a_store_says_by_its_contract_what_is_left_of_a_recording(store):
    first, second = sorted(store.held)
    stored = asked(store).stored()
    asyncio.run(store.destroy(first))

    assert list(stored.left_of(first)) == []
    assert list(stored.left_of(second)) == ["its audio is still in the store", "its wrapped key is still there"]
    assert stored.manifests(sorted(store.held)).keys() == {first, second}
    assert stored.manifest(second) == store.held[second].manifest
    assert not stored.holds(first)
    assert not stored.holds("never-there-0")


def test_a_store_that_went_away_is_not_one_from_which_everything_was_destroyed(store):
    first = min(store.held)
    stored = asked(store).stored()

    def away(*_):
        raise Unavailable("the store cannot be reached", next_step="wait")

    async def away_later(*_):
        away()

    store.require_fit, store.wrapped_key, store.stat, store.manifest = away, away_later, away_later, away_later
    asyncio.run(store.destroy(first))
    for ask in (lambda: list(stored.left_of(first)), lambda: stored.holds(first), lambda: stored.manifests([first])):
        with pytest.raises(Unavailable):
            ask()


def test_a_manifest_that_contradicts_itself_is_left_out_and_the_others_are_there(store):
    first, second = sorted(store.held)
    alter(store, first, manifest=b"[]")

    assert asked(store).stored().manifests([first, second]).keys() == {second}
