"""A call is found by its caller's number however it is written; what no number finds is counted, never passed over."""

from contextlib import closing

import pytest

from callrec.core.kinds import Kind
from callrec.core.numbers import users_of
from callrec.errors import ConfigError, Unavailable
from callrec.ledger.reading import open_log
from callrec.ports import Entry
from callrec.rights.following import CALL_ID, NUMBER, follow
from callrec.rights.numbers import Blind, NumberIndex, Period, subject_key
from callrec.store.contacts import NAME, ContactOpener, ContactSealer
from callrec.store.keys import FileKeyRing, create_keeper_keys, unwrap
from tests.ledger.world import World, entry

NUMBER_1, NUMBER_2 = "+447700900001", "+447700900002"


class Desk:
    """A ledger with calls whose contacts were sealed, and the keeper who follows it."""

    def __init__(self, folder):
        self.world = World(folder)
        self.ledger = self.world.ledger()
        self.keeper_dir = folder / "keeper"
        self.keeper_dir.mkdir()
        self.keys = create_keeper_keys(self.keeper_dir)
        self.sealer = ContactSealer(FileKeyRing(self.keys.public))
        self.number = 0

    def call(self, *numbers, sealed=None, line="advice"):
        self.number += 1
        uid = f"{self.number:032x}"
        text = sealed or self.sealer.seal(uid, numbers=numbers, sip_call_id=f"{self.number}@pbx")
        said = entry(Kind.CALL_OFFERED, uid, number=self.number, line=line, commitments={})
        self.ledger.append_blocking(Entry(**{**fields_of(said), "salts": {NAME: text} if numbers or sealed else {}}))
        with open_log(self.world.path) as log:
            return log.size() - 1

    def erase(self, *seqs, **fields):
        self.ledger.append_blocking(entry(Kind.SALT_ERASED, seqs=list(seqs), by="a test", **fields))

    def index(self, folder=None):
        folder = folder or self.keeper_dir
        index = NumberIndex(folder, subject_key(folder), log_id=self.world.key.log_id)
        opener = ContactOpener(lambda wrapped: unwrap(wrapped, self.keys.private))
        with open_log(self.world.path) as log:
            follow(index, log, opener, country="44")
        return closing(index)

    def found(self, number, **more):
        with self.index(**more) as index:
            return index.tagged(index.tag(NUMBER, number))

    def blind(self, **period):
        with self.index() as index:
            return index.blind(Period(**period))


def fields_of(said):
    return {name: getattr(said, name) for name in ("kind", "body", "call_uid", "segment", "actor")}


@pytest.fixture
def desk(tmp_path):
    desk = Desk(tmp_path)
    yield desk
    desk.ledger.close()


@pytest.mark.parametrize(
    "written",
    [
        "sip:+447700900001@192.0.2.5",
        "sip:07700900001@192.0.2.5;user=phone",
        "sips:00447700900001@pbx",
        "tel:+44-7700-900001;ext=3",
        '"A. Caller" <sip:+447700900001@carrier.example>, <tel:+447700900009>',
        "sip:%2B447700900001@h",
        "sip:+447700900001;npdi:pw@h",
    ],
)
def test_a_call_is_found_however_its_number_was_written(desk, written):
    seq = desk.call(written)
    desk.call("sip:+447700900002@h")

    assert desk.found(NUMBER_1) == (seq,)


def test_a_withheld_number_with_an_asserted_identity_is_found_by_that(desk):
    seq = desk.call("sip:anonymous@anonymous.invalid", "<tel:+447700900001>")

    assert desk.found(NUMBER_1) == (seq,)


def test_what_no_number_finds_is_counted_by_why(desk):
    desk.call("sip:+447700900002@h")
    desk.call("sip:anonymous@anonymous.invalid")
    desk.call("sip:5001@pbx")
    desk.call()
    desk.call(sealed="nonsense")

    assert desk.found(NUMBER_1) == ()
    assert desk.blind() == {Blind.NO_NUMBER: 2, Blind.NOT_KEPT: 1, Blind.UNREADABLE: 1}
    assert desk.blind(line="other") == {}
    assert desk.blind(since="2100-01-01") == {}


