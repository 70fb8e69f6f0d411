"""The default store: write-once files. Tamper-evident by hash and ledger, not proof against this machine's owner.

<path>/store.json             which store this is; where it is missing, the disk is not mounted
<path>/objects/ab/<id>/       audio.enc, manifest.json, both 0440; the folder appears by one rename
<path>/unfinished/            what a crash left of a write
<keys>/store.json             whose keys they are; missing likewise
<keys>/ab/<id>.key            wrapped keys, apart: another disk or owner where one can be had
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

from callrec._canonical import canonical, sha256_hex
from callrec._durable import DurableFile, fsync_dir, make_dir, remove, rename, write_file
from callrec.errors import Broken, Refused, Unavailable
from callrec.ports import AUDIO_FILE, MANIFEST_FILE, Json, Kept, RecordingStore, Sealed, WrappedKeys
from callrec.store.admission import Admission
from callrec.store.objects import PIECE_BYTES, Whole, file_sha256, parse_manifest, safe_name, same_key, whole

MARKER: Final = "store.json"
FORMAT: Final = "callrec/store/1"
TOMBSTONE_FILE: Final = "tombstone.json"
"""Beside the manifest of what was destroyed: which certificate says so."""
LOCK: Final = "none: files 0440, tamper-evident only"
"""What stands in `recording.kept`: honest about what a local file system cannot do."""
_MODE: Final = 0o440
_FOLDER_MODE: Final = 0o750


def create_store(path: Path, keys: Path | None = None) -> str:
    """Make an empty store and answer its id; harmless where it exists. Blocking. For `callrec init` alone: a store is
    never made on the way, because an unmounted disk looks like an empty one.
    """
    make_dir(path / "objects", mode=_FOLDER_MODE)
    make_dir(path / "unfinished", mode=_FOLDER_MODE)
    make_dir(keys or default_keys(path), mode=_FOLDER_MODE)
    marker, of_keys = path / MARKER, (keys or default_keys(path)) / MARKER
    if not marker.exists():
        identity = f"filesystem:{secrets.token_hex(8)}"
        write_file(marker, canonical({"format": FORMAT, "store_id": identity}), mode=_MODE, exclusive=True)
    if not of_keys.exists():
        write_file(of_keys, marker.read_bytes(), mode=_MODE, exclusive=True)
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
        self._admission = admission

    # ------------------------------------------------------------ RecordingStore

    async def put(self, sealed: Sealed) -> Kept:
        """See `RecordingStore`. `Refused` too where the object was destroyed before."""
        await self._admission.check(sealed)
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
        return parse_manifest(await asyncio.to_thread(self._read, self._object(recording_id) / MANIFEST_FILE))

    async def ids(self) -> AsyncIterator[str]:
        """See `RecordingStore`. Destroyed ones are not among them."""
        for recording_id in await asyncio.to_thread(self._ids):
            yield recording_id

    # ------------------------------------------------------------ WrappedKeys

    async def wrapped_key(self, recording_id: str) -> bytes:
        """See `WrappedKeys`."""
        return await asyncio.to_thread(self._read, self._key(recording_id))

    async def rewrapped(self, recording_id: str, wrapped: bytes) -> None:
        """See `WrappedKeys`. `Refused` where it wraps another key."""
        same_key(await self.wrapped_key(recording_id), wrapped)
        await asyncio.to_thread(write_file, self._key(recording_id), wrapped, mode=_MODE)

    async def destroy(self, recording_id: str) -> None:
        """See `WrappedKeys`."""
        await asyncio.to_thread(self._destroy, recording_id)

    async def bury(self, recording_id: str, tombstone: bytes) -> None:
        """See `WrappedKeys`."""
        await asyncio.to_thread(self._bury, recording_id, tombstone)

    async def clear_unfinished(self) -> None:
        """Remove what crashes left of writes. Only while nobody writes: at the agent's start."""
        await asyncio.to_thread(self._clear_unfinished)

    # ------------------------------------------------------------ places

    def _object(self, recording_id: str) -> Path:
        self._mounted()
        return self.path / "objects" / _shelf(recording_id) / recording_id

    def _key(self, recording_id: str) -> Path:
        """Its wrapped key's place. A disk of keys that is away must not look like keys that were destroyed."""
        if self._mounted() != str(parse_manifest(self._read(self.keys / MARKER))["store_id"]):
            raise Broken(f"{self.keys} holds the keys of another store", next_step="mount this store's keys there")
        return self.keys / _shelf(recording_id) / f"{recording_id}.key"

    def _mounted(self) -> str:
        """The store's id. `Unavailable` where its disk is not there."""
        return str(parse_manifest(self._read(self.path / MARKER))["store_id"])

    @staticmethod
    def _read(path: Path) -> bytes:
        try:
            return path.read_bytes()
        except OSError as error:
            step = "mount the store's disk, or look the id up again"
            raise Unavailable(f"the store has no {path.name} there: {error.strerror}", next_step=step) from error

    # ------------------------------------------------------------ work, blocking

    def _put(self, sealed: Sealed) -> Kept:
        given = whole(sealed)
        target = self._object(given.recording_id)
        if not target.exists():
            self._write_key(given)
            self._write_object(given, target)
        held = self._stat(given.recording_id)
        if held is None:
            raise Refused(f"{given.recording_id} was destroyed, and is not kept again", next_step="call a person")
        if (held.cipher_sha256, held.object_version) != (given.cipher_sha256, given.manifest_sha256):
            raise Broken(f"{given.recording_id} is held with another content", next_step="compare both with the ledger")
        return held

    def _write_key(self, given: Whole) -> None:
        path = self._key(given.recording_id)
        if path.exists():
            if self._read(path) != given.wrapped:
                raise Broken(f"{given.recording_id} has another wrapped key already", next_step="call a person")
            return
        make_dir(path.parent, mode=_FOLDER_MODE)
        write_file(path, given.wrapped, mode=_MODE)

    def _write_object(self, given: Whole, target: Path) -> None:
        unfinished = self.path / "unfinished" / f"{given.recording_id}.{secrets.token_hex(8)}"
        try:
            make_dir(unfinished, mode=_FOLDER_MODE)
            _copy(given.audio, unfinished / AUDIO_FILE)
            write_file(unfinished / MANIFEST_FILE, given.manifest, mode=_MODE)
            make_dir(target.parent, mode=_FOLDER_MODE)
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
        has_audio, has_key = (folder / AUDIO_FILE).exists(), self._key(recording_id).exists()
        if not has_audio and not has_key:
            return None
        if not has_key:
            raise Broken(f"{recording_id}: its wrapped key is gone", next_step="restore it, or finish its disposal")
        manifest = self._read(folder / MANIFEST_FILE)
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
        key, folder = self._key(recording_id), self._object(recording_id)
        for path in (key, folder / AUDIO_FILE):
            if path.parent.exists():
                remove(path)
        for path in (self.path / "unfinished").glob(f"{recording_id}.*"):
            shutil.rmtree(path, ignore_errors=True)

    def _bury(self, recording_id: str, tombstone: bytes) -> None:
        key, folder = self._key(recording_id), self._object(recording_id)
        if key.exists() or (folder / AUDIO_FILE).exists():
            raise Refused(f"{recording_id} was not destroyed", next_step="destroy it first")
        path = folder / TOMBSTONE_FILE
        if not path.exists():
            write_file(path, tombstone, mode=_MODE, exclusive=True)
        elif self._read(path) != tombstone:
            raise Refused(f"{recording_id} has another tombstone", next_step="compare both with the ledger")

    def _clear_unfinished(self) -> None:
        self._mounted()
        for path in (self.path / "unfinished").iterdir():
            with suppress(OSError):
                shutil.rmtree(path)
        fsync_dir(self.path / "unfinished")


def _shelf(recording_id: str) -> str:
    return sha256_hex(safe_name(recording_id).encode())[:2]


def _copy(source: Path, target: Path) -> None:
    try:
        with source.open("rb") as file, DurableFile(target, mode=_MODE, exclusive=True) as copy:
            while piece := file.read(PIECE_BYTES):
                copy.append(piece)
            copy.sync()
    except OSError as error:
        raise Unavailable(f"{source.parent.name}: {error.strerror}", next_step="look at the spool's disk") from error


_: type[RecordingStore] = FilesystemStore
_keys: type[WrappedKeys] = FilesystemStore
