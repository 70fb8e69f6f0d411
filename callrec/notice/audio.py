"""Any audio file a person brings, made into what a telephone line carries: 8 kHz, mono, 16-bit PCM.

soundfile reads WAV, AIFF, FLAC, Ogg and MP3 by content, whatever the file's name says; pydub reads the rest where
ffmpeg is installed. Everything that is wrong with a file is a ConfigError that names it.
"""

from __future__ import annotations

import io
import math
import mmap
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import soundfile

from callrec.errors import ConfigError

RATE: Final = 8000
"""Samples a second, everywhere in callrec."""
FRAME: Final = 160
"""Samples in 20 ms: what one RTP packet carries."""
LONGEST_S: Final = 60
"""Nothing longer is even decoded; the gate is stricter."""
LARGEST_BYTES: Final = 64_000_000
"""Nothing larger is even opened: a minute of 24-bit stereo at 96 kHz is 35 MB."""
FULL_SCALE: Final = 32768

_ZERO_CROSSINGS: Final = 48
_KAISER_BETA: Final = 9.0
_CUTOFF: Final = 0.94
_ROWS: Final = 4096

Signal = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Audio:
    """One audio file, decoded: `pcm` is 8 kHz mono 16-bit little-endian, padded with silence to whole 20 ms.

    `clipped_pairs` counts neighbouring samples at full scale in the file as it was brought, before resampling hid them.
    """

    pcm: bytes
    container: str
    rate: int
    channels: int
    clipped_pairs: int


def read_audio(path: Path) -> Audio:
    """Decode and convert this file. ConfigError, naming it and what to do, where it cannot be."""
    _look_at(path)
    signal, rate, container = _decode(path)
    clipped = count_clipped(signal)
    mono = resample(signal.mean(axis=1), rate)
    return Audio(pcm=_to_pcm(mono), container=container, rate=rate, channels=signal.shape[1], clipped_pairs=clipped)


def count_clipped(signal: Signal) -> int:
    """Neighbouring samples at full scale, over all channels. `signal` is -1..1, one column for each channel."""
    full = np.abs(signal) >= 1 - 2 / FULL_SCALE
    return int(np.count_nonzero(full[1:] & full[:-1]))


def read_prompt(path: Path) -> bytes:
    """The PCM of a file that is already a prompt: WAV, 8 kHz, mono, 16-bit, complete. ConfigError for all else."""
    _look_at(path)
    try:
        return pcm_of(path.read_bytes(), str(path))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", next_step="make the file readable to callrec") from error


def pcm_of(data: bytes, name: str) -> bytes:
    """As `read_prompt`, from bytes; `name` is for the message."""
    refuse_truncated(data, name)
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            shape = (file.format, file.subtype, file.samplerate, file.channels)
            pcm = file.read(dtype="int16").astype("<i2").tobytes() if _is_prompt(shape) else b""
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise cannot_be_read(name) from error
    if not _is_prompt(shape):
        raise ConfigError(
            f"{name} is {shape[0]} {shape[1]}, {shape[2]} Hz, {shape[3]} channel(s); a prompt is WAV PCM_16 8000 Hz 1",
            next_step="bring it in with `callrec prompts add`, which converts it",
        )
    return pcm


def wav_of(pcm: bytes) -> bytes:
    """A WAV file, 8 kHz mono 16-bit, that holds exactly this PCM."""
    out = io.BytesIO()
    soundfile.write(out, np.frombuffer(pcm, "<i2"), RATE, format="WAV", subtype="PCM_16")
    return out.getvalue()


# ---------------------------------------------------------------- reading


def _is_prompt(shape: tuple[str, str, int, int]) -> bool:
    return shape == ("WAV", "PCM_16", RATE, 1)


def cannot_be_read(name: str) -> ConfigError:
    """What is said of a file that is no audio."""
    return ConfigError(f"{name} is not audio that can be read", next_step="bring a WAV, FLAC, Ogg or MP3 file")


def _look_at(path: Path) -> None:
    if not path.exists():
        raise ConfigError(f"{path} does not exist", next_step="check the path; was the file renamed or moved?")
    if not path.is_file():
        raise ConfigError(f"{path} is not a file", next_step="name one audio file")
    size = path.stat().st_size
    if size == 0:
        raise ConfigError(f"{path} is empty", next_step="record or export it again")
    if size > LARGEST_BYTES:
        raise ConfigError(f"{path} is {size // 1_000_000} MB, far too large for a notice", next_step=_SHORTER)


_SHORTER: Final = f"bring a recording of at most {LONGEST_S} seconds"


def _decode(path: Path) -> tuple[Signal, int, str]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", next_step="make the file readable to you") from error
    refuse_truncated(data, str(path))
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            _refuse_long(path, file.frames / file.samplerate)
            signal = file.read(dtype="float64", always_2d=True)
            _refuse_short_read(path, len(signal), file.frames)
            return signal, file.samplerate, file.format
    except (soundfile.LibsndfileError, RuntimeError):
        return _decode_by_pydub(path)


