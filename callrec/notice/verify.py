"""Is this prompt in that audio, whole, when the audio came back over a network or through G.711? numpy only.

Not for the live path, where `compare` asks for equality: this judges what a far end heard, an archive, a self-test.
How: pre-emphasis; one correlation of the whole finds the offset; blocks of 250 ms follow it as frames are repeated or
dropped; each 20 ms of the prompt is then explained, as well as three neighbouring shifts of it can, by what was heard.
Only frames that are speech, by the mask stored when the prompt was approved, are judged.

The thresholds come from trials of this method on 31 prompts, in which it refused about 1 whole notice in 2000, and
accepted 1 spoiled one in 200, most of those spoiled by lost packets: so what was sent must be counted too. This code
was not itself put through those trials. It cannot see a loss of less than 200 ms of speech, and never tells whether
anybody understood.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

FRAME: Final = 160
"""Samples in 20 ms at 8 kHz."""
SCORE_FLOOR: Final = 0.65
COVERAGE_FLOOR: Final = 0.95
MISSING_CEILING_MS: Final = 200
EDGE_FLOOR: Final = 0.45
EDGE_FRAMES: Final = 25
GAIN_RANGE_DB: Final = 10.0
SDR_FLOOR_DB: Final = 10.0
VERIFIER: Final = "callrec/tolerant-a/1"

_EMPHASIS: Final = 0.85
_BLOCK: Final = 2000
_SEARCH: Final = 2560
_FINE_SEARCH: Final = 480
_LONGEST: Final = 8000 * 300

Signal = npt.NDArray[np.float64]
Lags = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What was found, and every rule that does not hold. Shares 0..1, dB, samples at 8 kHz."""

    coverage: float
    longest_missing_ms: int
    head: float
    tail: float
    gain_db: float
    sdr_db: float
    offset: int
    faults: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """True where the whole notice was there, loud and clear enough."""
        return not self.faults


_NOTHING: Final = Heard(
    coverage=0.0,
    longest_missing_ms=0,
    head=0.0,
    tail=0.0,
    gain_db=0.0,
    sdr_db=0.0,
    offset=0,
    faults=("there is nothing to compare",),
)


def verify(prompt_pcm: bytes, speech: Mask, heard_pcm: bytes) -> Heard:
    """Judge 8 kHz mono 16-bit audio of at most five minutes (the rest is not looked at) against one prompt.

    `speech` has one answer for each 20 ms of the prompt. ValueError where it has not.
    """
    prompt, heard = _emphasised(prompt_pcm), _emphasised(heard_pcm)[:_LONGEST]
    count = len(prompt) // FRAME
    if len(speech) != count:
        raise ValueError(f"the speech mask is for {len(speech)} frames, the prompt has {count}")
    if not speech.any() or not prompt.any() or not heard.any():
        return _NOTHING
    offset = _global_offset(prompt, heard)
    scores, gains, sdrs = _score(prompt, heard, _follow(prompt, heard, offset))
    return _judge(scores[speech], gains[speech], sdrs[speech], offset)


