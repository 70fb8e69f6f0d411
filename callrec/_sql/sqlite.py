"""SQLite, as a Session: one file, write-ahead log, every commit on the disk before it returns."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Final
from urllib.parse import quote

from callrec._sql.session import NONE, Row, Session, SqlDamaged, SqlFailed, SqlRefused, Values

BUSY_MS: Final = 2_000
"""How long to wait where another program locks the file; longer is an answer of its own."""

_ONE_ROW: Final = re.compile(r"(?P<insert>INSERT INTO \w+ \([\w, ]+\) VALUES )(?P<row>\((:\w+(, )?)+\))")
_NAME: Final = re.compile(r":(\w+)")
_TOGETHER: Final = 900
"""Values in one statement, at most: older libraries take 999."""


class SqliteSession:
    """Made by `open_for_writing` and `open_for_reading`."""

    postgres: Final = False

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def begin(self, lock: str) -> None:  # noqa: ARG002 - the file has one lock
        """See Session."""
        self.run("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """See Session."""
        self.run("COMMIT")

    def rollback(self) -> None:
        """See Session."""
        if self._connection.in_transaction:
            self.run("ROLLBACK")

    def run(self, statement: str, values: Values = NONE) -> int:
        """See Session."""
        with _explained():
            return self._connection.execute(statement, values).rowcount

    def run_many(self, statement: str, values: Iterable[Values]) -> None:
        """See Session. Rows of one table go in together: each statement that is run gives the interpreter up, and waits
        for it again.
        """
        row = _ONE_ROW.fullmatch(statement)
        with _explained():
            if row is None:
                self._connection.executemany(statement, values)
                return
            names = _NAME.findall(row["row"])
            many = [[one[name] for name in names] for one in values]
            count = max(1, _TOGETHER // len(names))
            for start in range(0, len(many), count):
                some = many[start : start + count]
                places = ", ".join([f"({', '.join('?' * len(names))})"] * len(some))
                self._connection.execute(row["insert"] + places, list(chain.from_iterable(some)))

    def script(self, statements: str) -> None:
        """See Session. `executescript` would commit first: statements are told apart and run one by one."""
        held = ""
        for line in statements.splitlines(keepends=True):
            held += line
            if sqlite3.complete_statement(held):
                self.run(held)
                held = ""
        if held.strip():
            self.run(held)

    def row(self, statement: str, values: Values = NONE) -> Row | None:
        """See Session."""
        with _explained():
            found: Row | None = self._connection.execute(statement, values).fetchone()
            return found

    def rows(self, statement: str, values: Values = NONE) -> list[Row]:
        """See Session."""
        with _explained():
            return self._connection.execute(statement, values).fetchall()

    def stream(self, statement: str, values: Values = NONE) -> Iterator[Row]:
        """See Session."""
        with _explained():
            yield from self._connection.execute(statement, values)

    def has(self, table: str) -> bool:
        """See Session."""
        return self.row("SELECT 1 FROM sqlite_master WHERE name = :table", {"table": table}) is not None

    def hold(self, number: int) -> str | None:  # noqa: ARG002 - a lock beside the file does this
        """See Session. Whoever opens the file holds a lock beside it."""
        return None

    def unsafe(self) -> str:
        """See Session. It was set so at the opening."""
        return ""

    def forget(self) -> None:
        """See Session. Deleted rows are overwritten; the write-ahead log is folded back and cut."""
        with suppress(SqlFailed):
            self.run("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """See Session."""
        with suppress(sqlite3.Error):
            self._connection.close()


_: type[Session] = SqliteSession


def open_for_writing(path: Path) -> SqliteSession:
    """The file is made where it is missing: whoever must not make one looks first."""
    with _explained():
        connection = _connected(path)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA secure_delete = ON")
        except sqlite3.Error:
            connection.close()
            raise
    return SqliteSession(connection)


def open_for_reading(path: Path) -> SqliteSession:
    """A session that cannot write, and sees the file as it is now until it is closed, whatever is added.

    A copy on read-only media can be read where it was closed in order.
    """
    wal = path.with_name(path.name + "-wal")
    with _explained():
        try:
            return SqliteSession(_snapshot(path, "mode=ro"))
        except sqlite3.OperationalError:
            if wal.exists():
                raise
            return SqliteSession(_snapshot(path, "mode=ro&immutable=1"))


def _snapshot(path: Path, options: str) -> sqlite3.Connection:
    connection = _connected(f"file:{quote(str(path.resolve()))}?{options}", uri=True)
    try:
        connection.execute("BEGIN")
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _connected(database: Path | str, *, uri: bool = False) -> sqlite3.Connection:
    busy_s = BUSY_MS / 1000
    return sqlite3.connect(database, uri=uri, timeout=busy_s, isolation_level=None, check_same_thread=False)


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except sqlite3.IntegrityError as error:
        raise SqlRefused(str(error)) from error
    except (sqlite3.OperationalError, sqlite3.ProgrammingError) as error:
        raise SqlFailed(str(error)) from error
    except sqlite3.DatabaseError as error:
        raise SqlDamaged(str(error)) from error
