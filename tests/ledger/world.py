"""A clock that is wound by hand, a log to write to, and commits that hang or fail when told to."""

import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta

from callrec import _sql
from callrec._sql import SqlFailed
from callrec.core.bodies import REQUIRED
from callrec.core.kinds import Kind
from callrec.ledger.init import create_log, create_signing_key
from callrec.ledger.log import SqlLedger
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

    def __call__(self, session):
        if not self._open.is_set():
            self.held.set()
            assert self._open.wait(30), "the test never released the commit"
        if self.error is not None:
            raise SqlFailed(self.error)
        commit(session)


class World:
    """One machine: a folder with a key, and a log in a file or, where a `server` is given, in PostgreSQL."""

    def __init__(self, folder, server=None):
        self.folder, self.server = folder, server
        self.path, self.key_path = folder / "ledger.db", folder / "ledger.key"
        self.database = self.path if server is None else server.schema()
        self.journal = folder / "ledger.db.pending"
        self.clock, self.fault = HandClock(), Fault()
        self.key = create_signing_key(self.key_path)
        create_log(self.database, self.key_path, created=START)
        self._open = []

    def ledger(self, **options):
        options = {
            "signing_key": self.key_path,
            "clock": self.clock,
            "commit": self.fault,
            "journal": self.journal,
        } | options
        ledger = SqlLedger(options.pop("database", self.database), **options)
        self._open.append(ledger)
        return ledger

    def close(self):
        self.fault.release()
        for ledger in self._open:
            ledger.close()

    # ------------------------------------------------------------ whoever owns the database

    def execute(self, *statements):
        """Run SQL as the owner of the database: the rows of the last statement. Values are named, as `:name`."""
        with closing(_sql.writing(self.database)) as session:
            for statement, values in statements[:-1]:
                session.run(statement, values)
            statement, values = statements[-1]
            return (
                session.rows(statement, values)
                if statement.lstrip().upper().startswith("SELECT")
                else (session.run(statement, values))
            )

    def without_guards(self, *statements):
        """As `execute`, once the triggers that refuse change are gone."""
        if self.server is None:
            names = [(f"DROP TRIGGER {name}", {}) for (name,) in self.execute((_TRIGGERS, {}))]
        else:
            tables = ("log", "entries", "checkpoints")
            names = [(f"ALTER TABLE {table} DISABLE TRIGGER USER", {}) for table in tables]
        return self.execute(*names, *statements)

    def backup(self):
        """Everything that lies in the tables now."""
        return {table: self.execute((f"SELECT * FROM {table}", {})) for table in TABLES}

    def restore(self, backup):
        """Put that back in place of what is there, as an administrator can."""
        self.without_guards(*self._replacing(backup))

    def copy(self, name="copy"):
        """The same log once more: its database."""
        twin = object.__new__(World)
        twin.folder, twin.server = self.folder, self.server
        twin.database = self.folder / f"{name}.db" if self.server is None else self.server.schema()
        create_log(twin.database, self.key_path, created=START)
        twin.restore(self.backup())
        return twin.database

    @staticmethod
    def _replacing(backup):
        yield from ((f"DELETE FROM {table}", {}) for table in TABLES)
        for table, rows in backup.items():
            names = _NAMES[: len(rows[0])] if rows else ()
            insert = f"INSERT INTO {table} VALUES ({', '.join(f':{name}' for name in names)})"
            yield from ((insert, dict(zip(names, row, strict=True))) for row in rows)


TABLES = ("log", "entries", "checkpoints", "tip", "salts")
_NAMES = "abcdefghij"
_TRIGGERS = "SELECT name FROM sqlite_master WHERE type = 'trigger'"


def entry(kind=Kind.INCIDENT, call_uid="", segment=0, **fields):
    """An entry with every field its kind needs, whatever they say."""
    body = dict.fromkeys(REQUIRED.get(kind, ()), "x") | fields
    return Entry(kind=kind, body=body, call_uid=call_uid, segment=segment)
