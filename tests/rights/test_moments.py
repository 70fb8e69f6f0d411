"""The hour that a caller names is on their own clock, through both changes of it in the year."""

import pytest

from callrec.errors import ConfigError, Unavailable
from callrec.rights.moments import period_around

LONDON = "Europe/London"


@pytest.mark.parametrize(
    ("day", "around", "tolerance", "since", "until"),
    [
        ("2026-01-15", "15:00", "2h", "2026-01-15T13:00:00", "2026-01-15T17:01:00"),
        ("2026-07-15", "15:00", "2h", "2026-07-15T12:00:00", "2026-07-15T16:01:00"),
        ("2026-07-15", "00:10", "30m", "2026-07-14T22:40:00", "2026-07-14T23:41:00"),
        ("2026-03-29", "", "1h", "2026-03-29T00:00:00", "2026-03-29T23:00:00"),  # 23 hours long
        ("2026-10-25", "", "1h", "2026-10-24T23:00:00", "2026-10-26T00:00:00"),  # 25 hours long
        ("2026-01-15", "23:30", "1h30m", "2026-01-15T22:00:00", "2026-01-16T01:01:00"),
    ],
)
def test_a_local_hour_becomes_a_period_in_utc(day, around, tolerance, since, until):
    found = period_around(day, around, tolerance, zone=LONDON)

    assert (found.since, found.until) == (since, until)


@pytest.mark.parametrize(
    ("day", "around", "tolerance", "named"),
    [
        ("15.1.2026", "", "1h", "--date"),
        ("2026-02-30", "", "1h", "--date"),
        ("20260115", "", "1h", "--date"),
        ("2026-01-15", "3pm", "1h", "--around"),
        ("2026-01-15", "25:00", "1h", "--around"),
        ("2026-01-15", "15:00", "", "--tolerance"),
        ("2026-01-15", "15:00", "0h", "--tolerance"),
        ("2026-01-15", "15:00", "2", "--tolerance"),
        ("2026-01-15", "15:00", "999h", "--tolerance"),
    ],
)
def test_what_is_no_day_hour_or_span_is_named(day, around, tolerance, named):
    with pytest.raises(ConfigError, match=named):
        period_around(day, around, tolerance, zone=LONDON)


def test_a_zone_that_the_machine_does_not_know_is_no_answer():
    with pytest.raises(Unavailable, match="time zone"):
        period_around("2026-01-15", "", "1h", zone="Mars/Olympus")
