"""One thread that makes live files durable, one after the other, so that no call ever waits for the disk."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from typing import Protocol

from callrec.errors import Unavailable


class Syncable(Protocol):
    """A live file. A failing `sync` fails the file itself, which its next writer learns."""

    def sync(self) -> None:
        """Wait until what was written is on the disk."""


class SyncThread:
    """Syncs each added file once every `every_s` seconds, evenly spread. `add` and `drop` are safe from any thread."""

    def __init__(self, *, every_s: float) -> None:
        self._every_s = every_s
        self._lock = threading.Lock()
        self._queue: deque[Syncable] = deque()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin. Harmless when it runs."""
        if self._thread is None:
            self._stop.clear()
            self._thread = threading.Thread(target=self._run, name="spool-sync", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """End, after the sync that runs. Idempotent."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def add(self, file: Syncable) -> None:
        """Sync this file from now on."""
        with self._lock:
            self._queue.append(file)

    def drop(self, file: Syncable) -> None:
        """No more. Harmless where it was not added."""
        with self._lock, suppress(ValueError):
            self._queue.remove(file)

    def pause_s(self) -> float:
        """How long to wait before the next file, so that each has its turn in time."""
        with self._lock:
            return self._every_s / max(1, len(self._queue))

    def sync_next(self) -> None:
        """Give the next file its turn."""
        with self._lock:
            if not self._queue:
                return
            file = self._queue[0]
            self._queue.rotate(-1)
        with suppress(Unavailable):  # the file remembers, and refuses its next writer with the reason
            file.sync()

    def _run(self) -> None:
        while not self._stop.wait(self.pause_s()):
            self.sync_next()
