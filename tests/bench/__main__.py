"""make bench: every row through every system in turn, RUNS times; the medians go to build/bench.json and bench.md.

ROWS=c100,s40 and SYSTEMS=callrec choose among them. With ADD=1 the runs of the same code on the same machine that lie
there already count too, so that a long measurement can be made in pieces. Rows are taken in the same order by each
system, one system after the other, so that a row and its counterpart meet the machine minutes apart.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from tests.bench.results import Mismatch, Results, machine
from tests.bench.rows import JOBS, measure
from tests.bench.systems import SYSTEMS, available, raise_file_limit
from tests.peers.ports import PeerFailed


def _chosen() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rows", default=",".join(JOBS))
    parser.add_argument("--systems", default=",".join(SYSTEMS))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--add", action="store_true", help="count the runs that lie in build/bench.json too")
    parser.add_argument("--readme", action="store_true", help="put the table into README.md")
    given = parser.parse_args()
    for names, known in ((given.rows, JOBS), (given.systems, SYSTEMS)):
        for name in names.split(","):
            if name not in known:
                parser.error(f"{name!r} is none of {', '.join(known)}")
    return given


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - whoever started it waits and reads


def _one(system: str, job: str) -> dict[str, Any] | None:
    try:
        row = measure(system, JOBS[job])
    except (PeerFailed, AssertionError, OSError) as error:
        _say(f"  {system} {job}: BROKE DOWN: {str(error)[:500]}")
        return None
    shown = (
        "served",
        "refused_503",
        "heard_whole_notice",
        "recordings_right",
        "cpu_s_per_call_minute",
        "lost_packets",
        "max_gap_ms",
    )
    _say(
        f"  {system} {job}: " + " ".join(f"{key}={row[key]}" for key in shown) + f" machine_busy={row['machine_busy']}"
    )
    return row


def _systems(wanted: Sequence[str]) -> list[str]:
    for name in wanted:
        if not available(name):
            _say(
                f"{name} cannot be had here: deploy/asterisk/test-chroot.sh makes it. The other rows come all the same."
            )
    return [name for name in wanted if available(name)]


def main() -> int:
    given = _chosen()
    raise_file_limit()
    try:
        results = Results(machine(), adding=given.add)
    except Mismatch as mismatch:
        _say(str(mismatch))
        return 2
    broken = 0
    for number in range(given.runs):
        _say(f"run {number + 1} of {given.runs}")
        for job in given.rows.split(","):
            for system in _systems(given.systems.split(",")):
                if JOBS[job].admitted is not None and system != "callrec":
                    continue  # nobody else has that limit
                row = _one(system, job)
                broken += row is None
                if row is not None:
                    results.add(row)
        results.write(readme=given.readme)
    _say("written: build/bench.json, bench-machine.json, bench.md")
    return 1 if broken or not results.rows() else 0


if __name__ == "__main__":
    sys.exit(main())
