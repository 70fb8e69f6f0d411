"""The open tables of one log: appends whole batches, each ending in a signed checkpoint. One thread at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from callrec._sql import Database, Session, SqlFailed
from callrec.core.kinds import Kind
from callrec.errors import ConfigError, Unavailable
from callrec.ledger import schema, tables
from callrec.ledger.checkpoint import Checkpoint, LogKey, key_of, sign
from callrec.ledger.entry import NO_LEAF, Moment, Place, now, stamp
from callrec.ledger.merkle import Frontier, leaf_hash
from callrec.ledger.pending import Note
from callrec.ports import Clock, Entry

Commit = Callable[[Session], None]


def commit(session: Session) -> None:
    """Make the open transaction durable; returns when it is on the disk."""
    session.commit()


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
    """Open the log in `database` for writing with its signing key, as `holder`. In PostgreSQL the lease is taken with
    each connection, and lasts as long; that of a file the caller holds.

    ConfigError where there is no log or the key is another one's; `Broken` where the end of the log does not fit its
    newest checkpoint; `Unavailable` where the database fails or somebody else holds the lease. After a failed append
    the log is opened anew and its end is checked again, so that what a failed commit left behind is found out, not
    guessed. With `patient` a database that is away is no error yet: `away` says why, and the next use opens it.
    """

    def __init__(
        self,
        database: Database,
        secret: Ed25519PrivateKey,
        clock: Clock,
        *,
        agent_run: str,
        holder: str,
        commit: Commit = commit,
        patient: bool = False,
    ) -> None:
        self._database = database
        self._holder = holder
        self._secret = secret
        self.key = key_of(secret)
        self._clock = clock
        self._agent_run = agent_run
        self._commit = commit
        self._session: Session | None = None
        self._tip = tables.Tip(frontier=Frontier(), prev=NO_LEAF, anchor_size=0, anchor_root=NO_LEAF)
        self.newest_note = b""
        self.away: Unavailable | None = None
        try:
            self._open()
        except tables.HeldElsewhere:
            raise
        except Unavailable as error:
            if not patient:
                raise
            self.away = error

    def _open(self) -> Session:
        if self._session is not None:
            return self._session
        try:
            session = tables.open_for_writing(self._database, holder=self._holder)
        except SqlFailed as error:
            raise tables.unavailable(self._database, error) from error
        try:
            self._require_own(tables.key_of_log(session))
            tables.take_lease(session, self._database, self.key)
            schema.FORMS.bring_forward(session, self._database)
            self._tip, self.newest_note = tables.load_tip(session, self.key)
        except SqlFailed as error:
            session.close()
            raise tables.unavailable(self._database, error) from error
        except BaseException:
            session.close()
            raise
        self._session = session
        return session

    def _require_own(self, named: LogKey) -> None:
        if named != self.key:
            raise ConfigError(
                f"the signing key is of {self.key.name}, the ledger of {named.name}",
                next_step="name the key that this ledger was made with in keys.signing",
            )

    def close(self) -> None:
        """Close the connection. The next use opens it again."""
        session, self._session = self._session, None
        if session is not None:
            session.close()

    @contextmanager
    def _transaction(self) -> Iterator[Session]:
        try:
            session = self._open()
            session.begin("ledger")
            yield session
            self._commit(session)
        except (SqlFailed, OSError) as error:
            self.close()
            raise tables.unavailable(self._database, error) from error
        except BaseException:
            self.close()
            raise

    def probe(self) -> None:
        """Write something that is no entry, to see whether writing works; `Unavailable` or `Broken` where not."""
        with self._transaction() as session:
            session.run("UPDATE tip SET probes = probes + 1")

    def append(self, facts: Sequence[Fact]) -> list[Written]:
        """Append all, or none, in one transaction that ends in a checkpoint. `Unavailable` where it fails."""
        with self._transaction() as session:
            tip = replace(self._tip, frontier=self._tip.frontier.copy())
            rows = []
            for fact in facts:
                tip, row = self._stamped(tip, fact)
                rows.append(row)
            tables.add(session, rows)
            tables.keep_salts(session, [(row["seq"], fact.entry) for row, fact in zip(rows, facts, strict=True)])
            checkpoint = Checkpoint(origin=self.key.name, size=tip.frontier.size, root=tip.frontier.root())
            note = sign(checkpoint, self._secret, self.key)
            tables.store_tip(session, tip, note)
        self._tip, self.newest_note = tip, note
        if any(fact.entry.kind is Kind.SALT_ERASED for fact in facts):
            session.forget()
        return [Written(seq=row["seq"], leaf=row["leaf"].hex()) for row in rows]

    def _stamped(self, tip: tables.Tip, fact: Fact) -> tuple[tables.Tip, dict[str, Any]]:
        """The row of this fact, and where the log ends after it."""
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
        tip.frontier.append(leaf)
        row = {"seq": seq, "leaf": leaf, "call_uid": entry.call_uid, "body": body}
        return tables.anchored(replace(tip, prev=leaf.hex()), entry), row

    def unwritten(self, notes: Sequence[Note]) -> list[Note]:
        """Those of the notes that the log does not hold yet: an append given up may have happened all the same."""
        with self._transaction() as session:
            return tables.unwritten(session, notes)
