"""The only writer of evidence files: temp, write, fsync, rename, fsync directory.

What these functions return from is on the disk across a power cut. Every failure of the file system is `Unavailable`
and names the path and the errno; nothing is retried here, because a failed fsync says nothing about what was kept
(Linux drops the dirty pages). Sources: design "Layout"; maildir(5) for the order of the steps.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from callrec.errors import Refused, Unavailable

_NEXT_STEP: Final = {
    errno.ENOSPC: "free space on that file system",
    errno.EDQUOT: "raise the quota of this user on that file system",
    errno.EROFS: "mount that file system for writing",
    errno.EACCES: "give this user the right to write there",
    errno.ENOENT: "create the folder, or correct the path in the configuration",
}


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        step = _NEXT_STEP.get(error.errno or 0, "look at the disk and the kernel log")
        raise Unavailable(f"{path}: {error.strerror or error}", next_step=step) from error


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def fsync_dir(path: Path) -> None:
    """Make the names in this folder durable."""
    with _explained(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def make_dir(path: Path, *, mode: int = 0o700) -> None:
    """Make this folder, and the ones above that are missing, durable. Harmless where it exists."""
    if path.is_dir():
        return
    missing = [p for p in (path, *path.parents) if not p.exists()]
    for folder in reversed(missing):
        with _explained(folder):
            folder.mkdir(mode=mode, exist_ok=True)
        fsync_dir(folder.parent)


def make_dir_in(parent: Path, name: str, *, mode: int = 0o700) -> Path:
    """Make this one folder durable. `Unavailable` where `parent` is not there: what a disk holds is never made where
    the disk is not, or it would lie on another one. Harmless where it exists.
    """
    path = parent / name
    with _explained(path):
        path.mkdir(mode=mode, exist_ok=True)
    fsync_dir(parent)
    return path


@contextmanager
def new_folders(*paths: Path) -> Iterator[None]:
    """Make these new folders, each in one that is there or among those before it, for what is put into them with
    `settled=False` meanwhile. All of it is durable once this ends, and counts from then on: before, a crash may leave
    any part of it. `Unavailable` where one exists.
    """
    for path in paths:
        with _explained(path):
            path.mkdir(mode=0o700)
    yield
    for path in (*reversed(paths), paths[0].parent):
        fsync_dir(path)


def write_files(files: Mapping[Path, bytes], *, mode: int = 0o600, exclusive: bool = False) -> None:
    """As `write_file` for each, one after the other; a reader never sees one without those before it. All are durable
    on return, and until then any of them may be lost.
    """
    for path, data in files.items():
        write_file(path, data, mode=mode, exclusive=exclusive, settled=False)
    for folder in {path.parent for path in files}:
        fsync_dir(folder)


def write_file(path: Path, data: bytes, *, mode: int = 0o600, exclusive: bool = False, settled: bool = True) -> None:
    """Put the whole of `data` at `path`, or leave what was there: a reader never sees a part.

    With `exclusive`, an existing file is never replaced: `Refused`. Otherwise `Unavailable` where it cannot be written.
    Where it is not to be `settled`, its name is durable only once the folder was synced.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    moved = False
    try:
        with _explained(path):
            _write_temporary(temporary, data, mode)
            moved = _publish(temporary, path, exclusive=exclusive)
    finally:
        if not moved:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
    if settled:
        fsync_dir(path.parent)


def write_new_folder(folder: Path, files: Mapping[str, bytes], *, mode: int = 0o600) -> None:
    """Put these files into a folder that nobody reads yet; all are durable on return, in whatever order. A crash before
    may leave some of them, or parts: the folder counts once it was renamed. Harmless when repeated.
    """
    for name, data in files.items():
        with _explained(folder / name):
            (folder / name).unlink(missing_ok=True)
            _write_temporary(folder / name, data, mode)
    fsync_dir(folder)


