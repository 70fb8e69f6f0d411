"""The one thread that owns the library: jobs in, facts out, and its own timers.

pjsua2 runs with `threadCnt=0` and `mainThreadOnly=True`: the thread that created the library polls it here, and every
callback runs on it. A job waits for the running poll, so at most POLL_MS. The poll releases the GIL.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable
from concurrent.futures import Future
from itertools import count
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Final, TypeVar

import structlog

POLL_MS: Final = 10
_JOIN_S: Final = 10.0

_log = structlog.get_logger(__name__)
_Result = TypeVar("_Result")
Job = Callable[[], None]


def attempt(job: Job) -> None:
    """Run a job. What it raises goes no further; the log names its kind and place, for its text may hold numbers."""
    try:
        job()
    except Exception as error:  # noqa: BLE001 - a defect in one job must not end the thread that carries every call
        _log.error("sip job failed", error=type(error).__name__, at=place_of(error))


def place_of(error: BaseException) -> str:
    """File and line where it was raised: what can be told of an error whose text may hold numbers or names."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace is not None else "?"


class SipThread:
    """A door with two sides. `post`, `run` and `stop` may be called from any thread, everything else on this one.

    `after` is called at the end of each turn: what a poll and its jobs have to tell is told at once.
    """

    def __init__(self, poll: Callable[[int], object], after: Job) -> None:
        self._poll, self._after = poll, after
        self._jobs: SimpleQueue[Job] = SimpleQueue()
        self._timers: list[tuple[float, int, Job]] = []
        self._number = count()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._live, name="sip", daemon=True)

    def start(self) -> None:
        """Begin. The first job should create the library, because its creator is its owner."""
        self._thread.start()

    def post(self, job: Job) -> None:
        """Have this done soon, in order. Never blocks, so callbacks of any thread may call it."""
        self._jobs.put(job)

    def run(self, job: Callable[[], _Result]) -> Future[_Result]:
        """Have this done soon; the future holds its result or what it raised."""
        done: Future[_Result] = Future()
        self.post(lambda: _fulfil(done, job))
        return done

    def call_later(self, seconds: float, job: Job) -> None:
        """Have this done after so many seconds. Jobs that no longer apply find that out themselves."""
        heapq.heappush(self._timers, (monotonic() + seconds, next(self._number), job))

    def forget_timers(self) -> None:
        """Nothing is done later any more, nor held for it: the library's objects must go before the library does."""
        self._timers.clear()

    def stop(self) -> None:
        """End after the jobs that wait now, and wait for the end."""
        self._stopping.set()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(_JOIN_S)

    def turn(self) -> None:
        """The jobs that wait and the timers that are due."""
        self._drain()
        self._fire()
        attempt(self._after)

    def _live(self) -> None:
        while not self._stopping.is_set():
            attempt(self._wait)
            self.turn()
        self._drain()
        attempt(self._after)

    def _wait(self) -> None:
        self._poll(POLL_MS)

    def _drain(self) -> None:
        for _ in range(self._jobs.qsize()):
            try:
                attempt(self._jobs.get_nowait())
            except Empty:
                return

    def _fire(self) -> None:
        now = monotonic()
        while self._timers and self._timers[0][0] <= now:
            attempt(heapq.heappop(self._timers)[2])


def _fulfil(done: Future[_Result], job: Callable[[], _Result]) -> None:
    try:
        done.set_result(job())
    except BaseException as error:  # noqa: BLE001 - whoever waits must hear of it
        done.set_exception(error)
