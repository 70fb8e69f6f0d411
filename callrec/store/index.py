"""What there is, quickly: one SQLite row per recording. Rebuilt from ledger and store when lost; never evidence."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from callrec.core.recording import RecordingState
from callrec.core.values import Purpose
from callrec.errors import Refused, Unavailable
from callrec.ports import Json

_SCHEMA: Final = """
create table if not exists recordings (
    recording_id text primary key,
    call_uid     text not null,
    segment      integer not null,
    line         text not null,
    started_utc  text not null,
    seconds      real not null,
    purposes     text not null,
    state        text not null,
    truncated    integer not null,
    due          text not null,
    started_leaf text not null,
    sealed_leaf  text not null,
    kept_leaf    text not null
) strict;
create index if not exists recordings_by_time on recordings (started_utc);
create index if not exists recordings_by_call on recordings (call_uid, segment);
create index if not exists recordings_by_due on recordings (due, recording_id)
    where due <> '' and state in ('kept', 'held');
create index if not exists recordings_held on recordings (recording_id) where state = 'held';
create table if not exists holds (
    hold_id      text primary key,
    recording_id text not null,
    line         text not null,
    since        text not null,
    until        text not null
) strict;
create table if not exists followed (id integer primary key check (id = 1), entries integer not null) strict;
"""
_BUSY_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexRow:
    """One recording as the index knows it. `seconds` is 0 while it runs; leaves are hex, empty until there is one."""

    recording_id: str
    call_uid: str
    segment: int
    line: str
    started_utc: str
    purposes: frozenset[Purpose]
    state: RecordingState
    seconds: float = 0.0
    truncated: bool = False
    due: str = ""
    started_leaf: str = ""
    sealed_leaf: str = ""
    kept_leaf: str = ""


def row_from_manifest(
    manifest: Mapping[str, Json], state: RecordingState, *, sealed_leaf: str = "", kept_leaf: str = ""
) -> IndexRow:
    """The row of a sealed recording."""
    header = manifest["header"]
    return IndexRow(
        recording_id=manifest["recording_id"],
        call_uid=header["call_uid"],
        segment=header["segment"],
        line=manifest["line"],
        started_utc=manifest["started_utc"],
        purposes=frozenset(Purpose(name) for name in manifest["purposes"]),
        state=state,
        seconds=manifest["samples"] / manifest["rate"],
        truncated=manifest["truncated"],
        due=str(manifest["retention"].get("due") or ""),
        started_leaf=header["started_leaf"],
        sealed_leaf=sealed_leaf,
        kept_leaf=kept_leaf,
    )


_COLUMNS: Final = tuple(field.name for field in fields(IndexRow))
_INSERT: Final = f"insert into recordings ({', '.join(_COLUMNS)}) values ({', '.join(':' + c for c in _COLUMNS)})"  # noqa: S608 - our own column names


def _plain(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Values as the table holds them."""
    plain = dict(changes)
    if "purposes" in plain:
        plain["purposes"] = json.dumps(sorted(purpose.value for purpose in plain["purposes"]))
    if "state" in plain:
        plain["state"] = plain["state"].value
    return plain


def _row(found: sqlite3.Row) -> IndexRow:
    values: dict[str, Any] = dict(found)
    values["purposes"] = frozenset(Purpose(name) for name in json.loads(values["purposes"]))
    values["state"] = RecordingState(values["state"])
    values["truncated"] = bool(values["truncated"])
    return IndexRow(**values)


_COVERED: Final = """exists (select 1 from holds h where
    (h.recording_id <> '' and h.recording_id = recordings.recording_id)
    or (h.recording_id = '' and h.line in ('', recordings.line)
        and (h.since = '' or recordings.started_utc >= h.since)
        and (h.until = '' or recordings.started_utc < h.until)))"""
