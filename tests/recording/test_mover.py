"""Handing over: whatever fails and however often it is repeated, the ledger says it once and nothing is lost."""

import asyncio
import os
from contextlib import suppress
from dataclasses import replace

import pytest

from callrec.core.kinds import Kind
from callrec.errors import Broken, Refused, Unavailable
from callrec.ports import AUDIO_FILE, MANIFEST_FILE
from callrec.recording.access import AccessGrant
from callrec.recording.manifest import sealed_body
from callrec.recording.mover import AT_ONCE, BACKOFF_FIRST_S, BACKOFF_MOST_S, Backoff
from callrec.recording.open import open_recording
from callrec.store.keys import unwrap
from tests.peers import ports
from tests.recording.builders import CALL
from tests.recording.handing import PCM, House
from tests.store.builders import FailsAndLoses, FailsButKeeps


@pytest.fixture
def house(tmp_path):
    return House(tmp_path)


async def test_a_sealed_recording_goes_into_the_store_and_out_of_the_spool(house):
    sealed = await house.recorded()

    kept = await house.mover().hand_over(sealed.recording_id)

    house.expect_handed_over_once()
    (entry,) = house.ledger.of(Kind.RECORDING_KEPT)
    assert entry.body["readback_sha256"] == kept.cipher_sha256 == sealed.cipher_sha256
    assert entry.body["sealed_leaf"] == house.ledger.of(Kind.RECORDING_SEALED)[0].leaf
    assert [(s.recording_id, k, leaf) for s, k, leaf in house.kept] == [(sealed.recording_id, kept, entry.leaf)]


async def test_the_keeper_hears_again_what_was_said(house):
    sealed = await house.recorded()
    await house.mover().hand_over(sealed.recording_id)

    grant = AccessGrant(recording_id=sealed.recording_id, purpose="audit", action="play", person="a test", leaf="")
    opened = await open_recording(
        grant,
        house.store,
        house.store,
        lambda wrapped: unwrap(wrapped, house.keeper.private),
        manifest_sha256=sealed.manifest_sha256,
    )

    assert opened.pcm == PCM
    with pytest.raises(Broken, match="not the one in the ledger"):
        await open_recording(grant, house.store, house.store, unwrap, manifest_sha256="0" * 64)


async def test_an_entry_that_the_shell_appended_is_not_appended_again(house):
    sealed = await house.recorded()
    await house.append(Kind.RECORDING_SEALED, 0, sealed_body(sealed))

    await house.mover().hand_over(sealed.recording_id)

    house.expect_handed_over_once()


async def test_a_call_and_a_sweep_that_announce_the_same_recording_at_once_say_it_once(house):
    """Another call's end wakes the mover while this one is between `ready` and its entry."""
    sealed, mover = await house.recorded(), house.mover()

    leaf, *_ = await asyncio.gather(mover.announce(sealed), mover.sweep(), mover.announce(sealed))

    house.expect_handed_over_once()
    assert [one.leaf for one in house.ledger.of(Kind.RECORDING_SEALED, CALL)] == [leaf]


async def test_the_ledger_is_not_asked_about_a_recording_that_this_process_sealed(house):
    sealed, mover, asked = await house.recorded(), house.mover(), []
    real = house.finder.find

    async def find(kind, call_uid, segment):
        asked.append(kind)
        return await real(kind, call_uid, segment)

    house.finder.find = find
    mover.expect(sealed.recording_id)
    await asyncio.gather(mover.announce(sealed), mover.sweep(), mover.announce(sealed))

    house.expect_handed_over_once()
    assert asked == []


@pytest.mark.parametrize("kept", [False, True], ids=["failed and lost", "failed but kept"])
@pytest.mark.parametrize("kind", [Kind.RECORDING_SEALED, Kind.STORE_INTENT, Kind.RECORDING_KEPT])
async def test_an_entry_of_ours_that_failed_is_asked_for_before_it_is_written_again(house, kind, kept):
    sealed, mover, real = await house.recorded(), house.mover(), house.ledger.append

    async def fails_once(entry, *, timeout_s):
        if entry.kind is not kind:
            return await real(entry, timeout_s=timeout_s)
        house.ledger.append = real
        if kept:
            await real(entry, timeout_s=timeout_s)
        raise Unavailable("the ledger did not answer", next_step="wait")

    house.ledger.append = fails_once
    mover.expect(sealed.recording_id)
    with pytest.raises(Unavailable):
        await mover.hand_over(sealed.recording_id)
    await mover.hand_over(sealed.recording_id)

    house.expect_handed_over_once()


