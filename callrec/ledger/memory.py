"""A ledger in memory that accuses: for tests of whatever writes to one. Same bytes, same leaves; nothing is durable."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable

from callrec.core.kinds import Kind
from callrec.core.proof import Receipt
from callrec.errors import Unavailable
from callrec.ledger.entry import NO_LEAF, LogEntry, Place, check, now, read, stamp
from callrec.ledger.merkle import Frontier, leaf_hash
from callrec.ports import Clock, Entry, Ledger

_NEEDS = {
    Kind.CALL_ANSWERED: ("offered_leaf", Kind.CALL_OFFERED),
    Kind.NOTICE_PROVEN: ("answered_leaf", Kind.CALL_ANSWERED),
    Kind.RECORDING_SEALED: ("started_leaf", Kind.RECORDING_STARTED),
    Kind.RECORDING_DISCARDED: ("started_leaf", Kind.RECORDING_STARTED),
    Kind.RECORDING_LOST: ("started_leaf", Kind.RECORDING_STARTED),
    Kind.STORE_INTENT: ("sealed_leaf", Kind.RECORDING_SEALED),
    Kind.RECORDING_KEPT: ("sealed_leaf", Kind.RECORDING_SEALED),
}


class MemoryLedger:
    """Keeps every rule of `ports.Ledger` but durability, and raises AssertionError at what no log may ever hold: a
    recording whose proof is not in the ledger or was used before, a link to an entry that is not there.

    `fail = True`: appends raise `Unavailable`. `hang()`: appends wait for their timeout. `journal` holds what `note`
    set aside; it is not replayed. `before` is called with every entry about to be appended.
    """

    def __init__(self, clock: Clock, *, before: Callable[[Entry], None] | None = None) -> None:
        self.entries: list[LogEntry] = []
        self.bodies: list[bytes] = []
        self.journal: list[Entry] = []
        self.fail = False
        self.log_id = secrets.token_hex(32)
        self._clock = clock
        self._before = before
        self._run = secrets.token_hex(16)
        self._frontier = Frontier()
        self._consumed: set[str] = set()
        self._moving = asyncio.Event()
        self._moving.set()

    def hang(self) -> None:
        """From now on nothing is answered."""
        self._moving.clear()

    def recover(self) -> None:
        """Answer and accept again."""
        self.fail = False
        self._moving.set()

    def writable(self) -> bool:
        """See `ports.Ledger`."""
        return not self.fail and self._moving.is_set()

    def trouble(self) -> str:
        """See `ports.Ledger`."""
        return "" if self.writable() else "a test has it fail"

    async def append(self, entry: Entry, *, timeout_s: float) -> Receipt:
        """See `ports.Ledger`."""
        check(entry)
        if self._before is not None:
            self._before(entry)
        try:
            await asyncio.wait_for(self._moving.wait(), timeout_s)
        except TimeoutError:
            raise Unavailable(f"the ledger did not answer within {timeout_s:g} s") from None
        if self.fail:
            raise Unavailable("the ledger cannot be written")
        self._accuse(entry)
        return self._take(entry)

    async def note(self, entry: Entry, *, timeout_s: float = 2.0) -> Receipt | None:
        """See `ports.Ledger`."""
        try:
            return await self.append(entry, timeout_s=timeout_s)
        except Unavailable:
            self.journal.append(entry)
            return None

    def of(self, kind: Kind, call_uid: str | None = None) -> list[LogEntry]:
        """Entries of one kind, of one call or of all, in order."""
        return [e for e in self.entries if e.kind == kind.value and call_uid in (None, e.call_uid)]

    def _take(self, entry: Entry) -> Receipt:
        prev = self.entries[-1].leaf if self.entries else NO_LEAF
        place = Place(
            log_id=self.log_id,
            seq=len(self.entries),
            prev=prev,
            anchor_size=0,
            anchor_root=NO_LEAF,
            agent_run=self._run,
        )
        data = stamp(entry, place, now(self._clock))
        self._frontier.append(leaf_hash(data))
        self.bodies.append(data)
        self.entries.append(read(data))
        return Receipt(
            kind=entry.kind,
            seq=place.seq,
            leaf=self.entries[-1].leaf,
            call_uid=entry.call_uid,
            segment=entry.segment,
            boottime_ns=self._clock.boottime_ns(),
        )

    def _accuse(self, entry: Entry) -> None:
        name, kind = _NEEDS.get(entry.kind, ("", None))
        if kind is not None:
            self._require(entry, entry.body[name], kind)
        if entry.kind is Kind.RECORDING_STARTED:
            self._require_proofs(entry)

    def _require_proofs(self, entry: Entry) -> None:
        leaves = list(entry.body["proven_leaves"])
        assert leaves, "a recording started without any proof"
        for leaf in leaves:
            proof = self._require(entry, leaf, Kind.NOTICE_PROVEN)
            assert proof.segment == entry.segment, "this proof belongs to another segment"
            assert leaf not in self._consumed, "this proof started a recording before"
            self._consumed.add(leaf)

    def _require(self, entry: Entry, leaf: str, kind: Kind) -> LogEntry:
        found = [e for e in self.of(kind, entry.call_uid) if e.leaf == leaf]
        assert found, f"{entry.kind.value} names a {kind.value} that this call does not have"
        return found[0]


_: type[Ledger] = MemoryLedger
