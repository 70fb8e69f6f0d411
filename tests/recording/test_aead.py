"""Invariant: what was written comes back whole and in order, or reading it raises Broken. There is no third outcome."""

import io
import itertools
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callrec._aead import FRAME_BYTES, OVERHEAD_BYTES, Role, StreamReader, StreamWriter, read_preamble
from callrec.errors import Broken

SECRET = bytes(range(32))
HEADER = b'{"call_uid":"c"}'
PIECES = st.lists(st.binary(min_size=1, max_size=300), max_size=6)


def written(pieces, *, role=Role.OBJECT, secret=SECRET, header=HEADER):
    writer = StreamWriter(secret, header, role=role)
    return writer.preamble + b"".join(writer.append(piece) for piece in pieces) + writer.finish()


def read(data, *, role=Role.OBJECT, secret=SECRET):
    return b"".join(StreamReader(io.BytesIO(data), secret, role=role).frames())


def salvaged(data, *, secret=SECRET):
    reader = StreamReader(io.BytesIO(data), secret, role=Role.OBJECT)
    return b"".join(reader.salvage()), reader.truncated


def frame_starts(data):
    at = len(read_preamble(io.BytesIO(data)).raw)
    starts = []
    while at < len(data):
        starts.append(at)
        at += 4 + int.from_bytes(data[at : at + 4], "big")
    return starts


@given(PIECES)
def test_what_was_written_comes_back(pieces):
    assert read(written(pieces)) == b"".join(pieces)


@given(PIECES)
def test_a_finished_stream_is_salvaged_whole_and_not_called_truncated(pieces):
    assert salvaged(written(pieces)) == (b"".join(pieces), False)


def test_more_than_one_frame_of_data_is_split():
    data = secrets.token_bytes(2 * FRAME_BYTES + 5)

    stream = written([data])

    assert read(stream) == data
    assert len(frame_starts(stream)) == 4
    assert len(stream) == frame_starts(stream)[0] + len(data) + 4 * OVERHEAD_BYTES


@given(PIECES, st.data())
def test_no_prefix_of_a_stream_opens(pieces, data):
    stream = written(pieces)
    cut = data.draw(st.integers(0, len(stream) - 1))

    with pytest.raises(Broken):
        read(stream[:cut])


@given(PIECES, st.data())
def test_no_flipped_bit_goes_unnoticed(pieces, data):
    stream = bytearray(written(pieces))
    bit = data.draw(st.integers(0, len(stream) * 8 - 1))
    stream[bit // 8] ^= 1 << bit % 8

    with pytest.raises(Broken):
        read(bytes(stream))


@given(PIECES, st.binary(min_size=1, max_size=60))
def test_nothing_can_be_appended(pieces, extra):
    with pytest.raises(Broken):
        read(written(pieces) + extra)


@given(st.lists(st.binary(min_size=1, max_size=50), min_size=2, max_size=5), st.data())
def test_frames_cannot_be_swapped(pieces, data):
    stream = written(pieces)
    starts = [*frame_starts(stream), len(stream)]
    frames = [stream[a:b] for a, b in itertools.pairwise(starts)]
    first, second = data.draw(st.lists(st.integers(0, len(frames) - 1), min_size=2, max_size=2, unique=True))
    frames[first], frames[second] = frames[second], frames[first]

    with pytest.raises(Broken):
        read(stream[: starts[0]] + b"".join(frames))


def test_a_frame_cannot_be_repeated_or_dropped():
    stream = written([b"one", b"two"])
    first, second, third = frame_starts(stream)

    with pytest.raises(Broken):
        read(stream[:second] + stream[first:])
    with pytest.raises(Broken):
        read(stream[:first] + stream[second:])
    with pytest.raises(Broken):
        read(stream[:second] + stream[third:])


def test_frames_of_another_stream_under_the_same_key_do_not_fit():
    mine, other = written([b"same"]), written([b"same"])
    start = frame_starts(mine)[0]

    with pytest.raises(Broken):
        read(mine[:start] + other[start:])


@pytest.mark.parametrize("other", [{"role": Role.SPOOL}, {"secret": bytes(32)}], ids=["role", "key"])
def test_another_role_or_key_opens_nothing(other):
    with pytest.raises(Broken):
        read(written([b"voice"]), **other)


def test_another_header_opens_nothing():
    stream = written([b"voice"])

    with pytest.raises(Broken):
        read(stream.replace(b'"c"', b'"d"'))


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=5), st.data())
def test_a_torn_stream_is_salvaged_up_to_the_last_whole_frame(pieces, data):
    stream = written(pieces)
    starts = frame_starts(stream)
    cut = data.draw(st.integers(starts[0], len(stream) - 1))
    whole = sum(1 for start in starts[1:] if start <= cut)

    assert salvaged(stream[:cut]) == (b"".join(pieces[:whole]), True)


def test_reserved_zeros_behind_a_torn_stream_are_not_data():
    stream = written([b"one", b"two"])
    cut = frame_starts(stream)[2]

    assert salvaged(stream[:cut] + bytes(4096)) == (b"onetwo", True)


@given(st.binary(max_size=200))
def test_any_other_bytes_are_broken(data):
    with pytest.raises(Broken):
        read(data)


def test_a_finished_stream_takes_no_more():
    writer = StreamWriter(SECRET, HEADER, role=Role.SPOOL)
    writer.finish()

    with pytest.raises(ValueError, match="no further frame"):
        writer.append(b"x")


def test_a_stream_holds_no_plain_byte_of_what_it_was_given():
    voice = b"the caller's own words"

    assert voice not in written([voice])


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_key_of_another_size_is_a_mistake(size):
    with pytest.raises(ValueError, match="32 bytes"):
        StreamWriter(bytes(size), HEADER, role=Role.SPOOL)
