"""Where recordings are until the store holds them: folders like a maildir, so that a rename is the only commit.

    tmp/<id>/        live, or left by a crash          ready/<id>/    sealed, to be handed over
    done/<id>/       handed over, being removed        corrupt/<id>/  its hash is wrong: for a person
    parked/<id>/     its key is gone from memory: only the keeper can open it
    discarded/<id>   destroyed; the mark stays until the ledger says so
    ballast          nothing but room, given up where the disk is full
    runtime_dir (memory): live/<id>.key, capture/<id>.caller.wav and .staff.wav

Every method blocks on the disk; from asyncio, call them with asyncio.to_thread.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from callrec._durable import fsync_dir, make_dir, new_folders, remove, rename, write_file
from callrec.errors import Unavailable
from callrec.ports import SEALED_LEAF_FILE, CapturePaths, DataKey, SegmentHeader
from callrec.recording.ballast import Ballast
from callrec.recording.segment import BYTES_PER_SECOND, SEALED_FOLDER, OpenSegment, SegmentFacts, write_description
from callrec.recording.syncing import SyncThread
from callrec.recording.tailing import TailThread

FOLDERS: Final = ("tmp", "ready", "done", "corrupt", "parked", "discarded")
MARGIN_BYTES: Final = 16 * 1024 * 1024
"""Never promised to a recording: manifests, journals and the file system's own needs."""

_OTHERS_END_S: Final = 5.0
_ASK_AGAIN_S: Final = 0.05


