"""Where a prompt lies in some audio: its offset, and the lag of each block of it. numpy only; int16 at 8 kHz.

Both are only searched for here: `alignment` tells how well what was found explains the prompt.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

FRAME: Final = 160
"""Samples in 20 ms at 8 kHz."""
BLOCK: Final = 2000
"""Samples of one stretch that is looked for as a whole."""

_REACH: Final = 1920
_AREA: Final = 6000
"""Samples of each block's search: a length that the FFT likes, at least BLOCK + 2 * _REACH."""
_LAGS: Final = 2 * _REACH + 1
_TOGETHER: Final = 40
"""Blocks that are looked for at once: numpy prepares each call of its FFT anew, and more would only take memory."""
_JUMP: Final = 0.12
_STEPS: Final = {1: 0.03, FRAME: 0.06}
"""What a step costs, either way: to the next sample, or by one packet of 20 ms, which a jitter buffer drops or repeats:
the likeliest jump there is.
"""
_FAINT: Final = 0.1
"""Amplitude, of the loudest around: between samples, what is loud rings on into a silence beside it, and means nothing
there.
"""

Signal = npt.NDArray[np.float64]
Spectrum = npt.NDArray[np.complex128]
Lags = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

# ---------------------------------------------------------------- the offset


def whereabouts(prompt: Signal, heard: Signal) -> int:
    """Where it begins, to two samples; both spectra half whitened, so that no hum and no loud vowel decides."""
    one, other = _halved(prompt), _halved(heard)
    size = fft_size(len(one) + len(other))
    both = np.zeros((2, size))
    both[0, : len(one)], both[1, : len(other)] = one, other
    best = int(np.argmax(np.fft.irfft(_whitened(*np.fft.rfft(both)), size)))
    return 2 * (best if best < len(other) else best - size)


