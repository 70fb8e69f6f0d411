"""Copies of a recording for people: forms, both legs mixed, names bleeped, a voice altered. Every copy is derived; the
sealed FLAC alone is evidence. Nothing but sound is in them: no tag of a file names a caller, a call or a path.
"""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import soundfile
from numpy.typing import NDArray

from callrec.errors import ConfigError, Unavailable
from callrec.recording.audio import CHANNELS, RATE

Samples = NDArray[np.int16]
"""Samples by channel: shape (n, channels)."""

FORMS: Final[Mapping[str, tuple[str, str]]] = {
    "flac": ("FLAC", "PCM_16"),
    "wav": ("WAV", "PCM_16"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}
"""What a copy can be; FLAC and WAV are lossless. Format and subtype as libsndfile names them."""
_BLEEP_HZ: Final = 1000
_BLEEP_LEVEL: Final = 3000
_EDGE: Final = 80
"""Samples by which a bleep is longer at each end, so that no consonant is left: 10 ms."""
_SPAN: Final = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)-(\d{1,6}(?:\.\d{1,3})?)")


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Seconds of a recording, [begin, end)."""

    begin: float
    end: float


def parse_span(text: str) -> Span:
    """A span as in `12.5-14`. ConfigError where it is none, or ends before it begins."""
    found = _SPAN.fullmatch(text)
    span = Span(float(found[1]), float(found[2])) if found else Span(0, 0)
    if span.begin >= span.end:
        raise ConfigError(f"{text!a:.40} is no span of seconds", next_step="write it as 12.5-14.25")
    return span


def samples_of(pcm: bytes) -> Samples:
    """Stereo PCM as samples."""
    return np.frombuffer(pcm, dtype="<i2").reshape(-1, CHANNELS)


def mixed(samples: Samples) -> Samples:
    """Both legs on one channel, each at half."""
    both: Samples = (samples.astype(np.int32).sum(axis=1, keepdims=True) // samples.shape[1]).astype(np.int16)
    return both


def bleeped(samples: Samples, spans: Sequence[Span]) -> Samples:
    """With a tone in place of these spans, on every channel. ConfigError where a span begins after the end."""
    result = samples.copy()
    for span in spans:
        if span.begin * RATE >= len(samples):
            what = f"the recording ends at {len(samples) / RATE:.1f} s, before {span.begin:g} s"
            raise ConfigError(what, next_step="listen again where that is")
        begin = max(0, round(span.begin * RATE) - _EDGE)
        end = min(len(samples), round(span.end * RATE) + _EDGE)
        tone = _BLEEP_LEVEL * np.sin(2 * np.pi * _BLEEP_HZ * np.arange(end - begin) / RATE)
        result[begin:end] = tone.astype(np.int16)[:, np.newaxis]
    return result


def encoded(samples: Samples, form: str) -> bytes:
    """A file of this form, made in memory. `Unavailable` where neither libsndfile nor ffmpeg makes that here."""
    name, subtype = FORMS[form]
    if not soundfile.check_format(name, subtype):
        return _by_ffmpeg(samples, form)
    target = io.BytesIO()
    with soundfile.SoundFile(target, "w", RATE, samples.shape[1], subtype, format=name) as encoder:
        encoder.write(samples)
    return target.getvalue()


def _by_ffmpeg(samples: Samples, form: str) -> bytes:
    if shutil.which("ffmpeg") is None:
        step = "install ffmpeg or a newer libsndfile; or take --format flac, which needs neither"
        raise Unavailable(f"nothing here makes {form} files", next_step=step)
    from pydub import AudioSegment  # noqa: PLC0415 - it looks for ffmpeg when it is imported, and warns where none is

    sound = AudioSegment(samples.tobytes(), sample_width=2, frame_rate=RATE, channels=samples.shape[1])
    target = io.BytesIO()
    sound.export(target, format=form)
    return target.getvalue()


# ---------------------------------------------------------------- a voice altered


_WINDOW: Final = 320
_LOWER: Final = 0.80
"""How much deeper an altered voice is: a fifth of its pitch and of its resonances."""


def altered(samples: Samples) -> Samples:
    """Every voice deeper, at the same length. It hinders recognition by ear; it is no protection against a machine that
    compares voices, and whoever signs an anonymised copy must know that.
    """
    channels = [_lowered(samples[:, n].astype(np.float64)) for n in range(samples.shape[1])]
    return np.clip(np.stack(channels, axis=1), -32768, 32767).astype(np.int16)


def _lowered(sound: NDArray[np.float64]) -> NDArray[np.float64]:
    """Grains of 40 ms, each stretched about its own middle, laid over one another in place."""
    hop, window = _WINDOW // 4, np.hanning(_WINDOW)
    padded = np.concatenate([np.zeros(_WINDOW), sound, np.zeros(_WINDOW)])
    result, weight = np.zeros_like(padded), np.full_like(padded, 1e-9)
    offsets = (np.arange(_WINDOW) - _WINDOW / 2) * _LOWER
    for at in range(0, len(padded) - _WINDOW, hop):
        grain = np.interp(at + _WINDOW / 2 + offsets, np.arange(at, at + _WINDOW), padded[at : at + _WINDOW])
        result[at : at + _WINDOW] += grain * window
        weight[at : at + _WINDOW] += window
    lowered: NDArray[np.float64] = (result / weight)[_WINDOW : _WINDOW + len(sound)]
    return lowered
