"""RTP that left us, read all at once: the same as packet by packet, whatever stands in the window."""

from __future__ import annotations

import struct
from dataclasses import asdict
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callrec.core.wire_records import Flag, Kind, Record, apart, records, text_of
from callrec.errors import Broken
from callrec.notice import sent as sending
from callrec.notice.sent import Run, sent
from tests.engine.test_records import any_record, written

ADDRESSES = st.sampled_from([None, (IPv4Address("192.0.2.5"), 4000), (IPv6Address("2001:db8::5"), 4000)])


@st.composite
def packets(draw):
    """RTP that mostly goes on from number to number, as packets do, and now and then does not."""
    sequence, timestamp, at_ns, listed = draw(st.sampled_from([7, 65_534])), 2**32 - 300, 10**12, []
    size, kind, ssrc, address, flags = 160, 8, 7, (IPv4Address("192.0.2.5"), 4000), Flag(0)
    for _ in range(draw(st.integers(0, 12))):
        match draw(st.integers(0, 24)):
            case 0:
                size = draw(st.sampled_from([0, 80, 160]))
            case 1:
                kind, ssrc = draw(st.tuples(st.sampled_from([8, 0, 0x88]), st.sampled_from([7, 8])))
            case 2:
                address, flags = draw(st.tuples(ADDRESSES, st.sampled_from(Flag)))
            case 3:
                sequence, timestamp = draw(st.tuples(st.integers(0, 65_535), st.integers(0, 2**32 - 1)))
            case 4:
                listed.append(draw(any_record))
        first = draw(st.sampled_from([0x80] * 9 + [0x90]))
        head = struct.pack(">BBHII", first, kind, sequence, timestamp, ssrc)
        packet = head + draw(st.binary(min_size=size, max_size=size))
        listed.append(
            Record(
                kind=Kind.RTP_SENT, flags=flags, status=0, wire_bytes=len(packet), utc_ns=at_ns, boottime_ns=at_ns,
                address=address, packet=packet,
            )
        )  # fmt: skip
        sequence, timestamp = (sequence + 1) & 0xFFFF, (timestamp + size) & 0xFFFFFFFF
        at_ns += draw(st.sampled_from([20_000_000, 19_999_999, 0]))
    return listed


def one_by_one(listed, began_ns):
    """The runs, times and payloads of these packets, without any of the tools of the other way."""
    runs, gaps, payloads, follows, then = [], [], [], None, began_ns
    for one in listed:
        _, kind, sequence, timestamp, ssrc = struct.unpack_from(">BBHII", one.packet)
        size = len(one.packet) - 12
        same = (one.address, one.flags, kind, ssrc, size)
        if follows == (same, sequence, timestamp):
            runs[-1]["packets"] += 1
        else:
            runs.append(
                {
                    "to": text_of(one.address), "srtp": Flag.DECRYPTED in one.flags, "marker": kind > 127,
                    "payload_type": kind % 128, "ssrc": ssrc, "first_sequence": sequence,
                    "first_timestamp": timestamp, "payload_bytes": size, "packets": 1,
                }
            )  # fmt: skip
        follows = (same, (sequence + 1) % 2**16, (timestamp + size) % 2**32)
        now = (one.boottime_ns - began_ns) // 1000
        gaps.append(str(now - (then if gaps else 0)))
        then = now
        payloads.append(one.packet[12:])
    return runs, " ".join(gaps), b"".join(payloads)


@given(packets())
def test_all_at_once_is_the_same_as_one_by_one(listed):
    window = b"".join(map(written, listed))
    found = apart(window)

    told = sent(window, found.sent_at, began_ns=found.began_ns)

    ours = [one for one in listed if one.kind is Kind.RTP_SENT and Flag.DEFERRED not in one.flags]
    plain = [one for one in ours if len(one.packet) > 12 and one.packet[0] == 0x80]
    began_ns = next((one.boottime_ns for one in listed if Flag.EARLIER not in one.flags), 0)
    assert (found.began_ns, told.odd) == (began_ns, len(ours) - len(plain))
    assert list(found.others) == [one for one in records(window) if one not in ours]
    assert ([asdict(run) for run in told.runs], told.gaps_us, told.payloads) == one_by_one(plain, began_ns)


@given(st.lists(any_record, min_size=1, max_size=3), st.data())
def test_a_window_is_broken_for_either_way_of_reading_or_for_none(many, data):
    window = bytearray(b"".join(map(written, many)))
    window[data.draw(st.integers(0, len(window) - 1))] ^= data.draw(st.integers(1, 255))
    del window[data.draw(st.integers(0, len(window))) :]

    try:
        whole = records(bytes(window))
    except Broken:
        with pytest.raises(Broken):
            apart(bytes(window))
    else:
        found = apart(bytes(window))
        assert len(found.others) + len(found.sent_at) == len(whole)


def test_a_run_ends_at_its_longest(monkeypatch):
    monkeypatch.setattr(sending, "LARGEST_RUN", 2)
    head = [struct.pack(">BBHII", 0x80, 8, number, 160 * number, 7) + bytes(160) for number in range(5)]
    listed = [
        Record(
            kind=Kind.RTP_SENT, flags=Flag(0), status=0, wire_bytes=172, utc_ns=0, boottime_ns=1, address=None,
            packet=packet,
        )
        for packet in head
    ]  # fmt: skip
    window = b"".join(map(written, listed))

    runs: tuple[Run, ...] = sent(window, apart(window).sent_at, began_ns=1).runs

    assert [(run.first_sequence, run.packets) for run in runs] == [(0, 2), (2, 2), (4, 1)]
