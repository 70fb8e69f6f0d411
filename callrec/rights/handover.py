"""Everything, for whoever takes over: ledger, evidence, notices, papers, recordings, wrapped keys, schedule (R64).

Laid out as it lies here, so that the auditor's commands run on it as on a copy. Recordings stay encrypted and sealed to
the byte; only the wrappings of their keys are made anew, where the next keeper has a key of their own. `SHA256SUMS` is
written last: a folder without it is no hand-over.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Final, Protocol

from callrec._canonical import canonical
from callrec._durable import DurableFile, make_dir, write_file
from callrec.errors import Broken, Refused, Unavailable
from callrec.ports import AUDIO_FILE, MANIFEST_FILE, RecordingStore, WrappedKeys
from callrec.store.contacts import NAME as CONTACT
from callrec.store.contacts import rewrapped, wrapped_in
from callrec.store.shelf import shelf_of

SUMS: Final = "SHA256SUMS"
LEDGER: Final = "ledger.db"
STORE, KEYS = "store", "store-keys"
IMPORTED: Final = "imported"
_MODE: Final = 0o440
_STEP: Final = "take a new folder: nothing is ever overwritten"

Rewrap = Callable[[bytes], bytes]
"""Another wrapping of the same key. Blocking."""


class Store(RecordingStore, WrappedKeys, Protocol):
    """A store with its wrapped keys."""


class HandOver:
    """Writes into a new folder and keeps the sums. Blocking but for recordings."""

    def __init__(self, folder: Path, rewrap: Rewrap | None) -> None:
        if folder.exists():
            raise Refused(f"{folder} exists", next_step=_STEP)
        make_dir(folder)
        self._folder = folder
        self._rewrap = rewrap
        self._sums: dict[str, str] = {}

    def add(self, name: str, data: bytes) -> None:
        """One file."""
        path = self._folder / name
        make_dir(path.parent)
        write_file(path, data, mode=_MODE, exclusive=True)
        self._sums[name] = hashlib.sha256(data).hexdigest()

    def add_folder(self, name: str, source: Path) -> int:
        """Every file below `source`, under this name; how many."""
        files = sorted(path for path in source.rglob("*") if path.is_file()) if source.is_dir() else []
        for path in files:
            self.add(f"{name}/{path.relative_to(source)}", path.read_bytes())
        return len(files)

    def add_ledger(self, source: Path) -> None:
        """The ledger as it is at this moment, its salts and sealed contacts included; those wrapped anew likewise."""
        target = self._folder / LEDGER
        write_file(target, b"", mode=0o600, exclusive=True)
        try:
            with (
                closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as here,
                closing(sqlite3.connect(target)) as there,
            ):
                here.backup(there)
                there.execute("pragma journal_mode = delete")
                if self._rewrap is not None:
                    _rewrap_contacts(there, self._rewrap)
        except sqlite3.Error as error:
            raise Unavailable(f"the ledger cannot be copied: {error}", next_step="look at the disk") from error
        self._sums[LEDGER] = _sum(target)

    async def add_recordings(self, store: Store, *, folder: str = STORE, keys: str = KEYS) -> int:
        """Every recording that is kept there, and the manifests of those that were destroyed; how many are kept."""
        kept = 0
        async for name in store.ids():
            place = f"{folder}/objects/{shelf_of(name)}/{name}"
            self.add(f"{place}/{MANIFEST_FILE}", canonical(dict(await store.manifest(name))))
            try:
                wrapped = await store.wrapped_key(name)
            except Unavailable:
                continue  # destroyed: its certificate goes along
            await self._add_audio(f"{place}/{AUDIO_FILE}", store.read(name))
            self.add(f"{keys}/{shelf_of(name)}/{name}.key", wrapped if self._rewrap is None else self._rewrap(wrapped))
            kept += 1
        return kept

    async def _add_audio(self, name: str, pieces: AsyncIterator[bytes]) -> None:
        digest = hashlib.sha256()
        with DurableFile(self._folder / name, mode=_MODE, exclusive=True) as file:
            async for piece in pieces:
                file.append(piece)
                digest.update(piece)
            file.sync()
        self._sums[name] = digest.hexdigest()

    def finish(self) -> str:
        """Write the sums, which makes it a hand-over; their own SHA-256."""
        listed = "".join(f"{digest}  {name}\n" for name, digest in sorted(self._sums.items())).encode()
        write_file(self._folder / SUMS, listed, mode=_MODE, exclusive=True)
        return hashlib.sha256(listed).hexdigest()


def _rewrap_contacts(db: sqlite3.Connection, rewrap: Rewrap) -> None:
    """The key that a contact was sealed with, wrapped for the next keeper; each of the few keys once."""
    once = cache(rewrap)
    for seq, sealed in db.execute("SELECT seq, salt FROM salts WHERE name = ?", (CONTACT,)).fetchall():
        changed = rewrapped(sealed, once(wrapped_in(sealed)))
        db.execute("UPDATE salts SET salt = ? WHERE seq = ? AND name = ?", (changed, seq, CONTACT))
    db.commit()


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def differences(folder: Path) -> list[str]:
    """What of a hand-over is not as its sums say: changed, missing, or more. `Broken` where it has none."""
    try:
        listed = (folder / SUMS).read_text("utf-8")
    except OSError as error:
        raise Broken(f"{folder} has no {SUMS}: it is no hand-over, or was cut off", next_step=_STEP) from error
    sums: Mapping[str, str] = {line[66:]: line[:64] for line in listed.splitlines()}
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} - {SUMS}
    wrong = [f"{name} is missing" for name in sorted(sums.keys() - there)]
    wrong += [f"{name} is not in {SUMS}" for name in sorted(there - sums.keys())]
    return wrong + [f"{name} was changed" for name in sorted(there & sums.keys()) if _sum(folder / name) != sums[name]]