class Spool:
    """The spool of one agent. `folder` must exist (`callrec init` makes it): `Unavailable` where it does not.

    `reserve_s` seconds are kept reserved ahead of each live segment. `start` runs the sync thread, `close` ends it.
    """

    def __init__(self, folder: Path, runtime_dir: Path, *, reserve_s: int = 600, sync_every_s: float = 5.0) -> None:
        if not folder.is_dir():
            raise Unavailable(f"the spool folder {folder} is not there", next_step="mount it, or run `callrec init`")
        self.folder = folder
        self.runtime_dir = runtime_dir
        self._reserve_s = reserve_s
        self._lock = threading.Lock()
        self._open: set[str] = set()
        self._syncing = SyncThread(every_s=sync_every_s)
        self.ballast = Ballast(folder / "ballast")
        self.tails = TailThread()
        """Follows what the engine's recorders write."""
        for name in FOLDERS:
            make_dir(folder / name)
        for name in ("live", "capture"):
            make_dir(runtime_dir / name)

    def start(self) -> None:
        """Set the ballast aside, where there is room; run the sync thread: each live file is synced every few seconds,
        round-robin.
        """
        with suppress(Unavailable):  # `reserve` refuses recordings until there is
            self.ballast.restore()
        self._syncing.start()

    def close(self) -> None:
        """End its threads. Idempotent; live segments stay as they are."""
        self.tails.close()
        self._syncing.close()

    # ------------------------------------------------------------ places

    def tmp(self, recording_id: str) -> Path:
        """The folder of a live recording."""
        return self.folder / "tmp" / recording_id

    def ready(self, recording_id: str) -> Path:
        """The folder of a sealed recording."""
        return self.folder / "ready" / recording_id

    def live_key(self, recording_id: str) -> Path:
        """The data key of a live recording, in memory, for salvage after a crash of the process."""
        return self.runtime_dir / "live" / f"{recording_id}.key"

    def capture_paths(self, recording_id: str) -> CapturePaths:
        """Where the engine's recorders write this recording's legs, in memory."""
        folder = self.runtime_dir / "capture"
        return CapturePaths(caller=folder / f"{recording_id}.caller.wav", staff=folder / f"{recording_id}.staff.wav")

    # ------------------------------------------------------------ live

    def reserve(self, seconds: int | None = None) -> None:
        """Say whether a recording of this length (default: the configured reserve) can be promised now.

        `Unavailable` where room is short or the spool is gone. Opening the segment then really reserves it.
        """
        self.ballast.restore()
        wanted = 2 * (seconds or self._reserve_s) * BYTES_PER_SECOND + MARGIN_BYTES
        free = self.free_bytes()
        if free < wanted:
            step = "free space there, or look why the store takes no recordings"
            raise Unavailable(f"the spool has room for {free} bytes, {wanted} are needed", next_step=step)

    def free_bytes(self) -> int:
        """Room left for this user. `Unavailable` where the spool is gone."""
        try:
            state = os.statvfs(self.folder / "tmp")
        except OSError as error:
            raise Unavailable(f"the spool is gone: {error.strerror}", next_step="mount it again") from error
        return state.f_bavail * state.f_frsize

    def open_segment(self, header: SegmentHeader, key: DataKey, facts: SegmentFacts) -> OpenSegment:
        """A live segment with its room reserved. `Unavailable` where there is no room; nothing is left behind then.

        The header's `started_leaf` must be durable in the ledger. A recording id is used once: `Unavailable` otherwise.
        """
        recording_id = header.recording_id
        folder = self.tmp(recording_id)
        self._claim(recording_id, folder)
        segment: OpenSegment | None = None
        try:
            with new_folders(folder, folder / SEALED_FOLDER):
                write_description(folder, header, key.wrapped, facts, settled=False)
                write_file(self.live_key(recording_id), key.secret, settled=False)
                segment = OpenSegment(folder, header, key, facts, ahead_s=self._reserve_s)
        except Unavailable:
            if segment is not None:
                segment.close()
            self.clear(recording_id)
            raise
        self._syncing.add(segment)
        return segment

    def _claim(self, recording_id: str, folder: Path) -> None:
        with self._lock:
            if recording_id in self._open or folder.exists() or self.ready(recording_id).exists():
                raise Unavailable(f"{recording_id} is in the spool already", next_step="start another segment")
            self._open.add(recording_id)

    def is_open(self, recording_id: str) -> bool:
        """Whether this process captures into it."""
        with self._lock:
            return recording_id in self._open

    def end(self, segment: OpenSegment) -> None:
        """Close a live segment: nothing is appended any more. Idempotent."""
        self._syncing.drop(segment)
        segment.close()

    def let_go(self, recording_id: str) -> None:
        """Another process has sealed or destroyed what was live here. Idempotent. Does not block."""
        with self._lock:
            self._open.discard(recording_id)

    @contextmanager
    def working_on_tmp(self, *, alone: bool = False) -> Iterator[None]:
        """Held while what is in `tmp`, and live no longer, is sealed or, `alone`, salvaged: a process that seals may
        outlive its agent by a moment, and the next agent salvages. Ends with the process, however that ends.

        `Unavailable` where others keep us waiting for seconds, or the spool is gone.
        """
        try:
            lock = os.open(self.folder / "tmp", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise Unavailable(f"the spool is gone: {error.strerror}", next_step="mount it again") from error
        try:
            self._wait_for(lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            yield
        finally:
            os.close(lock)

    def _wait_for(self, lock: int, kind: int) -> None:
        until = time.monotonic() + _OTHERS_END_S
        while True:
            try:
                fcntl.flock(lock, kind | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() > until:
                    step = "two agents share it, or a process that seals does not end: look for it, and at the disk"
                    raise Unavailable(f"another process works on {self.folder / 'tmp'}", next_step=step) from error
                time.sleep(_ASK_AGAIN_S)
            else:
                return

    def clear(self, recording_id: str) -> None:
        """Remove whatever a live recording left: its key first, then plain audio in memory, then its folder."""
        paths = self.capture_paths(recording_id)
        for in_memory in (self.live_key(recording_id), paths.caller, paths.staff):
            remove(in_memory, settled=False)
        self.remove_tree(self.tmp(recording_id))
        self.let_go(recording_id)

    # ------------------------------------------------------------ sealed

    def commit(self, recording_id: str) -> Path:
        """Move what was sealed into `ready`, in one step. Harmless when repeated."""
        target = self.ready(recording_id)
        if not target.exists():
            rename(self.tmp(recording_id) / SEALED_FOLDER, target)
        return target

    def ready_ids(self) -> tuple[str, ...]:
        """What waits to be handed over, oldest first."""
        return self._ids("ready")

    def oldest_ready_s(self) -> float:
        """How long the oldest has waited, in seconds by the wall clock; 0 where none waits."""
        ids = self.ready_ids()
        return max(0.0, time.time() - self._age_of(self.ready(ids[0]))) if ids else 0.0

    def note_sealed(self, recording_id: str, leaf: str) -> None:
        """Keep the hex leaf of `recording.sealed` beside the recording: the store asks the ledger for it."""
        path = self.ready(recording_id) / SEALED_LEAF_FILE
        self.ballast.with_room(lambda: write_file(path, leaf.encode()))

    def sealed_leaf(self, recording_id: str) -> str | None:
        """What `note_sealed` kept."""
        try:
            return (self.ready(recording_id) / SEALED_LEAF_FILE).read_text("ascii")
        except (OSError, UnicodeDecodeError):
            return None

    def hand_off(self, recording_id: str) -> None:
        """The store holds it: remove it here, and set the ballast aside anew. Harmless when repeated."""
        done = self.folder / "done" / recording_id
        self.remove_tree(done)
        if self.ready(recording_id).exists():
            rename(self.ready(recording_id), done)
        self.remove_tree(done)
        self.ballast.renew()

    def set_aside(self, recording_id: str, place: str, *, came_from: str = "ready") -> None:
        """Put it where a person looks (`corrupt`, `parked`). Nothing is ever deleted from there. Harmless repeated."""
        source = self.folder / came_from / recording_id
        if source.exists():
            rename(source, self.folder / place / recording_id)

    # ------------------------------------------------------------ helpers for seal and salvage

    def ids_in(self, place: str) -> tuple[str, ...]:
        """What lies in this folder of the spool, oldest first."""
        return self._ids(place)

    def _ids(self, place: str) -> tuple[str, ...]:
        try:
            found = [(self._age_of(path), path.name) for path in (self.folder / place).iterdir()]
        except OSError as error:
            raise Unavailable(f"the spool is gone: {error.strerror}", next_step="mount it again") from error
        return tuple(name for _, name in sorted(found) if not name.startswith("."))

    @staticmethod
    def _age_of(path: Path) -> float:
        try:
            return path.stat().st_mtime
        except OSError:
            return float("inf")

    def remove_tree(self, folder: Path) -> None:
        """Remove a folder and all in it, durably. Harmless where it is gone. `Unavailable` where it cannot be."""
        if not folder.exists():
            return
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise Unavailable(f"{folder} cannot be removed: {error.strerror}", next_step="look at the disk") from error
        fsync_dir(folder.parent)
