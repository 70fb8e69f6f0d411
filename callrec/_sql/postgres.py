"""PostgreSQL, as a Session. The only file that imports psycopg.

Connect to the server itself: the lock that keeps a second agent away belongs to one connection, and a pooler that
shares connections out by transaction would give it to whoever comes next. Such a one is found out, and refused.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any, Final

import psycopg
from psycopg import errors, sql

from callrec._sql.session import NONE, PostgresSchema, Row, Session, SqlDamaged, SqlFailed, SqlRefused, Use, Values

CONNECT_S: Final = 2
"""How long a connection may take to come about; libpq knows no shorter time."""
LOCK_MS: Final = 2_000
"""How long to wait for another transaction's lock; longer is an answer of its own."""
_STATEMENT_MS: Final = 10_000
"""Longest statement of whoever writes: a server that is stuck is a ledger that is not there."""
_AT_ONCE: Final = 2_000
"""Rows fetched by one round trip of a stream."""
_LONGEST_NAME: Final = 63
_DEAD_PEER: Final = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 8000}
"""A server that vanished is noticed within about ten seconds."""
_DEAD_CLIENT: Final = {"tcp_keepalives_idle": "5", "tcp_keepalives_interval": "2", "tcp_keepalives_count": "3"}
"""And so is a client, by the server, which then gives its lock to the next."""


class PostgresSession:
    """Connect, for writing or for looking at one moment only. `name` is what others are told of us."""

    postgres: Final = True

    def __init__(self, database: PostgresSchema, *, name: str, use: Use) -> None:
        self._schema = database.schema
        self._streams = 0
        self._open = False
        secret = {} if database.password is None else {"password": database.password()}
        options: dict[str, Any] = {**dict(database.options), **secret, **_DEAD_PEER}
        with _explained():
            self._connection = psycopg.connect(
                **options, autocommit=True, connect_timeout=CONNECT_S, application_name=name[:_LONGEST_NAME]
            )
        try:
            self._prepare(use)
        except BaseException:
            self.close()
            raise

    def _prepare(self, use: Use) -> None:
        settings = {"lock_timeout": str(LOCK_MS), "synchronous_commit": "on", **_DEAD_CLIENT}
        settings["plan_cache_mode"] = "force_custom_plan"  # a plan for any value reads all to find what is rare
        if use is not Use.READ:
            settings["statement_timeout"] = str(_STATEMENT_MS)
        for name, value in settings.items():
            self.run("SELECT set_config(:name, :value, false)", {"name": name, "value": value})
        self.run("SELECT set_config('search_path', quote_ident(:schema), false)", {"schema": self._schema})
        self._process = self._backend()
        if use is Use.CREATE:
            self._create_schema()
        if use is Use.READ:
            self.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            self._open = True

    def _backend(self) -> int:
        found = self.row("SELECT pg_backend_pid()")
        return int(found[0]) if found else 0

    def _create_schema(self) -> None:
        """Make the schema, and the type that both databases call `blob`; harmless where they are there."""
        if self.row("SELECT to_regnamespace(quote_ident(:schema))::text", {"schema": self._schema}) == (None,):
            with _explained():
                self._connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(self._schema)))
        if self.row("SELECT to_regtype('blob')::text") == (None,):
            self.run("CREATE DOMAIN blob AS bytea")

    def begin(self, lock: str) -> None:
        """See Session."""
        self.run("BEGIN")
        self._open = True
        found = self.row(
            "SELECT pg_backend_pid(), pg_advisory_xact_lock(:number)", {"number": _number(f"{self._schema}/{lock}")}
        )
        if not found or found[0] != self._process:
            raise SqlFailed("the connection changed its server process: a pooler stands between; connect directly")

    def commit(self) -> None:
        """See Session."""
        self.run("COMMIT")
        self._open = False

    def rollback(self) -> None:
        """See Session."""
        if self._open:
            self._open = False
            self.run("ROLLBACK")

    def run(self, statement: str, values: Values = NONE) -> int:
        """See Session."""
        with _explained():
            return self._connection.execute(*_asked(statement, values)).rowcount

    def run_many(self, statement: str, values: Iterable[Values]) -> None:
        """See Session."""
        with _explained(), self._connection.cursor() as cursor:
            cursor.executemany(_translated(statement), values)

    def script(self, statements: str) -> None:
        """See Session."""
        with _explained():
            self._connection.execute(statements.encode())

    def row(self, statement: str, values: Values = NONE) -> Row | None:
        """See Session."""
        with _explained(), self._connection.cursor(binary=True) as cursor:
            return cursor.execute(*_asked(statement, values)).fetchone()

    def rows(self, statement: str, values: Values = NONE) -> list[Row]:
        """See Session."""
        with _explained(), self._connection.cursor(binary=True) as cursor:
            return cursor.execute(*_asked(statement, values)).fetchall()

    def stream(self, statement: str, values: Values = NONE) -> Iterator[Row]:
        """See Session."""
        self._streams += 1
        with _explained(), self._connection.cursor(name=f"stream_{self._streams}", binary=True) as cursor:
            cursor.itersize = _AT_ONCE
            yield from cursor.execute(*_asked(statement, values))

    def has(self, table: str) -> bool:
        """See Session."""
        return self.row("SELECT to_regclass(:table)::text", {"table": table}) not in (None, (None,))

    def hold(self, number: int) -> str | None:
        """See Session."""
        if self.row("SELECT pg_try_advisory_lock(:number)", {"number": number}) == (True,):
            return None
        found = self.row(
            "SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
            " WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.database = a.datid"
            " AND (l.classid::bigint << 32) | l.objid::bigint = :number",
            {"number": number},
        )
        return str(found[0]) if found and found[0] else "another connection"

    def unsafe(self) -> str:
        """See Session."""
        off = [name for name in ("fsync", "full_page_writes") if self.row(f"SHOW {name}") == ("off",)]
        return f"the server runs with {' and '.join(off)} off" if off else ""

    def forget(self) -> None:
        """See Session. Dead rows are cleared away; the server's own log and backups hold them until they age out."""
        with suppress(SqlFailed):
            self.run("VACUUM salts")

    def close(self) -> None:
        """See Session."""
        with suppress(psycopg.Error, OSError):
            self._connection.close()


_: type[Session] = PostgresSession


def _number(name: str) -> int:
    """A number for this name: what an advisory lock goes by."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)


def _asked(statement: str, values: Values) -> tuple[bytes, Values | None]:
    return (_translated(statement), values) if values else (statement.encode(), None)


@lru_cache(maxsize=256)
def _translated(statement: str) -> bytes:
    """With values named as psycopg has them."""
    return re.sub(r"(?<![:\w]):([a-z_]+)", r"%(\1)s", statement.replace("%", "%%")).encode()


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except (errors.IntegrityError, errors.RaiseException) as error:
        raise SqlRefused(_first_line(error)) from error
    except (errors.DataCorrupted, errors.IndexCorrupted) as error:
        raise SqlDamaged(_first_line(error)) from error
    except psycopg.Error as error:
        raise SqlFailed(_first_line(error)) from error


def _first_line(error: psycopg.Error) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
