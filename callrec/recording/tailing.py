"""One thread that follows all live recordings, so that a running call costs the event loop nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

EVERY_S: Final = 1.0
"""What is not taken yet lies in memory that outlives the process: a kill loses none of it. Half as often costs half."""
_PARTS: Final = 10
"""Each round is taken in so many steps, so that the work of hundreds of calls is spread over it."""

Tick = Callable[[], None]
Failed = Callable[[Exception], None]


class TailThread:
    """Calls each followed `tick` once every `every_s` seconds. `follow` and `drop` are safe from any thread.

    It begins with the first that is followed, and is a daemon: a disk that hangs cannot hold the exit.
    """

    def __init__(self, *, every_s: float = EVERY_S) -> None:
        self._every_s = every_s
        self._lock = threading.Lock()
        self._followed: list[tuple[Tick, Failed]] = []
        self._at = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def follow(self, tick: Tick, failed: Failed) -> None:
        """Call `tick` from now on. Once it raises, `failed` is told on this thread, and it is called no more."""
        with self._lock:
            self._followed.append((tick, failed))
            if self._thread is None:
                self._stop.clear()
                self._thread = threading.Thread(target=self._run, name="tail", daemon=True)
                self._thread.start()

    def drop(self, tick: Tick) -> None:
        """No more, though a call that is under way may still end. Harmless where it was not followed."""
        with self._lock:
            self._followed = [pair for pair in self._followed if pair[0] != tick]

    def close(self) -> None:
        """End, after the step that runs. Idempotent."""
        self._stop.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._every_s / _PARTS):
            for tick, failed in self._next():
                try:
                    tick()
                except Exception as error:  # noqa: BLE001 - whatever it was costs this one recording, not the others
                    self.drop(tick)
                    failed(error)

    def _next(self) -> list[tuple[Tick, Failed]]:
        """Those whose turn it is."""
        with self._lock:
            count = len(self._followed)
            self._at %= max(1, count)
            share = -(-count // _PARTS)
            turn = [self._followed[(self._at + step) % count] for step in range(share)]
            self._at += share
            return turn
