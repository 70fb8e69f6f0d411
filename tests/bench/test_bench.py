"""The measurement itself: it judges a good job good, a wrong voice wrong, and says everything that a row must say."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bench import judge
from tests.bench.load import Load
from tests.bench.results import COLUMNS, SAME, Mismatch, Results, median_of
from tests.bench.rows import Job, through
from tests.bench.systems import Callrec, raise_file_limit
from tests.bench.table import table
from tests.peers import audio

JOB = Job(name="self-test", calls=3, rate=6, talk_s=2, concurrent=3)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """One row with every voice where it belongs, one with staff that speak with the voice of other calls."""
    raise_file_limit()
    load = Load(tmp_path_factory.mktemp("bench"))
    with Callrec(load.folder / "system", staff=load.staff, most=8) as system:
        return [through(system, JOB, load), through(system, JOB, load, flaw="crossed", patience=5)]


@pytest.mark.calls
def test_a_few_calls_through_callrec_are_judged_right_and_the_row_says_everything(rows):
    row = median_of(rows[:1])

    assert (row["served"], row["bridged"], row["heard_whole_notice"], row["recordings_right"]) == (3, 3, 3, 3)
    assert set(COLUMNS) <= set(row)
    assert row["cpu_s_per_setup"] > 0
    assert row["dial_p50_ms"] <= row["dial_p99_ms"]
    assert row["system"] in table([row], {"cores": 2, "cpu": "any"})


@pytest.mark.calls
def test_voices_of_other_calls_are_judged_wrong(rows):
    wrong = rows[1]

    assert wrong["served"] == wrong["heard_whole_notice"] == 3
    assert (wrong["bridged"], wrong["recordings_right"]) == (0, 0)


def call_of(seconds: float) -> dict[str, float]:
    return {"caller_hz": 600, "staff_hz": 850, "talked_s": seconds}


def stereo(left: audio.Samples, right: audio.Samples) -> np.ndarray:
    return np.stack([left, right], axis=1)


@pytest.mark.parametrize(
    ("left", "right", "talked_s", "right_by_ear"),
    [
        (600, 850, 10, True),
        (850, 600, 10, False),
        (600, 950, 10, False),
        (600, 850, 14, False),
        (600, 850, 5, False),
    ],
    ids=["as it was", "sides swapped", "another call's staff", "four seconds short", "five seconds long"],
)
def test_a_recording_is_right_only_with_its_own_voices_for_as_long_as_they_talked(left, right, talked_s, right_by_ear):
    heard = stereo(audio.tone(left, 10), audio.tone(right, 10))

    assert judge.stereo_is_right(heard, call_of(talked_s)) is right_by_ear


def test_cross_talk_makes_a_recording_wrong():
    mixed = audio.tone(600, 10) + audio.tone(700, 10, dbfs=-24)

    assert not judge.stereo_is_right(stereo(mixed, audio.tone(850, 10)), call_of(10))
    assert judge.mix_is_right(audio.tone(600, 10) + audio.tone(850, 10), call_of(10))
    assert not judge.mix_is_right(audio.tone(600, 10), call_of(10))


FACTS = {**dict.fromkeys(SAME, "the same"), "cores": 2, "begun": [{"at": "then", "load_before": 0.0}]}


def run(cpu_s: float, *, job: str = "100 calls", system: str = "callrec") -> dict[str, object]:
    """A row as one run leaves it."""
    row = {**dict.fromkeys(COLUMNS, 1), "system": system, "job": job, "cpu_s_per_call_minute": cpu_s}
    return {**row, "threads": {"sip": 0.1}, "load": {}}


def measured(folder, *runs: dict[str, object], adding: bool = False) -> Results:
    results = Results(FACTS, folder, adding=adding)
    for each in runs:
        results.add(each)
    results.write()
    return results


def test_runs_that_are_added_later_count_as_much_as_those_before(tmp_path):
    measured(tmp_path, run(0.5), run(0.2, job="300 calls"))
    measured(tmp_path, run(0.1), adding=True)

    hundred, three_hundred = measured(tmp_path, run(0.3), run(0.6, system="asterisk"), adding=True).rows()[:2]

    assert (hundred["runs"], hundred["cpu_s_per_call_minute"]) == (3, 0.3)
    assert (three_hundred["runs"], three_hundred["cpu_s_per_call_minute"]) == (1, 0.2)
    page = (tmp_path / "bench.md").read_text()
    assert "median of 1 to 3 runs" in page
    assert "100 calls: 0.50" in page
    assert len(Results(FACTS, tmp_path, adding=True).facts["begun"]) == 4


def test_without_being_asked_to_add_a_measurement_begins_anew(tmp_path):
    measured(tmp_path, run(0.5))
    measured(tmp_path, run(0.1))

    (row,) = Results(FACTS, tmp_path, adding=True).rows()

    assert (row["runs"], row["cpu_s_per_call_minute"]) == (1, 0.1)


@pytest.mark.parametrize("name", SAME)
def test_runs_of_another_machine_or_another_code_are_not_added(tmp_path, name):
    measured(tmp_path, run(0.5))

    with pytest.raises(Mismatch, match=rf"{name}: .* then, other now"):
        Results({**FACTS, name: "other"}, tmp_path, adding=True)


def test_nothing_can_be_added_where_nothing_was_measured(tmp_path):
    with pytest.raises(Mismatch, match="measure without ADD=1"):
        Results(FACTS, tmp_path, adding=True)


def test_calls_that_were_told_503_are_said_and_not_counted_among_those_to_be_heard():
    row = {**run(0.5), "calls": 800, "refused_503": 460, "heard_whole_notice": 340, "recordings_right": 339}

    (line,) = [line for line in table([row], {"cores": 2, "cpu": "any"}).splitlines() if "callrec | 1 |" in line]

    assert "| 460 | 340 of 340 | 339 of 340 |" in line
