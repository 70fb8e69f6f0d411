"""Reports that come after the window of a notice: the first that is authentic and covers it is believed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from callrec.core.evidence import Evidence
from callrec.core.wire_records import Flag, Kind, TakenWindow
from callrec.notice.wire import Later, later
from tests.notice.test_wire import COUNTS, FIRST, MIDDLE, NTP, PACKETS, PEER_RTCP, SSRC, evidence, good, record, window
from tests.peers.rtcp import block, receiver_report, sender_report

LAST = (FIRST + PACKETS) & 0xFFFF
"""Number of the notice's last packet; one of silence follows in its window."""


@pytest.fixture(scope="module")
def notice() -> Evidence:
    return evidence(window(*good()))


def reports(*packets: bytes, sent: int = 250, ntp: int = NTP) -> TakenWindow:
    """A window without RTP, in which so many packets were sent: our sender report, then these of the peer."""
    ours = record(Kind.RTCP_SENT, sender_report(SSRC, ntp), at_ms=-900, flags=Flag.EARLIER)
    heard = [record(Kind.RTCP_RECEIVED, packet, at_ms=n + 1, address=PEER_RTCP) for n, packet in enumerate(packets)]
    return window(ours, *heard, counts=replace(COUNTS, rtp_sent=sent))


def said(lost: int, *, ahead: int = 100, ssrc: int = SSRC, last_report: int = MIDDLE) -> bytes:
    return receiver_report(7, block(ssrc, lost=lost, highest=(LAST + ahead) & 0xFFFF, last_report=last_report))


@pytest.mark.parametrize(("lost", "contradicts"), [(0, False), (15, False), (16, True), (120, True), (-5, False)])
def test_the_share_lost_until_then_speaks_for_or_against_the_proof(notice, lost, contradicts):
    found = later(notice, [reports(said(lost))])

    assert found.share == pytest.approx(lost / 301)
    assert found.contradicts is contradicts


def test_the_first_report_that_covers_the_notice_decides_and_later_ones_speak_of_the_talk(notice):
    assert not later(notice, [reports(said(0)), reports(said(200))]).contradicts


def test_a_report_that_does_not_cover_the_notice_says_nothing_and_the_next_one_does(notice):
    found = later(notice, [reports(said(50, ahead=-1)), reports(said(60))])

    assert found.report is not None
    assert found.report.lost == 60


UNBELIEVED = {
    "of a stream that is not ours": said(200, ssrc=1),
    "in answer to no report of ours": said(200, last_report=1),
    "on packets that were never sent": said(200, ahead=4000),
    "that cannot be read": b"\x80\xc9\x00\x09" + bytes(8),
    "without a block": receiver_report(7),
}


@pytest.mark.parametrize("kind", UNBELIEVED)
def test_a_report_that_is_not_authentic_is_counted_and_obeyed_in_nothing(notice, kind):
    assert later(notice, [reports(UNBELIEVED[kind])]) == Later(rejected=1)


def test_what_comes_from_elsewhere_is_counted_and_obeyed_in_nothing(notice):
    foreign = record(Kind.RTCP_FOREIGN, said(200), at_ms=3, address=PEER_RTCP)

    assert later(notice, [window(foreign, counts=replace(COUNTS, rtcp_foreign=1))]) == Later(rejected=1)


def test_under_srtp_only_what_was_authenticated_is_believed(notice):
    under = replace(notice, wire=replace(notice.wire, srtp=True))

    assert later(under, [reports(said(200))]) == Later(rejected=1)


def test_a_report_of_ours_from_an_earlier_window_may_be_answered_in_a_later_one(notice):
    assert later(notice, [reports(), reports(said(200), ntp=1)]).contradicts


def test_evidence_that_was_measured_at_the_player_is_never_contradicted(notice):
    assert later(replace(notice, wire=None), [reports(said(200))]) == Later()
