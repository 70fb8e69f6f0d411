"""Checkpoints held by somebody else: what is shipped there, and whether the log still agrees with it.

A directory anchor is a folder that another party owns or copies away; one file per checkpoint, never replaced.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from callrec._durable import make_dir, write_file
from callrec.core.kinds import Kind
from callrec.errors import Broken, Refused, Unavailable
from callrec.ledger.checkpoint import Checkpoint, LogKey, parse, verify
from callrec.ledger.log import SqliteLedger
from callrec.ledger.merkle import EMPTY_ROOT, Frontier, leaf_hash
from callrec.ledger.reading import LogReader
from callrec.ports import Entry

_FILE: Final = re.compile(r"([0-9]{16})\.checkpoint")
_STEP: Final = "keep ledger and anchors as they are, record nothing, and call the auditor"


class DirectoryAnchor:
    """Checkpoints of one log in one folder. The folder is made where it is missing."""

    def __init__(self, path: Path, *, name: str | None = None) -> None:
        self.path = path
        self.name = name or path.name

    def ship(self, note: bytes) -> None:
        """Leave this checkpoint there, durably. Another root under the same size is `Broken`."""
        target = self.path / f"{parse(note).checkpoint.size:016d}.checkpoint"
        make_dir(self.path, mode=0o750)
        try:
            write_file(target, note, mode=0o440, exclusive=True)
        except Refused:
            if _read(target) != note:
                raise Broken(f"{target} holds another checkpoint of the same size", next_step=_STEP) from None

    def notes(self) -> list[bytes]:
        """Every checkpoint held, smallest first. `Unavailable` where one cannot be read."""
        if not self.path.is_dir():
            return []
        names = sorted(file.name for file in self.path.iterdir() if _FILE.fullmatch(file.name))
        return [_read(self.path / name) for name in names]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Unavailable(f"the anchor {path} cannot be read: {error.strerror}", next_step="look at it") from error


class AnchorShipper:
    """Ships the newest checkpoint to every anchor, not more often than every `every_s` seconds."""

    def __init__(self, ledger: SqliteLedger, anchors: Sequence[DirectoryAnchor], *, every_s: float = 60.0) -> None:
        self._ledger = ledger
        self._anchors = tuple(anchors)
        self._every_ns = int(every_s * 1e9)
        self._shipped_ns: int | None = None
        self._shipped_size = 0

    async def ship(self, now_ns: int) -> bool:
        """Call often; `now_ns` is time since boot. True where something was shipped and noted in the ledger.

        `Unavailable` where an anchor or the ledger failed: the next call tries again.
        """
        due = self._shipped_ns is None or now_ns - self._shipped_ns >= self._every_ns
        note = self._ledger.newest_checkpoint()
        checkpoint = parse(note).checkpoint
        if not due or not self._anchors or checkpoint.size <= self._shipped_size:
            return False
        for anchor in self._anchors:
            await asyncio.to_thread(anchor.ship, note)
            await self._ledger.append(_shipped(anchor.name, checkpoint), timeout_s=10)
        self._shipped_ns, self._shipped_size = now_ns, checkpoint.size + len(self._anchors)
        return True


def _shipped(anchor: str, checkpoint: Checkpoint) -> Entry:
    body = {"anchor": anchor, "size": checkpoint.size, "root": checkpoint.root.hex()}
    return Entry(kind=Kind.CHECKPOINT_SHIPPED, body=body)


def newest(anchors: Sequence[DirectoryAnchor], key: LogKey) -> Checkpoint | None:
    """The newest checkpoint held outside, or None. `Broken` where one is not of this log, or two of a size differ."""
    held: dict[int, bytes] = {}
    for anchor in anchors:
        for note in anchor.notes():
            checkpoint = verify(note, key)
            if held.setdefault(checkpoint.size, checkpoint.root) != checkpoint.root:
                raise Broken(f"the log was signed twice at size {checkpoint.size}: it was forked", next_step=_STEP)
    if not held:
        return None
    size = max(held)
    return Checkpoint(origin=key.name, size=size, root=held[size])


def root_at(log: LogReader, size: int) -> bytes | None:
    """The root recomputed from the first `size` entries' bytes; None where the log is shorter."""
    if size == 0:
        return EMPTY_ROOT
    frontier = Frontier()
    for _, _, _, body in log.rows():
        frontier.append(leaf_hash(body))
        if frontier.size == size:
            return frontier.root()
    return None


def check_prefix(log: LogReader, anchors: Sequence[DirectoryAnchor], key: LogKey) -> Checkpoint | None:
    """The newest outside anchor, if the log still begins with what it signed; None where nothing is anchored.

    `Broken` where the log is shorter than the anchor or has another root at its size: entries were removed or changed.
    """
    anchor = newest(anchors, key)
    if anchor is None:
        return None
    root = root_at(log, anchor.size)
    if root is None:
        raise Broken(f"the ledger is shorter than the {anchor.size} entries anchored outside", next_step=_STEP)
    if root != anchor.root:
        raise Broken(f"the first {anchor.size} entries are not those anchored outside", next_step=_STEP)
    return anchor
