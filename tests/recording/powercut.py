"""A disk that loses power: every change is written down, and any moment of it can be made again as it might be found.

What a file system owes after a power cut is little (POSIX fsync(2), Linux ext4 and xfs): a file's bytes are there that
were written before an fsync of this file returned; a name is there, or gone, that was made or removed before an fsync
of its folder returned. Everything else may be there, be gone, or be torn, each by itself. A rename is one change: it
happened or it did not, and it is owed once the folder it goes to was synced.

    with watched(folder) as disk:
        ... work ...
        disk.note("acknowledged", name)
    for cut in range(len(disk.log) + 1):
        disk.found_after(cut, Loss.EVERYTHING, elsewhere)
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, unique
from pathlib import Path
from typing import Any


@unique
class Loss(Enum):
    """What becomes of changes that nobody had synced."""

    EVERYTHING = "all of it is gone"
    NOTHING_BUT_TORN = "names are there, and of what was written last the first half"
    SOME = "each is there, gone or torn, by the dice"


@dataclass(slots=True)
class Node:
    """A file's bytes or a folder's names."""

    names: dict[str, int] | None = None
    data: bytearray = field(default_factory=bytearray)


@dataclass(frozen=True, slots=True)
class Change:
    """One step. `folder`: whose sync makes it durable, where it is about names; `node` likewise for bytes."""

    kind: str
    node: int = 0
    folder: int = 0
    name: str = ""
    source: tuple[int, str] | None = None
    offset: int = 0
    data: bytes = b""
    word: Any = None


class Disk:
    """What happened under one folder, from its state at the beginning on."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.log: list[Change] = []
        self._lock = threading.RLock()
        self._files: dict[int, int] = {}
        self._nodes: dict[int, Node] = {}
        self._top = self._take(self.root)
        self._live = _copied(self._nodes)
        self._next = len(self._nodes) + 1

    def _take(self, path: Path) -> int:
        number = len(self._nodes) + 1
        self._nodes[number] = Node()
        if path.is_dir():
            self._nodes[number].names = {each.name: self._take(each) for each in sorted(path.iterdir())}
        else:
            self._nodes[number].data = bytearray(path.read_bytes())
        return number

    def note(self, word: str, what: Any) -> None:
        """Something that happened outside this disk."""
        with self._lock:
            self.log.append(Change(kind="note", word=(word, what)))

    def notes(self, cut: int, word: str) -> list[Any]:
        """What was noted with this word before the cut."""
        return [each.word[1] for each in self.log[:cut] if each.kind == "note" and each.word[0] == word]

    # ------------------------------------------------------------ writing down

    def place(self, path: Any, dir_fd: int | None = None) -> tuple[int, str] | None:
        """(folder's node, name), where it is on this disk."""
        base = Path(f"/proc/self/fd/{dir_fd}").readlink() if dir_fd is not None else Path.cwd()
        whole = Path(os.path.normpath(base / os.fspath(path)))
        if self.root not in whole.parents:
            return None
        return self._walk(whole.parent), whole.name

    def _walk(self, folder: Path) -> int:
        number = self._top
        for name in folder.relative_to(self.root).parts:
            number = self._live[number].names[name]  # type: ignore[index]
        return number

    def did(self, change: Change) -> None:
        """Write it down, and do it to the state that programs see."""
        self.log.append(change)
        _apply(self._live, change)

    def new(self, *, folder: bool) -> int:
        """A node that is nowhere yet."""
        self._next += 1
        number = self._next
        self._live[number] = Node(names={} if folder else None)
        self._nodes[number] = Node(names={} if folder else None)
        return number

    def node_at(self, place: tuple[int, str]) -> int | None:
        """What has this name now."""
        names = self._live[place[0]].names
        return None if names is None else names.get(place[1])

    # ------------------------------------------------------------ making it again

    def found_after(self, cut: int, loss: Loss, elsewhere: Path, *, dice: random.Random | None = None) -> None:
        """Make in this folder what is found once power is back, had it gone after so many changes."""
        nodes = _copied(self._nodes)
        waiting: list[Change] = []
        for change in self.log[:cut]:
            if change.kind in ("sync", "sync names"):
                waiting = _settled(nodes, waiting, change)
            elif change.kind != "note":
                waiting.append(change)
        for change in waiting:
            if kept := _survives(change, loss, dice or random.Random(cut)):
                _apply(nodes, kept)
        _write(nodes, self._top, elsewhere)


def _settled(nodes: dict[int, Node], waiting: list[Change], sync: Change) -> list[Change]:
    """Do what this sync owes; what is left."""
    left = []
    for change in waiting:
        owed = change.node == sync.node if sync.kind == "sync" else change.folder == sync.node
        about_bytes = change.kind in ("write", "truncate")
        if owed and about_bytes == (sync.kind == "sync"):
            _apply(nodes, change)
        else:
            left.append(change)
    return left


