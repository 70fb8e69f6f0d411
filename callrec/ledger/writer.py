"""The one thread that writes a log: whatever waits goes into one commit. Also the health of it, and the replay.

No delay is added to gather a batch for whoever waits: while one commit is on its way to the disk, the next batch
gathers by itself. What nobody waits for waits a little itself, for company: a commit costs more than what is in it.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final

from callrec.core.proof import Receipt
from callrec.errors import CallrecError, Unavailable
from callrec.ledger.logfile import Fact, LogFile, Written
from callrec.ledger.pending import Note, PendingJournal
from callrec.ports import Clock, Entry

BATCH: Final = 64
"""Entries in one commit, at most."""
_QUEUE: Final = 10_000
PATIENCE_S: Final = 0.02
"""So long a patient entry waits for one that is not, or for others like it."""
_PROBE_S: Final = 1.0
_OVERDUE_S: Final = 2.0
"""A commit that takes longer than this hangs, for all that callers can see."""


class Health:
    """Whether writing works, as far as is known. Any thread."""

    def __init__(self) -> None:
        self._good = threading.Event()
        self._good.set()
        self._busy_since: float | None = None
        self._why = ""

    def starts(self) -> None:
        """A commit is on its way."""
        self._busy_since = time.monotonic()

    def ends(self, *, well: bool, why: str = "") -> None:
        """The commit came to an end."""
        self._busy_since = None
        self._why = why
        if well:
            self._good.set()
        else:
            self._good.clear()

    def doubt(self) -> None:
        """Somebody waited in vain: not writable until something was written."""
        self._good.clear()

    def good(self) -> bool:
        """True while the last write succeeded and none is overdue."""
        since = self._busy_since
        return self._good.is_set() and (since is None or time.monotonic() - since < _OVERDUE_S)

    def trouble(self) -> str:
        """Why writing does not work, for a person; empty where it does."""
        return "" if self.good() else self._why or "it does not answer; look at its disk"

    def wait(self, timeout_s: float) -> bool:
        """Wait until writing works again; False where it still does not."""
        return self._good.wait(timeout_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    entry: Entry
    result: Future[Receipt]
    patient: bool


class Writer:
    """Owns the log file from now on. `close` gives it back. `told` is called, on its thread, whenever all that waited
    for one commit have their results.
    """

    def __init__(self, log: LogFile, journal: PendingJournal, clock: Clock, *, told: Callable[[], None]) -> None:
        self.health = Health()
        self._tell = told
        self._log = log
        self._journal = journal
        self._clock = clock
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self.replayed = threading.Event()
        """Set once nothing waits in the side journal that an earlier run, or this one, left there."""
        if log.away is not None:
            self.health.ends(well=False, why=_told(log.away))
        self._thread = threading.Thread(target=self._run, name="ledger writer", daemon=True)
        self._thread.start()

    def submit(self, entry: Entry, *, patient: bool = False) -> Future[Receipt]:
        """Queue one entry. Cancelling the future withdraws it where its commit did not begin. `Unavailable` if full.

        Entries are written in the order in which they were queued, a `patient` one up to PATIENCE_S later.
        """
        result: Future[Receipt] = Future()
        if self._closing.is_set():
            raise Unavailable("the ledger is closed", next_step="open it again")
        if self._queue.qsize() >= _QUEUE:
            self.health.doubt()
            raise Unavailable("too many entries wait for the ledger", next_step="look at the disk")
        self._queue.put(_Job(entry=entry, result=result, patient=patient))
        return result

    def wake(self) -> None:
        """Look at the state of things now: probe where writing failed, replay where notes wait."""
        if self._queue.qsize() < _QUEUE:
            self._queue.put(None)
        else:
            self.health.doubt()

    def close(self, timeout_s: float) -> bool:
        """Write what waits, end the thread. False where it still hangs: it is left alone, as a daemon."""
        self._closing.set()
        self.wake()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not (self._closing.is_set() and self._queue.empty()):
            jobs = self._gather()
            if jobs:
                self._write(jobs)
                self._tell()
            elif not self.health.good():
                self._attempt(self._log.probe)
            if self.health.good() and not self._closing.is_set():
                self._attempt(self._replay)
        self._log.close()

    def _gather(self) -> list[_Job]:
        items: list[_Job | None] = []
        try:
            items.append(self._queue.get(timeout=None if self.health.good() else _PROBE_S))
            until_s = time.monotonic() + PATIENCE_S
            while len(items) < BATCH:
                newest = items[-1]
                if newest is None or not newest.patient:
                    until_s = 0.0
                items.append(self._next(until_s))
        except queue.Empty:
            pass
        return [item for item in items if item is not None and item.result.set_running_or_notify_cancel()]

    def _next(self, until_s: float) -> _Job | None:
        """What was queued next. queue.Empty where nothing is until then."""
        left_s = until_s - time.monotonic()
        return self._queue.get(timeout=left_s) if left_s > 0 else self._queue.get_nowait()

    def _write(self, jobs: list[_Job]) -> None:
        written: list[Written] = []
        failure = self._attempt(lambda: written.extend(self._log.append([Fact(entry=job.entry) for job in jobs])))
        if failure is not None:
            for job in jobs:
                job.result.set_exception(failure)
            return
        durable_ns = self._clock.boottime_ns()
        for job, place in zip(jobs, written, strict=True):
            job.result.set_result(_receipt(job.entry, place, durable_ns))

    def _attempt(self, work: Callable[[], None]) -> CallrecError | None:
        self.health.starts()
        try:
            work()
        except CallrecError as error:
            self.health.ends(well=False, why=_told(error))
            return Unavailable(str(error), next_step=error.next_step)
        except Exception as error:  # noqa: BLE001 - the thread must outlive whatever one entry holds; callers are told
            self.health.ends(well=False)
            return Unavailable(f"the ledger could not take an entry: {error!r}", next_step="report this")
        self.health.ends(well=True)
        return None

    def _replay(self) -> None:
        notes = self._journal.notes()
        if not notes:
            self.replayed.set()
            return
        waiting = self._log.unwritten(notes)
        for start in range(0, len(waiting), BATCH):
            self._log.append([_late(note) for note in waiting[start : start + BATCH]])
        if self._journal.clear(len(notes)):
            self.replayed.set()


def _told(error: CallrecError) -> str:
    return f"{error}; {error.next_step}" if error.next_step else str(error)


def _late(note: Note) -> Fact:
    return Fact(entry=note.entry, late=note.moment, agent_run=note.agent_run)


def _receipt(entry: Entry, place: Written, durable_ns: int) -> Receipt:
    return Receipt(
        kind=entry.kind,
        seq=place.seq,
        leaf=place.leaf,
        call_uid=entry.call_uid,
        segment=entry.segment,
        boottime_ns=durable_ns,
    )
