"""What only an S3 server can do: refuse, lock or not, be full, have another time, let others write over ours.

Every test asks a real server (Ceph's gateway). What its administrator can do to a locked object is tried too.
"""

import asyncio
from datetime import UTC, date, datetime, timedelta

import botocore.auth
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from callrec._canonical import canonical
from callrec.errors import Broken, ConfigError, Refused, Unavailable
from callrec.store.admission import UnsafeAdmitEverything
from callrec.store.s3 import S3Store, create_s3_store
from tests.peers import ports
from tests.store.builders import CALL, a_sealed
from tests.store.s3 import a_bucket, a_store, a_store_that_locks_for_a_moment, destroy_once_unlocked, reached

pytestmark = pytest.mark.ceph

DUE = datetime(2034, 3, 1, tzinfo=UTC)
ONE = f"{CALL}-0"


@pytest.fixture
def sealed(tmp_path):
    return a_sealed(tmp_path)


@pytest.fixture
def store(ceph, tmp_path):
    return a_store(ceph, tmp_path)


def of_recording(store, ending):
    """The oldest version of the audio (.enc) or manifest (.json) of the recording."""
    return next(each for each in store.bucket.versions(f"recordings/{ONE}/") if each.key.endswith(ending))


async def audio(store):
    return b"".join([piece async for piece in store.read(ONE)])


# ---------------------------------------------------------------- locked, and said so by the server


async def test_every_object_is_locked_until_the_day_it_falls_due_and_the_server_says_so(store, sealed, ceph):
    kept = await store.put(sealed)

    assert kept.lock == "COMPLIANCE until 2034-03-01T00:00:00Z"
    assert kept.object_version == of_recording(store, ".enc").version
    for ending in (".enc", ".json"):
        version = of_recording(store, ending)
        said = ceph.client().head_object(Bucket=store.bucket.name, Key=version.key, VersionId=version.version)
        assert (said["ObjectLockMode"], said["ObjectLockRetainUntilDate"]) == ("COMPLIANCE", DUE)


async def test_the_server_lets_nobody_remove_or_shorten_what_is_kept(store, sealed, ceph):
    await store.put(sealed)
    version, client = of_recording(store, ".enc"), ceph.client()
    this = {"Bucket": store.bucket.name, "Key": version.key, "VersionId": version.version}
    sooner = {"Mode": "COMPLIANCE", "RetainUntilDate": datetime.now(UTC) + timedelta(days=2)}

    with pytest.raises(ClientError, match="AccessDenied"):
        client.delete_object(**this, BypassGovernanceRetention=True)
    with pytest.raises(ClientError, match="AccessDenied"):
        client.put_object_retention(**this, Retention=sooner, BypassGovernanceRetention=True)

    assert await audio(store) == b"ciphertext" * 1000


async def test_a_recording_that_fell_due_before_it_was_kept_is_locked_by_the_buckets_default(store, tmp_path):
    rule = {"rule": "ML-A", "version": 1, "trigger": "2010-03-01", "due": "2018-03-01"}

    kept = await store.put(a_sealed(tmp_path, retention=rule))

    until = datetime.fromisoformat(kept.lock.removeprefix("COMPLIANCE until "))
    assert until > datetime.now(UTC) + timedelta(hours=23)


@pytest.mark.parametrize("due", [None, "", "some day", 2034])
async def test_a_recording_whose_rule_names_no_date_is_refused_and_nothing_is_written(store, tmp_path, due):
    rule = {"rule": "ML-A", "version": 1, "trigger": "2026-03-01", "due": due}

    with pytest.raises(Refused, match="no date"):
        await store.put(a_sealed(tmp_path, retention=rule))

    assert store.bucket.versions("recordings/") == []


async def test_a_server_that_does_not_lock_is_found_out_and_the_recording_stays_in_the_spool(store, sealed):
    await store.stat(ONE)
    events = store.bucket.client.meta.events
    events.register("before-parameter-build.s3.PutObject", _unlocked)

    with pytest.raises(Unavailable, match="holds it with COMPLIANCE until"):
        await store.put(sealed)

    assert (sealed.folder / "audio.enc").exists()
    with pytest.raises(Broken, match="holds it with"):
        await store.stat(ONE)


