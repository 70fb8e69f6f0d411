"""Checks 1, 2 and 4 in one pass over the rows: bytes, links, roots, signatures, outside anchors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from callrec.audit.findings import Findings
from callrec.errors import Broken
from callrec.ledger.checkpoint import Checkpoint, LogKey, verify
from callrec.ledger.entry import NO_LEAF, LogEntry, read_leaf
from callrec.ledger.merkle import Frontier, leaf_hash
from callrec.ledger.reading import LogReader

ALL_SIGNATURES_UP_TO: Final = 20_000
"""Up to so many checkpoints every signature is checked; beyond, the newest and others evenly spread. Roots always."""
_TOGETHER: Final = 4_096
"""Leaves that are put into the tree at once, where no root is asked for before."""


class ChainCheck:
    """Reads the log once, from its first row; `entries` yields what could be read while it checks."""

    def __init__(self, log: LogReader, key: LogKey, anchors: Sequence[bytes], findings: Findings) -> None:
        self._log = log
        self._key = key
        self._log_id = key.log_id
        self._findings = findings
        self._frontier = Frontier()
        self._prev = NO_LEAF
        self._anchors = self._read_anchors(anchors)
        self.held_outside = len(anchors)
        self._notes = log.notes()
        self._note: tuple[int, bytes] | None = next(self._notes, None)
        self._newest = 0
        self._look_at = 0
        self._every = 1 + log.checkpoints() // ALL_SIGNATURES_UP_TO
        self._seen_notes = 0
        self.signatures = 0
        self.anchored: Checkpoint | None = None
        self.anchored_utc = ""
        self._utc = ""

    @property
    def size(self) -> int:
        """Entries of which all was looked at."""
        return self._frontier.size

    def root(self) -> bytes:
        """Root over these entries, recomputed from their bytes."""
        return self._frontier.root()

    def _read_anchors(self, notes: Sequence[bytes]) -> list[tuple[int, bytes]]:
        """(size, root) of each, the largest first: they are taken from the end as the log grows."""
        held: dict[int, bytes] = {}
        for note in notes:
            try:
                checkpoint = verify(note, self._key)
            except Broken as error:
                self._findings.add(4, f"a checkpoint held outside: {error}")
                continue
            if held.setdefault(checkpoint.size, checkpoint.root) != checkpoint.root:
                self._findings.add(4, f"the log was signed twice at size {checkpoint.size}: it was forked")
        return sorted(held.items(), reverse=True)

    def entries(self) -> Iterator[LogEntry]:
        """Every entry that can be read, in order; findings are added on the way and at the end."""
        self._at_size(0)
        held: list[bytes] = []
        for position, (seq, leaf, call_uid, body) in enumerate(self._log.rows()):
            computed = leaf_hash(body)
            if seq != position:
                self._findings.add(1, f"entry {seq} stands at position {position}", seq)
            name = computed.hex()
            entry = self._read(seq, name, call_uid, body)
            if computed != leaf:
                self._findings.add(1, f"entry {seq} was changed: its bytes do not give its leaf", seq)
            self._prev = name
            held.append(computed)
            if self._look_at <= position + 1:
                self._frontier.extend(held)
                held.clear()
                self._at_size(position + 1)
            if entry is not None:
                yield entry
        self._frontier.extend(held)
        self._finish()

    def _read(self, seq: int, name: str, call_uid: str, body: bytes) -> LogEntry | None:
        try:
            entry = read_leaf(body, name)
        except Broken as error:
            self._findings.add(1, str(error), seq)
            return None
        self._utc = entry.utc
        if entry.seq != seq or entry.prev != self._prev:
            self._findings.add(1, f"entry {seq} does not follow the entry before it", seq)
        if entry.call_uid != call_uid or entry.log_id != self._log_id:
            self._findings.add(1, f"entry {seq} is filed under another call or belongs to another log", seq)
        return entry

    def _at_size(self, size: int) -> None:
        while self._note is not None and self._note[0] <= size:
            self._check_note(*self._note, size)
            self._note = next(self._notes, None)
        while self._anchors and self._anchors[-1][0] <= size:
            self._compare(self._anchors.pop()[1], size)
        self._look_at = size + _TOGETHER
        for later in (*self._anchors[-1:], *(() if self._note is None else (self._note,))):
            self._look_at = min(self._look_at, later[0])

    def _compare(self, anchored: bytes, size: int) -> None:
        if anchored == self._frontier.root():
            self.anchored = Checkpoint(origin=self._key.name, size=size, root=anchored)
            self.anchored_utc = self._utc
        else:
            self._findings.add(4, f"the first {size} entries are not those anchored outside", size - 1)

    def _check_note(self, stored_size: int, note: bytes, size: int) -> None:
        expected = Checkpoint(origin=self._key.name, size=size, root=self._frontier.root())
        if stored_size != size or not note.startswith(expected.text() + b"\n"):
            self._findings.add(2, f"the checkpoint of size {stored_size} is not of these entries", stored_size - 1)
            return
        self._newest = size
        self._seen_notes += 1
        if self._seen_notes % self._every == 0:
            self._check_signature(note, size)

    def _check_signature(self, note: bytes, size: int) -> None:
        self.signatures += 1
        try:
            verify(note, self._key)
        except Broken as error:
            self._findings.add(2, str(error), size - 1)

    def _finish(self) -> None:
        size = self._frontier.size
        while self._note is not None:
            self._findings.add(2, f"a checkpoint says {self._note[0]} entries, but there are {size}")
            self._note = next(self._notes, None)
        if self._newest != size:
            self._findings.add(2, f"the newest right checkpoint is of {self._newest} entries, but there are {size}")
        self._check_signature(self._log.newest_note(), size)
        for missing, _ in reversed(self._anchors):
            self._findings.add(4, f"the log is shorter than the {missing} entries anchored outside")
