"""Was anything of a voice kept? Two witnesses from outside: inotify on folders, and a search of files for a tone.

Neither asks callrec anything. The watcher tells of every file that came into being or was written, also those that are
gone again by the time anybody looks. The search finds a steady tone in whatever form audio may lie about: 16-bit PCM of
either byte order, alone or as one channel of two, at either alignment, A-law, mu-law, FLAC.
"""

from __future__ import annotations

import ctypes
import io
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

import numpy as np
import soundfile

from tests.peers import audio
from tests.peers.audio import FRAME, RATE, Samples

_CREATED: Final = 0x0000_0100
_MODIFIED: Final = 0x0000_0002
_MOVED_HERE: Final = 0x0000_0080
_OVERFLOW: Final = 0x0000_4000
_FOLDER: Final = 0x4000_0000
"""Bits of inotify(7)."""
_EVENT: Final = struct.Struct("iIII")

_PURE: Final = 0.6
"""Part of a frame's energy that lies at the tone from which the frame counts: noise and ciphertext reach 0.1."""
_QUIETEST: Final = 100.0
"""RMS of int16 below which a frame says nothing."""
_IN_A_ROW: Final = 5
"""So many frames in a row (100 ms) are a tone."""


class Watcher:
    """Watches these folders, and folders that come into being in them, from now on."""

    def __init__(self, *folders: Path) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._inotify = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert self._inotify >= 0, os.strerror(ctypes.get_errno())
        self._folders: dict[int, Path] = {}
        self._seen: set[Path] = set()
        for folder in folders:
            self._watch_all(folder)

    def _watch_all(self, folder: Path) -> None:
        self._watch(folder)
        for below in (path for path in folder.rglob("*") if path.is_dir()):
            self._watch(below)

    def _watch(self, folder: Path) -> None:
        mask = _CREATED | _MODIFIED | _MOVED_HERE
        number = self._libc.inotify_add_watch(self._inotify, os.fsencode(folder), mask)
        assert number >= 0, f"{folder}: {os.strerror(ctypes.get_errno())}"
        self._folders[number] = folder

    def seen(self) -> set[Path]:
        """Every file and folder that was made, moved in or written since the beginning."""
        while data := self._read():
            for number, bits, name in _events(data):
                assert not bits & _OVERFLOW, "the kernel dropped events: this watcher saw not all"
                if name and number in self._folders:
                    self._note(self._folders[number] / name, folder=bool(bits & _FOLDER))
        return set(self._seen)

    def _note(self, path: Path, *, folder: bool) -> None:
        self._seen.add(path)
        if folder and path.is_dir():
            self._watch_all(path)
            self._seen.update(path.rglob("*"))

    def _read(self) -> bytes:
        try:
            return os.read(self._inotify, 65536)
        except BlockingIOError:
            return b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._inotify)


def _events(data: bytes) -> Iterator[tuple[int, int, str]]:
    at = 0
    while at < len(data):
        number, bits, _, length = _EVENT.unpack_from(data, at)
        at += _EVENT.size
        yield number, bits, os.fsdecode(data[at : at + length].rstrip(b"\0"))
        at += length


# ---------------------------------------------------------------- searching


def files_with_tone(hz: float, *folders: Path) -> set[Path]:
    """Every file below these folders in which this tone lies."""
    return {path for folder in folders for path in files_in(folder) if holds_tone(_bytes_of(path), hz)}


def files_in(folder: Path) -> list[Path]:
    """Every file below this folder, or none where it is not there."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""  # gone between listing and reading: the watcher tells of it


def holds_tone(data: bytes, hz: float) -> bool:
    """Whether these bytes, read in any of the ways above, hold this tone for 100 ms."""
    return bool(data.strip(b"\0")) and any(_sounds(samples, hz) for samples in _readings(data))


def _readings(data: bytes) -> Iterator[Samples]:
    for start in (0, 1):
        whole = np.frombuffer(data[start : start + (len(data) - start) // 2 * 2], "<i2")
        yield from (whole, whole[0::2], whole[1::2], whole.byteswap())
    yield audio.from_alaw(data)
    yield audio.from_ulaw(data)
    if data.startswith(b"fLaC"):
        decoded, _ = soundfile.read(io.BytesIO(data), dtype="int16", always_2d=True)
        yield from decoded.T


def _sounds(samples: Samples, hz: float) -> bool:
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME).astype(np.float64)
    energy = (frames**2).sum(axis=1)
    tone = np.abs(frames @ np.exp(-2j * np.pi * hz / RATE * np.arange(FRAME))) ** 2 * 2 / FRAME
    there = (energy > FRAME * _QUIETEST**2) & (tone > _PURE * energy)
    return bool(len(there) >= _IN_A_ROW and np.lib.stride_tricks.sliding_window_view(there, _IN_A_ROW).all(1).any())
