"""Whether and where a notice is in any recording, such as another recorder's archive, however long.

The file is read in windows of a minute and more, so memory does not grow with its length; each channel is searched
apart, because recorders put caller and staff on one each. Profile A judges first, profile B where A says no: a notice
that came through a lossy codec is called so.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile

from callrec.errors import ConfigError
from callrec.notice.audio import FULL_SCALE, RATE, cannot_be_read, read_audio, refuse_truncated, resample
from callrec.notice.lags import Signal, stretch, whereabouts
from callrec.notice.verify import PROFILES, Template, Verification, verify

WINDOW_S: Final = 60
"""How far each window goes on; each reaches into the next one by the longest prompt."""
PART: Final = 0.5
"""With less of its speech there, it is chance."""
_MARGIN: Final = RATE // 2
_AT_ONCE: Final = 6
_MOST_CHANNELS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One prompt at one place: seconds from the beginning of the file, channel from 1, and how it was judged."""

    prompt: str
    at_s: float
    channel: int
    found: Verification

    @property
    def whole(self) -> bool:
        """True where the whole notice is there; else a part of it, or one that is disturbed."""
        return self.found.accepted

    def to_value(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        shown = {"prompt": self.prompt, "at_s": round(self.at_s, 3), "channel": self.channel, "whole": self.whole}
        return {**shown, "score": self.found.coverage, **self.found.to_value()}


def find(path: Path, templates: Sequence[tuple[str, Template]]) -> tuple[Place, ...]:
    """Every place of every prompt in this file, in order. ConfigError where the file is not audio that can be read."""
    longest = max((len(template.samples) for _, template in templates), default=0)
    places: list[Place] = []
    for start_s, channels in _windows(path, longest / RATE + 2):
        for number, signal in enumerate(channels, 1):
            for name, template in templates:
                for at, found in _in_window(signal, template):
                    places.append(Place(prompt=name, at_s=start_s + at / RATE, channel=number, found=found))
    return _once(places)


def _once(places: list[Place]) -> tuple[Place, ...]:
    """Windows overlap, so one place can be seen twice: the better judgement stays."""
    kept: list[Place] = []
    for one in sorted(places, key=lambda each: (not each.whole, -each.found.coverage)):
        if not any(_same(one, other) for other in kept):
            kept.append(one)
    return tuple(sorted(kept, key=lambda each: (each.at_s, each.prompt, each.channel)))


def _same(one: Place, other: Place) -> bool:
    return (one.prompt, one.channel) == (other.prompt, other.channel) and abs(one.at_s - other.at_s) < 1


def _in_window(signal: Signal, template: Template) -> Iterator[tuple[int, Verification]]:
    """Offsets in this window, best first; each that was found is silenced, so that the next one shows."""
    prompt = template.samples.astype(np.float64)
    for _ in range(_AT_ONCE):
        if not np.ptp(signal):
            return
        at = whereabouts(np.diff(prompt), np.diff(signal))
        cut = stretch(signal, at - _MARGIN, len(prompt) + 2 * _MARGIN)
        found = _judged(template, np.clip(np.rint(cut), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16))
        if found.coverage < PART:
            return
        yield at - _MARGIN + found.offset, found
        signal = signal.copy()
        signal[max(at, 0) : max(at + len(prompt), 0)] = 0


def _judged(template: Template, heard: Any) -> Verification:
    judged = [verify(template, heard, profile=PROFILES[0])]
    if not judged[0].accepted:
        judged.append(verify(template, heard, profile=PROFILES[1]))
    return next((each for each in judged if each.accepted), judged[0])


# ---------------------------------------------------------------- reading


def _windows(path: Path, overlap_s: float) -> Iterator[tuple[float, list[Signal]]]:
    """Start in seconds and the channels, as 8 kHz samples on the scale of 16 bits."""
    _refuse_cut(path)
    try:
        file = soundfile.SoundFile(path)
    except (soundfile.LibsndfileError, RuntimeError):
        pcm = read_audio(path).pcm  # what soundfile does not know, and is short
        yield 0.0, [np.frombuffer(pcm, "<i2").astype(np.float64)]
        return
    with file:
        if file.frames == 0:
            raise ConfigError(f"{path} holds no sound", next_step="export it again")
        for start, block in _blocks(path, file, overlap_s):
            yield start / file.samplerate, [resample(one, file.samplerate) * FULL_SCALE for one in _channels(block)]


def _blocks(path: Path, file: soundfile.SoundFile, overlap_s: float) -> Iterator[tuple[int, Signal]]:
    """First sample and samples of each window; read in one go from front to back, because not every kind can seek."""
    hop, overlap = WINDOW_S * file.samplerate, int(overlap_s * file.samplerate)
    held, start = np.zeros((0, file.channels)), 0
    while True:
        try:
            block = file.read(hop + overlap - len(held), dtype="float64", always_2d=True)
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise cannot_be_read(str(path)) from error
        if not len(block):
            return
        window = np.concatenate([held, block])
        yield start, window
        held, start = window[hop:], start + hop


def _channels(block: Signal) -> list[Signal]:
    if block.shape[1] > _MOST_CHANNELS:
        return [block.mean(axis=1)]
    return list(block.T)


def _refuse_cut(path: Path) -> None:
    """The sentences of `audio` for what is missing, empty or cut short; a file of any length is looked at."""
    if not path.is_file():
        raise ConfigError(f"{path} is not a file that exists", next_step="check the path; was it renamed or moved?")
    try:
        if path.stat().st_size == 0:
            raise ConfigError(f"{path} is empty", next_step="export it again")
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            refuse_truncated(data, str(path))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", next_step="make the file readable to you") from error
