"""Voices that never say the same twice, so that what was heard last tells when it was said."""

from __future__ import annotations

import numpy as np

from tests.peers import audio
from tests.peers.audio import RATE, Samples

_PIECE = RATE // 10
_SLIPS = 5


def voice(seed: int, seconds: float) -> Samples:
    """Noise as loud as speech; the same seed gives the same."""
    loud = np.random.default_rng(seed).normal(0, 3000, round(seconds * RATE))
    return np.clip(loud, -12_000, 12_000).astype(np.int16)


def heard_until(heard: Samples, said: Samples) -> float:
    """Up to which second of `said` it was heard. AssertionError where its end is not of that voice.

    A jitter buffer that slips within the last words spoils a piece of them: the one before tells as well.
    """
    sounding = np.trim_zeros(heard, "b")
    for late in range(_SLIPS):
        end = len(sounding) - late * _PIECE
        found = audio.find(said, sounding[max(0, end - _PIECE) : end])
        if found.share > 0.8:
            return found.at_s + (late + 1) * _PIECE / RATE
    raise AssertionError(f"the end of {len(sounding)} samples is no word of that voice")
