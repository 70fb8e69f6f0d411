"""Is this recording right? By its audio alone: the tones of its own call, each where it belongs, from start to end."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tests.peers.audio import FRAME, RATE, Samples

PURE = 0.98
"""Part of a frame's power that must lie in the tones that belong there."""
ENOUGH = 0.97
"""Part of the frames that must be so; the rest is left to the engine's jitter buffer."""
EDGE_S = 0.5
"""Left out at both ends: answering and hanging up take a moment."""
SHORTER_S = 0.6
LONGER_S = 1.0


def power(samples: Samples, hz: float) -> NDArray[np.float64]:
    """Part of each frame's power that lies in this tone, which is a multiple of 50 Hz."""
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME).astype(np.float64)
    wave = np.exp(-2j * np.pi * hz / RATE * np.arange(FRAME))
    whole = (frames**2).sum(axis=1) * FRAME / 2
    return np.abs(frames @ wave) ** 2 / np.maximum(whole, 1.0)


def _middle(samples: Samples) -> Samples:
    edge = round(EDGE_S * RATE)
    return samples[edge : len(samples) - edge]


def _length_is_right(samples: Samples, talked_s: float) -> bool:
    return talked_s - SHORTER_S <= len(samples) / RATE <= talked_s + LONGER_S


def one_voice(samples: Samples, hz: float) -> bool:
    """This tone and nothing else."""
    parts = power(_middle(samples), hz)
    return len(parts) > 0 and float((parts >= PURE).mean()) >= ENOUGH


def both_voices(samples: Samples, caller_hz: float, staff_hz: float) -> bool:
    """A mix of these two tones and nothing else."""
    caller, staff = power(_middle(samples), caller_hz), power(_middle(samples), staff_hz)
    right = (caller + staff >= PURE) & (caller >= 0.2) & (staff >= 0.2)
    return len(right) > 0 and float(right.mean()) >= ENOUGH


def stereo_is_right(stereo: NDArray[np.int16], call: dict[str, float]) -> bool:
    """Left the caller, right the staff, as long as they talked."""
    left, right = np.ascontiguousarray(stereo[:, 0]), np.ascontiguousarray(stereo[:, 1])
    voices = one_voice(left, call["caller_hz"]) and one_voice(right, call["staff_hz"])
    return voices and _length_is_right(left, call["talked_s"])


def mix_is_right(samples: Samples, call: dict[str, float]) -> bool:
    """Both voices in one channel, as long as they talked."""
    return both_voices(samples, call["caller_hz"], call["staff_hz"]) and _length_is_right(samples, call["talked_s"])
