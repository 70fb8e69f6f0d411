"""What there is, quickly: one row per recording. Rebuilt from ledger and store when lost; never evidence."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, Final

from callrec import _sql
from callrec._sql import NONE, Database, Row, Session, SqlFailed, SqlRefused
from callrec.core.recording import RecordingState
from callrec.core.values import Purpose
from callrec.errors import Refused, Unavailable
from callrec.ports import Json
from callrec.store import index_schema


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
    standing: str = ""
    """Of what was imported: what speaks for it. Empty for what was proven."""


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
        standing=str(manifest.get("standing") or ""),
    )


TABLE: Final = "recordings"
"""Whoever has it has an index."""
_COLUMNS: Final = tuple(field.name for field in fields(IndexRow))
_INSERT: Final = f"insert into recordings ({', '.join(_COLUMNS)}) values ({', '.join(':' + c for c in _COLUMNS)})"  # noqa: S608 - our own column names


def _values(row: IndexRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _COLUMNS}


def _plain(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Values as the table holds them."""
    plain = dict(changes)
    if "purposes" in plain:
        plain["purposes"] = json.dumps(sorted(purpose.value for purpose in plain["purposes"]))
    if "state" in plain:
        plain["state"] = plain["state"].value
    if "truncated" in plain:
        plain["truncated"] = int(plain["truncated"])
    return plain


_STATES: Final = {state.value: state for state in RecordingState}


@lru_cache(maxsize=64)
def _purposes(text: str) -> frozenset[Purpose]:
    """There are few sets of purposes, and many recordings."""
    return frozenset(Purpose(name) for name in json.loads(text))


def _row(found: Row) -> IndexRow:
    values: dict[str, Any] = dict(zip(_COLUMNS, found, strict=True))
    values["purposes"] = _purposes(values["purposes"])
    values["state"] = _STATES[values["state"]]
    values["truncated"] = bool(values["truncated"])
    return IndexRow(**values)


_COVERED: Final = """exists (select 1 from holds h where
    (h.recording_id <> '' and h.recording_id = recordings.recording_id)
    or (h.recording_id = '' and h.line in ('', recordings.line)
        and (h.since = '' or recordings.started_utc >= h.since)
        and (h.until = '' or recordings.started_utc < h.until)))"""
_PLACE_HOLD: Final = """insert into holds (hold_id, recording_id, line, since, until)
    values (:hold_id, :recording_id, :line, :since, :until)
    on conflict (hold_id) do update set recording_id = excluded.recording_id, line = excluded.line,
        since = excluded.since, until = excluded.until"""
_FOLLOWED: Final = """insert into followed (id, entries) values (1, :entries)
    on conflict (id) do update set entries = excluded.entries"""
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

    def apply(self, db: Session) -> None:
        """Carry it out."""
        if self.statement:
            db.run(self.statement, self.values)


def kept(row: IndexRow) -> Change:
    """A recording that is kept."""
    return Change(statement=f"{_INSERT} on conflict do nothing", values=_plain(_values(row)), about=row.recording_id)


def known(recording_id: str) -> Change:
    """A recording that is here already, and may be covered by a hold."""
    return Change(statement="", values=NONE, about=recording_id)


