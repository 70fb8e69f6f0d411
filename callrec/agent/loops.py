"""Sharing one interpreter among the agent's threads, and ending tasks that run for ever."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

ASK_AGAIN_S: Final = 0.2
_TURN_S: Final = 0.002
_WORKERS: Final = 4
_NEW_OBJECTS: Final = 10_000
_ENDED_CALLS: Final = 100
_trim: Final = getattr(ctypes.CDLL(None), "malloc_trim", None)
"""glibc's alone (malloc_trim(3))."""


def share_interpreter(loop: asyncio.AbstractEventLoop) -> None:
    """Let the threads that answer peers and callers have their turn in time, however much the workers have to do.

    Whoever waits for the interpreter gets it after two milliseconds instead of five: each of the many short system
    calls of a set-up gives it up once. At a twentieth of a millisecond, a fifth of the CPU went into passing it on.
    Workers are few, for each that has something to do is one more to take turns with, and the loop is what everybody
    waits for: at 20 set-ups a second with 24 of them, a quarter to a half of the recordings were not as they should
    be; with four, in three runs, one in 400 twice and once a fifth. A store that hangs holds two (`mover.AT_ONCE`);
    the others are the calls'.

    What is there by now stays for ever: the collector need not look through all of it, with every call at a
    stand-still.
    """
    sys.setswitchinterval(_TURN_S)
    loop.set_default_executor(ThreadPoolExecutor(_WORKERS, thread_name_prefix="worker"))
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, 20, 20)


class Tidying:
    """Frees what ended calls leave behind: their parts hold each other, and only the collector can take them apart. By
    itself it would look at what has lived for a while after thousands of calls, 60 kB each.
    """

    def __init__(self) -> None:
        self._ended = 0

    def call_ended(self) -> None:
        """Every hundredth time all of them are freed: some 20 ms in which no message is answered; audio flows on. What
        that leaves free between what is still used goes back to the system, or it would grow for hours.
        """
        self._ended += 1
        if self._ended % _ENDED_CALLS == 0:
            gc.collect()
            if _trim is not None:
                _trim(0)


async def end_all(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel, until every one has ended. What they raise is theirs.

    Once is not enough: before Python 3.12 `asyncio.wait_for` loses a cancellation that comes just as its wait ends, and
    the task goes on for ever (python/cpython#86296).
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=ASK_AGAIN_S)