def _unlocked(params, **_):
    """As a server does that ignores these headers: the bucket's default of one day is all there is."""
    for name in ("ObjectLockMode", "ObjectLockRetainUntilDate"):
        params.pop(name, None)


async def test_destroying_what_is_locked_destroys_its_key_and_says_until_when_the_rest_is_there(store, sealed):
    await store.put(sealed)

    with pytest.raises(Refused, match=r"nobody can open it.*locked in the store until 2034-03-01"):
        await store.destroy(ONE)

    with pytest.raises(Unavailable):
        await store.wrapped_key(ONE)
    with pytest.raises(Broken, match="wrapped key is gone"):
        await store.stat(ONE)


# ---------------------------------------------------------------- buckets that will not do

UNFIT = {
    "no versions": ({"lock": False}, "keeps no versions"),
    "no default": ({"default": None}, "no default retention"),
    "a default that an administrator may lift": ({"default": "GOVERNANCE"}, "no default retention in COMPLIANCE"),
}


@pytest.mark.parametrize(("made", "why"), UNFIT.values(), ids=UNFIT)
async def test_a_bucket_from_which_recordings_could_be_removed_is_refused(ceph, tmp_path, sealed, made, why):
    bucket = reached(ceph, a_bucket(ceph, **made))

    with pytest.raises(ConfigError, match=why) as raised:
        create_s3_store(bucket, tmp_path / "keys")
    store = S3Store(bucket, admission=UnsafeAdmitEverything(), keys=tmp_path / "keys")
    with pytest.raises(Unavailable, match=why):
        await store.put(sealed)

    assert "Object Lock" in raised.value.next_step
    assert bucket.versions("") == []


async def test_a_bucket_that_only_keeps_versions_has_no_object_lock(ceph, tmp_path):
    name = a_bucket(ceph, lock=False)
    ceph.client().put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})

    with pytest.raises(ConfigError, match="has no Object Lock"):
        create_s3_store(reached(ceph, name), tmp_path / "keys")


async def test_a_bucket_in_which_no_store_was_made_is_not_taken_for_an_empty_one(ceph, tmp_path, sealed):
    store = S3Store(reached(ceph, a_bucket(ceph)), admission=UnsafeAdmitEverything(), keys=tmp_path / "keys")

    with pytest.raises(Unavailable, match="holds no store"):
        await store.put(sealed)
    with pytest.raises(Unavailable, match="holds no store"):
        [name async for name in store.ids()]


async def test_making_a_store_again_makes_the_same_store(ceph, tmp_path):
    bucket = reached(ceph, a_bucket(ceph))

    assert create_s3_store(bucket, tmp_path / "keys") == create_s3_store(bucket, tmp_path / "keys")


async def test_the_keys_of_another_store_are_not_used(ceph, tmp_path, sealed):
    one, other = (reached(ceph, a_bucket(ceph)) for _ in range(2))
    create_s3_store(one, tmp_path / "keys")
    create_s3_store(other, tmp_path / "others")
    store = S3Store(one, admission=UnsafeAdmitEverything(), keys=tmp_path / "others")

    with pytest.raises(Broken, match="keys of another store"):
        await store.put(sealed)

    assert one.versions("recordings/") == []


# ---------------------------------------------------------------- named errors

WRONG = {
    "an account it does not know": ({"access_key": "nobody"}, "does not know our access key", "store.s3.access_key"),
    "a wrong secret": ({"secret_key": "guessed"}, "does not accept our secret key", "store.s3.secret_key"),
    "a bucket that is not there": ({"name": "elsewhere"}, "has no such bucket", "store.s3.bucket"),
    "nobody there": ({"endpoint": "http://127.0.0.1:9"}, "cannot be reached", "store.s3.endpoint"),
}


