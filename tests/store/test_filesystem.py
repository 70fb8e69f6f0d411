"""What only files can do: go missing, fill up, be unmounted, stop half-way."""

from contextlib import suppress

import pytest

from callrec import _durable
from callrec.errors import Broken, Refused, Unavailable
from callrec.ports import AUDIO_FILE
from callrec.store import filesystem, shelf
from callrec.store.admission import UnsafeAdmitEverything
from callrec.store.filesystem import FilesystemStore, create_store
from callrec.store.memory import MemoryStore
from tests.store.builders import a_sealed

STEPS = ("make_dir_in", "write_file", "rename", "_copy")


class Crash(BaseException):
    """The process ends here."""


@pytest.fixture
def store(tmp_path):
    create_store(tmp_path / "store")
    return FilesystemStore(tmp_path / "store", admission=UnsafeAdmitEverything())


@pytest.fixture
def sealed(tmp_path):
    return a_sealed(tmp_path)


def object_of(store, sealed):
    return store._object(sealed.recording_id)


async def test_files_are_read_only_and_keys_lie_elsewhere(store, sealed, tmp_path):
    await store.put(sealed)

    files = list(object_of(store, sealed).iterdir())
    assert {path.name for path in files} == {"audio.enc", "manifest.json"}
    assert all(path.stat().st_mode & 0o777 == 0o440 for path in files)
    assert not store._shelf.place(store._mounted(), sealed.recording_id).is_relative_to(tmp_path / "store")


async def test_making_a_store_again_keeps_its_name_and_content(store, sealed, tmp_path):
    kept = await store.put(sealed)

    assert create_store(tmp_path / "store") == kept.store_id
    assert await store.stat(sealed.recording_id) == kept


async def test_an_unmounted_store_is_unavailable_not_empty(tmp_path, sealed):
    (tmp_path / "mountpoint").mkdir()
    store = FilesystemStore(tmp_path / "mountpoint", admission=UnsafeAdmitEverything())

    for asked in (store.put(sealed), store.stat(sealed.recording_id), store.manifest(sealed.recording_id)):
        with pytest.raises(Unavailable):
            await asked
    with pytest.raises(Unavailable):
        [recording_id async for recording_id in store.ids()]
    assert list((tmp_path / "mountpoint").iterdir()) == []


async def test_changed_audio_in_the_store_is_broken(store, sealed):
    await store.put(sealed)
    path = object_of(store, sealed) / AUDIO_FILE
    path.chmod(0o600)
    path.write_bytes(b"x" + path.read_bytes()[1:])

    with pytest.raises(Broken, match="changed"):
        await store.stat(sealed.recording_id)
    with pytest.raises(Broken):
        await store.put(sealed)


async def test_vanished_audio_or_key_is_broken(store, sealed):
    await store.put(sealed)
    key = store._shelf.place(store._mounted(), sealed.recording_id)
    wrapped = key.read_bytes()

    key.unlink()
    with pytest.raises(Broken, match="wrapped key"):
        await store.stat(sealed.recording_id)
    key.write_bytes(wrapped)
    (object_of(store, sealed) / AUDIO_FILE).unlink()
    with pytest.raises(Broken, match="missing"):
        await store.stat(sealed.recording_id)


def interrupt(monkeypatch, at, error, *, after, instead=None):
    """Let call number `at` of the store's writing steps end in `error`, before or after its work, or let `instead`
    happen before it.
    """
    calls = {"n": 0}
    for module, name in ((module, name) for module in (filesystem, shelf) for name in STEPS if hasattr(module, name)):
        real = getattr(module, name)

        def step(*args, real=real, **kwargs):
            calls["n"] += 1
            if calls["n"] == at and instead:
                instead()
            if calls["n"] != at or instead:
                return real(*args, **kwargs)
            if after:
                real(*args, **kwargs)
            raise error

        monkeypatch.setattr(module, name, step)
    return calls


@pytest.fixture(params=["before", "after"])
def faulty(request, monkeypatch):
    """Makes one step fail, before or after its work."""
    with monkeypatch.context() as patch:
        yield lambda at, error: interrupt(patch, at, error, after=request.param == "after")


@pytest.mark.parametrize("at", range(1, 8))
@pytest.mark.parametrize("error", [Unavailable("no space left"), Crash()], ids=["fault", "crash"])
async def test_whatever_step_fails_the_object_is_whole_or_absent_and_repeating_works(store, sealed, faulty, at, error):
    calls = faulty(at, error)
    with suppress(type(error)):
        store._put(sealed)
    assert calls["n"] >= at

    assert [name async for name in store.ids()] in ([], [sealed.recording_id])
    kept = await store.put(sealed)

    assert await store.stat(sealed.recording_id) == kept


@pytest.mark.parametrize("at", range(1, 8))
async def test_a_disk_that_goes_away_during_a_put_leaves_nothing_where_it_was_mounted(store, sealed, monkeypatch, at):
    def gone():
        store.path.rename(store.path.with_name("elsewhere"))
        store.keys.rename(store.keys.with_name("keys elsewhere"))

    with monkeypatch.context() as patch:
        calls = interrupt(patch, at, None, after=False, instead=gone)
        with pytest.raises(Unavailable):
            store._put(sealed)
    assert calls["n"] >= at

    assert not store.path.exists()
    assert not store.keys.exists()
    store.path.with_name("elsewhere").rename(store.path)
    store.keys.with_name("keys elsewhere").rename(store.keys)
    assert (await store.put(sealed)).cipher_sha256 == sealed.cipher_sha256


async def test_a_crash_leaves_only_what_the_next_start_clears(store, sealed, monkeypatch):
    unfinished = store.path / "unfinished"
    (unfinished / "left").mkdir()
    (unfinished / "left" / AUDIO_FILE).write_bytes(b"half")

    await store.clear_unfinished()

    assert list(unfinished.iterdir()) == []


async def test_another_key_under_the_same_id_is_broken(store, sealed):
    key = store._shelf.place(store._mounted(), sealed.recording_id)
    key.parent.mkdir(parents=True)
    key.write_bytes(b"somebody else's")

    with pytest.raises(Broken, match="another wrapped key"):
        await store.put(sealed)


async def test_a_full_disk_is_said_with_a_next_step(store, sealed, monkeypatch):
    def full(descriptor, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_durable.os, "write", full)
    with pytest.raises(Unavailable) as raised:
        await store.put(sealed)

    assert "free space" in raised.value.next_step


async def test_a_memory_store_accuses_whoever_changed_it(tmp_path, sealed):
    store = MemoryStore(admission=UnsafeAdmitEverything())
    await store.put(sealed)
    held = store.held[sealed.recording_id]

    del store.held[sealed.recording_id]
    with pytest.raises(AssertionError):
        await store.stat(sealed.recording_id)

    object.__setattr__(held, "audio", b"other words")
    store.held[sealed.recording_id] = held
    with pytest.raises(AssertionError):
        await store.put(sealed)


async def test_a_name_that_leaves_the_store_is_refused_on_the_way_in(store, tmp_path):
    with pytest.raises(Refused):
        await store.put(a_sealed(tmp_path, recording_id="a.b"))
