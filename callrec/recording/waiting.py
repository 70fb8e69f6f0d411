"""The wrapped keys of what has not reached the store yet: a keeper whose key opens one of them is still needed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from callrec.errors import Unavailable
from callrec.ports import KEY_FILE
from callrec.recording.segment import SEGMENT_FILE, read_description

_LIVE = ("tmp", "parked")
_SEALED = ("ready", "corrupt")


def waiting_keys(spool: Path) -> Iterator[tuple[str, bytes]]:
    """(recording id, wrapped key) of all that is live, parked, sealed or set aside in this spool. What is handed over
    while we look is left out. `Broken` where a description was changed. Blocking.
    """
    for folder in sorted(path for name in _LIVE for path in (spool / name).glob("*") if (path / SEGMENT_FILE).exists()):
        try:
            yield folder.name, read_description(folder).wrapped
        except Unavailable:
            if folder.exists():
                raise
    for path in sorted(path for name in _SEALED for path in (spool / name).glob(f"*/{KEY_FILE}")):
        try:
            yield path.parent.name, path.read_bytes()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise Unavailable(f"{path}: {error.strerror}", next_step="look at the spool's disk") from error