def _survives(change: Change, loss: Loss, dice: random.Random) -> Change | None:
    if loss is Loss.EVERYTHING:
        return None
    how = "torn" if loss is Loss.NOTHING_BUT_TORN else dice.choice(("whole", "torn", "gone"))
    if how == "gone":
        return None
    if how == "torn" and change.kind == "write":
        return Change(kind="write", node=change.node, offset=change.offset, data=change.data[: len(change.data) // 2])
    return change


def _apply(nodes: dict[int, Node], change: Change) -> None:
    if change.kind == "write":
        data, end = nodes[change.node].data, change.offset + len(change.data)
        data.extend(bytes(max(0, end - len(data))))
        data[change.offset : end] = change.data
    elif change.kind == "truncate":
        data = nodes[change.node].data
        del data[change.offset :]
        data.extend(bytes(change.offset - len(data)))
    elif change.kind in ("add", "rename", "remove"):
        _rename(nodes, change)


def _rename(nodes: dict[int, Node], change: Change) -> None:
    names = nodes[change.folder].names
    assert names is not None
    if change.kind == "remove":
        if names.get(change.name) == change.node:
            del names[change.name]
        return
    names[change.name] = change.node
    if change.source is not None:
        before = nodes[change.source[0]].names
        if before is not None and before.get(change.source[1]) == change.node:
            del before[change.source[1]]


def _copied(nodes: dict[int, Node]) -> dict[int, Node]:
    return {
        number: Node(names=None if node.names is None else dict(node.names), data=bytearray(node.data))
        for number, node in nodes.items()
    }


def _write(nodes: dict[int, Node], number: int, path: Path) -> None:
    node = nodes[number]
    if node.names is None:
        path.write_bytes(node.data)
        return
    path.mkdir()
    for name, below in node.names.items():
        _write(nodes, below, path / name)


# ---------------------------------------------------------------- watching


@contextmanager
def watched(folder: Path) -> Iterator[Disk]:
    """Everything that this process does to files under `folder` by the functions of `os`, written down."""
    disk = Disk(folder)
    real = {name: getattr(os, name) for name in _WATCHED}
    for name, watch in _WATCHED.items():
        setattr(os, name, _watching(disk, real[name], watch))
    try:
        yield disk
    finally:
        for name, function in real.items():
            setattr(os, name, function)


def _watching(disk: Disk, real: Any, watch: Any) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        with disk._lock:
            return watch(disk, real, *args, **kwargs)

    return call


def _open(disk, real, path, flags, mode=0o777, *, dir_fd=None):
    place = disk.place(path, dir_fd) if isinstance(path, (str, os.PathLike)) else None
    before = disk.node_at(place) if place else None
    descriptor = real(path, flags, mode, dir_fd=dir_fd)
    if place:
        if before is None and flags & os.O_CREAT:
            before = disk.new(folder=False)
            disk.did(Change(kind="add", node=before, folder=place[0], name=place[1]))
        disk._files[descriptor] = before
    elif isinstance(path, (str, os.PathLike)) and Path(path).absolute() == disk.root:
        disk._files[descriptor] = disk._top
    return descriptor


def _close(disk, real, descriptor):
    disk._files.pop(descriptor, None)
    return real(descriptor)


def _write_call(disk, real, descriptor, data):
    if descriptor not in disk._files:
        return real(descriptor, data)
    offset = os.lseek(descriptor, 0, os.SEEK_CUR)
    written = real(descriptor, data)
    taken = bytes(memoryview(data)[:written])
    disk.did(Change(kind="write", node=disk._files[descriptor], offset=offset, data=taken))
    return written


def _sync(disk, real, descriptor):
    done = real(descriptor)
    if (node := disk._files.get(descriptor)) is not None:
        kind = "sync" if disk._live[node].names is None else "sync names"
        disk.did(Change(kind=kind, node=node))
    return done


def _truncate(disk, real, descriptor, size):
    done = real(descriptor, size)
    if descriptor in disk._files:
        disk.did(Change(kind="truncate", node=disk._files[descriptor], offset=size))
    return done


def _move(disk, real, source, target, **more):
    came, goes = disk.place(source), disk.place(target)
    done = real(source, target, **more)
    if came and goes:
        disk.did(Change(kind="rename", node=disk.node_at(came), folder=goes[0], name=goes[1], source=came))
    return done


def _link(disk, real, source, target, **more):
    came, goes = disk.place(source), disk.place(target)
    done = real(source, target, **more)
    if came and goes:
        disk.did(Change(kind="add", node=disk.node_at(came), folder=goes[0], name=goes[1]))
    return done


def _remove(disk, real, path, *, dir_fd=None):
    place = disk.place(path, dir_fd)
    node = disk.node_at(place) if place else None
    done = real(path, dir_fd=dir_fd)
    if place and node is not None:
        disk.did(Change(kind="remove", node=node, folder=place[0], name=place[1]))
    return done


def _make(disk, real, path, mode=0o777, *, dir_fd=None):
    place = disk.place(path, dir_fd)
    done = real(path, mode, dir_fd=dir_fd)
    if place:
        disk.did(Change(kind="add", node=disk.new(folder=True), folder=place[0], name=place[1]))
    return done


_WATCHED = {
    "open": _open,
    "close": _close,
    "write": _write_call,
    "fsync": _sync,
    "fdatasync": _sync,
    "ftruncate": _truncate,
    "rename": _move,
    "replace": _move,
    "link": _link,
    "unlink": _remove,
    "rmdir": _remove,
    "mkdir": _make,
}
