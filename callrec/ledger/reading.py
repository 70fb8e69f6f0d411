"""Reading a log without being able to write it: streaming, for auditors and for whoever must look something up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from callrec._sql import Database, Session, SqlDamaged, SqlFailed
from callrec.errors import Broken
from callrec.ledger import tables
from callrec.ledger.checkpoint import LogKey, SignedNote, parse
from callrec.ledger.entry import LogEntry, read

_ROWS = "SELECT seq, cast(leaf AS BLOB), call_uid, cast(body AS BLOB) FROM entries ORDER BY seq"
"""Cast, because SQLite lets whoever writes to the file put any type into any column."""
_STEP = "keep the ledger as it is and compare it with the newest anchor"


class LogReader:
    """An open log. Made by `open_log`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def key(self) -> LogKey:
        """The key that the log names itself; an auditor brings his own."""
        return tables.key_of_log(self._session)

    def size(self) -> int:
        """How many entries."""
        return self._count("entries")

    def rows(self) -> Iterator[tuple[int, bytes, str, bytes]]:
        """(seq, leaf, call_uid, body) as they stand, in order, believed in nothing."""
        yield from self._session.stream(_ROWS)

    def checkpoints(self) -> int:
        """How many checkpoints."""
        return self._count("checkpoints")

    def bodies(self, start: int, end: int) -> Iterator[bytes]:
        """The bytes of entries `start` to before `end`, in order."""
        rows = self._session.stream(
            "SELECT cast(body AS BLOB) FROM entries WHERE seq >= :start AND seq < :end ORDER BY seq",
            {"start": start, "end": end},
        )
        yield from (body for (body,) in rows)

    def bodies_of_call(self, call_uid: str) -> list[bytes]:
        """The bytes of all entries of one call, in order.

        The second condition says no more than the first, but for entries of no call: without it SQLite would not know
        that the index holds all that is asked for, and read the whole log.
        """
        indexed = " AND call_uid <> ''" if call_uid else ""
        rows = self._session.rows(
            f"SELECT cast(body AS BLOB) FROM entries WHERE call_uid = :call_uid{indexed} ORDER BY seq",  # noqa: S608 - ours
            {"call_uid": call_uid},
        )
        return [body for (body,) in rows]

    def newest_first(self) -> Iterator[LogEntry]:
        """Every entry from the end backwards, for those who stop early."""
        for (body,) in self._session.stream("SELECT cast(body AS BLOB) FROM entries ORDER BY seq DESC"):
            yield read(body)

    def notes(self) -> Iterator[tuple[int, bytes]]:
        """(size, signed note) of every checkpoint, in order."""
        yield from self._session.stream("SELECT size, cast(note AS BLOB) FROM checkpoints ORDER BY size")

    def newest_note(self) -> bytes:
        """The newest checkpoint's signed note. `Broken` where there is none."""
        row = self._session.row("SELECT cast(note AS BLOB) FROM checkpoints ORDER BY size DESC LIMIT 1")
        if row is None:
            raise Broken("the ledger has no checkpoint", next_step=_STEP)
        return bytes(row[0])

    def newest(self) -> SignedNote:
        """The newest checkpoint, read but not verified."""
        return parse(self.newest_note())

    def entries(self) -> Iterator[LogEntry]:
        """Every entry, in order. `Broken` at the first that cannot be read."""
        for _, _, _, body in self.rows():
            yield read(body)

    def entry(self, seq: int) -> LogEntry | None:
        """The entry at this database."""
        row = self._session.row("SELECT cast(body AS BLOB) FROM entries WHERE seq = :seq", {"seq": seq})
        return None if row is None else read(row[0])

    def of_call(self, call_uid: str) -> list[LogEntry]:
        """All entries of one call, in order."""
        return [read(body) for body in self.bodies_of_call(call_uid)]

    def calls_beginning(self, prefix: str) -> set[str]:
        """Ids of calls that begin so, at most a few: enough to see that a prefix means more than one."""
        rows = self._session.rows(
            "SELECT DISTINCT call_uid FROM entries"
            " WHERE call_uid >= :first AND call_uid < :last AND call_uid <> '' LIMIT 3",
            {"first": prefix, "last": prefix + "~"},
        )
        return {str(uid) for (uid,) in rows}

    def salts(self, seq: int) -> Mapping[str, str]:
        """What opens the commitments of this entry, by name; empty where it was erased."""
        return dict(self._session.rows("SELECT name, salt FROM salts WHERE seq = :seq", {"seq": seq}))

    def beside(self, name: str, start: int, end: int) -> Mapping[int, str]:
        """What is kept beside entries `start` to before `end` under this name, by place; erased ones are not there."""
        rows = self._session.rows(
            "SELECT seq, salt FROM salts WHERE seq >= :start AND seq < :end AND name = :name",
            {"start": start, "end": end, "name": name},
        )
        return dict(rows)

    def _count(self, table: str) -> int:
        found = self._session.row(f"SELECT count(*) FROM {table}")  # noqa: S608 - our own name
        return int(found[0]) if found else 0


@contextmanager
def open_log(database: Database) -> Iterator[LogReader]:
    """Open a log for reading. ConfigError where there is none; `Unavailable` where the database does not answer;
    `Broken` where the file is no database.
    """
    try:
        with tables.open_for_reading(database) as session:
            yield LogReader(session)
    except SqlDamaged as error:
        raise Broken(f"{database} is damaged: {error}", next_step=_STEP) from error
    except SqlFailed as error:
        raise tables.unavailable(database, error) from error


def read_entries(database: Database) -> Iterator[LogEntry]:
    """Every entry of the log, in order, streaming. Errors as `open_log`, and `Broken` at a malformed one."""
    with open_log(database) as log:
        yield from log.entries()
