"""Room set aside in the spool for its smallest and most needed writes: manifests, wrapped keys, leaves.

A full disk takes not one byte more, and what would free it has to write first: a recording is sealed and said before it
is handed over. So a file is kept there that is nothing but room, and given up for them. While it is gone no new
recording is promised.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from callrec._durable import preallocate, remove
from callrec.errors import Unavailable

BALLAST_BYTES: Final = 4 * 1024 * 1024
"""Hundreds of manifests; a fraction of one long recording."""
_FULL: Final = frozenset((errno.ENOSPC, errno.EDQUOT))
T = TypeVar("T")


class Ballast:
    """One file of `size` bytes at `path`. Blocking; for any thread: what two do at once is done once."""

    def __init__(self, path: Path, *, size: int = BALLAST_BYTES) -> None:
        self._path = path
        self._size = size
        self._wanted = False

    def whole(self) -> bool:
        """Whether the room is set aside."""
        with suppress(OSError):
            return self._path.stat().st_size >= self._size
        return False

    def restore(self) -> None:
        """Set it aside, where it is not. `Unavailable` where there is no room for it."""
        self._wanted = True
        if not self.whole():
            preallocate(self._path, self._size)

    def renew(self) -> None:
        """Room may have come free: set it aside again where it was given up and can be. Never raises."""
        if self._wanted:
            with suppress(Unavailable):
                self.restore()

    def with_room(self, work: Callable[[], T]) -> T:
        """Do this, and where the disk is full give the room up and do it again; it must bear to be repeated."""
        try:
            return work()
        except Unavailable as error:
            if not _is_full(error) or not self._path.exists():
                raise
            remove(self._path)
            return work()


def _is_full(error: Unavailable) -> bool:
    return isinstance(error.__cause__, OSError) and error.__cause__.errno in _FULL
