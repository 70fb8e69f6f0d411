"""A clock that is wound by hand, a log to write to, and commits that hang or fail when told to."""

import sqlite3
import threading
from datetime import UTC, datetime, timedelta

from callrec.core.bodies import REQUIRED
from callrec.core.kinds import Kind
from callrec.ledger.init import create_log, create_signing_key
from callrec.ledger.log import SqliteLedger
from callrec.ledger.logfile import commit
from callrec.ports import Entry

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


class HandClock:
    """Every reading is a millisecond after the one before."""

    def __init__(self, boot="boot-1", start_ns=1_000_000_000):
        self.boot, self.ns, self.offset = boot, start_ns, timedelta()

    def utc(self):
        return START + timedelta(microseconds=self.ns // 1000) + self.offset

    def boottime_ns(self):
        self.ns += 1_000_000
        return self.ns

    def boot_id(self):
        return self.boot

    def state(self):
        return "synchronised"


class Fault:
    """Stands where the commit is: lets it through, holds it, or fails it."""

    def __init__(self):
        self.error = None
        self.held = threading.Event()
        self._open = threading.Event()
        self._open.set()

    def hold(self):
        self._open.clear()

    def release(self):
        self._open.set()

    def __call__(self, connection):
        if not self._open.is_set():
            self.held.set()
            assert self._open.wait(30), "the test never released the commit"
        if self.error is not None:
            raise sqlite3.OperationalError(self.error)
        commit(connection)


class World:
    """One machine: a folder with a key and a log."""

    def __init__(self, folder):
        self.folder = folder
        self.path, self.key_path = folder / "ledger.db", folder / "ledger.key"
        self.clock, self.fault = HandClock(), Fault()
        self.key = create_signing_key(self.key_path)
        create_log(self.path, self.key_path, created=START)
        self._open = []

    def ledger(self, **options):
        options = {"signing_key": self.key_path, "clock": self.clock, "commit": self.fault} | options
        ledger = SqliteLedger(self.path, **options)
        self._open.append(ledger)
        return ledger

    def close(self):
        self.fault.release()
        for ledger in self._open:
            ledger.close()


def entry(kind=Kind.INCIDENT, call_uid="", segment=0, **fields):
    """An entry with every field its kind needs, whatever they say."""
    body = dict.fromkeys(REQUIRED.get(kind, ()), "x") | fields
    return Entry(kind=kind, body=body, call_uid=call_uid, segment=segment)
