"""A few rounds of what `make chaos` does five hundred times, on files and on the real S3 server."""

from __future__ import annotations

import secrets

import pytest

from tests.chaos.rounds import chaos

ROUNDS = {"files": 8, "s3": 4}


@pytest.mark.slow
@pytest.mark.parametrize("where", ["files", pytest.param("s3", marks=pytest.mark.ceph)])
def test_what_was_acknowledged_before_a_kill_is_kept_whole_and_once(request, tmp_path, record_property, where):
    seed = secrets.randbits(32)
    record_property("seed", seed)
    ceph = request.getfixturevalue("ceph") if where == "s3" else None

    with chaos(tmp_path / "house", seed=seed, ceph=ceph) as rounds:
        for number in range(1, ROUNDS[where] + 1):
            rounds.one(number)
        verdict = rounds.at_rest()

    assert (verdict.lost, verdict.damaged, verdict.duplicate, verdict.what) == (0, 0, 0, []), f"seed {seed}"
    assert verdict.acknowledged
