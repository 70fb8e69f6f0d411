"""Keys that come as two tones in the caller's audio, for whoever's telephone has no other way. Pure numbers.

Sources: ITU-T Q.23 (the frequencies, and senders within 1.8 % of them) and Q.24 (what receivers of the administrations
take; the columns of AT&T and NTT are followed). A caller says no with such a key, so that one too many costs a
recording; one too few is a no that was not heard. Speech must not say no, the echo of our own prompt least of all.

Taken is what holds, in a stretch of SPAN_MS, for
- frequency: one low and one high tone, each within 2.25 % of its own (Q.24: take 1.5 % to 1.8 %, leave 3 % to 3.5 %);
- level: each at -39 dB or more below a full sine, 36 dB under the strongest that Q.23 lets out;
- twist: the high one at most 6 dB above, 8 dB below the low one (Q.24: 4 to 5 dB, and 8 dB);
- purity: four fifths of all the power there are in the two. Talk-off: a voice has its power in many harmonics;
- duration: 40 ms is taken, 30 ms is not (Q.24: 40 ms and 23 ms). A break of 10 ms is no second press, 40 ms is.

What is told of Q.24 in brackets was not compared with its own text. 1.5 % and 3.5 %, 4 dB and 8 dB, and 40 ms stand as
AT&T's in the receivers of open telephone systems too; 1.8 % and 3 %, 5 dB, and 23 ms are confirmed by nothing here.
This detector keeps its own figures, not those: tests/sip/test_tones.py measures them, on tones, in noise and in speech.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

RATE: Final = 8000
LOW_HZ: Final = (697, 770, 852, 941)
HIGH_HZ: Final = (1209, 1336, 1477, 1633)
_KEYS: Final = ("123A", "456B", "789C", "*0#D")

SPAN_MS: Final = 40
_HOP_MS: Final = 10
_SPAN: Final = RATE * SPAN_MS // 1000
_HOP: Final = RATE * _HOP_MS // 1000
_BIN_HZ: Final = 4
"""Between two looked-at frequencies: the span is filled up with silence, so that they lie so close."""
_BINS: Final = RATE // _BIN_HZ
_AROUND: Final = 0.04
"""A tone is looked for so far from each frequency, as a share of it: neighbours are 9 % away or more."""
_OFF: Final = 0.0225
_LEAST: Final = 32768 * 10 ** (-39 / 20)
"""The least amplitude of either tone, in int16."""
_HIGH_OVER_LOW_DB: Final = (-8.0, 6.0)
_PURE: Final = 0.8
_RELEASED: Final = 5
"""So many hops without it, and a tone is a new press. A break of 10 ms makes four, one of 40 ms six."""

Samples = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class _Group:
    """Where in a spectrum the tones of one group are looked for."""

    bins: npt.NDArray[np.int64]
    of: npt.NDArray[np.int64]
    off: npt.NDArray[np.float64]


def _group(frequencies: tuple[int, ...]) -> _Group:
    looked = [
        (at, number, abs(at * _BIN_HZ / hz - 1))
        for number, hz in enumerate(frequencies)
        for at in range(_BINS // 2)
        if abs(at * _BIN_HZ / hz - 1) <= _AROUND
    ]
    at, number, off = zip(*looked, strict=True)
    return _Group(np.array(at), np.array(number), np.array(off))


_LOW, _HIGH = _group(LOW_HZ), _group(HIGH_HZ)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tone:
    """A key, pressed so many samples after the first that was heard."""

    digit: str
    at: int


class ToneKeys:
    """Hears one stream: samples in, keys out. Keeps less than SPAN_MS of what it heard, and forgets it."""

    def __init__(self) -> None:
        self._rest: Samples = np.zeros(0, np.int16)
        self._at = 0
        self._held, self._without = "", 0

    def hear(self, samples: Samples) -> tuple[Tone, ...]:
        """The keys that these samples, int16 at 8 kHz, complete; each once, however long it is held."""
        heard = np.concatenate([self._rest, samples])
        spans = max(0, (len(heard) - _SPAN) // _HOP + 1)
        found = self._pressed(heard, spans) if spans else ()
        self._rest = heard[spans * _HOP :].copy()
        self._at += spans * _HOP
        return found

    def _pressed(self, heard: Samples, spans: int) -> tuple[Tone, ...]:
        windows = np.lib.stride_tricks.sliding_window_view(heard, _SPAN)[::_HOP][:spans]
        return tuple(
            Tone(digit=digit, at=self._at + number * _HOP)
            for number, digit in enumerate(_digits(windows.astype(np.float64)))
            if self._is_new(digit)
        )

    def _is_new(self, digit: str) -> bool:
        if not digit:
            self._without += 1
            return False
        new = digit != self._held or self._without >= _RELEASED
        self._held, self._without = digit, 0
        return new


def _digits(windows: npt.NDArray[np.float64]) -> list[str]:
    """The key that each of these spans is full of; empty where there is none."""
    spectrum = np.abs(np.fft.rfft(windows, _BINS)) * (2 / _SPAN)  # of a sine its amplitude
    power = (windows**2).mean(axis=1)
    low, low_number, low_off = _strongest(spectrum, _LOW)
    high, high_number, high_off = _strongest(spectrum, _HIGH)
    twist = 20 * np.log10(np.maximum(high, 1e-9) / np.maximum(low, 1e-9))
    taken = (
        (np.minimum(low, high) >= _LEAST)
        & (np.maximum(low_off, high_off) <= _OFF)
        & (twist >= _HIGH_OVER_LOW_DB[0])
        & (twist <= _HIGH_OVER_LOW_DB[1])
        & ((low**2 + high**2) / 2 >= _PURE * power)
    )
    pairs = zip(taken, low_number, high_number, strict=True)
    return [_KEYS[row][column] if good else "" for good, row, column in pairs]


def _strongest(
    spectrum: npt.NDArray[np.float64], group: _Group
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Per span: the strongest tone of this group, which of its frequencies it is at, and how far off as a share."""
    seen = spectrum[:, group.bins]
    best = seen.argmax(axis=1)
    return seen[np.arange(len(seen)), best], group.of[best], group.off[best]