def _write_temporary(temporary: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        os.fchmod(descriptor, mode)
        _write_all(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _publish(temporary: Path, path: Path, *, exclusive: bool) -> bool:
    """Whether the temporary name is gone with it."""
    if not exclusive:
        temporary.replace(path)
        return True
    try:
        os.link(temporary, path)
    except FileExistsError as error:
        raise Refused(f"{path} exists and is never overwritten", next_step="choose another name") from error
    return False


def rename(source: Path, target: Path) -> None:
    """Move a file or folder; both parents are synced. A target folder that is not empty is `Unavailable`."""
    with _explained(target):
        source.rename(target)
    fsync_dir(target.parent)
    if source.parent != target.parent:
        fsync_dir(source.parent)


def remove(path: Path, *, settled: bool = True) -> None:
    """Remove a file, durably, or without waiting for the disk: in memory there is none. Harmless where it is gone."""
    with _explained(path):
        path.unlink(missing_ok=True)
    if settled:
        fsync_dir(path.parent)


def preallocate(path: Path, size: int) -> None:
    """Reserve `size` bytes at `path`, so that a full disk is known now. `Unavailable` where there is no room.

    An existing file keeps its bytes and grows where it is shorter; a file made here is removed again on failure.
    """
    existed = path.exists()
    try:
        with _explained(path):
            _allocate(path, size)
    except Unavailable:
        if not existed:
            with suppress(OSError):
                path.unlink(missing_ok=True)
        raise
    fsync_dir(path.parent)


def _allocate(path: Path, size: int) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, size)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class DurableFile:
    """A file that is written in pieces. What was written is durable when `sync` returned, not before.

    With `exclusive` the file must be new. One owner at a time; not safe for concurrent writers. Where it is not to be
    `settled`, the name of a new one is durable only once its folder was synced.
    """

    def __init__(self, path: Path, *, mode: int = 0o600, exclusive: bool = False, settled: bool = True) -> None:
        self.path = path
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | (os.O_EXCL if exclusive else 0)
        created = settled and not path.exists()
        with _explained(path):
            self._descriptor = os.open(path, flags, mode)
        if created:
            fsync_dir(path.parent)

    def fileno(self) -> int:
        """The descriptor, for calls that reserve or free blocks; -1 once closed."""
        return self._descriptor

    def append(self, data: bytes) -> int:
        """Write at the end; answers the offset at which `data` begins."""
        with _explained(self.path):
            offset = os.lseek(self._descriptor, 0, os.SEEK_END)
            _write_all(self._descriptor, data)
        return offset

    def write_at(self, offset: int, data: bytes) -> None:
        """Overwrite from this offset: for preallocated files."""
        with _explained(self.path):
            os.lseek(self._descriptor, offset, os.SEEK_SET)
            _write_all(self._descriptor, data)

    def truncate(self, size: int) -> None:
        """Cut to this length."""
        with _explained(self.path):
            os.ftruncate(self._descriptor, size)

    def sync(self) -> None:
        """Wait until everything written so far is on the disk."""
        with _explained(self.path):
            os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Release the file. Does not sync. Idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_append(path: Path, *, mode: int = 0o600, exclusive: bool = False) -> DurableFile:
    """An append handle; `Unavailable` where it cannot be opened (or exists, with `exclusive`)."""
    return DurableFile(path, mode=mode, exclusive=exclusive)


class LockFile:
    """An advisory lock (flock) held while open; the file says who holds it. It ends with the process, however it ends.

    `Unavailable` where somebody else holds it, naming the holder.
    """

    def __init__(self, path: Path, *, holder: str) -> None:
        self.path = path
        with _explained(path):
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            other = os.read(self._descriptor, 500).decode("utf-8", "replace").strip() or "another process"
            self.close()
            raise Unavailable(f"{path.stem} is held by {other}", next_step="stop that one first, or ask it") from error
        with _explained(path):
            os.ftruncate(self._descriptor, 0)
            _write_all(self._descriptor, holder.encode())

    def close(self) -> None:
        """Give the lock back. Idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
