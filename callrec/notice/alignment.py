"""Where a prompt lies in some audio, and how well each 20 ms of it is explained there. numpy only; int16 at 8 kHz.

1. Pre-emphasis; one correlation of the whole, at half the rate and half whitened, gives the offset.
2. Blocks of 250 ms are correlated within +-240 ms of it, at whole and at half samples, low-passed a little so that no
   hiss decides alone; of all ways through them the best is taken, where each jump has its price (Viterbi): packets
   repeated or dropped are followed, chance likenesses are not.
3. Each 20 ms takes the best lag of the blocks around it, or one beside its own, and is explained by five neighbouring
   shifts of the prompt, or of the prompt half a sample later, which absorbs a fraction of a sample and mild filters.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

FRAME: Final = 160
"""Samples in 20 ms at 8 kHz."""
BLOCK: Final = 2000
"""Samples of one stretch that is looked for as a whole."""

_EMPHASIS: Final = 0.85
_REACH: Final = 1920
_AREA: Final = 6000
"""Samples of each block's search: a length that the FFT likes, at least BLOCK + 2 * _REACH."""
_JUMP: Final = 0.12
_SLIDE: Final = 0.03
_PACKET: Final = 0.06
"""The price of a jump by one packet of 20 ms, which a jitter buffer drops or repeats: the likeliest jump there is."""
_TAPS: Final = 5
_WORTH: Final = 2.0
_BORDER: Final = 40
"""Samples around a frame that is moved by half a sample: what is cut off there is heard 38 samples later as 1 %."""
_FAINT: Final = 0.1
"""Amplitude, of the loudest around: between samples, what is loud rings on into a silence beside it, and means nothing
there.
"""
_WELL: Final = 0.93
"""A frame that is explained so well is not looked for again."""