_FREE: Final = f"update recordings set state = 'kept' where state = 'held' and not {_COVERED}"  # noqa: S608 - our own text
_HOLD: Final = f"update recordings set state = 'held' where state = 'kept' and {_COVERED}"  # noqa: S608 - our own text
_HOLD_ONE: Final = f"{_HOLD} and recording_id = :id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One statement on the index, with its values. `about` is the recording that may be held from now on; `holds` True
    where what is held must be found out anew.
    """

    statement: str
    values: Mapping[str, Any]
    about: str = ""
    holds: bool = False

    def apply(self, db: sqlite3.Connection) -> None:
        """Carry it out."""
        db.execute(self.statement, self.values)


def kept(row: IndexRow) -> Change:
    """A recording that is kept."""
    statement = _INSERT.replace("insert", "insert or ignore", 1)
    return Change(statement=statement, values=_plain(asdict(row)), about=row.recording_id)


def known(recording_id: str) -> Change:
    """A recording that is here already, and may be covered by a hold."""
    return Change(statement="select :id", values={"id": recording_id}, about=recording_id)


def hold_placed(hold_id: str, scope: Mapping[str, str]) -> Change:
    """A hold stands."""
    statement = "insert or replace into holds values (:hold_id, :recording_id, :line, :since, :until)"
    return Change(statement=statement, values={**scope, "hold_id": hold_id}, holds=True)


def hold_released(hold_id: str) -> Change:
    """It does not stand any more."""
    statement = "delete from holds where hold_id = :hold_id"
    return Change(statement=statement, values={"hold_id": hold_id}, holds=True)


def disposed(recording_id: str) -> Change:
    """A recording was destroyed."""
    statement = "update recordings set state = 'disposed' where recording_id = :id"
    return Change(statement=statement, values={"id": recording_id})


def redated(recording_id: str, due: str) -> Change:
    """A recording falls due on another day."""
    statement = "update recordings set due = :due where recording_id = :id"
    return Change(statement=statement, values={"id": recording_id, "due": due})


class Index:
    """The index at `path`, made where it is missing. Safe from any thread; every method blocks on the disk briefly.

    `Unavailable` where the database cannot be read or written: say so, and go on; nothing depends on it.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._path = path
        with _explained(path):
            self._db = sqlite3.connect(path, timeout=_BUSY_S, check_same_thread=False)
            self._db.row_factory = sqlite3.Row
            self._db.execute("pragma journal_mode=wal")
            self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Release the database. Idempotent."""
        self._db.close()

    def add(self, row: IndexRow) -> None:
        """A new recording. `Refused` where its id is known."""
        with self._writing() as db:
            try:
                db.execute(_INSERT, _plain(asdict(row)))
            except sqlite3.IntegrityError as error:
                raise Refused(f"{row.recording_id} is in the index already", next_step="update it") from error

    def update(self, recording_id: str, /, **changes: Any) -> None:
        """Change these fields (names of IndexRow). `Refused` where the id is unknown, ValueError for another field."""
        if unknown := changes.keys() - set(_COLUMNS[1:]):
            raise ValueError(f"the index has no {', '.join(sorted(unknown))}")
        assignments = ", ".join(f"{name} = :{name}" for name in changes)
        statement = f"update recordings set {assignments} where recording_id = :id"  # noqa: S608 - checked names
        with self._writing() as db:
            if not db.execute(statement, {**_plain(changes), "id": recording_id}).rowcount:
                raise Refused(f"{recording_id} is not in the index", next_step="rebuild the index")

    def get(self, recording_id: str) -> IndexRow | None:
        """One recording, or None."""
        found = self._select("where recording_id = :id", {"id": recording_id})
        return found[0] if found else None

    def list(
        self,
        *,
        since: str = "",
        until: str = "9999",
        line: str | None = None,
        state: RecordingState | None = None,
        purpose: Purpose | None = None,
        limit: int = 1000,
    ) -> tuple[IndexRow, ...]:
        """Recordings that started in [since, until) (ISO 8601 UTC), newest first."""
        where = ["started_utc >= :since", "started_utc < :until"]
        where += ["line = :line"] if line is not None else []
        where += ["state = :state"] if state is not None else []
        where += ["exists (select 1 from json_each(purposes) where value = :purpose)"] if purpose is not None else []
        values = {
            "since": since,
            "until": until,
            "line": line,
            "state": state.value if state else None,
            "purpose": purpose.value if purpose else None,
            "limit": limit,
        }
        return self._select(f"where {' and '.join(where)} order by started_utc desc, recording_id limit :limit", values)

    def beginning(self, prefix: str, *, limit: int = 4) -> tuple[IndexRow, ...]:
        """Recordings whose id begins so, in order. Every character of an id sorts before `~`."""
        where = "where recording_id >= :first and recording_id < :last order by recording_id limit :limit"
        return self._select(where, {"first": prefix, "last": f"{prefix}~", "limit": limit})

    def due(self, day: str, *, limit: int = 1000) -> tuple[IndexRow, ...]:
        """What is kept or held and due on this day (ISO 8601) or before, the longest due first."""
        where = "where due <> '' and due <= :day and state in ('kept', 'held') order by due, recording_id limit :limit"
        return self._select(where, {"day": day, "limit": limit})

    # ------------------------------------------------------------ following the ledger

    def followed(self) -> int:
        """How many entries of the ledger this index has taken in."""
        with self._lock, _explained(self._path):
            row = self._db.execute("select entries from followed").fetchone()
        return int(row[0]) if row else 0

    def follow(self, changes: Sequence[Change], entries: int) -> None:
        """Take these in, and that this many entries have been: in one transaction. What names a recording that is not
        here is left out: the next rebuild brings it.
        """
        with self._writing() as db:
            for change in changes:
                change.apply(db)
            if any(change.holds for change in changes):
                db.execute(_FREE)
                db.execute(_HOLD)
            else:
                db.executemany(_HOLD_ONE, [{"id": change.about} for change in changes if change.about])
            db.execute("insert or replace into followed values (1, :entries)", {"entries": entries})

    def rebuild(self, rows: Iterable[IndexRow]) -> None:
        """Replace everything, in one transaction: readers see the old index or the new one."""
        with self._writing() as db:
            for table in ("recordings", "holds", "followed"):
                db.execute(f"delete from {table}")  # noqa: S608 - our own names
            db.executemany(_INSERT, (_plain(asdict(row)) for row in rows))

    def _select(self, where: str, values: Mapping[str, Any]) -> tuple[IndexRow, ...]:
        with self._lock, _explained(self._path):
            statement = f"select {', '.join(_COLUMNS)} from recordings {where}"  # noqa: S608 - our own text
            return tuple(_row(found) for found in self._db.execute(statement, values))

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, _explained(self._path), self._db:
            yield self._db


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        step = "see that agent.data_dir is there, has room, and is this user's to write"
        raise Unavailable(f"the index {path} cannot be used: {error}", next_step=step) from error
