"""Running numbers of calls: each agent run counts on, or from 1; a number left out is a call left out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from callrec.audit.findings import Findings
from callrec.ledger.entry import LogEntry

_WIDEST_GAP: Final = 10_000
"""A wider gap is told as one sentence instead of being waited for."""


@dataclass(slots=True)
class _Run:
    highest: int
    gaps: dict[int, int] = field(default_factory=dict)


class RunningNumbers:
    """Late entries come out of order, so a gap is judged only at the end."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._runs: dict[str, _Run] = {}
        self._highest = 0

    def see(self, entry: LogEntry) -> None:
        """Take the next `call.offered`."""
        number = entry.body["number"]
        if type(number) is not int or number < 1:
            self._findings.add(8, f"the running number {number!r} is none", entry.seq)
            return
        run = self._runs.get(entry.agent_run)
        if run is None:
            run = self._runs[entry.agent_run] = _Run(0 if number == 1 else self._highest)
        self._take(run, number, entry.seq)
        self._highest = run.highest

    def _take(self, run: _Run, number: int, seq: int) -> None:
        if number <= run.highest:
            if run.gaps.pop(number, None) is None:
                self._findings.add(8, f"the running number {number} was given twice", seq)
            return
        if number - run.highest > _WIDEST_GAP:
            self._findings.add(8, f"the numbers jump from {run.highest} to {number}", seq)
        elif number > run.highest + 1:
            run.gaps |= dict.fromkeys(range(run.highest + 1, number), seq)
        run.highest = number

    def finish(self, over_seq: int) -> None:
        """Tell the numbers that never came; those left out after `over_seq` may still come from the side journal."""
        for number, seq in (gap for run in self._runs.values() for gap in run.gaps.items()):
            sentence = f"no call has the running number {number}"
            if seq < over_seq:
                self._findings.add(8, sentence, seq)
            else:
                self._findings.still_open(sentence)
