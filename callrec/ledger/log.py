"""The ledger as the agent and the command line use it: a face of the writer thread that never blocks the event loop."""

from __future__ import annotations

import asyncio
import os
import queue
import secrets
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from pathlib import Path
from typing import Final

from callrec import _sql
from callrec._doorbell import Doorbell
from callrec._durable import LockFile
from callrec._sql import Database
from callrec.core.kinds import Kind
from callrec.core.proof import Receipt
from callrec.errors import CallrecError, Unavailable
from callrec.ledger.checkpoint import LogKey
from callrec.ledger.entry import check, now
from callrec.ledger.init import load_signing_key
from callrec.ledger.logfile import Commit, LogFile, commit
from callrec.ledger.pending import DEFAULT_BYTES, Note, PendingJournal
from callrec.ledger.tables import require_log
from callrec.ledger.writer import Writer
from callrec.ports import Clock, Entry, Ledger

_CLOSE_S: Final = 5.0
_JOURNAL_S: Final = 2.0
_PATIENT: Final = frozenset(
    {Kind.CALL_ANSWERED, Kind.LEG_CHANGED, Kind.RECORDING_PROGRESS, Kind.RECORDING_STOPPED, Kind.CALL_CLOSED}
)
"""The course of a call. That there was one, what somebody said or chose, and what went wrong, is written at once."""


class SqlLedger:
    """Open the log in `database` for writing. It must exist: `create_log` makes one.

    One process writes a log at a time: the lease is a lock beside the file, or one that the PostgreSQL server gives to
    a connection, and a second process gets `Unavailable` naming the holder. ConfigError where log or key are missing or
    do not belong together; `Broken` where the end of the log does not fit its newest checkpoint. `journal` is where the
    side journal lies; it must be named where the log is no file. With `patient` a database that is away is waited for:
    until it answers nothing can be appended, and what is noted waits in the side journal.

    An append that timed out may still have happened: where its commit succeeds late the entry stands, and its receipt
    is lost. It is never handed out later as the proof of anything. Where the commit had not begun, it never happens.

    `commit` is what makes a transaction durable; tests hand in one that hangs or fails.
    """

    def __init__(
        self,
        database: Database,
        *,
        signing_key: Path,
        clock: Clock,
        holder: str = "agent",
        journal: Path | None = None,
        journal_bytes: int = DEFAULT_BYTES,
        commit: Commit = commit,
        patient: bool = False,
    ) -> None:
        require_log(database)
        secret = load_signing_key(signing_key)
        self.database = database
        self.agent_run = secrets.token_hex(16)
        self._clock = clock
        self._lease = _lease(database, _holder(holder, database))
        try:
            self._log = LogFile(
                database,
                secret,
                clock,
                agent_run=self.agent_run,
                holder=_holder(holder, database),
                commit=commit,
                patient=patient,
            )
            self._journal = PendingJournal(journal or _beside(database, ".pending"), size=journal_bytes)
        except BaseException:
            self._give_back()
            raise
        self._bell: Doorbell | None = None
        self._writer = Writer(self._log, self._journal, clock, told=self._ring)
        self._side = _SideThread()
        self._writer.wake()

    @property
    def public_key(self) -> LogKey:
        """The key that checks this log."""
        return self._log.key

    @property
    def log_id(self) -> str:
        """SHA-256 of that key, hexadecimal; stands in every entry."""
        return self._log.key.log_id

    def newest_checkpoint(self) -> bytes:
        """The signed note of the newest commit. `Unavailable` where the database was away from the start."""
        if not self._log.newest_note:
            raise Unavailable("the ledger was not opened yet", next_step="see that its database is up")
        return self._log.newest_note

    def writable(self) -> bool:
        """See `ports.Ledger`. After a failure it stays False until the writer thread wrote something again."""
        return self._writer.health.good()

    def trouble(self) -> str:
        """See `ports.Ledger`."""
        return self._writer.health.trouble()

    def wait_replayed(self, timeout_s: float) -> bool:
        """Block until what waited in the side journal is in the log; False where it is not within `timeout_s`."""
        return self._writer.replayed.wait(timeout_s)

    def wait_writable(self, timeout_s: float) -> bool:
        """Block until writing works again; False where it does not within `timeout_s`. Not for the event loop."""
        return self._writer.health.wait(timeout_s)

    async def append(self, entry: Entry, *, timeout_s: float) -> Receipt:
        """See `ports.Ledger`. ValueError, before anything is queued, where the body lacks a field of its kind."""
        check(entry)
        return await self._append(entry, timeout_s)

    async def _append(self, entry: Entry, timeout_s: float, *, patient: bool = False) -> Receipt:
        future = self._writer.submit(entry, patient=patient)
        try:
            if await self._ended(future, timeout_s):
                return future.result()
        finally:
            future.cancel()
        raise self._gave_up(timeout_s)

    async def _ended(self, future: Future[Receipt], timeout_s: float) -> bool:
        """Whether it came to its end in time. One wake of the loop serves all entries of a commit."""
        loop = asyncio.get_running_loop()
        if self._bell is None or self._bell.loop is not loop:
            self._bell = Doorbell(loop)
        bell = self._bell
        ended: asyncio.Future[bool] = loop.create_future()
        future.add_done_callback(lambda _: bell.lay_in(lambda: _settle(ended, in_time=True)))
        bell.ring()  # where the writer was quicker, it has rung before
        timer = loop.call_later(timeout_s, lambda: _settle(ended, in_time=False))
        try:
            return await ended
        finally:
            timer.cancel()

    def _ring(self) -> None:
        bell = self._bell
        if bell is not None:
            with suppress(RuntimeError):  # a loop that is closed waits for nothing any more
                bell.ring()

    def append_blocking(self, entry: Entry, *, timeout_s: float = 10.0) -> Receipt:
        """As `append`, for programs without an event loop."""
        check(entry)
        future = self._writer.submit(entry)
        try:
            return future.result(timeout_s)
        except FutureTimeoutError:
            future.cancel()
            raise self._gave_up(timeout_s) from None

    def _gave_up(self, timeout_s: float) -> Unavailable:
        self._writer.health.doubt()
        self._writer.wake()
        return Unavailable(f"the ledger did not answer within {timeout_s:g} s", next_step="look at the ledger's disk")

    async def note(self, entry: Entry, *, timeout_s: float = 2.0) -> Receipt | None:
        """See `ports.Ledger`. Takes `timeout_s` and two seconds more at the longest. Nothing waits for what
        is in _PATIENT, so that it waits a little for other entries to be written with.
        """
        check(entry)
        moment = now(self._clock)
        if self.writable():
            try:
                return await self._append(entry, timeout_s, patient=entry.kind in _PATIENT)
            except Unavailable:
                pass
        until_ns = self._clock.boottime_ns()
        await self._set_aside(Note(entry=entry, moment=moment, until_ns=until_ns, agent_run=self.agent_run))
        return None

    async def _set_aside(self, note: Note) -> None:
        future = self._side.submit(lambda: self._journal.write(note))
        try:
            await asyncio.wait_for(asyncio.wrap_future(future), _JOURNAL_S)
        except TimeoutError:
            raise Unavailable(
                "neither the ledger nor its side journal answers", next_step="look at the disk of the ledger"
            ) from None
        self._writer.wake()

    def close(self) -> None:
        """Write what waits and give the lease back. Idempotent. A writer that hangs keeps the lease in this process."""
        self._side.close()
        if self._writer.close(_CLOSE_S):
            self._journal.close()
            self._give_back()

    def _give_back(self) -> None:
        if self._lease is not None:
            self._lease.close()


