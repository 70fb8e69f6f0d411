"""make bench: every row through every system in turn, RUNS times; the medians go to build/bench.json and bench.md.

ROWS=c100,s40 and SYSTEMS=callrec choose among them. Rows are taken in the same order by each system, one system after
the other, so that a row and its counterpart meet the machine minutes apart.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.bench.rows import JOBS, ROOT, measure
from tests.bench.systems import SYSTEMS, available, raise_file_limit
from tests.bench.table import mark_readme, table
from tests.peers.ports import PeerFailed

RESULT = ROOT / "build" / "bench.json"
COLUMNS = (
    *("system", "job", "concurrent", "setups_per_s", "calls", "cpu_s_per_setup", "cpu_s_per_call_minute"),
    *("peak_rss_mb", "lost_packets", "max_gap_ms", "heard_whole_notice", "recordings_right", "dial_p50_ms"),
    "dial_p99_ms",
)
"""What every row has; what else it has explains these."""


def median_of(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One row of several runs: the median of each number, so that one disturbed run decides nothing."""
    middle = {key: _median([run.get(key) for run in runs]) for key in runs[0] if key not in ("load", "threads")}
    ordered = {key: middle.pop(key, None) for key in COLUMNS}
    return {**ordered, **middle, "runs": len(runs), "threads": runs[-1]["threads"], "every_run": list(runs)}


def _median(values: Sequence[Any]) -> Any:
    numbers = [one for one in values if isinstance(one, int | float) and not isinstance(one, bool)]
    if not numbers:
        return values[0]
    return (
        statistics.median_low(numbers) if all(isinstance(one, int) for one in numbers) else statistics.median(numbers)
    )


def machine() -> dict[str, Any]:
    """What these figures were measured on."""
    cpu = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 1024 / 1024
    return {
        "cpu": cpu.partition(":")[2].strip(),
        "cores": os.cpu_count(),
        "memory_gb": round(memory, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "load_before": os.getloadavg()[0],
    }


def _chosen() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rows", default=",".join(JOBS))
    parser.add_argument("--systems", default=",".join(SYSTEMS))
    parser.add_argument("--runs", type=int, default=3)
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
    shown = ("served", "heard_whole_notice", "recordings_right", "cpu_s_per_call_minute", "lost_packets", "max_gap_ms")
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
    facts = machine()
    runs: dict[tuple[str, str], list[dict[str, Any]]] = {}
    broken = 0
    for number in range(given.runs):
        _say(f"run {number + 1} of {given.runs}")
        for job in given.rows.split(","):
            for system in _systems(given.systems.split(",")):
                row = _one(system, job)
                broken += row is None
                if row is not None:
                    runs.setdefault((system, job), []).append(row)
        _write(facts, [median_of(rows) for rows in runs.values()], readme=given.readme)
    _say(f"written: {RESULT.relative_to(ROOT)}, bench-machine.json, bench.md")
    return 1 if broken or not runs else 0


def _write(facts: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], *, readme: bool) -> None:
    """After every run, so that an interrupted measurement leaves what it has."""
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(rows, indent=1) + "\n")
    RESULT.with_name("bench-machine.json").write_text(json.dumps(facts, indent=1) + "\n")
    text = table(rows, facts)
    RESULT.with_name("bench.md").write_text(text)
    if readme:
        mark_readme(text)


if __name__ == "__main__":
    sys.exit(main())
