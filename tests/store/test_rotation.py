"""Another keeper for stored recordings, and keepers whose key is elsewhere."""

import sys

import pytest

from callrec._canonical import canonical
from callrec.errors import Refused, Unavailable
from callrec.store.admission import UnsafeAdmitEverything
from callrec.store.filesystem import FilesystemStore, create_store
from callrec.store.keys import create_keeper_keys, fingerprint, load_public, unwrap, wrap
from callrec.store.memory import MemoryStore
from callrec.store.openers import by_file, by_program
from callrec.store.rotation import keepers, rotate

SECRETS = {f"{n:032x}-0": bytes([n]) * 32 for n in range(1, 5)}

PROGRAM = """
import sys
from pathlib import Path
from callrec.store.keys import unwrap
print(unwrap(sys.stdin.buffer.read(), Path(sys.argv[1])).secret.hex())
"""


@pytest.fixture
def pairs(tmp_path):
    """The old keeper, the new one, and one more."""
    made = []
    for name in ("old", "new", "third"):
        (tmp_path / name).mkdir()
        made.append(create_keeper_keys(tmp_path / name))
    return made


class Shelf:
    """The part of a store that keys are rotated in; it may fail at its nth write, keeping it or not."""

    def __init__(self, keeper, fails_at=None, *, keeps=False):
        public = load_public(keeper.public)
        self.held = {name: wrap(secret, f"key of {name}", public) for name, secret in SECRETS.items()}
        self.fails_at, self.keeps, self.writes = fails_at, keeps, 0

    async def ids(self):
        for name in sorted(self.held):
            yield name

    async def wrapped_key(self, name):
        return self.held[name]

    async def rewrapped(self, name, wrapped):
        self.writes += 1
        if self.writes == self.fails_at:
            self.fails_at = None
            if self.keeps:
                self.held[name] = wrapped
            raise Unavailable("the disk of keys went away")
        self.held[name] = wrapped


def opened(shelf, keeper):
    return {name: unwrap(wrapped, keeper.private).secret for name, wrapped in shelf.held.items()}


async def test_every_key_is_the_same_for_the_new_keeper_and_the_old_one_opens_none(pairs):
    old, new, _ = pairs
    shelf = Shelf(old)

    done = await rotate(shelf, by_file(old.private), old=old.fingerprint, new=load_public(new.public))

    assert (done.rewrapped, done.already, done.others) == (4, 0, {})
    assert opened(shelf, new) == SECRETS
    for wrapped in shelf.held.values():
        with pytest.raises(Refused):
            unwrap(wrapped, old.private)
    assert await keepers(shelf) == {new.fingerprint: 4}


@pytest.mark.parametrize("keeps", [False, True], ids=["failed and lost", "failed but kept"])
@pytest.mark.parametrize("at", [1, 3, 4])
async def test_a_rotation_that_broke_off_is_simply_run_again(pairs, at, keeps):
    old, new, _ = pairs
    shelf = Shelf(old, fails_at=at, keeps=keeps)
    ask = {"unwrap": by_file(old.private), "old": old.fingerprint, "new": load_public(new.public)}

    with pytest.raises(Unavailable):
        await rotate(shelf, **ask)
    again = await rotate(shelf, **ask)

    assert again.already == at - 1 + keeps
    assert again.rewrapped == 4 - again.already
    assert opened(shelf, new) == SECRETS


async def test_what_a_third_keeper_holds_is_left_alone_and_counted(pairs):
    old, new, third = pairs
    shelf = Shelf(old)
    name = min(SECRETS)
    shelf.held[name] = wrap(SECRETS[name], f"key of {name}", load_public(third.public))

    done = await rotate(shelf, by_file(old.private), old=old.fingerprint, new=load_public(new.public))

    assert (done.rewrapped, done.others) == (3, {third.fingerprint: 1})
    assert unwrap(shelf.held[name], third.private).secret == SECRETS[name]


async def test_a_store_that_loses_a_new_wrapping_is_told_before_the_old_key_is_given_up(pairs):
    old, new, _ = pairs
    shelf = Shelf(old)

    async def forgets(name, wrapped):
        pass

    shelf.rewrapped = forgets
    with pytest.raises(Unavailable, match="did not keep the new wrapping"):
        await rotate(shelf, by_file(old.private), old=old.fingerprint, new=load_public(new.public))


def test_the_stores_have_what_rotation_asks_of_them(tmp_path):
    create_store(tmp_path / "store")
    for store in (
        FilesystemStore(tmp_path / "store", admission=UnsafeAdmitEverything()),
        MemoryStore(admission=UnsafeAdmitEverything()),
    ):
        assert all(callable(getattr(store, name)) for name in ("ids", "wrapped_key", "rewrapped"))


def test_a_program_opens_for_who_has_no_key(pairs, monkeypatch):
    old, new, _ = pairs
    monkeypatch.setenv("PYTHONPATH", ":".join(sys.path))
    wrapped = wrap(b"s" * 32, "k1", load_public(old.public))

    found = by_program([sys.executable, "-c", PROGRAM, str(old.private)])(wrapped)

    assert (found.secret, found.key_id, found.wrapped) == (b"s" * 32, "k1", wrapped)
    with pytest.raises(Unavailable, match="ended with status 1"):
        by_program([sys.executable, "-c", PROGRAM, str(new.private)])(wrapped)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["no-such-program"], "cannot be started"),
        (["false"], "ended with status 1"),
        (["echo", "hunter2"], "did not print a data key"),
        (["echo", "ab" * 33], "did not print a data key"),
        (["sleep", "60"], "took over"),
    ],
)
def test_a_program_that_does_not_open_is_told_and_what_it_printed_is_not(words, told):
    wrapped = canonical({"key_id": "k1"})

    with pytest.raises(Unavailable, match=told) as failed:
        by_program(words, timeout_s=0.2 if words[0] == "sleep" else 30)(wrapped)
    assert "hunter2" not in failed.value.diagnosis()


def test_a_fingerprint_is_that_of_the_public_key(pairs):
    assert fingerprint(load_public(pairs[0].public)) == pairs[0].fingerprint
