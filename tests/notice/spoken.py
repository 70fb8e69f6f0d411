"""The shipped prompts, and sounds that are no prompts, as bytes: 16-bit, 8 kHz, mono."""

from pathlib import Path

import numpy as np

from callrec.notice.audio import RATE, read_prompt

PROMPTS = Path(__file__).parents[2] / "prompts"
ENGLISH = read_prompt(PROMPTS / "advice-line.en.1.wav")
WELSH = read_prompt(PROMPTS / "advice-line.cy.1.wav")
STOPPED = read_prompt(PROMPTS / "recording-stopped.en.1.wav")


def samples(pcm: bytes) -> np.ndarray:
    return np.frombuffer(pcm, "<i2").astype(np.float64)


def pcm(signal) -> bytes:
    return np.clip(np.rint(signal), -32768, 32767).astype("<i2").tobytes()


def tone(hertz: float = 440.0, *, seconds: float = 8.0, peak: float = 8000.0, rate: int = RATE) -> np.ndarray:
    return peak * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)


def noise(*, seconds: float = 8.0, level: float = 3000.0) -> np.ndarray:
    return np.random.default_rng(7).normal(0, level, int(seconds * RATE))
