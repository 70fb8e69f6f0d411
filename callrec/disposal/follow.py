"""The index follows the ledger: what was kept, held, released, dated anew and disposed of since it was last asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Final

from callrec._canonical import parse
from callrec.core.holds import Scope
from callrec.core.kinds import Kind
from callrec.core.recording import RecordingState
from callrec.disposal.dates import batch_of
from callrec.disposal.places import Places
from callrec.disposal.register import RETENTION, Register
from callrec.errors import Broken, Unavailable
from callrec.ledger.entry import LogEntry, read
from callrec.ledger.reading import LogReader
from callrec.ports import RecordingStore
from callrec.store import index as index_of
from callrec.store.index import Change, Index, row_from_manifest

AT_ONCE: Final = 20_000
"""Entries taken in by one transaction."""


def follow(index: Index, log: LogReader, store: RecordingStore, places: Places) -> None:
    """Bring the index up to the log. `Unavailable` where it cannot be written: what it says is then older, no more."""
    size = log.size()
    start = index.followed()
    if start > size:
        start = 0  # the index is of another log, or of a later copy of it
    follower = _Follower(index, store, places)
    while start < size:
        end = min(start + AT_ONCE, size)
        changes = [change for body in log.bodies(start, end) for change in follower.changes(read(body))]
        index.follow(changes, end)
        start = end


class _Follower:
    def __init__(self, index: Index, store: RecordingStore, places: Places) -> None:
        self._index = index
        self._store = store
        self._places = places
        self._register = Register()
        self._steps: Mapping[str, Callable[[LogEntry], Iterator[Change]]] = {
            Kind.RECORDING_KEPT.value: self._kept,
            Kind.RECORDING_IMPORTED.value: self._kept,
            Kind.TAG_CHANGED.value: self._redated,
            Kind.HOLD_PLACED.value: self._placed,
            Kind.HOLD_RELEASED.value: self._released,
            Kind.DISPOSAL_DONE.value: self._done,
        }

    def changes(self, entry: LogEntry) -> list[Change]:
        step = self._steps.get(entry.kind)
        return [] if step is None else list(step(entry))

    def _kept(self, entry: LogEntry) -> Iterator[Change]:
        """Where the store has no manifest now, the row is left to a rebuild."""
        name = f"{entry.call_uid}-{entry.segment}"
        if self._index.get(name) is not None:
            yield index_of.known(name)
            return
        try:
            manifest = asyncio.run(self._store.manifest(name))
            row = row_from_manifest(manifest, RecordingState.KEPT, kept_leaf=entry.leaf)
        except (Unavailable, Broken, KeyError, ValueError):
            return
        yield index_of.kept(row)

    def _redated(self, entry: LogEntry) -> Iterator[Change]:
        if entry.body.get("change") != RETENTION:
            return
        try:
            for recording_id, facts in batch_of(self._places, str(entry.body.get("batch_sha256"))).items():
                due = parse(self._places.read("facts", facts))["retention"]["due"]
                yield index_of.redated(recording_id, due or "")
        except (Unavailable, Broken, KeyError, TypeError):
            return  # destroyed with its recording, or damaged: whoever destroys reads it again, and refuses

    def _placed(self, entry: LogEntry) -> Iterator[Change]:
        self._register.see(entry)
        hold_id = str(entry.body.get("hold_id"))
        if (hold := self._register.holds.get(hold_id)) is not None:
            yield index_of.hold_placed(hold_id, _scope(hold.scope))

    def _released(self, entry: LogEntry) -> Iterator[Change]:
        """Only the second person's word ends it; where the first's was taken in before, both are believed here."""
        if entry.body.get("step") == "done":
            yield index_of.hold_released(str(entry.body.get("hold_id")))

    def _done(self, entry: LogEntry) -> Iterator[Change]:
        yield index_of.disposed(str(entry.body.get("recording_id")))


def _scope(scope: Scope) -> dict[str, str]:
    return {name: str(value) for name, value in asdict(scope).items()}
