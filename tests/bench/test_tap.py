"""The measuring of the wire tap measures the tap at work: every packet went through it, and windows kept them."""

from __future__ import annotations

import pytest

from tests.bench import tap
from tests.engine import PRODUCTION

PACKETS = 20_000


@pytest.fixture(scope="module")
def cost(tmp_path_factory: pytest.TempPathFactory):
    assert PRODUCTION, "this Python has no production engine: make pjsip"
    return tap.measure(tmp_path_factory.mktemp("tap"), PACKETS)


def test_every_packet_that_is_measured_went_through_the_tap_and_those_in_windows_were_kept(cost):
    assert cost["seen_sent"] == 2 * PACKETS
    assert cost["seen_received"] == PACKETS
    assert cost["kept"] == PACKETS


def test_what_the_tap_takes_is_what_a_packet_takes_more_than_without_it(cost):
    even = {"bare_sent_ns": 10, "bare_received_ns": 20, "sent_ns": 110, "received_ns": 220, "sent_in_window_ns": 310}

    assert tap.ms_per_call_minute(even) == pytest.approx((6000 * (100 + 200) + 1000 * 200) / 1e6)
    assert tap.ms_per_call_minute(cost) > 0
