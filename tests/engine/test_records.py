"""Reading a wire window, with any engine: what stands in it comes out, and nothing else is ever read as one."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callrec.core.wire_records import Flag, Kind, Record, records
from callrec.errors import Broken

moments = st.integers(0, 2**64 - 1)
addresses = st.none() | st.tuples(st.builds(IPv4Address, st.integers(0, 2**32 - 1)), st.integers(0, 65535))
addresses |= st.tuples(st.builds(IPv6Address, st.integers(0, 2**128 - 1)), st.integers(0, 65535))
any_record = st.builds(
    Record,
    kind=st.sampled_from(Kind),
    flags=st.sampled_from([Flag(0), Flag.DECRYPTED, Flag.DEFERRED]),
    status=st.integers(-(2**31), 2**31 - 1),
    wire_bytes=st.integers(0, 2**32 - 1),
    utc_ns=moments,
    boottime_ns=moments,
    address=addresses,
    packet=st.binary(max_size=40),
)


def written(record: Record) -> bytes:
    """As the engine lays it down."""
    address, port = record.address or (None, 0)
    return (
        struct.pack(
            "=IHHiI", 56 + len(record.packet), record.kind.value, record.flags, record.status, record.wire_bytes
        )
        + struct.pack("=QQHH", record.utc_ns, record.boottime_ns, address.version if address else 0, port)
        + (address.packed if address else b"").ljust(16, b"\0")
        + struct.pack("=I", len(record.packet))
        + record.packet
    )


@given(st.lists(any_record, max_size=5))
def test_what_was_written_is_read(many):
    assert list(records(b"".join(map(written, many)))) == many


@given(st.lists(any_record, min_size=1, max_size=3), st.data())
def test_a_window_that_was_cut_is_broken(many, data):
    window = b"".join(map(written, many))
    ends = {len(b"".join(map(written, many[:count]))) for count in range(len(many) + 1)}
    cut = data.draw(st.integers(0, len(window)).filter(lambda at: at not in ends))

    with pytest.raises(Broken, match="no sequence of records"):
        records(window[:cut])


@given(st.binary(max_size=200))
def test_other_bytes_are_read_whole_or_not_at_all(window):
    try:
        read = records(window)
    except Broken:
        return

    assert sum(len(written(one)) for one in read) == len(window)


@given(any_record, st.integers(9, 65535))
def test_a_kind_that_is_unknown_is_broken(record, kind):
    window = bytearray(written(record))
    window[4:6] = struct.pack("=H", kind)

    with pytest.raises(Broken, match="no sequence of records"):
        records(bytes(window))
