"""A few of the calls of `make relay`: both promises hold for each, by what was captured on both sides."""

from __future__ import annotations

import random

import pytest

from tests.relay.caller import Received, Weather
from tests.relay.run import Call, report, run

pytestmark = pytest.mark.calls

CALM = Weather(lose=0, double=0, delay=0, jitter=0)


def test_through_a_bad_network_nothing_is_recorded_without_the_whole_notice_or_against_a_report(tmp_path):
    calls = run(tmp_path, calls=24, at_once=12, seed=5)
    found = report(calls)

    assert found["recorded without the whole notice"] == 0
    assert found["recorded against a report"] == 0
    assert found["recorded"] > 0
    assert all(call.whole for call in calls)


@pytest.mark.parametrize(
    ("changes", "broken"),
    [
        ({}, (0, 0)),
        ({"whole": False}, (1, 0)),
        ({"line": "received", "lost": 0.2, "told": 0.2}, (0, 1)),
        ({"line": "received", "lost": 0.2, "told": None}, (0, 0)),
        ({"line": "sent", "lost": 0.2, "told": 0.2}, (0, 0)),
        ({"whole": False, "recorded": False}, (0, 0)),
    ],
)
def test_a_broken_promise_would_be_seen(changes, broken):
    good = {"line": "sent", "weather": CALM, "whole": True, "lost": 0.0, "told": 0.0, "recorded": True, "reasons": ()}
    found = report([Call(**(good | changes))])

    assert (found["recorded without the whole notice"], found["recorded against a report"]) == broken


def test_the_receiver_counts_as_the_rfc_says():
    got = Received()
    for number in (65534, 65535, 0, 2, 2, 3):
        got.take(9, number)

    assert (got.highest & 0xFFFF, got.lost, got.packets) == (3, 0, 6)
    assert 1 not in got.numbers


def test_weather_comes_from_the_seed():
    assert Weather.drawn(random.Random(3)) == Weather.drawn(random.Random(3))
