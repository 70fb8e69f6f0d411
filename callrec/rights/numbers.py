"""Which calls were whose: keyed hashes of telephone numbers, in a small file of the keeper's own (R50).

The ledger holds commitments that nobody can search. So the keeper opens what was sealed of each call once, and notes a
keyed hash of each number. Whoever has this file alone learns nothing: numbers are few enough to try all, so the hash
needs a key, which lies beside the keeper's. `salt.erased` reaches in here as well: after an erasure the hashes go too;
where the schedule alone lets the number go, its hash stays, so that a caller is still told of their calls (EV-0, EV-1).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from enum import Enum, unique
from pathlib import Path
from typing import Any, Final

from callrec._durable import write_file
from callrec.errors import ConfigError, Refused, Unavailable

INDEX_FILE: Final = "subjects.db"
KEY_FILE: Final = "subjects.key"
_SCHEMA: Final = """
create table if not exists calls (
    seq      integer primary key,
    call_uid text not null,
    utc      text not null,
    line     text not null,
    blind    text not null
) strict;
create index if not exists calls_by_time on calls (utc);
create index if not exists calls_blind on calls (blind, utc, line) where blind <> '';
create table if not exists tags (tag blob not null, seq integer not null, primary key (tag, seq)) strict, without rowid;
create index if not exists tags_by_call on tags (seq);
create table if not exists state (
    id integer primary key check (id = 1), log_id text not null, key_id text not null, followed integer not null
) strict;
"""
_BUSY_S: Final = 5.0


@unique
class Blind(Enum):
    """Why a call cannot be found by a number."""

    NO_NUMBER = "came without a number that can be compared: withheld, or an extension"
    NOT_KEPT = "is of a time or line for which no number was kept"
    ERASED = "had its number erased"
    UNREADABLE = "has a number that this keeper's key does not open, or that was damaged"


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedCall:
    """One call offered: where it stands in the ledger, and the tags under which it is found. `blind` where by none of
    a number.
    """

    seq: int
    call_uid: str
    utc: str
    line: str
    tags: Sequence[bytes] = ()
    blind: Blind | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """ISO 8601 UTC, [since, until); empty means any; and one line or all."""

    since: str = ""
    until: str = ""
    line: str = ""


def subject_key(folder: Path) -> bytes:
    """The 32 bytes that key the hashes, made at the first use. ConfigError where others than its owner may read it."""
    path = folder / KEY_FILE
    with suppress(Refused):  # it is there
        write_file(path, secrets.token_bytes(32), mode=0o400, exclusive=True)
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigError(f"{path} can be read by others than its owner", next_step=f"chmod 0400 {path}")
        found = path.read_bytes()
    except OSError as error:
        raise Unavailable(f"{path}: {error.strerror}", next_step="run this as the keeper of that key") from error
    if len(found) != 32:  # noqa: PLR2004 - SHA-256's own length
        raise ConfigError(f"{path} is no key", next_step="restore it; without it the hashes cannot be asked")
    return found


class NumberIndex:
    """Open the index in `folder`, made where there is none, for the log of this id; without a folder one in memory, of
    which nothing stays. Blocking; one thread.

    `Unavailable` where it cannot be opened, ConfigError where it is of another log or another key.
    """

    def __init__(self, folder: Path | None, key: bytes, *, log_id: str) -> None:
        self._key = key
        try:
            self._db = sqlite3.connect(_made(folder), timeout=_BUSY_S, isolation_level=None)
            self._db.execute("pragma journal_mode = delete")
            self._db.execute("pragma synchronous = full")
            self._db.execute("pragma secure_delete = on")
            self._db.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise _unavailable(error) from error
        self._settle(log_id)

    def _settle(self, log_id: str) -> None:
        mine = (log_id, hashlib.sha256(self._key).hexdigest())
        with self._transaction() as db:
            db.execute("insert or ignore into state values (1, ?, ?, 0)", mine)
            found = tuple(db.execute("select log_id, key_id from state").fetchone())
        if found != mine:
            what = "another ledger" if found[0] != log_id else "another key"
            step = "give each ledger's keeper a folder of their own, or restore the key that belongs to it"
            raise ConfigError(f"{INDEX_FILE} beside the keeper's key is of {what}", next_step=step)

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._db.close()

    def tag(self, kind: str, value: str) -> bytes:
        """The keyed hash under which this is found. `kind` keeps a number apart from anything else."""
        return hmac.new(self._key, f"callrec/subject/1\0{kind}\0{value}".encode(), hashlib.sha256).digest()

    def followed(self) -> int:
        """How many entries of the log it knows."""
        return int(self._rows("select followed from state")[0][0])

    def take(self, calls: Sequence[IndexedCall], *, erased: Mapping[int, bool], followed: int) -> None:
        """Take in what the next entries say, in one transaction. `erased`: by place, True where hashes go as well."""
        forgotten = [(seq,) for seq, wholly in erased.items() if wholly]
        with self._transaction() as db:
            db.executemany("insert or replace into calls values (?, ?, ?, ?, ?)", [_row(call) for call in calls])
            db.executemany(
                "insert or ignore into tags values (?, ?)", [(tag, call.seq) for call in calls for tag in call.tags]
            )
            db.executemany("delete from tags where seq = ?", forgotten)
            db.executemany(f"update calls set blind = '{Blind.ERASED.name}' where seq = ?", forgotten)  # noqa: S608
            db.execute("update state set followed = ?", (followed,))

    def tagged(self, tag: bytes) -> tuple[int, ...]:
        """Places in the ledger of the calls with this tag, oldest first."""
        return tuple(seq for (seq,) in self._rows("select seq from tags where tag = ? order by seq", (tag,)))

    def later(self, call_uid: str) -> tuple[str, ...]:
        """When each later call came that shares a number with this one, ISO 8601 UTC, oldest first."""
        return tuple(utc for (utc,) in self._rows(_LATER, (call_uid,)))

    def between(self, period: Period) -> tuple[int, ...]:
        """Places in the ledger of the calls of this period and line, oldest first."""
        return tuple(seq for (seq,) in self._rows(f"select seq from calls where {_WITHIN} order by seq", _of(period)))  # noqa: S608

    def blind(self, period: Period) -> dict[Blind, int]:
        """How many calls of this period and line no number finds, by why."""
        those = f"calls indexed by calls_blind where blind <> '' and {_WITHIN}"
        question = f"select blind, count(*) from {those} group by blind order by blind"  # noqa: S608 - our own text
        return {Blind[why]: count for why, count in self._rows(question, _of(period))}

    # ------------------------------------------------------------ SQLite

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            self._db.execute("begin immediate")
            yield self._db
            self._db.execute("commit")
        except sqlite3.Error as error:
            self._db.close()
            raise _unavailable(error) from error

    def _rows(self, question: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        try:
            with closing(self._db.execute(question, values)) as found:
                return found.fetchall()
        except sqlite3.Error as error:
            raise _unavailable(error) from error


_LATER: Final = """
with own as (select seq from calls where call_uid = ?)
select distinct calls.utc from tags join calls on calls.seq = tags.seq
where tags.tag in (select tag from tags where seq in own) and tags.seq > (select max(seq) from own)
order by calls.seq
"""
_WITHIN: Final = "utc >= ? and utc < ? and (? = '' or line = ?)"


def _made(folder: Path | None) -> Path | str:
    if folder is None:
        return ":memory:"
    path = folder / INDEX_FILE
    with suppress(Refused):  # it is there
        write_file(path, b"", mode=0o600, exclusive=True)
    return path


def _of(period: Period) -> tuple[str, ...]:
    return (period.since, period.until or "9999", period.line, period.line)


def _row(call: IndexedCall) -> tuple[object, ...]:
    return (call.seq, call.call_uid, call.utc, call.line, "" if call.blind is None else call.blind.name)


def _unavailable(error: Exception) -> Unavailable:
    return Unavailable(
        f"{INDEX_FILE} beside the keeper's key cannot be used: {error}", next_step="look at its disk, and who owns it"
    )
