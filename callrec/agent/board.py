"""Who is recorded and who is not, since when and why: for `agent status` and for alerts. Counts, never names."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from callrec.config import Alerts
from callrec.core.reasons import REASON_CLASS, Reason, ReasonClass

NOT_SERVED_KEPT: Final = 20
_RECENT: Final = 500
_HOUR_NS: Final = 3_600 * 10**9
_FEWEST: Final = 5
"""Calls in the hour below which a share says nothing."""
_COMMAND_S: Final = 30.0
_NOT_STARTED: Final = 127


@dataclass(slots=True)
class LineState:
    """One line as its calls and checks show it. `since_utc` is when it stopped (or began) recording."""

    recording: bool = True
    since_utc: str = ""
    why: str = ""
    faults_in_a_row: int = 0
    recent: deque[tuple[int, bool]] = field(default_factory=lambda: deque(maxlen=_RECENT))

    def share_of_faults(self, now_ns: int) -> float:
        """Our fault's share of the last hour's calls; 0 while there were too few."""
        hour = [fault for at, fault in self.recent if now_ns - at <= _HOUR_NS]
        return sum(hour) / len(hour) if len(hour) >= _FEWEST else 0.0


class Board:
    """Keeps the state of every line, and tells somebody at onset and at recovery, once each."""

    def __init__(self, lines: Sequence[str], alerts: Alerts, *, tell: Callable[[str], None]) -> None:
        self.lines = {name: LineState() for name in lines}
        self.not_served: deque[dict[str, str]] = deque(maxlen=NOT_SERVED_KEPT)
        self._alerts = alerts
        self._tell = tell
        self._obstacles: dict[str, str] = {}

    def checked(self, line: str, obstacle: str | None, *, utc: str) -> None:
        """What the periodic check of this line found: None where a call now would be recorded if proven."""
        if obstacle is None:
            self._obstacles.pop(line, None)
        else:
            self._obstacles[line] = obstacle
        self._settle(line, utc)

    def call_ended(self, line: str, reason: Reason | None, *, now_ns: int, utc: str) -> None:
        """One call of this line ended, recorded or for this reason not."""
        state = self.lines[line]
        fault = reason is not None and REASON_CLASS[reason] is ReasonClass.OUR_FAULT
        if reason is None or fault:
            state.faults_in_a_row = state.faults_in_a_row + 1 if fault else 0
            state.recent.append((now_ns, fault))
        if fault and reason is not None:
            state.why = reason.value
        self._settle(line, utc, now_ns)

    def _settle(self, line: str, utc: str, now_ns: int | None = None) -> None:
        state = self.lines[line]
        why = self._obstacles.get(line) or self._pattern(state, now_ns)
        if (why is None) == state.recording:
            state.why = why or state.why
            return
        state.recording, state.since_utc = why is None, utc
        state.why = why or ""
        what = f"NOT RECORDING since {utc} because {why}" if why else f"recording again since {utc}"
        self._tell(f"line {line}: {what}")

    def _pattern(self, state: LineState, now_ns: int | None) -> str | None:
        if state.faults_in_a_row >= self._alerts.our_fault_in_a_row:
            return f"{state.faults_in_a_row} calls in a row were not recorded by our fault, the last for {state.why}"
        share = state.share_of_faults(now_ns) if now_ns is not None else 0.0
        if share > self._alerts.our_fault_share_1h:
            return f"{share:.0%} of the last hour's calls were not recorded by our fault"
        return None

    def turned_away(self, *, utc: str, source: str, why: str, key: str) -> None:
        """An INVITE that was not served, with the configuration key that would change it."""
        self.not_served.append({"utc": utc, "source": source, "why": why, "key": key})

    def as_json(self) -> dict[str, Any]:
        """For `agent status`."""
        lines: Mapping[str, dict[str, Any]] = {
            name: {"recording": s.recording, "since": s.since_utc, "why": "" if s.recording else s.why}
            for name, s in self.lines.items()
        }
        return {"lines": dict(lines), "not_served": list(self.not_served)}


async def run_alert(command: tuple[str, ...], message: str) -> int:
    """Run the configured command with the message as its last argument, bounded in time and without a shell.

    Its exit status; 127 where it could not be started. Never raises: an alarm that fails must not stop the agent.
    """
    null = asyncio.subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(*command, message, stdin=null, stdout=null, stderr=null)
    except OSError:
        return _NOT_STARTED
    try:
        return await asyncio.wait_for(process.wait(), _COMMAND_S)
    except TimeoutError:
        process.kill()
        return await process.wait()
