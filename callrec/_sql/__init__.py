"""One way to SQL, for the ledger and the index: SQLite by default, PostgreSQL where several agents share a database."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

from callrec._sql import sqlite
from callrec._sql.session import (
    NONE,
    Database,
    PostgresSchema,
    Row,
    Session,
    SqlDamaged,
    SqlFailed,
    SqlRefused,
    Use,
    Values,
)
from callrec.errors import ConfigError

__all__ = [
    "NONE",
    "Database",
    "PostgresSchema",
    "Row",
    "Session",
    "SqlDamaged",
    "SqlFailed",
    "SqlRefused",
    "Values",
    "create",
    "having",
    "is_postgres",
    "reading",
    "writing",
]


def is_postgres(database: Database) -> bool:
    """True where several agents may share the database: what depends on a file of ours must lie elsewhere."""
    return isinstance(database, PostgresSchema)


def writing(database: Database, *, name: str = "callrec") -> Session:
    """A session that can write; others are told of it by `name`. `SqlFailed` where there is no connection; ConfigError
    where psycopg is not installed.
    """
    return sqlite.open_for_writing(database) if isinstance(database, Path) else _postgres(database, name=name)


def reading(database: Database) -> Session:
    """A session that cannot write, and sees one moment until it is closed. Errors as `writing`."""
    return sqlite.open_for_reading(database) if isinstance(database, Path) else _postgres(database, use=Use.READ)


def create(database: Database, *, name: str) -> Session:
    """As `writing`, where tables may have to be made: a schema is made first."""
    if isinstance(database, Path):
        return sqlite.open_for_writing(database)
    return _postgres(database, name=name, use=Use.CREATE)


_HAVING = """SELECT n.nspname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relname = :table AND c.relkind = 'r' AND has_schema_privilege(n.oid, 'USAGE')
        AND has_table_privilege(c.oid, 'SELECT') ORDER BY 1"""


def having(database: PostgresSchema, table: str) -> tuple[PostgresSchema, ...]:
    """Every place in the same PostgreSQL database that has this table, and that this user may read, by name. Errors as
    `writing`.
    """
    with closing(reading(database)) as session:
        return tuple(replace(database, schema=str(name)) for (name,) in session.rows(_HAVING, {"table": table}))


def _postgres(database: PostgresSchema, *, name: str = "callrec", use: Use = Use.WRITE) -> Session:
    try:
        from callrec._sql.postgres import PostgresSession  # noqa: PLC0415 - an extra that most do not install
    except ImportError as error:
        step = "pip install 'callrec[postgres]'"
        raise ConfigError(f"PostgreSQL cannot be used: {error}", next_step=step) from error
    return PostgresSession(database, name=name, use=use)
