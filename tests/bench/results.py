"""What was measured so far: written after every run, and taken up again where more runs of the same are added."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.bench.table import mark_readme, table

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build"
COLUMNS = (
    *("system", "job", "concurrent", "setups_per_s", "calls", "refused_503", "cpu_s_per_setup"),
    "cpu_s_per_call_minute",
    *("peak_rss_mb", "lost_packets", "max_gap_ms", "heard_whole_notice", "recordings_right", "dial_p50_ms"),
    "dial_p99_ms",
)
"""What every row has; what else it has explains these."""
SAME = ("cpu", "cores", "memory_gb", "kernel", "python", "code_sha256")
"""What runs must have in common for one median to be taken of them."""
_MEASURED = ("callrec", "deploy/pjsip", "deploy/asterisk", "tests/bench")
"""Where the code lies that these figures are of."""
Row = Mapping[str, Any]


class Mismatch(Exception):
    """These runs cannot be added to those."""


def machine() -> dict[str, Any]:
    """What these figures are measured on, and of which code."""
    cpu = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 1024 / 1024
    begun = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "load_before": os.getloadavg()[0]}
    return {
        "cpu": cpu.partition(":")[2].strip(),
        "cores": os.cpu_count(),
        "memory_gb": round(memory, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "code_sha256": _code(),
        "begun": [begun],
    }


def _code() -> str:
    digest = hashlib.sha256()
    for path in sorted(path for place in _MEASURED for path in (ROOT / place).rglob("*") if _is_source(path)):
        digest.update(f"{path.relative_to(ROOT)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _is_source(path: Path) -> bool:
    return path.is_file() and path.suffix in (".py", ".c", ".h", ".sh") and not path.name.startswith("test_")


def median_of(runs: Sequence[Row]) -> dict[str, Any]:
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


class Results:
    """The runs of each row in `folder`/bench.json. With `adding`, those that lie there count too: Mismatch where they
    are of another machine or another code, or where there are none that can be read.
    """

    def __init__(self, facts: Mapping[str, Any], folder: Path = FOLDER, *, adding: bool = False) -> None:
        self.facts, self._folder = dict(facts), folder
        self._runs: dict[tuple[str, str], list[Row]] = {}
        if adding:
            self._take_up()

    @property
    def _rows_file(self) -> Path:
        return self._folder / "bench.json"

    @property
    def _facts_file(self) -> Path:
        return self._folder / "bench-machine.json"

    def _take_up(self) -> None:
        try:
            earlier, rows = json.loads(self._facts_file.read_text()), json.loads(self._rows_file.read_text())
        except (OSError, ValueError) as error:
            raise Mismatch(f"there are no runs to add to in {self._rows_file}: measure without ADD=1") from error
        other = [
            f"{name}: {earlier.get(name)} then, {self.facts[name]} now" for name in SAME if self._differs(earlier, name)
        ]
        if other:
            raise Mismatch(
                f"what lies in {self._rows_file} is of something else ({'; '.join(other)}): measure without ADD=1"
            )
        self.facts["begun"] = [*earlier["begun"], *self.facts["begun"]]
        for run in (run for row in rows for run in row["every_run"]):
            self.add(run)

    def _differs(self, earlier: Mapping[str, Any], name: str) -> bool:
        return earlier.get(name) != self.facts[name]

    def add(self, run: Row) -> None:
        """One more."""
        self._runs.setdefault((run["system"], run["job"]), []).append(run)

    def rows(self) -> Sequence[Row]:
        """Each system and job with the medians of all its runs."""
        return [median_of(runs) for runs in self._runs.values()]

    def write(self, *, readme: bool = False) -> None:
        """After every run, so that an interrupted measurement leaves what it has."""
        self._folder.mkdir(exist_ok=True)
        rows = self.rows()
        self._rows_file.write_text(json.dumps(rows, indent=1) + "\n")
        self._facts_file.write_text(json.dumps(self.facts, indent=1) + "\n")
        text = table(rows, self.facts)
        (self._folder / "bench.md").write_text(text)
        if readme:
            mark_readme(text)