def fft_size(least: int) -> int:
    """The next length that the FFT is quick for: 2, 3, 5, 9 or 15 times a power of two."""
    return min(factor << max(0, (-(-least // factor) - 1).bit_length()) for factor in (1, 3, 5, 9, 15))


def _halved(signal: Signal) -> Signal:
    whole = len(signal) // 2 * 2
    return np.asarray(signal[:whole:2] + signal[1:whole:2])


def _whitened(wanted: Spectrum, got: Spectrum) -> Spectrum:
    """What both have in common, each half whitened. Either array is changed."""
    loudness = np.abs(wanted) + 1e-9
    loudness *= np.abs(got) + 1e-9
    got *= np.conj(wanted, out=wanted)
    got *= np.reciprocal(np.sqrt(loudness, out=loudness), out=loudness)
    return got


# ---------------------------------------------------------------- the lag of each block


def spoken_share(speech: Mask, count: int) -> Signal:
    """The share of each block that is speech."""
    at = np.arange(len(speech)) * FRAME // BLOCK
    return np.bincount(at, weights=speech, minlength=count)[:count] * FRAME / BLOCK


def follow(prompt: Signal, heard: Signal, spoken: Signal, offset: int) -> Lags:
    """The lag of each block in samples, near this offset; both with pre-emphasis, and `spoken` by block."""
    count = len(spoken)
    blocks = np.pad(prompt, (0, count * BLOCK - len(prompt))).reshape(count, BLOCK)
    around = stretch(heard, offset - _REACH, count * BLOCK + _AREA)
    softness = _softness(around)
    gains = np.zeros((count, _LAGS))
    audible = np.flatnonzero(spoken)
    for some in np.split(audible, range(_TOGETHER, len(audible), _TOGETHER)):
        wanted = blocks[some]
        wanted *= (spoken[some] / np.sqrt(np.maximum(energy(wanted), 1.0)))[:, None]
        gains[some] = _smoothed(_correlate(wanted, around, softness, some * BLOCK))
    return offset - _REACH + _path(gains)


def _softness(around: Signal) -> Signal:
    """One over the amplitude of each block's length of it."""
    until = np.zeros(len(around) + 1)
    np.cumsum(np.square(around), out=until[1:])
    loudness = until[BLOCK:] - until[:-BLOCK]
    np.maximum(loudness, 1.0, out=loudness)
    return np.asarray(np.reciprocal(np.sqrt(loudness, out=loudness), out=loudness))


def _correlate(blocks: Signal, around: Signal, softness: Signal, starts: Lags) -> Signal:
    """Correlation of each block, or of it half a sample later, with what was heard within _REACH of where it should be,
    at the amplitude of one. Each block's area starts there in `around`.
    """
    spectrum = np.fft.rfft(np.lib.stride_tricks.sliding_window_view(around, _AREA)[starts])
    wanted = np.fft.rfft(blocks, _AREA)
    spectrum *= np.conj(wanted, out=wanted)
    at_once = np.fft.irfft(spectrum, _AREA)[:, :_LAGS]
    spectrum *= half_turns(_AREA, 1)
    later = np.fft.irfft(spectrum, _AREA)[:, :_LAGS]
    here = np.lib.stride_tricks.sliding_window_view(softness, _LAGS)[starts]
    at_once *= here
    later *= np.minimum(here, here.min(axis=1, keepdims=True) / _FAINT, out=here)
    return np.asarray(np.maximum(at_once, later, out=at_once))


def _smoothed(likeness: Signal) -> Signal:
    """Half of each column and a quarter of either neighbour; the first and the last as they are."""
    smooth = likeness * 0.5
    smooth[:, [0, -1]] *= 2
    likeness *= 0.25
    smooth[:, 1:-1] += likeness[:, :-2]
    smooth[:, 1:-1] += likeness[:, 2:]
    return smooth


def stretch(signal: Signal, start: int, length: int) -> Signal:
    """This stretch, with silence where the signal is not."""
    inside = signal[max(start, 0) : max(start + length, 0)]
    before = min(max(-start, 0), length)
    return np.pad(inside, (before, length - before - len(inside)))


def _path(gains: Signal) -> Lags:
    """The way through these rows, one column for each row, that gains most: to a neighbouring column for _SLIDE, to one
    a packet away for _PACKET, to any other one for _JUMP.
    """
    totals = np.empty_like(gains)
    totals[0] = gains[0]
    for row in range(1, len(gains)):
        total, best = totals[row - 1], totals[row]
        np.maximum(total, total.max() - _JUMP, out=best)
        for step, price in _STEPS.items():
            dearer = total - price
            np.maximum(best[step:], dearer[:-step], out=best[step:])
            np.maximum(best[:-step], dearer[step:], out=best[:-step])
        best += gains[row]
    path = [int(np.argmax(totals[-1]))]
    for total in totals[-2::-1]:
        path.append(_came_from(total, path[-1]))
    return np.array(path[::-1])


def _came_from(total: Signal, column: int) -> int:
    """By which column of the row before, with these totals, this one was reached."""
    best, way = total[column], column
    for step, price in _STEPS.items():
        for since in (column - step, column + step):
            if 0 <= since < len(total) and total[since] - price > best:
                best, way = total[since] - price, since
    top = int(np.argmax(total))
    return top if total[top] - _JUMP > best else way


@lru_cache(maxsize=4)
def half_turns(size: int, sign: int) -> Spectrum:
    """What makes a spectrum of this length later (-1) or earlier (1) by half a sample."""
    return np.asarray(np.exp(sign * 1j * np.pi * np.arange(size // 2 + 1) / size))


def product(one: Signal, other: Signal) -> Signal:
    """Of each row with its counterpart: the sum of the products of their samples."""
    return np.asarray(np.matmul(one[:, None, :], other[:, :, None])[:, 0, 0])


def energy(frames: Signal) -> Signal:
    """Of each row."""
    return product(frames, frames)