async def test_a_call_that_announces_what_was_handed_over_meanwhile_says_it_no_more(house):
    sealed, mover = await house.recorded(), house.mover()
    await mover.sweep()

    with suppress(Unavailable):
        await mover.announce(sealed)

    house.expect_handed_over_once()
    assert not house.spool.ready(sealed.recording_id).exists()


@pytest.mark.parametrize("fault", [FailsAndLoses, FailsButKeeps])
async def test_a_failing_store_is_asked_until_it_answers_and_everything_is_said_once(house, fault):
    sealed = await house.recorded()
    gone, failing = house.watch_hand_off(), fault(house.store, times=3)
    mover = house.mover(failing)
    running = asyncio.create_task(mover.run())

    await asyncio.wait_for(gone.wait(), 10)
    running.cancel()

    house.expect_handed_over_once()
    assert len(house.pauses) == 3
    assert not mover.store_is_failing()
    assert await house.store.stat(sealed.recording_id)


class DiesAt:
    """The process ends at the n-th thing the mover does outside itself, before or after it happened."""

    def __init__(self, house, at, *, after):
        self.house, self.at, self.after, self.n = house, at, after, 0

    def wrap(self, monkeypatch):
        for owner, name in (
            (self.house.ledger, "append"),
            (self.house.store, "put"),
            (self.house.finder, "find"),
        ):
            monkeypatch.setattr(owner, name, self.dying(getattr(owner, name)))
        for name in ("note_sealed", "hand_off"):
            monkeypatch.setattr(self.house.spool, name, self.dying_blocking(getattr(self.house.spool, name)))

    def dying(self, real):
        async def step(*args, **kwargs):
            self.n += 1
            mine = self.n == self.at
            if mine and not self.after:
                raise asyncio.CancelledError
            answer = await real(*args, **kwargs)
            if mine:
                raise asyncio.CancelledError
            return answer

        return step

    def dying_blocking(self, real):
        def step(*args):
            self.n += 1
            mine = self.n == self.at
            if mine and not self.after:
                raise Unavailable("killed")
            real(*args)
            if mine:
                raise Unavailable("killed")

        return step


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, 11))
async def test_killed_at_any_step_the_next_start_finishes_and_says_everything_once(house, monkeypatch, at, after):
    sealed = await house.recorded()
    with monkeypatch.context() as patch:
        dying = DiesAt(house, at, after=after)
        dying.wrap(patch)
        with suppress(asyncio.CancelledError, Unavailable):
            await house.mover().hand_over(sealed.recording_id)
        assert dying.n >= min(at, 9)

    await house.mover().sweep()

    house.expect_handed_over_once()


async def test_many_recordings_are_all_handed_over(house):
    for segment in range(6):
        await house.recorded(segment)

    await house.mover().sweep()

    house.expect_handed_over_once(recordings=6)


@pytest.mark.parametrize("damage", ["audio changed", "audio missing", "manifest changed", "manifest missing"])
async def test_a_damaged_recording_is_set_aside_never_deleted_and_said(house, damage):
    sealed = await house.recorded()
    path = sealed.folder / (AUDIO_FILE if damage.startswith("audio") else MANIFEST_FILE)
    path.write_bytes(b"damaged") if damage.endswith("changed") else path.unlink()

    assert await house.mover().hand_over(sealed.recording_id) is None

    assert house.spool.ids_in("corrupt") == (sealed.recording_id,)
    assert house.spool.ready_ids() == ()
    (incident,) = house.ledger.of(Kind.INCIDENT)
    assert (incident.call_uid, incident.body["what"]) == (CALL, "recording.corrupt")
    assert len(house.told) == 1
    assert not house.store.held