def test_new_calls_are_found_without_reading_the_old_ones_again(desk):
    first = desk.call("sip:+447700900001@h")
    assert desk.found(NUMBER_1) == (first,)

    second = desk.call("sip:+447700900001@h")

    assert desk.found(NUMBER_1) == (first, second)


def test_an_erasure_reaches_the_hashes(desk):
    seq, other = desk.call("sip:+447700900001@h"), desk.call("sip:+447700900002@h")
    assert desk.found(NUMBER_1) == (seq,)

    desk.erase(seq)

    assert desk.found(NUMBER_1) == ()
    assert desk.found(NUMBER_2) == (other,)
    assert desk.blind() == {Blind.ERASED: 1}


def test_a_number_whose_time_is_over_leaves_its_keyed_hash_so_that_the_caller_is_still_told(desk):
    seq = desk.call("sip:+447700900001@h")
    assert desk.found(NUMBER_1) == (seq,)

    desk.erase(seq, why="schedule")

    assert desk.found(NUMBER_1) == (seq,)


def test_what_was_erased_before_it_was_ever_followed_is_not_found_and_counted(desk):
    seq = desk.call("sip:+447700900001@h")
    desk.erase(seq)

    assert desk.found(NUMBER_1) == ()
    assert desk.blind() == {Blind.ERASED: 1}


def test_an_index_that_was_lost_is_made_again(desk, tmp_path):
    seq = desk.call("sip:+447700900001@h")
    desk.found(NUMBER_1)
    (desk.keeper_dir / "subjects.db").unlink()

    assert desk.found(NUMBER_1) == (seq,)


def test_neither_index_nor_ledger_holds_a_number_to_be_read(desk):
    desk.call("sip:+447700900001@h")
    desk.found(NUMBER_1)

    files = [*desk.keeper_dir.iterdir(), *desk.world.path.parent.glob("ledger.db*")]

    assert len(files) > 3
    for file in files:
        assert b"7700900001" not in file.read_bytes()


def test_two_keepers_have_different_hashes_of_one_number(desk, tmp_path):
    desk.call("sip:+447700900001@h")
    other = tmp_path / "other"
    other.mkdir()
    with desk.index() as index, desk.index(other) as another:
        assert index.tag(NUMBER, NUMBER_1) != another.tag(NUMBER, NUMBER_1)
        assert index.tag(NUMBER, "x") != index.tag(CALL_ID, "x")


def test_an_index_of_another_ledger_or_another_key_is_not_mixed_with_this_one(desk, tmp_path):
    desk.found(NUMBER_1)
    with pytest.raises(ConfigError, match="another ledger"):
        NumberIndex(desk.keeper_dir, subject_key(desk.keeper_dir), log_id="00" * 32)
    key = desk.keeper_dir / "subjects.key"
    key.unlink()
    with pytest.raises(ConfigError, match="another key"):
        desk.found(NUMBER_1)
    key.chmod(0o440)
    with pytest.raises(ConfigError, match="read by others"):
        desk.found(NUMBER_1)


def test_an_older_copy_of_the_ledger_gives_no_answer(desk):
    desk.call("sip:+447700900001@h")
    with desk.index() as index, open_log(desk.world.path) as log:
        index.take([], erased={}, followed=log.size() + 5)
        with pytest.raises(Unavailable, match="older copy"):
            follow(index, log, ContactOpener(lambda wrapped: wrapped), country="44")


@pytest.mark.parametrize("text", ["", "sip:host.only", "anonymous", "sip:@h", "<>", "tel:"])
def test_a_header_without_a_user_holds_no_number(text):
    assert users_of(text) == ()
