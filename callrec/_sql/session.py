"""What a database must do for us, whichever it is: a handful of statements, exact transactions, and named failures.

Statements are written once, in the SQL that SQLite and PostgreSQL share. Values are named in them, as `:name`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, unique
from pathlib import Path
from typing import Any, Final, Protocol

Row = tuple[Any, ...]
Values = Mapping[str, Any]
NONE: Final[Values] = {}


class SqlFailed(Exception):
    """The database did not do it: away, locked, full. Not one of callrec's own errors: whoever asked says what it was
    for, and what to do next.
    """


class SqlRefused(SqlFailed):
    """The database will not do it: a rule of its tables forbids it. The connection is well."""


class SqlDamaged(SqlFailed):
    """What lies there is no such database, or is damaged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresSchema:
    """The tables called `schema` in one PostgreSQL database. `options` are those of libpq, without the password, which
    is asked for at each connection: it may have been changed.
    """

    options: tuple[tuple[str, str], ...]
    schema: str
    password: Callable[[], str] | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        named = dict(self.options)
        return f"postgresql://{named.get('host', '')}/{named.get('dbname', '')} ({self.schema})"


Database = Path | PostgresSchema
"""Where tables lie: an SQLite file, or a schema of a PostgreSQL database."""


@unique
class Use(Enum):
    """What a connection is for."""

    READ = "read"
    WRITE = "write"
    CREATE = "create"


class Session(Protocol):
    """One open connection, used by one thread at a time. Every method may raise `SqlFailed`; after one that is not
    `SqlRefused` nothing is known of the connection: close it and open another.
    """

    @property
    def postgres(self) -> bool:
        """True for PostgreSQL: the few statements that differ are said for each."""

    def begin(self, lock: str) -> None:
        """Begin to write. Waits, a few seconds at most, while another transaction holds this lock."""

    def commit(self) -> None:
        """Make the transaction durable; returns when it would survive a power cut."""

    def rollback(self) -> None:
        """Leave no trace of the transaction. Harmless where there is none."""

    def run(self, statement: str, values: Values = NONE) -> int:
        """Carry one statement out; answers how many rows it touched."""

    def run_many(self, statement: str, values: Iterable[Values]) -> None:
        """Carry it out once for each of these."""

    def script(self, statements: str) -> None:
        """Carry out several statements without values, each begun on a line of its own; within a transaction."""

    def row(self, statement: str, values: Values = NONE) -> Row | None:
        """The first row, or None."""

    def rows(self, statement: str, values: Values = NONE) -> list[Row]:
        """All rows, at once."""

    def stream(self, statement: str, values: Values = NONE) -> Iterator[Row]:
        """All rows, a few at a time: as many as there are. Only in a transaction or a session opened for reading."""

    def has(self, table: str) -> bool:
        """True where there is such a table."""

    def hold(self, number: int) -> str | None:
        """Hold this number for as long as the connection lasts. None where it is held now; else who holds it."""

    def unsafe(self) -> str:
        """Why a commit here may be lost in a power cut; empty where it may not."""

    def forget(self) -> None:
        """Do what can be done so that what was deleted leaves no copy in the database's own files."""

    def close(self) -> None:
        """End the connection, and with it an open transaction. Idempotent; raises nothing."""