async def test_a_store_that_holds_something_else_is_an_incident_and_the_spool_keeps_its_own(house):
    sealed = await house.recorded()

    class Other:
        async def put(self, given):
            kept = await house.store.put(given)
            return replace(kept, cipher_sha256="0" * 64)

    assert await house.mover(Other()).hand_over(sealed.recording_id) is None

    assert (house.spool.folder / "corrupt" / sealed.recording_id / AUDIO_FILE).exists()
    assert house.said(Kind.RECORDING_KEPT) == 0


async def test_one_recording_that_cannot_be_handed_over_holds_up_no_other(house):
    ids = [(await house.recorded(segment)).recording_id for segment in range(7)]
    bad, asked = ids[0], []

    class Stumbling:
        async def put(self, given):
            asked.append(given.recording_id)
            if given.recording_id == bad:
                raise Unavailable("it alone cannot be read")
            return await house.store.put(given)

    mover = house.mover(Stumbling())
    with pytest.raises(Unavailable, match="it alone"):
        await mover.sweep()

    assert house.spool.ready_ids() == (bad,)
    later = (await house.recorded(7)).recording_id
    with pytest.raises(Unavailable, match="it alone"):
        await mover.sweep()
    assert set(asked[-2:]) == {later, bad}
    assert house.spool.ready_ids() == (bad,)


async def test_a_store_that_is_down_is_not_asked_for_everything_that_waits(house):
    for segment in range(9):
        await house.recorded(segment)
    asked = []

    class Down:
        async def put(self, given):
            asked.append(given.recording_id)
            raise Unavailable("connection refused", next_step="look at it")

    with pytest.raises(Unavailable, match="connection refused"):
        await house.mover(Down()).sweep()

    assert len(asked) == AT_ONCE


async def test_what_failed_last_is_told_until_it_works_again(house):
    await house.recorded()
    gone, mover = house.watch_hand_off(), house.mover(FailsAndLoses(house.store))
    said = []

    async def pause(_seconds):
        said.append(mover.why)

    mover._sleep = pause
    running = asyncio.create_task(mover.run())
    await asyncio.wait_for(gone.wait(), 10)
    mover.wake()
    await asyncio.wait_for(asyncio.to_thread(ports.until, lambda: not mover.why, seconds=10, what="it works"), 12)
    running.cancel()

    assert said == ["connection refused"]


async def test_what_the_store_refuses_stays_and_is_not_asked_again_until_a_restart(house):
    sealed = await house.recorded()
    asked = []

    class Refusing:
        async def put(self, given):
            asked.append(given)
            raise Refused("no retention rule")

    mover = house.mover(Refusing())
    await mover.sweep()
    await mover.sweep()

    assert len(asked) == 1
    assert house.said(Kind.INCIDENT) == 1
    assert house.spool.ready_ids() == (sealed.recording_id,)
    await house.mover().sweep()
    assert house.said(Kind.RECORDING_KEPT) == 1


async def test_a_ledger_that_is_down_delays_and_loses_nothing(house):
    await house.recorded()
    house.ledger.fail = True
    mover = house.mover()

    with pytest.raises(Unavailable):
        await mover.sweep()
    house.ledger.recover()
    await mover.sweep()

    house.expect_handed_over_once()


async def test_a_mover_at_rest_is_woken_by_the_next_recording(house):
    gone, mover = house.watch_hand_off(), house.mover()
    running = asyncio.create_task(mover.run())
    await asyncio.sleep(0)

    await house.recorded()
    mover.wake()
    await asyncio.wait_for(gone.wait(), 10)
    running.cancel()

    house.expect_handed_over_once()


async def test_the_age_of_the_oldest_is_told(house):
    mover = house.mover()
    assert mover.oldest_unhanded_s() == 0.0

    sealed = await house.recorded()
    os.utime(sealed.folder, (0, 0))

    assert mover.oldest_unhanded_s() > 1e9


def test_waits_grow_with_each_failure_within_their_bounds_and_start_anew():
    backoff = Backoff()
    waits = [backoff.failed() for _ in range(200)]

    assert all(BACKOFF_FIRST_S <= wait <= BACKOFF_MOST_S for wait in waits)
    assert waits[0] <= 2 * BACKOFF_FIRST_S
    assert max(waits[20:]) > 30
    backoff.worked()
    assert backoff.failed() <= 2 * BACKOFF_FIRST_S
