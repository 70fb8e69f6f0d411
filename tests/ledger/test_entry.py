"""An entry in the form that nearly all have is read by a shorter way: it gives what the long one does, or nothing."""

import json
import random

import pytest

from callrec._canonical import canonical
from callrec.core.kinds import Kind
from callrec.errors import Broken
from callrec.ledger import entry as entries
from callrec.ledger.entry import NO_LEAF, Moment, Place, read, stamp
from callrec.ledger.merkle import leaf_hash
from tests.ledger.world import entry

PLACE = Place(log_id="a" * 64, seq=7, prev=NO_LEAF, anchor_size=3, anchor_root="b" * 64, agent_run="run")
MOMENT = Moment(utc="2026-03-01T12:00:00.000000Z", boot_id="boot", boottime_ns=2**63, clock="synchronised")
WRITTEN = stamp(entry(Kind.CALL_OFFERED, "c" * 32, line="a:b", commitments={"to": 'x","v":1}'}), PLACE, MOMENT)
LATE = stamp(entry(Kind.AGENT_STOPPED), PLACE, MOMENT, appended_utc=MOMENT.utc)
PIECES = [b'"', b"\\", b"{", b"}", b",", b":", b"1", b"0", b"-", b" ", b"\n", b"\x00", b"\xff", b"\xc3\xa9", b"\\u0041"]
PIECES += [
    b'"v":1',
    b'"seq":7,',
    b'"body":{},',
    b'"late":true,',
    b'"a":1,"a":2',
    b"NaN",
    b"1e999",
    b"[" * 2000,
    b"9" * 17,
]


def by_the_long_way(data):
    try:
        return entries._slowly(data, leaf_hash(data).hex())
    except Broken:
        return None


def damaged(dice):
    """An entry with something put in, taken out, or put in another's place."""
    data = bytearray(WRITTEN if dice.random() < 0.8 else LATE)
    for _ in range(dice.randint(1, 3)):
        start = dice.randrange(len(data))
        data[start : start + dice.choice((0, 0, 1, 1, 5, 40))] = dice.choice([*PIECES, b""])
    return bytes(data)


def test_the_shorter_way_reads_what_was_written_in_time():
    quick = entries._quickly(WRITTEN, leaf_hash(WRITTEN).hex())
    assert quick == by_the_long_way(WRITTEN)
    assert quick.boottime_ns == 2**63
    assert entries._quickly(LATE, leaf_hash(LATE).hex()) is None
    assert read(LATE).late


def test_however_an_entry_was_damaged_the_shorter_way_says_no_more_than_the_long_one():
    dice, both = random.Random(6), 0
    for _ in range(20_000):
        data = damaged(dice)
        quick = entries._quickly(data, leaf_hash(data).hex())
        assert quick is None or quick == by_the_long_way(data), data
        both += quick is not None
    assert both > 1_000, "too few of them could still be read"


@pytest.mark.parametrize("name", sorted(json.loads(WRITTEN)))
@pytest.mark.parametrize("value", [None, True, 1, -1, 1.5, "x", "é", [], {}, "9" * 30])
def test_a_field_of_another_type_is_read_alike_or_refused_alike(name, value):
    data = canonical({**json.loads(WRITTEN), name: value})
    quick = entries._quickly(data, leaf_hash(data).hex())
    assert quick is None or quick == by_the_long_way(data)