Signal = npt.NDArray[np.float64]
Lags = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """For each frame: amplitude explained, 0..1, with pre-emphasis (`sharp`) and without (`plain`); `shape`, the
    likeness of the spectra around it, -1..1; energies of what was wanted, explained, and of the rest; gain in dB; the
    lag in samples; and the sound itself.
    """

    sharp: Signal
    plain: Signal
    wanted: Signal
    explained: Signal
    rest: Signal
    gain: Signal
    lags: Lags
    wanted_frames: Signal
    heard_frames: Signal


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The lag of each block in samples, the share of each block that is speech, and the fit of each frame."""

    lags: Lags
    spoken: Signal
    fit: Fit


def align(prompt: Signal, heard: Signal, speech: Mask) -> Found:
    """Find the prompt and explain it. Neither may be empty or silent."""
    heard = heard - heard.mean()
    sharp, sharp_heard = _emphasised(prompt), _emphasised(heard)
    spoken = _spoken(speech, -(-len(prompt) // BLOCK))
    lags = _follow(sharp, sharp_heard, spoken, whereabouts(sharp, sharp_heard))
    return Found(lags=lags, spoken=spoken, fit=_fit((sharp, sharp_heard), (prompt, heard), lags))


def _emphasised(samples: Signal) -> Signal:
    return np.append(samples[:1], samples[1:] - _EMPHASIS * samples[:-1])


_STEPS: Final = ((1, _SLIDE), (-1, _SLIDE), (FRAME, _PACKET), (-FRAME, _PACKET))

# ---------------------------------------------------------------- the offset


def whereabouts(prompt: Signal, heard: Signal) -> int:
    """Where it begins, to two samples; both spectra half whitened, so that no hum and no loud vowel decides."""
    one, other = _halved(prompt), _halved(heard)
    size = fft_size(len(one) + len(other))
    correlation = np.fft.irfft(_whitened(np.fft.rfft(other, size)) * np.conj(_whitened(np.fft.rfft(one, size))), size)
    best = int(np.argmax(correlation))
    return 2 * (best if best < len(other) else best - size)


def fft_size(least: int) -> int:
    """The next length that the FFT is quick for: 2, 3, 5, 9 or 15 times a power of two."""
    return min(factor << max(0, (-(-least // factor) - 1).bit_length()) for factor in (1, 3, 5, 9, 15))


def _halved(signal: Signal) -> Signal:
    whole = len(signal) // 2 * 2
    return np.asarray(signal[:whole:2] + signal[1:whole:2])


def _whitened(spectrum: npt.NDArray[np.complex128]) -> npt.NDArray[np.complex128]:
    return spectrum / np.sqrt(np.abs(spectrum) + 1e-9)


# ---------------------------------------------------------------- the lag of each block


def _spoken(speech: Mask, count: int) -> Signal:
    """The share of each block that is speech."""
    at = np.arange(len(speech)) * FRAME // BLOCK
    return np.bincount(at, weights=speech, minlength=count)[:count] * FRAME / BLOCK


def _follow(prompt: Signal, heard: Signal, spoken: Signal, offset: int) -> Lags:
    blocks = np.pad(prompt, (0, len(spoken) * BLOCK - len(prompt))).reshape(len(spoken), BLOCK)
    likeness = _correlate(blocks, heard, offset) * spoken[:, None]
    likeness[:, 1:-1] = (likeness[:, :-2] + 2 * likeness[:, 1:-1] + likeness[:, 2:]) / 4
    return offset - _REACH + _path(likeness)


def _correlate(blocks: Signal, heard: Signal, offset: int) -> Signal:
    """Normalised correlation of each block, or of it half a sample later, with what was heard within _REACH of where it
    should be.
    """
    count = len(blocks)
    around = stretch(heard, offset - _REACH, count * BLOCK + _AREA)
    areas = np.lib.stride_tricks.sliding_window_view(around, _AREA)[::BLOCK][:count]
    spectrum = np.fft.rfft(areas) * np.conj(np.fft.rfft(blocks, _AREA))
    product = np.fft.irfft(spectrum, _AREA)[:, : 2 * _REACH + 1]
    later = np.fft.irfft(spectrum * _half_turns(_AREA, 1), _AREA)[:, : 2 * _REACH + 1]
    energy = np.concatenate([[0.0], np.cumsum(around**2)])
    softness = 1 / np.sqrt(np.maximum(energy[BLOCK:] - energy[:-BLOCK], 1.0))
    here = np.lib.stride_tricks.sliding_window_view(softness, 2 * _REACH + 1)[::BLOCK][:count]
    audible = np.minimum(here, here.min(axis=1, keepdims=True) / _FAINT)
    likeness = np.maximum(product * here, later * audible)
    return np.asarray(likeness / np.sqrt(np.maximum((blocks**2).sum(axis=1), 1.0)[:, None]))


def stretch(signal: Signal, start: int, length: int) -> Signal:
    """This stretch, with silence where the signal is not."""
    inside = signal[max(start, 0) : max(start + length, 0)]
    before = min(max(-start, 0), length)
    return np.pad(inside, (before, length - before - len(inside)))


def _path(gains: Signal) -> Lags:
    """The way through these rows, one column for each row, that gains most: to a neighbouring column for _SLIDE, to one
    a packet away for _PACKET, to any other one for _JUMP.
    """
    came = np.zeros(gains.shape, np.int64)
    here = np.arange(gains.shape[1])
    total = gains[0]
    for row, gain in enumerate(gains[1:], 1):
        best, way = total.copy(), here.copy()
        for step, price in _STEPS:
            to, since = (slice(step, None), slice(None, -step)) if step > 0 else (slice(None, step), slice(-step, None))
            gained = total[since] - price
            better = gained > best[to]
            best[to][better], way[to][better] = gained[better], here[since][better]
        top = int(np.argmax(total))
        way[total[top] - _JUMP > best] = top
        came[row] = way
        total = np.maximum(best, total[top] - _JUMP) + gain
    path = [int(np.argmax(total))]
    for way in came[:0:-1]:
        path.append(int(way[path[-1]]))
    return np.array(path[::-1])


# ---------------------------------------------------------------- the fit of each frame


def _fit(sharp: tuple[Signal, Signal], plain: tuple[Signal, Signal], lags: Lags) -> Fit:
    """Each frame by the prompt as it is, and what that does not explain well by the prompt half a sample later."""
    frames, heard = np.arange(len(plain[0]) // FRAME), (sharp[1], plain[1])
    around = _TAPS // 2
    fit = _explained((_pieces(sharp[0], frames, around), _pieces(plain[0], frames, around)), heard, lags, frames)
    weak = np.flatnonzero(fit.sharp < _WELL)
    if len(weak):
        later = _explained(_half_a_sample_later(_pieces(plain[0], weak, _BORDER)), heard, lags, weak)
        better = later.sharp > fit.sharp[weak]
        for one, other in zip(_figures(fit), _figures(later), strict=True):
            one[weak[better]] = other[better]
    return fit


def _figures(fit: Fit) -> tuple[Signal | Lags, ...]:
    """All of a fit that depends on where it was looked for."""
    return fit.sharp, fit.plain, fit.explained, fit.rest, fit.gain, fit.lags, fit.heard_frames


def _half_a_sample_later(pieces: Signal) -> tuple[Signal, Signal]:
    """These pieces, with _BORDER around each frame, half a sample later: with pre-emphasis and without. A sound near 4
    kHz that comes half a sample later has nothing in common with any few whole shifts of itself.
    """
    width = pieces.shape[1]
    later = np.fft.irfft(np.fft.rfft(pieces) * _half_turns(width, -1), width)
    sharp, inner = later[:, 1:] - _EMPHASIS * later[:, :-1], _BORDER - _TAPS // 2
    return sharp[:, inner - 1 : 1 - inner - 1], later[:, inner:-inner]


@lru_cache(maxsize=4)
def _half_turns(size: int, sign: int) -> npt.NDArray[np.complex128]:
    """What makes a spectrum of this length later (-1) or earlier (1) by half a sample."""
    return np.asarray(np.exp(sign * 1j * np.pi * np.arange(size // 2 + 1) / size))


def _pieces(prompt: Signal, frames: Lags, border: int) -> Signal:
    """These frames of the prompt, with so many samples more at either end."""
    padded = np.pad(prompt, border)
    return np.lib.stride_tricks.sliding_window_view(padded, FRAME + 2 * border)[frames * FRAME]


def _explained(pieces: tuple[Signal, Signal], heard: tuple[Signal, Signal], lags: Lags, frames: Lags) -> Fit:
    """These frames, of which pieces are given with pre-emphasis and without, each at the best of the lags of the blocks
    around it, or beside its own.
    """
    block = frames * FRAME // BLOCK
    around = [lags[np.clip(block + near, 0, len(lags) - 1)] for near in (0, -1, 1, -2, 2)]
    beside = (around[0] - _TAPS // 2, around[0] + _TAPS // 2)
    sounds = pieces[0][:, _TAPS // 2 : -(_TAPS // 2)]
    lag = _best(sounds, heard[0], np.stack(around), frames, worth=1.0)
    lag = np.where(lag == around[0], _best(sounds, heard[0], np.stack([around[0], *beside]), frames, worth=_WORTH), lag)
    basis, got = _basis(pieces[0]), _at(heard[0], lag, frames)
    squares = np.matmul(basis, basis.transpose(0, 2, 1)) + 1e-3 * np.eye(_TAPS)
    weights = np.linalg.solve(squares, np.matmul(basis, got[..., None])).transpose(0, 2, 1)
    score = np.sqrt(_energy(np.matmul(weights, basis)[:, 0]) / np.maximum(_energy(got), 1e-3))
    basis, got = _basis(pieces[1]), _at(heard[1], lag, frames)
    explained = np.matmul(weights, basis)[:, 0]
    energy, wanted = _energy(explained), _energy(basis[:, _TAPS // 2])
    return Fit(
        sharp=score,
        plain=np.einsum("nf,nf->n", explained, got) / np.sqrt(np.maximum(energy * _energy(got), 1e-9)),
        wanted=wanted,
        explained=energy,
        rest=_energy(got - explained),
        gain=10 * np.log10((energy + 1) / (wanted + 1)),
        lags=lag,
        wanted_frames=basis[:, _TAPS // 2],
        heard_frames=got,
    )


def _best(sounds: Signal, heard: Signal, tries: Lags, frames: Lags, *, worth: float) -> Lags:
    """Of some lags for each frame the first one, unless another fits so many times better: a fraction of a sample,
    which the taps absorb, must not move it to the next one.
    """
    best, fit = tries[0].copy(), _likeness(sounds, _at(heard, tries[0], frames))
    for lags in tries[1:]:
        others = np.flatnonzero(lags != tries[0])
        if len(others):
            found = _likeness(sounds[others], _at(heard, lags[others], frames[others]))
            better = found > worth * fit[others]
            best[others[better]], fit[others[better]] = lags[others[better]], found[better]
    return np.asarray(best)


def _likeness(frames: Signal, heard: Signal) -> Signal:
    return np.asarray(np.abs(np.einsum("nf,nf->n", frames, heard)) / np.sqrt(_energy(heard) + 1))


def _at(heard: Signal, lags: Lags, frames: Lags) -> Signal:
    """What was heard at the place of each of these frames; silence where nothing was."""
    starts = frames * FRAME + lags
    low, high = min(int(starts.min()), 0), max(int(starts.max()) + FRAME, len(heard))
    padded = heard if (low, high) == (0, len(heard)) else np.pad(heard, (-low, high - len(heard)))
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, FRAME)[starts - low])


def _basis(pieces: Signal) -> Signal:
    """Each piece shifted by every tap."""
    return np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(pieces, FRAME, axis=1))


def _energy(frames: Signal) -> Signal:
    return np.asarray(np.einsum("nf,nf->n", frames, frames))


# ---------------------------------------------------------------- likeness of spectra


def likeness(fit: Fit) -> Signal:
    """Correlation of the log spectra, 16 bands over 100 ms around each frame, -1..1: what a lossy codec keeps."""
    wanted, heard = _bands(fit.wanted_frames), _bands(fit.heard_frames)
    one, other = _patches(wanted), _patches(heard)
    power = np.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1))
    return np.asarray((one * other).sum(axis=1) / np.maximum(power, 1e-9))


def _bands(frames: Signal) -> Signal:
    power = np.abs(np.fft.rfft(frames * np.hanning(FRAME))) ** 2
    bands = power[:, 2:74].reshape(len(frames), 18, 4).sum(axis=2)[:, :16]
    return np.asarray(np.log(bands + 1e-4 * bands.max() + 1))


def _patches(bands: Signal) -> Signal:
    padded = np.pad(bands, ((2, 2), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 5, axis=0).reshape(len(bands), -1)
    return np.asarray(windows - windows.mean(axis=1, keepdims=True))
