"""The shelf of what other recorders made, beside the store of what was proven: nothing of it ever enters that one.

A store on files of its own, with a door of its own: it takes what the ledger's `recording.imported` names. `Shelves`
puts both behind one contract for whoever holds, disposes of, rotates and looks after everything that is kept.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import date
from pathlib import Path
from typing import Final

from callrec.core.kinds import Kind
from callrec.errors import Refused
from callrec.ports import SEALED_LEAF_FILE, Json, Kept, Sealed, Store
from callrec.store.admission import RETENTION_FIELDS, Admission, EntryLookup
from callrec.store.filesystem import FilesystemStore

IMPORTED_KEYS: Final = "-imported"
"""How the folder of this shelf's wrapped keys is called, after that of the store's."""
_SAME: Final = ("recording_id", "source_sha256", "cipher_sha256", "wrapped_key_sha256", "standing")


class ImportedAdmission:
    """Admits what the `recording.imported` of this very recording names, under a rule. Blocking."""

    def __init__(self, lookup: EntryLookup) -> None:
        self._lookup = lookup

    def check(self, sealed: Sealed) -> None:
        """See `Admission`."""
        if any((sealed.manifest.get("retention") or {}).get(name) in (None, "") for name in RETENTION_FIELDS):
            raise Refused(f"{sealed.recording_id} has no retention rule", next_step="name its line and day")
        leaf, uid = _noted(sealed.folder), str(sealed.manifest["header"]["call_uid"])
        entry = self._lookup.look_up(leaf, call_uid=uid) if leaf else None
        said = {name: sealed.manifest.get(name) for name in _SAME} | {"manifest_sha256": sealed.manifest_sha256}
        if (
            entry is None
            or entry["kind"] != Kind.RECORDING_IMPORTED.value
            or any(entry["body"].get(name) != value for name, value in said.items())
        ):
            step = "import it with `callrec recordings import`, which tells the ledger first"
            raise Refused(f"the ledger does not say that {sealed.recording_id} was imported", next_step=step)


def _noted(folder: Path) -> str:
    try:
        return (folder / SEALED_LEAF_FILE).read_text("ascii")
    except (OSError, UnicodeDecodeError):
        return ""


class Shelves:
    """The store and the shelf beside it, as one: each recording is asked of where it lies. New recordings go into the
    store alone.
    """

    def __init__(self, proven: Store, imported: FilesystemStore) -> None:
        self._proven = proven
        self._imported = imported

    def _of(self, recording_id: str) -> Store:
        return self._imported if self._imported.knows(recording_id) else self._proven

    async def put(self, sealed: Sealed) -> Kept:
        """See `RecordingStore`."""
        return await self._proven.put(sealed)

    async def stat(self, recording_id: str) -> Kept | None:
        """See `RecordingStore`."""
        return await self._of(recording_id).stat(recording_id)

    def read(self, recording_id: str) -> AsyncIterator[bytes]:
        """See `RecordingStore`."""
        return self._of(recording_id).read(recording_id)

    async def manifest(self, recording_id: str) -> Mapping[str, Json]:
        """See `RecordingStore`."""
        return await self._of(recording_id).manifest(recording_id)

    async def ids(self) -> AsyncIterator[str]:
        """See `RecordingStore`."""
        both = [name for shelf in (self._proven, self._imported) async for name in shelf.ids()]
        for name in sorted(both):
            yield name

    async def wrapped_key(self, recording_id: str) -> bytes:
        """See `WrappedKeys`."""
        return await self._of(recording_id).wrapped_key(recording_id)

    async def rewrapped(self, recording_id: str, wrapped: bytes) -> None:
        """See `WrappedKeys`."""
        await self._of(recording_id).rewrapped(recording_id, wrapped)

    async def destroy(self, recording_id: str) -> None:
        """See `WrappedKeys`."""
        await self._of(recording_id).destroy(recording_id)

    async def lock(self, recording_id: str, *, until: date | None, held: bool) -> str:
        """See `WrappedKeys`."""
        return await self._of(recording_id).lock(recording_id, until=until, held=held)

    async def bury(self, recording_id: str, tombstone: bytes) -> None:
        """See `WrappedKeys`."""
        await self._of(recording_id).bury(recording_id, tombstone)

    def require_fit(self) -> None:
        """See `Store`."""
        self._proven.require_fit()
        self._imported.require_fit()

    async def clear_unfinished(self) -> None:
        """See `Store`."""
        await self._proven.clear_unfinished()
        await self._imported.clear_unfinished()


_: type[Store] = Shelves
_door: type[Admission] = ImportedAdmission
