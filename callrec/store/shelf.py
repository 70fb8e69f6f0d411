"""Where a store's wrapped keys lie: a folder apart from the audio, best on another disk or with another owner.

<folder>/store.json           whose keys they are; where it is missing, the disk is not mounted
<folder>/ab/<id>.key          one wrapped key, 0440
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from callrec._canonical import sha256_hex
from callrec._durable import make_dir, make_dir_in, remove, write_file
from callrec.errors import Broken, Unavailable
from callrec.store.objects import parse_manifest, safe_name, same_key

MARKER: Final = "store.json"
FILE_MODE: Final = 0o440
FOLDER_MODE: Final = 0o750


def shelf_of(recording_id: str) -> str:
    """Which of 256 folders it is in. `Refused` where the id is no name."""
    return sha256_hex(safe_name(recording_id).encode())[:2]


def read_there(path: Path) -> bytes:
    """A file of a store or of its keys. `Unavailable` where it is not there."""
    try:
        return path.read_bytes()
    except OSError as error:
        step = "mount the store's disk, or look the id up again"
        raise Unavailable(f"the store has no {path.name} there: {error.strerror}", next_step=step) from error


def create_shelf(folder: Path, marker: bytes) -> None:
    """Make the folder for the keys of the store that this marker describes; harmless where it exists. Blocking."""
    make_dir(folder, mode=FOLDER_MODE)
    if not (folder / MARKER).exists():
        write_file(folder / MARKER, marker, mode=FILE_MODE, exclusive=True)


class KeyShelf:
    """The wrapped keys of one store. Each method is told which store asks, and raises `Broken` where the folder holds
    another one's keys, `Unavailable` where it is away: that must not look like keys that were destroyed. Blocking.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def place(self, store_id: str, recording_id: str) -> Path:
        """Where its key lies, or would."""
        if store_id != str(parse_manifest(read_there(self.folder / MARKER))["store_id"]):
            raise Broken(f"{self.folder} holds the keys of another store", next_step="mount this store's keys there")
        return self.folder / shelf_of(recording_id) / f"{recording_id}.key"

    def holds(self, store_id: str, recording_id: str) -> bool:
        """Whether its key is there."""
        return self.place(store_id, recording_id).exists()

    def read(self, store_id: str, recording_id: str) -> bytes:
        """The wrapped key. `Unavailable` where it is not there."""
        path = self.place(store_id, recording_id)
        try:
            return path.read_bytes()
        except FileNotFoundError as error:
            step = (
                "restore it from the backup of wrapped keys, unless `callrec recordings show` says it was disposed of"
            )
            raise Unavailable(f"the wrapped key of {recording_id} is not in {self.folder}", next_step=step) from error
        except OSError as error:
            step = "look at the disk of wrapped keys"
            raise Unavailable(f"the wrapped key of {recording_id}: {error.strerror}", next_step=step) from error

    def keep(self, store_id: str, recording_id: str, wrapped: bytes) -> None:
        """Put it there, durably; the same again is harmless. `Broken` where another one is there."""
        path = self.place(store_id, recording_id)
        if path.exists():
            if read_there(path) != wrapped:
                raise Broken(f"{recording_id} has another wrapped key already", next_step="call a person")
            return
        make_dir_in(self.folder, path.parent.name, mode=FOLDER_MODE)
        write_file(path, wrapped, mode=FILE_MODE)

    def replace(self, store_id: str, recording_id: str, wrapped: bytes) -> None:
        """Put another wrapping of the same key in its place. `Refused` where it wraps another key."""
        same_key(self.read(store_id, recording_id), wrapped)
        write_file(self.place(store_id, recording_id), wrapped, mode=FILE_MODE)

    def remove(self, store_id: str, recording_id: str) -> None:
        """Remove it, durably. Removing what is gone is repeated, so that its folder is synced where a crash came
        before that.
        """
        path = self.place(store_id, recording_id)
        if path.parent.exists():
            remove(path)
