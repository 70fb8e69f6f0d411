"""What the soak calls flat: growth is found under the saw of memory that is freed now and then, and the saw is none."""

from __future__ import annotations

import pytest

from tests.bench.soak import growth
from tests.bench.usage import Sample

TOOTH_MB, TOOTH_S = 20.0, 470


def memory(*, mb_per_hour: float, minutes: int = 30) -> list[Sample]:
    """Two looks a second at a process of 200 MB whose memory fills and is freed again and again, and grows so fast."""
    moments = [half / 2 for half in range(minutes * 120)]
    return [
        Sample(
            at=at,
            cpu_s=0.0,
            rss_mb=200 + mb_per_hour * at / 3600 + TOOTH_MB * (at % TOOTH_S) / TOOTH_S,
            threads={},
            machine_busy_s=0.0,
        )
        for at in moments
    ]


@pytest.mark.parametrize("mb_per_hour", [0, 5])
def test_a_saw_that_does_not_climb_is_flat(mb_per_hour):
    grown = growth(memory(mb_per_hour=mb_per_hour), settle_s=300)

    assert grown is not None
    assert grown.is_flat


@pytest.mark.parametrize("mb_per_hour", [40, 100, 1000])
def test_a_saw_that_climbs_is_not(mb_per_hour):
    grown = growth(memory(mb_per_hour=mb_per_hour), settle_s=300)

    assert grown is not None
    assert not grown.is_flat
    assert abs(grown.mb_per_hour - mb_per_hour) <= 3 * grown.error


def test_a_short_run_says_nothing():
    assert growth(memory(mb_per_hour=0, minutes=12), settle_s=300) is None