def hold_placed(hold_id: str, scope: Mapping[str, str]) -> Change:
    """A hold stands."""
    return Change(statement=_PLACE_HOLD, values={**scope, "hold_id": hold_id}, holds=True)


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
    """The index in `database`, made where it is missing. Safe from any thread; every method blocks on it briefly.

    `Unavailable` where the database cannot be read or written: say so, and go on; nothing depends on it. What failed
    once is tried anew with the next question, and with `patient` the opening itself. ConfigError where its tables are
    newer than this program. With `reads` nothing is made or changed, and one moment is seen until it is closed: for the
    index of another agent.
    """

    def __init__(self, database: Database, *, patient: bool = False, reads: bool = False) -> None:
        self._lock = threading.RLock()
        self._reads = reads
        self._database = database
        self._closed = False
        self._session: Session | None = None
        with suppress(*((Unavailable,) if patient else ())), self._opened():  # whether it can be used is told at once
            pass

    def close(self) -> None:
        """Release the database. Idempotent."""
        with self._lock:
            self._closed = True
            self._leave()

    def _leave(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def add(self, row: IndexRow) -> None:
        """A new recording. `Refused` where its id is known."""
        with self._writing() as db:
            if db.run(f"{_INSERT} on conflict do nothing", _plain(_values(row))) != 1:
                raise Refused(f"{row.recording_id} is in the index already", next_step="update it")

    def update(self, recording_id: str, /, **changes: Any) -> None:
        """Change these fields (names of IndexRow). `Refused` where the id is unknown, ValueError for another field."""
        if unknown := changes.keys() - set(_COLUMNS[1:]):
            raise ValueError(f"the index has no {', '.join(sorted(unknown))}")
        assignments = ", ".join(f"{name} = :{name}" for name in changes)
        statement = f"update recordings set {assignments} where recording_id = :id"  # noqa: S608 - checked names
        with self._writing() as db:
            if not db.run(statement, {**_plain(changes), "id": recording_id}):
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
        values: dict[str, Any] = {"since": since, "until": until, "limit": limit}
        if line is not None:
            where, values = [*where, "line = :line"], {**values, "line": line}
        if state is not None:
            where = [*where, f"state = '{state.value}'"]  # said, not handed over: each rare state has its own index
        if purpose is not None:
            where, values = [*where, "purposes like :purpose"], {**values, "purpose": f'%"{purpose.value}"%'}
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
        with self._opened() as db:
            row = db.row("select entries from followed")
        return int(row[0]) if row else 0

    def follow(self, changes: Sequence[Change], entries: int) -> None:
        """Take these in, and that this many entries have been: in one transaction. What names a recording that is not
        here is left out: the next rebuild brings it.
        """
        with self._writing() as db:
            for change in changes:
                change.apply(db)
            if any(change.holds for change in changes):
                db.run(_FREE)
                db.run(_HOLD)
            elif named := [{"id": change.about} for change in changes if change.about]:
                db.run_many(_HOLD_ONE, named)
            db.run(_FOLLOWED, {"entries": entries})

    def rebuild(self, rows: Iterable[IndexRow]) -> None:
        """Replace everything, in one transaction: readers see the old index or the new one."""
        with self._writing() as db:
            for table in ("recordings", "holds", "followed"):
                db.run(f"delete from {table}")  # noqa: S608 - our own names
            db.run_many(_INSERT, (_plain(_values(row)) for row in rows))
            if db.postgres:  # which counts what there is only later, and until then reads all to find what is common
                db.run("analyze recordings")

    def _select(self, where: str, values: Mapping[str, Any]) -> tuple[IndexRow, ...]:
        statement = f"select {', '.join(_COLUMNS)} from recordings {where}"  # noqa: S608 - our own text
        with self._opened() as db:
            return tuple(_row(found) for found in db.rows(statement, values))

    @contextmanager
    def _writing(self) -> Iterator[Session]:
        """One transaction: all of it, or nothing."""
        with self._opened() as db:
            try:
                db.begin("index")
                yield db
                db.commit()
            except BaseException:
                with suppress(SqlFailed):
                    db.rollback()
                raise

    @contextmanager
    def _opened(self) -> Iterator[Session]:
        with self._lock:
            try:
                yield self._connected()
            except SqlFailed as error:
                if not isinstance(error, SqlRefused):
                    self._leave()
                raise _unavailable(self._database, error) from error

    def _connected(self) -> Session:
        if self._closed:
            raise SqlFailed("it was closed")
        if self._session is None:
            session = self._new_session()
            try:
                if self._reads:
                    index_schema.FORMS.require_known(session, self._database)
                else:
                    index_schema.make(session, self._database)
            except BaseException:
                session.close()
                raise
            self._session = session
        return self._session

    def _new_session(self) -> Session:
        return _sql.reading(self._database) if self._reads else _sql.create(self._database, name="callrec index")


def _unavailable(database: Database, error: SqlFailed) -> Unavailable:
    step = "see that agent.data_dir is there, has room, and is this user's to write"
    if _sql.is_postgres(database):
        step = "see that the PostgreSQL server is up and takes this user"
    return Unavailable(f"the index {database} cannot be used: {error}", next_step=step)
