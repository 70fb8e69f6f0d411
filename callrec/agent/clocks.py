"""The clocks of one call: those that the core asks for, and bounds on what others owe."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from callrec.config import Config, Line
from callrec.core import events as e


def seconds_of(config: Config, line: Line) -> Mapping[e.Timer, float]:
    """How long each of the core's clocks runs on this line."""
    return {
        e.Timer.NOTICE_WAIT: float(config.notice.max_wait_s),
        e.Timer.DECIDE: config.notice.decide_within_ms / 1000,
        e.Timer.CHOICE_WINDOW: float(line.choice_window_s),
        e.Timer.PAUSE: float(line.pause_max_s),
        e.Timer.CONSENT: float(config.notice.consent_wait_s),
    }


class CallClocks:
    """`ran_out` is called on the event loop; starting a clock again begins it anew."""

    def __init__(self, seconds: Mapping[e.Timer, float], *, ran_out: Callable[[e.Timer], None]) -> None:
        self._seconds = seconds
        self._ran_out = ran_out
        self._running: dict[e.Timer, asyncio.TimerHandle] = {}
        self._bounds: list[asyncio.TimerHandle] = []

    def run_for(self, seconds: Mapping[e.Timer, float]) -> None:
        """From now on clocks run so long; those that run already end when they would."""
        self._seconds = seconds

    def start(self, timer: e.Timer) -> None:
        """Run this clock."""
        if running := self._running.get(timer):
            running.cancel()
        loop = asyncio.get_running_loop()
        self._running[timer] = loop.call_later(self._seconds[timer], self._ran_out, timer)

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        """Call this then, unless the call was closed before."""
        self._bounds.append(asyncio.get_running_loop().call_later(seconds, what))

    def cancel(self) -> None:
        """Nothing runs out any more."""
        for handle in (*self._running.values(), *self._bounds):
            handle.cancel()
