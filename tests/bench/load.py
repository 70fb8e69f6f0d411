"""Runs load.c, which calls and answers; builds it where it was changed. What it saw, call by call."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.peers import ports
from tests.peers.ports import LOOPBACK, Process

SOURCE = Path(__file__).with_name("load.c")
PROGRAM = Path(__file__).parents[2] / "build" / "bench" / "load"
_NICE = -10
"""A load that comes late would be measured as a system that is late."""


def program() -> Path:
    """The built program. `subprocess.CalledProcessError` with the compiler's words where it cannot be built."""
    if not PROGRAM.exists() or PROGRAM.stat().st_mtime < SOURCE.stat().st_mtime:
        PROGRAM.parent.mkdir(parents=True, exist_ok=True)
        part = PROGRAM.with_name(f"load.{os.getpid()}")
        subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-o", part, SOURCE, "-lm"], check=True, timeout=60)
        part.replace(PROGRAM)
    return PROGRAM


@dataclass(frozen=True, slots=True)
class Seen:
    """What callers and staff saw: one record per call that was offered, and the sum."""

    calls: list[Mapping[str, Any]]
    summary: Mapping[str, Any]


class Load:
    """The ports of one load, and its run. `staff` is where the system is to dial."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._first = ports.free_range(8)
        self.staff = f"{LOOPBACK}:{self._first + 2}"
        self._out = folder / "calls.jsonl"

    def start(self, system: str, notice: Path, **words: float | str) -> Process:
        """Begin to call `system` (address:port). `words` are options of load.c."""
        first = self._first
        given = {
            "sip": system,
            "notice": notice,
            "out": self._out,
            "uac": first,
            "uas": first + 2,
            "caller_rtp": first + 4,
            "staff_rtp": first + 6,
            **words,
        }
        line = [program(), *(f"{key}={value}" for key, value in given.items())]
        running = Process(line, folder=self.folder, name="load")
        with suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, running.pid, _NICE)
        return running

    def seen(self) -> Seen:
        """After its end."""
        lines = [json.loads(line) for line in self._out.read_text().splitlines()]
        return Seen(calls=sorted(lines[:-1], key=lambda one: one["n"]), summary=lines[-1])