def _emphasised(pcm: bytes) -> Signal:
    samples = np.frombuffer(pcm[: len(pcm) // 2 * 2], "<i2").astype(np.float64)
    return np.append(samples[:1], samples[1:] - _EMPHASIS * samples[:-1])


# ---------------------------------------------------------------- where it is


def _global_offset(prompt: Signal, heard: Signal) -> int:
    """By correlation with both spectra half whitened, so that neither a hum nor one loud vowel decides."""
    size = 1 << (len(prompt) + len(heard) - 1).bit_length()
    one, other = np.fft.rfft(prompt, size), np.fft.rfft(heard, size)
    correlation = np.fft.irfft(_whitened(other) * np.conj(_whitened(one)), size)
    best = int(np.argmax(correlation))
    return best if best < len(heard) else best - size


def _whitened(spectrum: npt.NDArray[np.complex128]) -> npt.NDArray[np.complex128]:
    return spectrum / np.sqrt(np.abs(spectrum) + 1e-9)


def _follow(prompt: Signal, heard: Signal, offset: int) -> Lags:
    """The lag of each block: searched widely, smoothed over seven blocks, then searched closely."""
    starts = range(0, max(len(prompt) - FRAME, 1), _BLOCK)
    wide = [_best_lag(prompt, heard, at, offset, _SEARCH) for at in starts]
    smooth = [int(np.median(wide[max(n - 3, 0) : n + 4])) for n in range(len(wide))]
    return np.array([_best_lag(prompt, heard, at, lag, _FINE_SEARCH) for at, lag in zip(starts, smooth, strict=True)])


def _best_lag(prompt: Signal, heard: Signal, at: int, near: int, reach: int) -> int:
    block = prompt[at : at + _BLOCK]
    if not block.any():
        return near
    area = _slice(heard, at + near - reach, len(block) + 2 * reach)
    size = 1 << (len(area) + len(block)).bit_length()
    product = np.fft.irfft(np.fft.rfft(area, size) * np.conj(np.fft.rfft(block, size)), size)[: 2 * reach + 1]
    energy = np.concatenate([[0.0], np.cumsum(area**2)])
    norm = np.sqrt(np.maximum(energy[len(block) :] - energy[: -len(block)], 1.0))
    return near - reach + int(np.argmax(product / norm))


def _slice(signal: Signal, start: int, length: int) -> Signal:
    """This stretch, with silence where the signal is not."""
    inside = signal[max(start, 0) : max(start + length, 0)]
    before = min(max(-start, 0), length)
    return np.pad(inside, (before, length - before - len(inside)))


# ---------------------------------------------------------------- how much of it is there


def _score(prompt: Signal, heard: Signal, lags: Lags) -> tuple[Signal, Signal, Signal]:
    """For each frame the best of five lags: explained amplitude 0..1, gain and distortion in dB."""
    count = len(prompt) // FRAME
    block = np.minimum(np.arange(count) * FRAME // _BLOCK, len(lags) - 1)
    own, before, after = lags[block], lags[np.maximum(block - 1, 0)], lags[np.minimum(block + 1, len(lags) - 1)]
    tries = [_explain(prompt, heard, lag) for lag in (own, before, after, own - 1, own + 1)]
    scores = np.stack([scores for scores, _, _ in tries])
    best = np.argmax(scores, axis=0), np.arange(count)
    return scores[best], np.stack([gains for _, gains, _ in tries])[best], np.stack([sdrs for *_, sdrs in tries])[best]


def _explain(prompt: Signal, heard: Signal, lags: Lags) -> tuple[Signal, Signal, Signal]:
    """Least squares on three shifts of the prompt, which absorbs a fraction of a sample and mild filters."""
    count = len(lags)
    starts = np.arange(count) * FRAME
    within = np.arange(FRAME)
    padded = np.pad(prompt, (1, 1))
    basis = np.stack([padded[(starts + shift)[:, None] + within] for shift in range(3)], axis=2)
    at = (starts + lags)[:, None] + within
    inside = (at >= 0) & (at < len(heard))
    got = np.where(inside, heard[np.clip(at, 0, len(heard) - 1)], 0.0)
    squares = np.einsum("nfi,nfj->nij", basis, basis) + 1e-3 * np.eye(3)
    weights = np.linalg.solve(squares, np.einsum("nfi,nf->ni", basis, got)[..., None])[..., 0]
    explained = np.einsum("nfi,ni->nf", basis, weights)
    power = [np.sqrt((each**2).mean(axis=1)) for each in (explained, got, prompt[: count * FRAME].reshape(-1, FRAME))]
    residue = np.sqrt(((got - explained) ** 2).mean(axis=1))
    return power[0] / np.maximum(power[1], 1e-6), _decibel(power[0], power[2]), _decibel(power[0], residue)


def _decibel(one: Signal, other: Signal) -> Signal:
    return np.asarray(20 * np.log10((one + 1e-6) / (other + 1e-6)))


# ---------------------------------------------------------------- the verdict


def _judge(scores: Signal, gains: Signal, sdrs: Signal, offset: int) -> Heard:
    there = scores >= SCORE_FLOOR
    gain, sdr = float(np.median(gains)), float(np.median(sdrs))
    figures = (float(there.mean()), float(there[:EDGE_FRAMES].mean()), float(there[-EDGE_FRAMES:].mean()))
    missing = _longest_run(~there) * 20
    return Heard(
        coverage=figures[0],
        longest_missing_ms=missing,
        head=figures[1],
        tail=figures[2],
        gain_db=gain,
        sdr_db=sdr,
        offset=offset,
        faults=_faults(figures, missing, gain, sdr),
    )


def _faults(figures: tuple[float, float, float], missing: int, gain: float, sdr: float) -> tuple[str, ...]:
    coverage, head, tail = figures
    asked = (
        (coverage >= COVERAGE_FLOOR, f"{coverage:.1%} of its speech was there; {COVERAGE_FLOOR:.0%} are needed"),
        (missing < MISSING_CEILING_MS, f"{missing} ms of speech are missing at one place; below {MISSING_CEILING_MS}"),
        (head >= EDGE_FLOOR, f"{head:.0%} of its beginning was there; {EDGE_FLOOR:.0%} are needed"),
        (tail >= EDGE_FLOOR, f"{tail:.0%} of its end was there; {EDGE_FLOOR:.0%} are needed"),
        (abs(gain) <= GAIN_RANGE_DB, f"its level is off by {gain:+.1f} dB; within {GAIN_RANGE_DB:g} dB"),
        (sdr >= SDR_FLOOR_DB, f"it is {sdr:.1f} dB above what disturbs it; at least {SDR_FLOOR_DB:g} dB"),
    )
    return tuple(sentence for holds, sentence in asked if not holds)


def _longest_run(missing: Mask) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], missing, [False]]).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max(initial=0))
