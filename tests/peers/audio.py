"""What tests say and how they judge what was heard. Samples are numpy int16, mono, 8 kHz; levels are dBFS of a sine.

Tones are multiples of 50 Hz, so that they do not disturb each other in a 20 ms frame, and keep off 400, 440 and 450 Hz,
which ringback uses.
"""

from __future__ import annotations

import subprocess
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]

RATE = 8000
FRAME = 160
NOTICE_HZ, ADVICE_HZ, CALLER_HZ, STAFF_HZ = 1200, 1000, 600, 800
KEY_ROWS, KEY_COLUMNS = {697: "123A", 770: "456B", 852: "789C", 941: "*0#D"}, (1209, 1336, 1477, 1633)
NEAR_LSB = 600
"""How far a sample may be from the original and still count as it: more than A-law changes, far less than speech."""


# ---------------------------------------------------------------- making


def tone(hz: float, seconds: float, *, dbfs: float = -12.0) -> Samples:
    """A steady sine."""
    when = np.arange(round(seconds * RATE)) / RATE
    return np.round(32767 * 10 ** (dbfs / 20) * np.sin(2 * np.pi * hz * when)).astype(np.int16)


KEYPAD = {key: (low, high) for low, row in KEY_ROWS.items() for key, high in zip(row, KEY_COLUMNS, strict=True)}


def key(pressed: str, seconds: float = 0.1, *, dbfs: float = -12.0, twist_db: float = 0.0, off: float = 0.0) -> Samples:
    """The sound of a key (ITU-T Q.23): its two tones together have this level, the high one is `twist_db` louder, and
    both are off by this share.
    """
    low_hz, high_hz = (hz * (1 + off) for hz in KEYPAD[pressed])
    high_db = dbfs - 10 * np.log10(1 + 10 ** (-twist_db / 10))
    low, high = tone(low_hz, seconds, dbfs=high_db - twist_db), tone(high_hz, seconds, dbfs=high_db)
    return np.clip(low.astype(np.int32) + high, -32768, 32767).astype(np.int16)


def over(ground: Samples, sound: Samples, *, at_s: float) -> Samples:
    """The ground, and this sound over it from that second on."""
    mixed, start = ground.astype(np.int32), round(at_s * RATE)
    mixed[start : start + len(sound)] += sound
    return np.clip(mixed, -32768, 32767).astype(np.int16)


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE), np.int16)


def speech(text: str, *, voice: str = "en-gb") -> Samples:
    """This text spoken by espeak-ng, brought to 8 kHz by sox. The same text gives the same samples."""
    spoken = subprocess.run(["espeak-ng", "-v", voice, "--stdout", text], check=True, capture_output=True).stdout
    raw = ["-t", "raw", "-r", "8000", "-c", "1", "-e", "signed", "-b", "16", "-L", "-"]
    words = ["sox", "-D", "-R", "-G", "-t", "wav", "-", *raw]
    return np.frombuffer(subprocess.run(words, input=spoken, check=True, capture_output=True).stdout, "<i2")