@pytest.mark.parametrize("case", WRONG)
async def test_what_is_wrong_is_named_with_the_key_to_change(ceph, tmp_path, sealed, store, case):
    change, what, step = WRONG[case]
    bucket = reached(ceph, **{"name": store.bucket.name, **change})
    wrong = S3Store(bucket, admission=UnsafeAdmitEverything(), keys=tmp_path / "keys")

    with pytest.raises(Unavailable, match=what) as raised:
        await wrong.put(sealed)

    assert step in raised.value.next_step
    assert "guessed" not in raised.value.diagnosis()
    assert await store.stat(ONE) is None


async def test_a_clock_that_is_wrong_is_named(store, sealed, monkeypatch):
    real = botocore.auth.get_current_datetime
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *args: real(*args) - timedelta(hours=1))

    with pytest.raises(Unavailable, match="another time") as raised:
        await store.put(sealed)

    assert "clock" in raised.value.next_step
    monkeypatch.undo()
    assert await store.put(sealed)


async def test_a_full_store_is_named_and_takes_the_same_recording_once_there_is_room(store, sealed, ceph):
    ceph.limit(store.bucket.name, objects=1)

    with pytest.raises(Unavailable, match="is full") as raised:
        await store.put(sealed)

    assert "quota" in raised.value.next_step
    ceph.limit(store.bucket.name, objects=1000)
    assert (await store.put(sealed)).cipher_sha256 == sealed.cipher_sha256


# ---------------------------------------------------------------- others at work


async def test_two_agents_that_put_the_same_at_once_are_told_the_same(store, sealed, ceph, tmp_path):
    other = S3Store(reached(ceph, store.bucket.name), admission=UnsafeAdmitEverything(), keys=tmp_path / "keys")

    kept = await asyncio.gather(store.put(sealed), other.put(sealed))

    assert kept[0] == kept[1] == await store.stat(ONE)


@pytest.mark.parametrize(("ending", "what"), [(".enc", "another audio"), (".json", "another manifest")])
async def test_what_somebody_wrote_over_ours_is_told_and_ours_is_still_read(store, sealed, ceph, ending, what):
    await store.put(sealed)
    key = of_recording(store, ending).key
    ceph.client().put_object(Bucket=store.bucket.name, Key=key, Body=b"other words")

    with pytest.raises(Broken, match=what):
        await store.stat(ONE)
    with pytest.raises(Broken, match=what):
        await store.put(sealed)

    assert await audio(store) == b"ciphertext" * 1000


async def test_a_recording_that_somebody_deleted_is_hidden_only(store, sealed, ceph):
    kept = await store.put(sealed)
    ceph.client().delete_object(Bucket=store.bucket.name, Key=of_recording(store, ".enc").key)

    assert await store.stat(ONE) == kept
    assert [name async for name in store.ids()] == [ONE]
    assert await audio(store) == b"ciphertext" * 1000


async def test_an_object_that_was_swapped_by_whoever_runs_the_server_is_found_out(store, sealed, ceph):
    await store.put(sealed)
    version = of_recording(store, ".enc")
    ceph.removed_by_its_administrator(store.bucket.name, version.key, version.version)
    with pytest.raises(Broken, match="audio is gone"):
        await store.stat(ONE)

    ceph.client().put_object(Bucket=store.bucket.name, Key=version.key, Body=b"other words")

    with pytest.raises(Broken, match="audio was changed"):
        await store.stat(ONE)


async def test_a_manifest_that_was_altered_by_whoever_runs_the_server_is_found_out(store, sealed, ceph):
    await store.put(sealed)
    version = of_recording(store, ".json")
    ceph.removed_by_its_administrator(store.bucket.name, version.key, version.version)
    longer = canonical({**sealed.manifest, "purposes": ["training"]})
    ceph.client().put_object(Bucket=store.bucket.name, Key=version.key, Body=longer)

    for asked in (store.stat(ONE), store.manifest(ONE)):
        with pytest.raises(Broken, match="manifest was changed"):
            await asked


# ---------------------------------------------------------------- every request, lost and kept


