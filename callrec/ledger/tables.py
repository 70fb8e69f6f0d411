"""The tables of one log in SQLite. Rows are leaves; triggers refuse change, as a guard against mistakes.

They do not guard against an administrator: checkpoints that somebody else holds do.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from callrec._canonical import canonical
from callrec.core.kinds import Kind
from callrec.errors import Broken, ConfigError, Unavailable
from callrec.ledger.checkpoint import LogKey, parse_vkey, verify
from callrec.ledger.entry import read
from callrec.ledger.merkle import Frontier, leaf_hash
from callrec.ledger.pending import Note
from callrec.ports import Entry

SCHEMA_VERSION: Final = 1
BUSY_MS: Final = 2_000
"""How long to wait where another program locks the file; longer is an answer of its own."""
_STEP: Final = "keep the ledger as it is, run `callrec ledger verify`, and compare with the newest anchor"

CREATE: Final = """
CREATE TABLE log (id INTEGER PRIMARY KEY CHECK (id = 1), schema INTEGER NOT NULL, vkey TEXT NOT NULL,
                  created_utc TEXT NOT NULL);
CREATE TABLE entries (seq INTEGER PRIMARY KEY, leaf BLOB NOT NULL, call_uid TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX entries_of_call ON entries (call_uid, seq) WHERE call_uid <> '';
CREATE TABLE checkpoints (size INTEGER PRIMARY KEY, note BLOB NOT NULL);
CREATE TABLE tip (id INTEGER PRIMARY KEY CHECK (id = 1), size INTEGER NOT NULL, prev TEXT NOT NULL,
                  frontier BLOB NOT NULL, anchor_size INTEGER NOT NULL, anchor_root TEXT NOT NULL,
                  probes INTEGER NOT NULL DEFAULT 0);
CREATE TABLE salts (seq INTEGER NOT NULL, name TEXT NOT NULL, salt TEXT NOT NULL, PRIMARY KEY (seq, name))
                  WITHOUT ROWID;
CREATE TRIGGER entries_in_order BEFORE INSERT ON entries
  WHEN NEW.seq <> (SELECT coalesce(max(seq) + 1, 0) FROM entries)
  BEGIN SELECT raise(ABORT, 'entries are appended in order'); END;
CREATE TRIGGER checkpoints_in_order BEFORE INSERT ON checkpoints
  WHEN NEW.size <= (SELECT coalesce(max(size), -1) FROM checkpoints)
  BEGIN SELECT raise(ABORT, 'checkpoints are appended in order'); END;
CREATE TRIGGER log_never_update BEFORE UPDATE ON log
  BEGIN SELECT raise(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER log_never_delete BEFORE DELETE ON log
  BEGIN SELECT raise(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER entries_never_update BEFORE UPDATE ON entries
  BEGIN SELECT raise(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER entries_never_delete BEFORE DELETE ON entries
  BEGIN SELECT raise(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER checkpoints_never_update BEFORE UPDATE ON checkpoints
  BEGIN SELECT raise(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER checkpoints_never_delete BEFORE DELETE ON checkpoints
  BEGIN SELECT raise(ABORT, 'the ledger is append-only'); END;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tip:
    """Where the log ends."""

    frontier: Frontier
    prev: str
    anchor_size: int
    anchor_root: str


def open_for_writing(path: Path) -> sqlite3.Connection:
    """A connection whose commits survive a power cut. ConfigError where there is no log."""
    require_log(path)
    try:
        connection = sqlite3.connect(path, timeout=BUSY_MS / 1000, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")
    except sqlite3.Error as error:
        raise unavailable(path, error) from error
    return connection


@contextmanager
def open_for_reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that cannot write, and sees the log as it is now until it is closed, whatever is appended.

    A copy on read-only media can be read where its log was closed in order.
    """
    require_log(path)
    wal = path.with_name(path.name + "-wal")
    try:
        connection = _read_only(path, "mode=ro")
    except sqlite3.OperationalError as error:
        if wal.exists():
            raise unavailable(path, error) from error
        connection = _read_only(path, "mode=ro&immutable=1")
    with closing(connection):
        yield connection


def _read_only(path: Path, options: str) -> sqlite3.Connection:
    address = f"file:{quote(str(path.resolve()))}?{options}"
    connection = sqlite3.connect(address, uri=True, timeout=BUSY_MS / 1000, isolation_level=None)
    try:
        connection.execute("BEGIN")
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def require_log(path: Path) -> None:
    """ConfigError where no log was ever created here: a log is never made by the way."""
    if not path.is_file():
        raise ConfigError(f"there is no ledger at {path}", next_step="run `callrec init`, or correct ledger.url")


def unavailable(path: Path, error: Exception) -> Unavailable:
    """What SQLite said, with what to do about it."""
    text = str(error)
    step = "free space on that file system" if "full" in text else "end the program that locks it, or look at the disk"
    return Unavailable(f"the ledger {path} cannot be used: {text}", next_step=step)


def key_of_log(connection: sqlite3.Connection) -> LogKey:
    """The public key that the log itself names. An auditor compares it with the half page."""
    try:
        row = connection.execute("SELECT schema, vkey FROM log").fetchone()
    except sqlite3.DatabaseError as error:
        raise Broken(f"this is no ledger: {error}", next_step=_STEP) from error
    if row is None or row[0] != SCHEMA_VERSION:
        raise Broken("the ledger does not say which log it is, or is of a later form", next_step=_STEP)
    return parse_vkey(row[1])


def load_tip(connection: sqlite3.Connection, key: LogKey) -> tuple[Tip, bytes]:
    """The end of the log and its newest signed checkpoint. `Broken` where they, or the last row, differ."""
    size, prev, hashes, anchor_size, anchor_root = connection.execute(
        "SELECT size, prev, cast(frontier AS BLOB), anchor_size, anchor_root FROM tip"
    ).fetchone() or (0, "", b"", 0, "")
    note = connection.execute("SELECT cast(note AS BLOB) FROM checkpoints ORDER BY size DESC LIMIT 1").fetchone()
    last = connection.execute("SELECT seq, cast(body AS BLOB) FROM entries ORDER BY seq DESC LIMIT 1").fetchone()
    if note is None:
        raise Broken("the ledger has no checkpoint", next_step=_STEP)
    try:
        frontier = Frontier(size, [hashes[at : at + 32] for at in range(0, len(hashes), 32)])
    except ValueError as error:
        raise Broken(f"the ledger's frontier is damaged: {error}", next_step=_STEP) from error
    checkpoint = verify(note[0], key)
    last_seq, last_leaf = (-1, prev) if last is None else (last[0], leaf_hash(last[1]).hex())
    if (checkpoint.size, checkpoint.root, last_seq + 1, last_leaf) != (size, frontier.root(), size, prev):
        raise Broken("the end of the ledger does not fit its newest checkpoint", next_step=_STEP)
    return Tip(frontier=frontier, prev=prev, anchor_size=anchor_size, anchor_root=anchor_root), note[0]


def store_tip(connection: sqlite3.Connection, tip: Tip, note: bytes) -> None:
    """Write the new end and its checkpoint: the last statement of every transaction."""
    connection.execute(
        "UPDATE tip SET size = ?, prev = ?, frontier = ?, anchor_size = ?, anchor_root = ?",
        (tip.frontier.size, tip.prev, b"".join(tip.frontier.hashes), tip.anchor_size, tip.anchor_root),
    )
    connection.execute("INSERT INTO checkpoints (size, note) VALUES (?, ?)", (tip.frontier.size, note))


def anchored(tip: Tip, entry: Entry) -> Tip:
    """The tip after this entry: `checkpoint.shipped` tells of a newer anchor."""
    if entry.kind is not Kind.CHECKPOINT_SHIPPED or entry.body["size"] <= tip.anchor_size:
        return tip
    return replace(tip, anchor_size=entry.body["size"], anchor_root=entry.body["root"])


def keep_salts(connection: sqlite3.Connection, seq: int, entry: Entry) -> None:
    """Keep what opens this entry's commitments; `salt.erased` destroys those of the entries it names in `seqs`."""
    rows = [(seq, name, salt) for name, salt in entry.salts.items()]
    connection.executemany("INSERT INTO salts VALUES (?, ?, ?)", rows)
    if entry.kind is Kind.SALT_ERASED:
        connection.executemany("DELETE FROM salts WHERE seq = ?", [(erased,) for erased in entry.body["seqs"]])


def unwritten(connection: sqlite3.Connection, notes: Sequence[Note]) -> list[Note]:
    """Those of the notes that no entry states: same fact, stamped between its moment and its being given up."""
    seen: dict[tuple[str, ...], list[int]] = {}
    boot = notes[0].moment.boot_id
    first_ns = min(note.moment.boottime_ns for note in notes if note.moment.boot_id == boot)
    for (body,) in connection.execute("SELECT body FROM entries ORDER BY seq DESC"):
        entry = read(body)
        if not entry.late and entry.boot_id == boot and entry.boottime_ns < first_ns:
            break
        fact = (entry.boot_id, entry.kind, entry.call_uid, str(entry.segment), entry.actor, _text(entry.body))
        seen.setdefault(fact, []).append(entry.boottime_ns)
    return [note for note in notes if not _stated(note, seen)]


def _stated(note: Note, seen: Mapping[tuple[str, ...], Sequence[int]]) -> bool:
    entry, moment = note.entry, note.moment
    fact = (moment.boot_id, entry.kind.value, entry.call_uid, str(entry.segment), entry.actor, _text(entry.body))
    return any(moment.boottime_ns <= at <= note.until_ns for at in seen.get(fact, ()))


def _text(body: Mapping[str, Any]) -> str:
    return canonical(dict(body)).decode()
