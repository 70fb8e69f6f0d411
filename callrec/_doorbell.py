"""The one way from another thread to an event loop where there is much to tell: it is woken once, however much waits.

Each wake of a loop is a system call and a turn at the interpreter, and both cost more than what is told.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

Job = Callable[[], None]


class Doorbell:
    """Has `loop` run jobs that any thread hands in, in the order in which they came."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._waiting: deque[Job] = deque()
        self._rung = False

    def hand_in(self, job: Job) -> None:
        """Have this done soon. Never blocks. RuntimeError where the loop is closed. What the job raises goes to the
        loop's exception handler, and the jobs behind it are done all the same.
        """
        self.lay_in(job)
        self.ring()

    def lay_in(self, job: Job) -> None:
        """As `hand_in`, for whoever has more to hand in, and rings after that: a loop that wakes meanwhile takes the
        interpreter away, only to find the first of it. Never blocks and never raises.
        """
        self._waiting.append(job)

    def ring(self) -> None:
        """Have done what was laid in. RuntimeError where the loop is closed."""
        if self._waiting and not self._rung:
            self._ring()

    def _ring(self) -> None:
        self._rung = True
        self.loop.call_soon_threadsafe(self._answer)

    def _answer(self) -> None:
        self._rung = False  # before the first is taken: what comes from now on either is found below or rings again
        try:
            while self._waiting:
                self._waiting.popleft()()
        finally:
            if self._waiting:
                self._ring()