_: type[Ledger] = SqlLedger


def _holder(holder: str, database: Database) -> str:
    """How a second process is told of this one: in a shared database, with its machine."""
    machine = f" on {socket.gethostname()}" if _sql.is_postgres(database) else ""
    return f"{holder} (process {os.getpid()}{machine})"


def _lease(database: Database, holder: str) -> LockFile | None:
    """The lock beside a file. In PostgreSQL the connection that writes has it."""
    return LockFile(_beside(database, ".lease"), holder=holder) if isinstance(database, Path) else None


def _beside(database: Database, suffix: str) -> Path:
    if not isinstance(database, Path):
        raise ValueError("a log that is no file has nothing beside it: name the place")  # noqa: TRY004 - not its type
    return database.with_name(database.name + suffix)


def _settle(ended: asyncio.Future[bool], *, in_time: bool) -> None:
    if not ended.done():
        ended.set_result(in_time)


class _SideThread:
    """Runs one thing after another away from the event loop; a daemon, so that a hung disk cannot hold the exit."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[tuple[Callable[[], None], Future[None]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="ledger side journal", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[], None]) -> Future[None]:
        result: Future[None] = Future()
        self._queue.put((work, result))
        return result

    def close(self) -> None:
        self._queue.put(None)
        self._thread.join(_JOURNAL_S)

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            work, result = item
            if not result.set_running_or_notify_cancel():
                continue
            try:
                work()
            except CallrecError as error:
                result.set_exception(error)
            else:
                result.set_result(None)
