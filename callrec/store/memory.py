"""A store in memory that accuses: AssertionError when anything it held was changed or lost behind its back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from datetime import date

from callrec._canonical import sha256_hex
from callrec.errors import Broken, Refused, Unavailable
from callrec.ports import Json, Kept, Sealed, Store
from callrec.store.admission import Admission
from callrec.store.objects import PIECE_BYTES, parse_manifest, safe_name, same_key, whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One object. `audio` and `wrapped` are empty once it was destroyed."""

    audio: bytes
    manifest: bytes
    wrapped: bytes
    kept: Kept


class MemoryStore:
    """Keeps every rule of `RecordingStore` but durability. For tests and demonstrations."""

    def __init__(self, *, admission: Admission) -> None:
        self.held: dict[str, Held] = {}
        self._admission = admission
        self._alive: set[str] = set()
        self.tombstones: dict[str, bytes] = {}
        self.locks: dict[str, tuple[date | None, bool]] = {}

    def accuse(self) -> None:
        """AssertionError where an object changed or vanished other than by `destroy`."""
        for recording_id in self._alive:
            held = self.held.get(recording_id)
            if held is None or not self._unchanged(held):
                raise AssertionError(f"{recording_id} was changed or lost in the store")

    @staticmethod
    def _unchanged(held: Held) -> bool:
        found = (sha256_hex(held.audio), sha256_hex(held.manifest))
        return found == (held.kept.cipher_sha256, held.kept.object_version)

    async def put(self, sealed: Sealed) -> Kept:
        """See `RecordingStore`."""
        self.accuse()
        await asyncio.to_thread(self._admission.check, sealed)
        given = await asyncio.to_thread(whole, sealed)
        audio = await asyncio.to_thread(given.audio.read_bytes)
        kept = Kept(
            store_id="memory",
            object_version=given.manifest_sha256,
            lock="none",
            cipher_sha256=given.cipher_sha256,
        )
        new = Held(audio=audio, manifest=given.manifest, wrapped=given.wrapped, kept=kept)
        return self._keep(given.recording_id, new)

    def _keep(self, recording_id: str, new: Held) -> Kept:
        old = self.held.get(recording_id)
        if old is None:
            self.held[recording_id] = new
            self._alive.add(recording_id)
            return new.kept
        if recording_id not in self._alive:
            raise Refused(f"{recording_id} was destroyed, and is not kept again", next_step="call a person")
        if old.kept != new.kept:
            raise Broken(f"{recording_id} is held with another content", next_step="compare both with the ledger")
        return old.kept

    async def stat(self, recording_id: str) -> Kept | None:
        """See `RecordingStore`."""
        self.accuse()
        return self.held[recording_id].kept if safe_name(recording_id) in self._alive else None

    async def read(self, recording_id: str) -> AsyncIterator[bytes]:
        """See `RecordingStore`."""
        audio = self._living(recording_id).audio
        for at in range(0, len(audio), PIECE_BYTES):
            yield audio[at : at + PIECE_BYTES]

    async def manifest(self, recording_id: str) -> Mapping[str, Json]:
        """See `RecordingStore`."""
        self.accuse()
        if safe_name(recording_id) not in self.held:
            raise Unavailable(f"the store does not hold {recording_id}", next_step="look the id up again")
        return parse_manifest(self.held[recording_id].manifest)

    async def ids(self) -> AsyncIterator[str]:
        """See `RecordingStore`."""
        self.accuse()
        for recording_id in sorted(self._alive):
            yield recording_id

    async def wrapped_key(self, recording_id: str) -> bytes:
        """See `WrappedKeys`."""
        return self._living(recording_id).wrapped

    async def rewrapped(self, recording_id: str, wrapped: bytes) -> None:
        """See `WrappedKeys`. `Refused` where it wraps another key."""
        held = self._living(recording_id)
        same_key(held.wrapped, wrapped)
        self.held[recording_id] = replace(held, wrapped=wrapped)

    async def destroy(self, recording_id: str) -> None:
        """See `WrappedKeys`."""
        if safe_name(recording_id) in self._alive:
            self._alive.discard(recording_id)
            self.held[recording_id] = replace(self.held[recording_id], audio=b"", wrapped=b"")

    async def lock(self, recording_id: str, *, until: date | None, held: bool) -> str:
        """See `WrappedKeys`: what was asked for is remembered, so that a test sees it."""
        self._living(recording_id)
        before = self.locks.get(recording_id, (None, False))[0]
        self.locks[recording_id] = (max(filter(None, (before, until)), default=None), held)
        return "none"

    async def bury(self, recording_id: str, tombstone: bytes) -> None:
        """See `WrappedKeys`."""
        if safe_name(recording_id) in self._alive:
            raise Refused(f"{recording_id} was not destroyed", next_step="destroy it first")
        if self.tombstones.setdefault(recording_id, tombstone) != tombstone:
            raise Refused(f"{recording_id} has another tombstone", next_step="compare both with the ledger")

    def require_fit(self) -> None:
        """See `Store`: it is there as long as its process."""

    async def clear_unfinished(self) -> None:
        """See `Store`: nothing is ever half written."""

    def _living(self, recording_id: str) -> Held:
        self.accuse()
        if safe_name(recording_id) not in self._alive:
            raise Unavailable(f"the store does not hold {recording_id}", next_step="look the id up again")
        return self.held[recording_id]


_: type[Store] = MemoryStore
