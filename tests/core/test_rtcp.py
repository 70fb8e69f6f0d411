"""RTCP is read as RFC 3550 lays it out; whatever else comes in is refused, and nothing raises otherwise."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callrec.core.rtcp import Report, ReportBlock, reports
from tests.peers.rtcp import block, receiver_report, sender_report

numbers = st.integers(0, 2**32 - 1)
blocks = st.builds(
    ReportBlock,
    ssrc=numbers,
    lost=st.integers(-(2**23), 2**23 - 1),
    highest_sequence=numbers,
    last_report=numbers,
)
SOURCE_DESCRIPTION = struct.pack(">BBHI", 0x81, 202, 2, 5) + b"\x01\x02ab"


def written(one: ReportBlock) -> bytes:
    return block(one.ssrc, lost=one.lost, highest=one.highest_sequence, last_report=one.last_report)


@given(numbers, st.lists(blocks, max_size=31))
def test_a_receiver_report_says_what_was_written(sender, many):
    packet = receiver_report(sender, *map(written, many)) + SOURCE_DESCRIPTION

    assert reports(packet) == (Report(sender=sender, middle_ntp=None, blocks=tuple(many)),)


@given(numbers, st.integers(0, 2**64 - 1), st.lists(blocks, max_size=3))
def test_a_sender_report_says_when_it_was_sent(sender, ntp, many):
    (report,) = reports(sender_report(sender, ntp, *map(written, many)))

    assert report == Report(sender=sender, middle_ntp=ntp >> 16 & 0xFFFFFFFF, blocks=tuple(many))


@given(st.binary(max_size=120))
def test_other_bytes_are_read_or_refused(packet):
    try:
        found = reports(packet)
    except ValueError:
        return

    assert all(isinstance(one, Report) for one in found)


@given(st.lists(blocks, min_size=1, max_size=3), st.data())
def test_a_packet_that_was_cut_is_refused(many, data):
    packet = receiver_report(7, *map(written, many))
    cut = data.draw(st.integers(0, len(packet) - 1))

    with pytest.raises(ValueError, match=r"RTCP|report"):
        reports(packet[:cut])


def test_a_report_with_fewer_blocks_than_it_counts_is_refused():
    packet = bytearray(receiver_report(7, written(ReportBlock(ssrc=1, lost=0, highest_sequence=2, last_report=3))))
    packet[0] += 1

    with pytest.raises(ValueError, match="shorter than its blocks"):
        reports(bytes(packet))


def test_another_version_is_refused():
    with pytest.raises(ValueError, match="version"):
        reports(b"\x40" + receiver_report(7)[1:])
