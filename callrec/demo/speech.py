"""What synthetic peers say and hear: A-law (G.711) by table, and voices made of tones. 8 kHz, 20 ms frames."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

RATE: Final = 8000
FRAME: Final = 160
"""Samples, and octets of A-law, in 20 ms."""
SILENCE: Final = bytes([0xD5]) * FRAME

Samples = npt.NDArray[np.int16]


def _decoded(octet: int) -> int:
    """One A-law octet as a 16-bit sample (ITU-T G.711, table 1)."""
    value = octet ^ 0x55
    segment, step = (value & 0x70) >> 4, (value & 0x0F) << 4
    magnitude = step + 8 if segment == 0 else (step + 0x108) << (segment - 1)
    return magnitude if value & 0x80 else -magnitude


_DECODE: Final = np.array([_decoded(octet) for octet in range(256)], np.int16)
_ORDER: Final = np.argsort(_DECODE).astype(np.uint8)
_SORTED: Final = _DECODE[_ORDER].astype(np.float64)
_EDGES: Final = (_SORTED[1:] + _SORTED[:-1]) / 2


def to_alaw(samples: Samples) -> bytes:
    """The nearest A-law octet of each sample."""
    return _ORDER[np.searchsorted(_EDGES, samples)].tobytes()


def from_alaw(octets: bytes) -> Samples:
    """A sample for each octet."""
    return _DECODE[np.frombuffer(octets, np.uint8)]


def voice(hertz: float) -> bytes:
    """One second of a voice that needs no one to speak: 0.6 s of this tone at -20 dBFS, 0.4 s of silence, as A-law."""
    time = np.arange(RATE) / RATE
    tone = 0.1 * 32767 * np.sqrt(2) * np.sin(2 * np.pi * hertz * time) * (time < 0.6)  # noqa: PLR2004 - as said above
    return to_alaw(tone.astype(np.int16))


def share_of_tone(samples: Samples, hertz: float) -> float:
    """How much of this audio's energy lies within 10 Hz of a tone: 0 to 1."""
    spectrum = np.abs(np.fft.rfft(samples.astype(np.float64))) ** 2
    near = np.abs(np.fft.rfftfreq(len(samples), 1 / RATE) - hertz) <= 10  # noqa: PLR2004 - as said above
    return float(spectrum[near].sum() / max(spectrum.sum(), 1.0))
