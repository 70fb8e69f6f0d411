"""How far the agent's event loop is behind with its work: too many calls at once, or a machine that is elsewhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

LOOK_S: Final = 0.1
TOO_LATE_S: Final = 1.0
"""A set-up needs some ten turns of the loop. Where each comes this late a notice is followed by seconds of silence, and
callers hang up: another agent, or the line itself, serves them better.
"""


class Lateness:
    """Sets itself a time to wake up, and looks by how much it is missed.

    The loop alone is looked at, not the disk: while a disk hangs calls go through unrecorded, and are not turned away.
    """

    def __init__(
        self,
        *,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pause, self._now = pause, now
        self._due = float("inf")
        self._last_s = 0.0

    async def watch(self) -> None:
        """For ever."""
        while True:
            self._due = self._now() + LOOK_S
            await self._pause(LOOK_S)
            self._last_s = self._now() - self._due

    def seconds(self) -> float:
        """By how much the last time was missed, or the next one already is."""
        return max(self._last_s, self._now() - self._due)

    def too_late(self) -> bool:
        """Whether one more caller would make all of them wait."""
        return self.seconds() > TOO_LATE_S
