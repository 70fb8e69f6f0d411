"""The statements on the tables of one log: who may open it, where it ends, what each append adds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from callrec import _sql
from callrec._canonical import canonical
from callrec._sql import Database, Session, SqlFailed
from callrec.core.kinds import Kind
from callrec.errors import Broken, ConfigError, Unavailable
from callrec.ledger import schema
from callrec.ledger.checkpoint import LogKey, parse_vkey, verify
from callrec.ledger.entry import read
from callrec.ledger.merkle import Frontier, leaf_hash
from callrec.ledger.pending import Note
from callrec.ports import Entry

_STEP: Final = "keep the ledger as it is, run `callrec ledger verify`, and compare with the newest anchor"
_INIT: Final = "run `callrec init`, or correct ledger.url"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tip:
    """Where the log ends."""

    frontier: Frontier
    prev: str
    anchor_size: int
    anchor_root: str


class HeldElsewhere(Unavailable):
    """Somebody else writes this log: no matter of waiting, but of a second agent that must not start."""


def open_for_writing(database: Database, *, holder: str) -> Session:
    """A session whose commits survive a power cut. ConfigError where there is no log, where its tables are newer than
    this program, or where the server was told not to sync.
    """
    require_log(database)
    session = _sql.writing(database, name=holder)
    try:
        _require_tables(session, database)
        _require_durable(session, database)
    except BaseException:
        session.close()
        raise
    return session


def _require_tables(session: Session, database: Database) -> None:
    """A file that is no log is found out by who reads it: what it holds may still tell something."""
    if session.postgres and not session.has("log"):
        raise ConfigError(f"there is no ledger at {database}", next_step=_INIT)
    schema.FORMS.require_known(session, database)


def _require_durable(session: Session, database: Database) -> None:
    if unsafe := session.unsafe():
        step = "set it on in postgresql.conf: what this server calls durable could be gone after a power cut"
        raise ConfigError(f"{database}: {unsafe}", next_step=step)


@contextmanager
def open_for_reading(database: Database) -> Iterator[Session]:
    """A session that cannot write, and sees the log as it is now until it is closed, whatever is appended.

    A copy on read-only media can be read where its log was closed in order.
    """
    require_log(database)
    with closing(_sql.reading(database)) as session:
        _require_tables(session, database)
        yield session


def require_log(database: Database) -> None:
    """ConfigError where no log was ever created here: a log is never made by the way."""
    if isinstance(database, Path) and not database.is_file():
        raise ConfigError(f"there is no ledger at {database}", next_step=_INIT)


def unavailable(database: Database, error: Exception) -> Unavailable:
    """What the database said, with what to do about it."""
    text = str(error)
    if "full" in text or "No space" in text:
        step = "free space on that file system"
    elif isinstance(database, Path):
        step = "end the program that locks it, or look at the disk"
    else:
        step = "see that the PostgreSQL server is up and takes this user, and that the network reaches it"
    return Unavailable(f"the ledger {database} cannot be used: {text}", next_step=step)


def take_lease(session: Session, database: Database, key: LogKey) -> None:
    """Hold this log for as long as the session lasts; a copy of it in the same database is the same log.

    `HeldElsewhere` where somebody else does, naming the holder. Where the log is a file, the lock beside it does this.
    """
    if (other := session.hold(int.from_bytes(bytes.fromhex(key.log_id)[:8], signed=True))) is not None:
        raise HeldElsewhere(f"the ledger {database} is held by {other}", next_step="stop that one first, or ask it")


def key_of_log(session: Session) -> LogKey:
    """The public key that the log itself names. An auditor compares it with the half page."""
    try:
        row = session.row("SELECT schema, vkey FROM log")
    except SqlFailed as error:
        raise Broken(f"this is no ledger: {error}", next_step=_STEP) from error
    if row is None or row[0] != schema.FORM:
        raise Broken("the ledger does not say which log it is, or is of a later form", next_step=_STEP)
    return parse_vkey(row[1])


def load_tip(session: Session, key: LogKey) -> tuple[Tip, bytes]:
    """The end of the log and its newest signed checkpoint. `Broken` where they, or the last row, differ."""
    size, prev, hashes, anchor_size, anchor_root = session.row(
        "SELECT size, prev, cast(frontier AS BLOB), anchor_size, anchor_root FROM tip"
    ) or (0, "", b"", 0, "")
    note = session.row("SELECT cast(note AS BLOB) FROM checkpoints ORDER BY size DESC LIMIT 1")
    last = session.row("SELECT seq, cast(body AS BLOB) FROM entries ORDER BY seq DESC LIMIT 1")
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


def store_tip(session: Session, tip: Tip, note: bytes) -> None:
    """Write the new end and its checkpoint: the last statement of every transaction."""
    session.run(
        "UPDATE tip SET size = :size, prev = :prev, frontier = :frontier, anchor_size = :anchor_size,"
        " anchor_root = :anchor_root",
        {
            "size": tip.frontier.size,
            "prev": tip.prev,
            "frontier": b"".join(tip.frontier.hashes),
            "anchor_size": tip.anchor_size,
            "anchor_root": tip.anchor_root,
        },
    )
    session.run("INSERT INTO checkpoints (size, note) VALUES (:size, :note)", {"size": tip.frontier.size, "note": note})


def add(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append these leaves: seq, leaf, call_uid and body of each."""
    session.run_many("INSERT INTO entries (seq, leaf, call_uid, body) VALUES (:seq, :leaf, :call_uid, :body)", rows)


def anchored(tip: Tip, entry: Entry) -> Tip:
    """The tip after this entry: `checkpoint.shipped` tells of a newer anchor."""
    if entry.kind is not Kind.CHECKPOINT_SHIPPED or entry.body["size"] <= tip.anchor_size:
        return tip
    return replace(tip, anchor_size=entry.body["size"], anchor_root=entry.body["root"])


def keep_salts(session: Session, entries: Iterable[tuple[int, Entry]]) -> None:
    """Keep what opens these entries' commitments; `salt.erased` destroys those of the entries it names in `seqs`."""
    kept, erased = [], []
    for seq, entry in entries:
        kept += [{"seq": seq, "name": name, "salt": salt} for name, salt in entry.salts.items()]
        if entry.kind is Kind.SALT_ERASED:
            erased += [{"seq": gone} for gone in entry.body["seqs"]]
    if kept:
        session.run_many("INSERT INTO salts (seq, name, salt) VALUES (:seq, :name, :salt)", kept)
    if erased:
        session.run_many("DELETE FROM salts WHERE seq = :seq", erased)


def unwritten(session: Session, notes: Sequence[Note]) -> list[Note]:
    """Those of the notes that no entry states: same fact, stamped between its moment and its being given up."""
    seen: dict[tuple[str, ...], list[int]] = {}
    boot = notes[0].moment.boot_id
    first_ns = min(note.moment.boottime_ns for note in notes if note.moment.boot_id == boot)
    for (body,) in session.stream("SELECT cast(body AS BLOB) FROM entries ORDER BY seq DESC"):
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
