"""CPU and memory of a process and all it started, sampled from /proc while it works."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_EVERY_S = 0.5
STARTED = "processes it started"
"""All of them together, beside its threads."""


def family(pid: int) -> list[int]:
    """This process and its descendants."""
    parents: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        fields = _stat(folder / "stat")
        if fields:
            parents.setdefault(int(fields[1]), []).append(int(folder.name))
    found = [pid]
    for one in found:
        found.extend(parents.get(one, []))
    return found


def _stat(path: Path) -> list[str]:
    """From the third field on: the name before it may hold anything."""
    try:
        return path.read_text().rpartition(")")[2].split()
    except OSError:
        return []


def cpu_s(pid: int) -> float:
    """Seconds of CPU that this family has used so far, its ended children too."""
    fields = (_stat(Path(f"/proc/{one}/stat")) for one in family(pid))
    return sum(sum(map(int, one[11:15])) for one in fields if one) * _TICK_S


def threads_cpu_s(pid: int) -> dict[str, float]:
    """Seconds of CPU by thread name: threads of one name together, and all processes that it started."""
    used: dict[str, float] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        fields = _stat(task / "stat")
        if fields:
            name = (task / "comm").read_text().strip()
            used[name] = used.get(name, 0.0) + sum(map(int, fields[11:13])) * _TICK_S
    for child in family(pid)[1:]:
        fields = _stat(Path(f"/proc/{child}/stat"))
        if fields:
            used[STARTED] = used.get(STARTED, 0.0) + sum(map(int, fields[11:13])) * _TICK_S
    return used


def _memory_mb(pid: int, key: str) -> float:
    def values() -> Iterator[int]:
        for one in family(pid):
            try:
                lines = Path(f"/proc/{one}/status").read_text().splitlines()
            except OSError:
                continue
            yield from (int(line.split()[1]) for line in lines if line.startswith(key))

    return sum(values()) / 1024


def rss_mb(pid: int) -> float:
    """Resident memory now."""
    return _memory_mb(pid, "VmRSS:")


def peak_rss_mb(pid: int) -> float:
    """The most that was resident so far."""
    return _memory_mb(pid, "VmHWM:")


@dataclass(frozen=True, slots=True)
class Sample:
    """One look: wall clock, CPU used until then, by the system and by everything on this machine, memory."""

    at: float
    cpu_s: float
    rss_mb: float
    threads: dict[str, float]
    machine_busy_s: float


def machine_busy_s() -> float:
    """Seconds of CPU that anything on this machine used."""
    fields = [int(one) for one in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) * _TICK_S


@dataclass(slots=True)
class Watch:
    """Samples one process twice a second while it is open."""

    pid: int
    samples: list[Sample] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._look()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._look()

    def _run(self) -> None:
        while not self._stop.wait(_EVERY_S):
            self._look()

    def _look(self) -> None:
        try:
            one = Sample(time.time(), cpu_s(self.pid), rss_mb(self.pid), threads_cpu_s(self.pid), machine_busy_s())
        except OSError:
            return
        self.samples.append(one)

    def between(self, start: float, end: float) -> tuple[Sample, Sample] | None:
        """The first and last sample in this time; None where there are no two a few seconds apart."""
        inside = [one for one in self.samples if start <= one.at <= end]
        return (inside[0], inside[-1]) if len(inside) > 1 and inside[-1].at - inside[0].at >= 3 else None
