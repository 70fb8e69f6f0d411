"""The default store: write-once files. Tamper-evident by hash and ledger, not proof against this machine's owner.

<path>/store.json             which store this is; where it is missing, the disk is not mounted
<path>/logs/<log id>.vkey     the ledgers that it believes
<path>/objects/ab/<id>/       audio.enc, manifest.json, both 0440; the folder appears by one rename
<path>/unfinished/            what a crash left of a write

Their wrapped keys lie apart: shelf.py.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import BinaryIO, Final

from callrec._canonical import canonical, sha256_hex
from callrec._durable import DurableFile, fsync_dir, make_dir, make_dir_in, remove, rename, write_file
from callrec.errors import Broken, Refused, Unavailable
from callrec.ports import AUDIO_FILE, MANIFEST_FILE, Json, Kept, Sealed, Store
from callrec.store.admission import Admission
from callrec.store.objects import PIECE_BYTES, Whole, file_sha256, parse_manifest, whole
from callrec.store.shelf import FILE_MODE, FOLDER_MODE, MARKER, KeyShelf, create_shelf, read_there, shelf_of

FORMAT: Final = "callrec/store/1"
TOMBSTONE_FILE: Final = "tombstone.json"
"""Beside the manifest of what was destroyed: which certificate says so."""
LOCK: Final = "none: files 0440, tamper-evident only"
"""What stands in `recording.kept`: honest about what a local file system cannot do."""


def create_store(path: Path, keys: Path | None = None) -> str:
    """Make an empty store and answer its id; harmless where it exists. Blocking. For `callrec init` alone: a store is
    never made on the way, because an unmounted disk looks like an empty one.
    """
    make_dir(path / "objects", mode=FOLDER_MODE)
    make_dir(path / "unfinished", mode=FOLDER_MODE)
    marker = path / MARKER
    if not marker.exists():
        identity = f"filesystem:{secrets.token_hex(8)}"
        write_file(marker, canonical({"format": FORMAT, "store_id": identity}), mode=FILE_MODE, exclusive=True)
    create_shelf(keys or default_keys(path), marker.read_bytes())
    return str(parse_manifest(marker.read_bytes())["store_id"])


def default_keys(path: Path) -> Path:
    """Where wrapped keys lie unless configured: beside the store, never in it."""
    return path.with_name(path.name + "-keys")


class FilesystemStore:
    """Keeps recordings under `path` and their wrapped keys under `keys`. `create_store` must have made it.

    Safe for several processes: an object appears whole or not at all, and is never replaced.
    """

    def __init__(self, path: Path, *, admission: Admission, keys: Path | None = None) -> None:
        self.path = path
        self.keys = keys or default_keys(path)
        self._shelf = KeyShelf(self.keys)
        self._admission = admission

    # ------------------------------------------------------------ RecordingStore

    async def put(self, sealed: Sealed) -> Kept:
        """See `RecordingStore`. `Refused` too where the object was destroyed before."""
        return await asyncio.to_thread(self._put, sealed)

    async def stat(self, recording_id: str) -> Kept | None:
        """See `RecordingStore`: the audio is read and hashed. `Broken` where it was changed or is gone."""
        return await asyncio.to_thread(self._stat, recording_id)

    async def read(self, recording_id: str) -> AsyncIterator[bytes]:
        """See `RecordingStore`."""
        file = await asyncio.to_thread(self._open, recording_id)
        try:
            while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
                yield piece
        finally:
            file.close()

    async def manifest(self, recording_id: str) -> Mapping[str, Json]:
        """See `RecordingStore`. It outlives its audio."""
        return parse_manifest(await asyncio.to_thread(read_there, self._object(recording_id) / MANIFEST_FILE))

    async def ids(self) -> AsyncIterator[str]:
        """See `RecordingStore`. Destroyed ones are not among them."""
        for recording_id in await asyncio.to_thread(self._ids):
            yield recording_id

    # ------------------------------------------------------------ WrappedKeys

    async def wrapped_key(self, recording_id: str) -> bytes:
        """See `WrappedKeys`."""
        return await asyncio.to_thread(lambda: self._shelf.read(self._mounted(), recording_id))

    async def rewrapped(self, recording_id: str, wrapped: bytes) -> None:
        """See `WrappedKeys`. `Refused` where it wraps another key."""
        await asyncio.to_thread(lambda: self._shelf.replace(self._mounted(), recording_id, wrapped))

    async def destroy(self, recording_id: str) -> None:
        """See `WrappedKeys`."""
        await asyncio.to_thread(self._destroy, recording_id)

    async def lock(self, recording_id: str, *, until: date | None, held: bool) -> str:  # noqa: ARG002 - it has no lock
        """See `WrappedKeys`: files have no lock."""
        if await asyncio.to_thread(self._stat, recording_id) is None:
            raise Unavailable(f"the store does not hold {recording_id}", next_step="look the id up again")
        return LOCK

    async def bury(self, recording_id: str, tombstone: bytes) -> None:
        """See `WrappedKeys`."""
        await asyncio.to_thread(self._bury, recording_id, tombstone)

    def knows(self, recording_id: str) -> bool:
        """Whether it ever held this one: what was destroyed leaves its manifest. Blocking."""
        return self._object(recording_id).exists()

    def require_fit(self) -> None:
        """See `Store`. `Unavailable` where its disk is not there."""
        self._mounted()

    async def clear_unfinished(self) -> None:
        """See `Store`."""
        await asyncio.to_thread(self._clear_unfinished)

    # ------------------------------------------------------------ places

    def _object(self, recording_id: str) -> Path:
        self._mounted()
        return self.path / "objects" / shelf_of(recording_id) / recording_id

    def _mounted(self) -> str:
        """The store's id. `Unavailable` where its disk is not there."""
        return str(parse_manifest(read_there(self.path / MARKER))["store_id"])

    # ------------------------------------------------------------ work, blocking

    def _put(self, sealed: Sealed) -> Kept:
        self._admission.check(sealed)
        given = whole(sealed)
        target = self._object(given.recording_id)
        if not target.exists():
            self._shelf.keep(self._mounted(), given.recording_id, given.wrapped)
            self._write_object(given, target)
        held = self._stat(given.recording_id)
        if held is None:
            raise Refused(f"{given.recording_id} was destroyed, and is not kept again", next_step="call a person")
        if (held.cipher_sha256, held.object_version) != (given.cipher_sha256, given.manifest_sha256):
            raise Broken(f"{given.recording_id} is held with another content", next_step="compare both with the ledger")
        return held

    def _write_object(self, given: Whole, target: Path) -> None:
        name = f"{given.recording_id}.{secrets.token_hex(8)}"
        unfinished = self.path / "unfinished" / name
        try:
            make_dir_in(unfinished.parent, name, mode=FOLDER_MODE)
            _copy(given.audio, unfinished / AUDIO_FILE)
            write_file(unfinished / MANIFEST_FILE, given.manifest, mode=FILE_MODE)
            make_dir_in(target.parent.parent, target.parent.name, mode=FOLDER_MODE)
            self._publish(unfinished, target)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)

    @staticmethod
    def _publish(unfinished: Path, target: Path) -> None:
        try:
            rename(unfinished, target)
        except Unavailable:
            if not target.exists():  # where it does, another writer was first: what it holds is compared next
                raise

    def _stat(self, recording_id: str) -> Kept | None:
        identity, folder = self._mounted(), self._object(recording_id)
        if not folder.exists():
            return None
        has_audio, has_key = (folder / AUDIO_FILE).exists(), self._shelf.holds(identity, recording_id)
        if not has_audio and not has_key:
            return None
        if not has_key:
            raise Broken(f"{recording_id}: its wrapped key is gone", next_step="restore it, or finish its disposal")
        manifest = read_there(folder / MANIFEST_FILE)
        found = file_sha256(folder / AUDIO_FILE)
        if found != parse_manifest(manifest).get("cipher_sha256"):
            raise Broken(f"{recording_id}: its audio was changed in the store", next_step="keep it and call a person")
        return Kept(store_id=identity, object_version=sha256_hex(manifest), lock=LOCK, cipher_sha256=found)

    def _open(self, recording_id: str) -> BinaryIO:
        try:
            return (self._object(recording_id) / AUDIO_FILE).open("rb")
        except OSError as error:
            raise Unavailable(f"the store does not hold {recording_id}", next_step="look the id up again") from error

    def _ids(self) -> list[str]:
        self._mounted()
        return sorted(path.parent.name for path in (self.path / "objects").glob(f"*/*/{AUDIO_FILE}"))

    def _destroy(self, recording_id: str) -> None:
        """Removing what is gone is repeated, so that its folder is synced where a crash came before that."""
        folder = self._object(recording_id)
        self._shelf.remove(self._mounted(), recording_id)
        if folder.exists():
            remove(folder / AUDIO_FILE)
        for path in (self.path / "unfinished").glob(f"{recording_id}.*"):
            shutil.rmtree(path, ignore_errors=True)

    def _bury(self, recording_id: str, tombstone: bytes) -> None:
        folder = self._object(recording_id)
        if self._shelf.holds(self._mounted(), recording_id) or (folder / AUDIO_FILE).exists():
            raise Refused(f"{recording_id} was not destroyed", next_step="destroy it first")
        path = folder / TOMBSTONE_FILE
        if not path.exists():
            write_file(path, tombstone, mode=FILE_MODE, exclusive=True)
        elif read_there(path) != tombstone:
            raise Refused(f"{recording_id} has another tombstone", next_step="compare both with the ledger")

    def _clear_unfinished(self) -> None:
        self._mounted()
        for path in (self.path / "unfinished").iterdir():
            with suppress(OSError):
                shutil.rmtree(path)
        fsync_dir(self.path / "unfinished")


def _copy(source: Path, target: Path) -> None:
    try:
        with source.open("rb") as file, DurableFile(target, mode=FILE_MODE, exclusive=True) as copy:
            while piece := file.read(PIECE_BYTES):
                copy.append(piece)
            copy.sync()
    except OSError as error:
        raise Unavailable(f"{source.parent.name}: {error.strerror}", next_step="look at the spool's disk") from error


_: type[Store] = FilesystemStore
