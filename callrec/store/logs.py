"""Which ledgers a store believes: the public key of each was put into it by `callrec init`, and no other counts.

An agent that is given another ledger, with another key, finds its recordings refused, however well they fit together.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Protocol

from callrec._durable import make_dir_in, write_file
from callrec.errors import Unavailable
from callrec.store.shelf import FILE_MODE, FOLDER_MODE

FOLDER: Final = "logs"
ENDING: Final = ".vkey"


class RegisteredLogs(Protocol):
    """The ledgers that a store believes. Blocking."""

    def ids(self) -> frozenset[str]:
        """SHA-256 of each key, hexadecimal, as entries name their log. `Unavailable` where the store is away."""

    def register(self, log_id: str, vkey: str) -> None:
        """Believe this ledger from now on. Harmless where it is believed already."""


class LogsOnFiles:
    """In a folder of a store on files: `<store>/logs/<log id>.vkey`."""

    def __init__(self, store: Path) -> None:
        self._store = store

    def ids(self) -> frozenset[str]:
        """See `RegisteredLogs`."""
        try:
            return frozenset(path.stem for path in (self._store / FOLDER).iterdir() if path.suffix == ENDING)
        except OSError as error:
            step = "mount the store's disk, or make the store with `callrec init`"
            raise Unavailable(f"{self._store} names no ledger: {error.strerror}", next_step=step) from error

    def register(self, log_id: str, vkey: str) -> None:
        """See `RegisteredLogs`."""
        path = make_dir_in(self._store, FOLDER, mode=FOLDER_MODE) / f"{log_id}{ENDING}"
        if not path.exists():
            write_file(path, f"{vkey}\n".encode(), mode=FILE_MODE, exclusive=True)


_: type[RegisteredLogs] = LogsOnFiles
