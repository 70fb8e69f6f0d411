"""The open file of one log: appends whole batches, each ending in a signed checkpoint. One thread at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from callrec.core.kinds import Kind
from callrec.errors import ConfigError
from callrec.ledger import tables
from callrec.ledger.checkpoint import Checkpoint, LogKey, key_of, sign
from callrec.ledger.entry import NO_LEAF, Moment, Place, now, stamp
from callrec.ledger.merkle import Frontier, leaf_hash
from callrec.ledger.pending import Note
from callrec.ports import Clock, Entry

Commit = Callable[[sqlite3.Connection], None]


def commit(connection: sqlite3.Connection) -> None:
    """Make the open transaction durable; returns when it is on the disk."""
    connection.execute("COMMIT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """What is to be appended. `late` and `agent_run` are those of a fact that waited in the side journal."""

    entry: Entry
    late: Moment | None = None
    agent_run: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Where one fact now stands."""

    seq: int
    leaf: str


class LogFile:
    """Open the log at `path` for writing with its signing key. The caller holds the lease.

    ConfigError where there is no log or the key is another one's; `Broken` where the end of the log does not fit its
    newest checkpoint; `Unavailable` where SQLite fails. After a failed append the file is opened anew and its end is
    checked again, so that what a failed commit left behind is found out, not guessed.
    """

    def __init__(
        self, path: Path, secret: Ed25519PrivateKey, clock: Clock, *, agent_run: str, commit: Commit = commit
    ) -> None:
        self._path = path
        self._secret = secret
        self.key = key_of(secret)
        self._clock = clock
        self._agent_run = agent_run
        self._commit = commit
        self._connection: sqlite3.Connection | None = None
        self._tip = tables.Tip(frontier=Frontier(), prev=NO_LEAF, anchor_size=0, anchor_root=NO_LEAF)
        self.newest_note = b""
        self._open()

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None:
            return self._connection
        connection = tables.open_for_writing(self._path)
        try:
            self._require_own(tables.key_of_log(connection))
            self._tip, self.newest_note = tables.load_tip(connection, self.key)
        except sqlite3.Error as error:
            connection.close()
            raise tables.unavailable(self._path, error) from error
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _require_own(self, named: LogKey) -> None:
        if named != self.key:
            raise ConfigError(
                f"the signing key is of {self.key.name}, the ledger of {named.name}",
                next_step="name the key that this ledger was made with in keys.signing",
            )

    def close(self) -> None:
        """Close the file. The next use opens it again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            self._commit(connection)
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise tables.unavailable(self._path, error) from error
        except BaseException:
            self.close()
            raise

    def probe(self) -> None:
        """Write something that is no entry, to see whether writing works; `Unavailable` or `Broken` where not."""
        with self._transaction() as connection:
            connection.execute("UPDATE tip SET probes = probes + 1")

    def append(self, facts: Sequence[Fact]) -> list[Written]:
        """Append all, or none, in one transaction that ends in a checkpoint. `Unavailable` where it fails."""
        with self._transaction() as connection:
            tip = replace(self._tip, frontier=self._tip.frontier.copy())
            written = []
            for fact in facts:
                tip, leaf = self._insert(connection, tip, fact)
                written.append(Written(seq=tip.frontier.size - 1, leaf=leaf))
            checkpoint = Checkpoint(origin=self.key.name, size=tip.frontier.size, root=tip.frontier.root())
            note = sign(checkpoint, self._secret)
            tables.store_tip(connection, tip, note)
        self._tip, self.newest_note = tip, note
        if any(fact.entry.kind is Kind.SALT_ERASED for fact in facts):
            self._forget_old_pages(connection)
        return written

    def _forget_old_pages(self, connection: sqlite3.Connection) -> None:
        """What was erased still stands in the write-ahead log until that is folded back and cut."""
        with suppress(sqlite3.Error):
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _insert(self, connection: sqlite3.Connection, tip: tables.Tip, fact: Fact) -> tuple[tables.Tip, str]:
        entry, seq, moment = fact.entry, tip.frontier.size, now(self._clock)
        place = Place(
            log_id=self.key.log_id,
            seq=seq,
            prev=tip.prev,
            anchor_size=tip.anchor_size,
            anchor_root=tip.anchor_root,
            agent_run=fact.agent_run or self._agent_run,
        )
        late = None if fact.late is None else moment.utc
        body = stamp(entry, place, fact.late or moment, appended_utc=late)
        leaf = leaf_hash(body)
        connection.execute("INSERT INTO entries VALUES (?, ?, ?, ?)", (seq, leaf, entry.call_uid, body))
        tables.keep_salts(connection, seq, entry)
        tip.frontier.append(leaf)
        return tables.anchored(replace(tip, prev=leaf.hex()), entry), leaf.hex()

    def unwritten(self, notes: Sequence[Note]) -> list[Note]:
        """Those of the notes that the log does not hold yet: an append given up may have happened all the same."""
        with self._transaction() as connection:
            return tables.unwritten(connection, notes)