def write_wav(path: Path, *channels: Samples) -> Path:
    """16-bit WAV at 8 kHz; one channel per argument, all of one length."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.stack(channels, axis=1).astype("<i2").tobytes())
    return path


def read_wav(path: Path) -> Samples:
    """Mono samples, also of a file whose writer was killed before it filled in the lengths."""
    data = path.read_bytes()
    if (start := data.find(b"data")) < 0:
        return np.zeros(0, np.int16)  # its writer has only just begun
    start += 8
    return np.frombuffer(data[start : start + (len(data) - start) // 2 * 2], "<i2")


def _alaw_values() -> NDArray[np.int16]:
    """The 256 values of G.711 A-law."""
    code = np.arange(256) ^ 0x55
    exponent, mantissa = (code >> 4) & 7, code & 15
    size = np.where(exponent == 0, (mantissa << 4) + 8, ((mantissa << 4) + 0x108) << np.maximum(exponent - 1, 0))
    return np.where(code & 0x80, size, -size).astype(np.int16)


def _ulaw_values() -> NDArray[np.int16]:
    """The 256 values of G.711 mu-law."""
    code = ~np.arange(256) & 0xFF
    size = ((((code & 15) << 3) + 0x84) << ((code >> 4) & 7)) - 0x84
    return np.where(code & 0x80, -size, size).astype(np.int16)


_VALUES = _alaw_values()
_ULAW_VALUES = _ulaw_values()
_ORDER, _ULAW_ORDER = np.argsort(_VALUES), np.argsort(_ULAW_VALUES)
_EDGES = (_VALUES[_ORDER][1:].astype(np.int32) + _VALUES[_ORDER][:-1]) / 2
_ULAW_EDGES = (_ULAW_VALUES[_ULAW_ORDER][1:].astype(np.int32) + _ULAW_VALUES[_ULAW_ORDER][:-1]) / 2


def to_alaw(samples: Samples) -> bytes:
    """G.711 A-law: the nearest value of each sample."""
    return _ORDER[np.searchsorted(_EDGES, samples)].astype(np.uint8).tobytes()


def to_ulaw(samples: Samples) -> bytes:
    """G.711 mu-law: the nearest value of each sample."""
    return _ULAW_ORDER[np.searchsorted(_ULAW_EDGES, samples)].astype(np.uint8).tobytes()


def from_alaw(coded: bytes) -> Samples:
    return _VALUES[np.frombuffer(coded, np.uint8)]


def from_ulaw(coded: bytes) -> Samples:
    return _ULAW_VALUES[np.frombuffer(coded, np.uint8)]


def write_alaw(path: Path, samples: Samples) -> Path:
    """A raw A-law file, as sipp streams it; padded with silence to whole 20 ms packets."""
    padded = np.concatenate([samples, np.zeros(-len(samples) % FRAME, np.int16)])
    path.write_bytes(to_alaw(padded))
    return path


# ---------------------------------------------------------------- judging


def levels(samples: Samples, hz: float) -> NDArray[np.float64]:
    """Level of this frequency in each whole 20 ms frame, dBFS (Goertzel's sum, for all frames at once)."""
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME).astype(np.float64)
    wave_form = np.exp(-2j * np.pi * hz / RATE * np.arange(FRAME))
    return 20 * np.log10(np.abs(frames @ wave_form) * 2 / FRAME / 32767 + 1e-9)


def hears(samples: Samples, hz: float, *, dbfs: float = -30.0) -> NDArray[np.bool_]:
    """For each 20 ms frame: is this tone there?"""
    return levels(samples, hz) >= dbfs


def share(samples: Samples, hz: float) -> float:
    """The part of all frames, 0 to 1, in which this tone is there."""
    return float(hears(samples, hz).mean()) if len(samples) >= FRAME else 0.0


def spans(there: NDArray[np.bool_], *, at_least_s: float = 0.1) -> list[tuple[float, float]]:
    """Where it is true, as (start, end) in seconds; holes and specks shorter than 60 ms are smoothed over."""
    found: list[list[int]] = []
    for frame in np.flatnonzero(there):
        if found and frame - found[-1][1] <= 3:
            found[-1][1] = int(frame) + 1
        else:
            found.append([int(frame), int(frame) + 1])
    seconds = FRAME / RATE
    return [(start * seconds, end * seconds) for start, end in found if (end - start) * seconds >= at_least_s]


def tone_spans(samples: Samples, hz: float) -> list[tuple[float, float]]:
    """Where this tone sounds, as (start, end) in seconds."""
    return spans(hears(samples, hz))


def ringback_spans(samples: Samples) -> list[tuple[float, float]]:
    """Where UK ringback (400 and 450 Hz together) sounds, as (start, end) in seconds."""
    return spans(hears(samples, 400, dbfs=-40) & hears(samples, 450, dbfs=-40))


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Where a sound lies in what was heard, and how much of it is really there."""

    at_s: float
    share: float
    """Part of the WHOLE sound, 0 to 1, whose samples are within NEAR_LSB of the original; what is missing counts."""


def find(heard: Samples, sound: Samples) -> Found:
    """The best place of `sound` in `heard`, to the sample, by cross-correlation."""
    if not len(heard) or not len(sound):
        return Found(at_s=0.0, share=0.0)
    size = len(heard) + len(sound)
    product = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(sound, size))
    lag = int(np.argmax(np.fft.irfft(product, size)))
    lag = lag - size if lag >= len(heard) else lag
    part = heard[max(lag, 0) : lag + len(sound)].astype(np.int32)
    wanted = sound[max(-lag, 0) :][: len(part)].astype(np.int32)
    near = np.count_nonzero(np.abs(part - wanted) <= NEAR_LSB)
    return Found(at_s=lag / RATE, share=float(near / len(sound)))


def spectrogram(wav: Path, png: Path) -> Path:
    """A picture of a WAV, for a person to look at."""
    subprocess.run(["sox", wav, "-n", "spectrogram", "-o", png], check=True, capture_output=True)
    return png