class Interrupted:
    """Request number `at` of the store never arrives, or its answer never comes back."""

    def __init__(self, store, at, *, kept):
        self.client, self.at, self.kept, self.seen = store.bucket.client, at, kept, 0

    def __enter__(self):
        self.client.meta.events.register_first("before-send.s3", self._send)
        return self

    def __exit__(self, *_):
        self.client.meta.events.unregister("before-send.s3", self._send)

    def _send(self, request, **_):
        self.seen += 1
        if self.seen != self.at:
            return
        if not self.kept:
            raise EndpointConnectionError(endpoint_url=request.url)
        assert self.client._endpoint.http_session.send(request).status_code < 300
        raise ReadTimeoutError(endpoint_url=request.url)


@pytest.mark.parametrize("kept", [False, True], ids=["lost", "kept"])
async def test_whichever_request_of_a_put_fails_repeating_it_keeps_the_recording_once(store, tmp_path, kept):
    await store.stat(ONE)
    at, seen = 1, 0
    while seen == at - 1:
        sealed = a_sealed(tmp_path, segment=at)
        with Interrupted(store, at, kept=kept) as interrupted:
            try:
                await store.put(sealed)
            except Unavailable:
                seen = interrupted.seen
        assert await store.put(sealed) == await store.stat(sealed.recording_id)
        assert len(store.bucket.versions(f"recordings/{sealed.recording_id}/")) == 2
        at += 1

    assert seen >= 8


# ---------------------------------------------------------------- locked for longer, and held


async def test_what_falls_due_later_is_locked_for_longer_and_never_shorter(store, sealed, ceph):
    await store.put(sealed)

    said = await store.lock(ONE, until=date(2040, 3, 1), held=False)

    assert said == "COMPLIANCE until 2040-03-01T00:00:00Z"
    for ending in (".enc", ".json"):
        version = of_recording(store, ending)
        there = ceph.client().head_object(Bucket=store.bucket.name, Key=version.key, VersionId=version.version)
        assert there["ObjectLockRetainUntilDate"] == datetime(2040, 3, 1, tzinfo=UTC)
    assert await store.lock(ONE, until=date(2036, 3, 1), held=False) == said
    assert (await store.put(sealed)).lock == said


async def test_what_is_held_cannot_be_removed_when_its_lock_has_ended_until_the_hold_is_off(ceph, tmp_path, sealed):
    store = a_store_that_locks_for_a_moment(ceph, tmp_path)
    await store.put(sealed)
    assert (await store.lock(ONE, until=None, held=True)).endswith(", legal hold")
    lock = of_recording(store, ".enc")
    ended = store.bucket.head(lock.key, lock.version).until
    await asyncio.to_thread(ports.until, lambda: datetime.now(UTC) > ended, seconds=60, what="the lock ends")

    with pytest.raises(Unavailable, match="does not let us do that"):
        await store.destroy(ONE)
    assert await audio(store) == b"ciphertext" * 1000

    assert "legal hold" not in await store.lock(ONE, until=None, held=False)
    await destroy_once_unlocked(store, ONE)
    assert await store.stat(ONE) is None


@pytest.mark.parametrize("kept", [False, True], ids=["lost", "kept"])
async def test_whichever_request_of_a_lock_fails_repeating_it_locks_as_it_was_told(store, sealed, kept):
    await store.put(sealed)
    at, seen = 1, 0
    while seen == at - 1:
        day, held = date(2040 + at, 3, 1), bool(at % 2)
        with Interrupted(store, at, kept=kept) as interrupted:
            try:
                await store.lock(ONE, until=day, held=held)
            except Unavailable:
                seen = interrupted.seen
        said = await store.lock(ONE, until=day, held=held)
        assert said == f"COMPLIANCE until {day}T00:00:00Z{', legal hold' if held else ''}"
        at += 1

    assert seen >= 8


@pytest.mark.parametrize("request_", ["retain", "hold"])
async def test_a_server_that_takes_a_lock_and_does_nothing_is_found_out(store, sealed, monkeypatch, request_):
    await store.put(sealed)
    monkeypatch.setattr(store.bucket, request_, lambda *_, **__: None)

    with pytest.raises(Unavailable, match="the server says COMPLIANCE until 2034-03-01T00:00:00Z"):
        await store.lock(ONE, until=date(2040, 3, 1) if request_ == "retain" else None, held=request_ == "hold")
