"""Where a prompt lies in some audio, and how well each 20 ms of it is explained there. numpy only; int16 at 8 kHz.

1. Pre-emphasis; one correlation of the whole, at half the rate and half whitened, gives the offset (`lags`).
2. Blocks of 250 ms are correlated within +-240 ms of it, at whole and at half samples, low-passed a little so that no
   hiss decides alone; of all ways through them the best is taken, where each jump has its price (Viterbi): packets
   repeated or dropped are followed, chance likenesses are not (`lags`).
3. Each 20 ms takes the best lag of the blocks around it, or one beside its own, and is explained by five neighbouring
   shifts of the prompt, or of the prompt half a sample later, which absorbs a fraction of a sample and mild filters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from callrec.notice.lags import (
    BLOCK,
    FRAME,
    Lags,
    Mask,
    Signal,
    energy,
    follow,
    half_turns,
    product,
    spoken_share,
    stretch,
    whereabouts,
)

_EMPHASIS: Final = 0.85
_ROOM: Final = 1 << 20
"""Samples."""
_TAPS: Final = 5
_WORTH: Final = 2.0
_BORDER: Final = 40
"""Samples around a frame that is moved by half a sample: what is cut off there is heard 38 samples later as 1 %."""
_WELL: Final = 0.93
"""A frame that is explained so well is not looked for again."""


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
    _settle()
    heard = heard - heard.mean()
    sharp, sharp_heard = _emphasised(prompt), _emphasised(heard)
    spoken = spoken_share(speech, -(-len(prompt) // BLOCK))
    lags = follow(sharp, sharp_heard, spoken, whereabouts(sharp, sharp_heard))
    return Found(lags=lags, spoken=spoken, fit=_fit((sharp, sharp_heard), (prompt, heard), lags))


def _emphasised(samples: Signal) -> Signal:
    sharp = samples.copy()
    sharp[1:] -= _EMPHASIS * samples[:-1]
    return sharp


def _settle() -> None:
    """Let the C library keep the memory of one search for the next array of it. glibc goes by the largest piece that
    was given back: without one so large, each array of a megabyte is fetched from the kernel anew, page by page, which
    costs as much as half the arithmetic. The piece itself is never touched.
    """
    np.empty(_ROOM)


# ---------------------------------------------------------------- the fit of each frame


def _fit(sharp: tuple[Signal, Signal], plain: tuple[Signal, Signal], lags: Lags) -> Fit:
    """Each frame by the prompt as it is, and what that does not explain well by the prompt half a sample later."""
    frames, around = np.arange(len(plain[0]) // FRAME), _TAPS // 2
    heard = _heard(sharp[1], plain[1], lags, len(frames))
    wide = _pieces(plain[0], _BORDER)
    fit = _explained((_pieces(sharp[0], around), wide[:, _BORDER - around : around - _BORDER]), heard, lags, frames)
    weak = np.flatnonzero(fit.sharp < _WELL)
    if len(weak):
        later = _explained(_half_a_sample_later(wide[weak]), heard, lags, weak)
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
    later = np.fft.irfft(np.fft.rfft(pieces) * half_turns(width, -1), width)
    sharp, inner = later[:, 1:] - _EMPHASIS * later[:, :-1], _BORDER - _TAPS // 2
    return sharp[:, inner - 1 : 1 - inner - 1], later[:, inner:-inner]


def _pieces(prompt: Signal, border: int) -> Signal:
    """Each frame of the prompt, with so many samples more at either end. A view, to be read only."""
    padded = np.pad(prompt, border)
    return np.lib.stride_tricks.sliding_window_view(padded, FRAME + 2 * border)[::FRAME][: len(prompt) // FRAME]


@dataclass(frozen=True, slots=True)
class _Heard:
    """What was heard, with pre-emphasis and without, as windows that begin at every sample from `first` on; silence
    where nothing was.
    """

    sharp: Signal
    plain: Signal
    first: int


def _heard(sharp: Signal, plain: Signal, lags: Lags, frames: int) -> _Heard:
    """As far as these lags, and what lies beside them, reach."""
    first = min(int(lags.min()) - _TAPS // 2, 0)
    end = max((frames - 1) * FRAME + int(lags.max()) + _TAPS // 2 + FRAME, len(plain))

    def windows(signal: Signal) -> Signal:
        padded = signal if end - first == len(signal) else stretch(signal, first, end - first)
        return np.lib.stride_tricks.sliding_window_view(padded, FRAME)

    return _Heard(windows(sharp), windows(plain), first)


def _explained(pieces: tuple[Signal, Signal], heard: _Heard, lags: Lags, frames: Lags) -> Fit:
    """These frames, of which pieces are given with pre-emphasis and without, each at the best of the lags of the blocks
    around it, or beside its own.
    """
    lag = _located(pieces[0][:, _TAPS // 2 : -(_TAPS // 2)], heard, lags, frames)
    places = frames * FRAME + lag - heard.first
    weights, score = _weighed(pieces[0], heard.sharp[places])
    got, wanted = heard.plain[places], pieces[1][:, _TAPS // 2 : -(_TAPS // 2)]
    explained = _mixed(pieces[1], weights)
    explained_power, power = energy(explained), energy(wanted)
    return Fit(
        sharp=score,
        plain=product(explained, got) / np.sqrt(np.maximum(explained_power * energy(got), 1e-9)),
        wanted=power,
        explained=explained_power,
        rest=energy(got - explained),
        gain=10 * np.log10((explained_power + 1) / (power + 1)),
        lags=lag,
        wanted_frames=wanted,
        heard_frames=got,
    )


def _mixed(pieces: Signal, weights: Signal) -> Signal:
    """The shifts of each piece, each with its weight, together."""
    mixed = weights[:, :1] * pieces[:, :FRAME]
    part = np.empty_like(mixed)
    for tap in range(1, _TAPS):
        mixed += np.multiply(weights[:, tap, None], pieces[:, tap : tap + FRAME], out=part)
    return mixed


def _weighed(pieces: Signal, got: Signal) -> tuple[Signal, Signal]:
    """How much of each of the neighbouring shifts of a piece is in what was heard, and the amplitude they explain."""
    squares = _squares(pieces)
    products = np.stack([product(pieces[:, tap : tap + FRAME], got) for tap in range(_TAPS)], axis=1)
    weights: Signal = np.asarray(np.linalg.solve(squares + 1e-3 * np.eye(_TAPS), products[..., None]), np.float64)[
        ..., 0
    ]
    explained = np.einsum("nt,ntu,nu->n", weights, squares, weights)
    return weights, np.asarray(np.sqrt(np.maximum(explained, 0) / np.maximum(energy(got), 1e-3)))


def _squares(pieces: Signal) -> Signal:
    """The products of all shifts of each piece with one another: each from that of the shifts before them, with the
    samples that come in at the end and go out at the beginning.
    """
    squares = np.empty((_TAPS, _TAPS, len(pieces)))
    out, into = pieces[:, : _TAPS - 1].T.copy(), pieces[:, FRAME:].T.copy()
    for apart in range(_TAPS):
        squares[0, apart] = squares[apart, 0] = product(pieces[:, :FRAME], pieces[:, apart : apart + FRAME])
        for one in range(_TAPS - 1 - apart):
            other = one + apart
            change = into[one] * into[other] - out[one] * out[other]
            squares[one + 1, other + 1] = squares[other + 1, one + 1] = squares[one, other] + change
    return np.moveaxis(squares, -1, 0)


def _located(sounds: Signal, heard: _Heard, lags: Lags, frames: Lags) -> Lags:
    """For each frame the lag of its block, unless that of a block around fits better, or one beside it so much better:
    a fraction of a sample, which the taps absorb, must not move it to the next one.
    """
    block, starts = frames * FRAME // BLOCK, frames * FRAME - heard.first
    own = lags[block]
    best = own.copy()
    fit = _likeness(sounds, heard.sharp[starts + own])

    def prefer(other: Lags, among: Lags, worth: float) -> None:
        found = _likeness(sounds[among], heard.sharp[starts[among] + other[among]])
        better = found > worth * fit[among]
        best[among[better]], fit[among[better]] = other[among[better]], found[better]

    for near in (-1, 1, -2, 2):
        other = lags[np.clip(block + near, 0, len(lags) - 1)]
        prefer(other, np.flatnonzero(other != own), 1.0)
    most = np.sqrt(energy(sounds))  # no likeness is above it
    unmoved = np.flatnonzero((best == own) & (_WORTH * fit < 1.001 * most))
    for beside in (-(_TAPS // 2), _TAPS // 2):
        prefer(own + beside, unmoved, _WORTH)
    return best


def _likeness(frames: Signal, heard: Signal) -> Signal:
    return np.asarray(np.abs(product(frames, heard)) / np.sqrt(energy(heard) + 1))


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