def _refuse_long(path: Path, seconds: float) -> None:
    if seconds > LONGEST_S:
        raise ConfigError(f"{path} lasts {seconds:.0f} seconds, far too long for a notice", next_step=_SHORTER)


def _refuse_short_read(path: Path, found: int, promised: int) -> None:
    if found < promised or found == 0:
        raise ConfigError(f"{path} is cut short: {found} of {promised} samples are there", next_step=_AGAIN)


_AGAIN: Final = "copy or export it again; the end is missing"


def refuse_truncated(data: bytes | mmap.mmap, name: str) -> None:
    """A cut WAV still opens, and reads as if it had been that short: so its own sizes are asked."""
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        return
    at = 12
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 + size > len(data):
            there = len(data) - at - 8
            raise ConfigError(f"{name} is cut short: {there} of {size} bytes are there", next_step=_AGAIN)
        if data[at : at + 4] == b"data":
            return
        at += 8 + size + size % 2
    raise ConfigError(f"{name} is cut short: it holds a header and no sound", next_step=_AGAIN)


def _decode_by_pydub(path: Path) -> tuple[Signal, int, str]:
    if not shutil.which("ffmpeg"):
        error = cannot_be_read(str(path))
        error.next_step += ", or install ffmpeg so that other kinds can be read"
        raise error
    try:
        segment = _pydub_segment(path)
    except Exception as error:  # pydub raises whatever ffmpeg, wave and struct raise
        raise cannot_be_read(str(path)) from error
    _refuse_short_read(path, int(segment.frame_count()), 1)
    _refuse_long(path, segment.frame_count() / segment.frame_rate)
    scale = float(1 << (8 * segment.sample_width - 1))
    samples = np.array(segment.get_array_of_samples(), dtype=np.float64).reshape(-1, segment.channels) / scale
    return samples, segment.frame_rate, "by ffmpeg"


def _pydub_segment(path: Path) -> Any:
    with path.open("rb") as file:
        return pydub_segment_class().from_file(file, parameters=["-t", str(LONGEST_S + 1)])


def pydub_segment_class() -> Any:
    """pydub.AudioSegment, imported without its warnings: of its syntax, of audioop, of missing programs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pydub import AudioSegment  # noqa: PLC0415 - slow to import and seldom needed

        return AudioSegment


# ---------------------------------------------------------------- converting


def resample(signal: Signal, rate: int) -> Signal:
    """One channel from `rate` to 8 kHz by windowed sinc: flat to 3.5 kHz, 80 dB down from 4 kHz on, so nothing folds.

    ConfigError for a rate below 6 kHz, which cannot carry speech.
    """
    if rate == RATE:
        return signal
    if rate < RATE * 3 // 4:
        raise ConfigError(
            f"{rate} samples a second cannot carry speech", next_step="bring a recording at 8 kHz or more"
        )
    common = math.gcd(rate, RATE)
    phases, step = RATE // common, rate // common
    taps, half = _kernels(rate, phases, step)
    padded = np.concatenate([np.zeros(half), signal, np.zeros(half + step)])
    out = np.zeros(-(-len(signal) * phases // step))
    for phase in range(min(phases, len(out))):
        out[phase::phases] = _filter(padded, taps[phase], phase * step // phases, step, len(out[phase::phases]))
    return out


def _kernels(rate: int, phases: int, step: int) -> tuple[Signal, int]:
    """One low-pass for each fraction of an input sample on which an output sample can fall."""
    cutoff = _CUTOFF * min(1.0, RATE / rate)
    half = math.ceil(_ZERO_CROSSINGS * max(1.0, rate / RATE))
    fractions = (np.arange(phases) * step % phases)[:, None] / phases
    distance = np.arange(-half, half + 1)[None, :] - fractions
    window = np.i0(_KAISER_BETA * np.sqrt(np.clip(1 - (distance / half) ** 2, 0, None))) / np.i0(_KAISER_BETA)
    kernels = cutoff * np.sinc(cutoff * distance) * window
    return kernels / kernels.sum(axis=1, keepdims=True), half


def _filter(padded: Signal, kernel: Signal, first: int, step: int, count: int) -> Signal:
    windows = np.lib.stride_tricks.sliding_window_view(padded, len(kernel))[first::step][:count]
    return np.concatenate([windows[at : at + _ROWS] @ kernel for at in range(0, count, _ROWS)])


def _to_pcm(signal: Signal) -> bytes:
    whole = np.pad(signal, (0, -len(signal) % FRAME))
    return bytes(np.clip(np.rint(whole * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype("<i2").tobytes())
