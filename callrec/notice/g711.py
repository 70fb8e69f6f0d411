"""ITU-T G.711 by table: what the engine makes of a prompt's samples, and what its octets mean. 16-bit, 8 kHz.

The engine takes the upper 14 bits of a sample; a table of 65536 values therefore says exactly what becomes of each, and
`tests/engine` holds it against the engine's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]
Octets = npt.NDArray[np.uint8]

_SEGMENT_ENDS: Final = np.array([0xFF, 0x1FF, 0x3FF, 0x7FF, 0xFFF, 0x1FFF, 0x3FFF, 0x7FFF])
_BIAS: Final = 0x84


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """One of the two. `meant`: the sample of each octet; `becomes`: how each of -32768..32767 arrives, by its bits."""

    name: str
    meant: Samples
    becomes: Samples

    @property
    def silence(self) -> int:
        """What nought becomes."""
        return int(self.becomes[0])

    def decoded(self, octets: bytes) -> bytes:
        """The samples of these octets, little-endian."""
        meant: Samples = self.meant[np.frombuffer(octets, np.uint8)]
        return meant.astype("<i2").tobytes()

    def applied(self, pcm: bytes) -> bytes:
        """These samples (little-endian, a whole number of them) as they arrive."""
        return _arriving(self.name, pcm)


def _a_law_values() -> Samples:
    code = np.arange(256) ^ 0x55
    exponent, mantissa = (code >> 4) & 7, code & 15
    size = np.where(exponent == 0, (mantissa << 4) + 8, ((mantissa << 4) + 0x108) << np.maximum(exponent - 1, 0))
    return np.where(code & 0x80, size, -size).astype(np.int16)


def _mu_law_values() -> Samples:
    code = ~np.arange(256) & 0xFF
    size = ((((code & 15) << 3) + _BIAS) << ((code >> 4) & 7)) - _BIAS
    return np.where(code & 0x80, -size, size).astype(np.int16)


def _samples() -> npt.NDArray[np.int64]:
    """Every sample in the order of its bits, as far as the engine looks at it."""
    return np.arange(65536).astype(np.uint16).view(np.int16).astype(np.int64) >> 2 << 2


def _a_law_octets() -> Octets:
    samples = _samples()
    size = np.abs(samples)
    segment = np.minimum(np.searchsorted(_SEGMENT_ENDS, size), 7)
    step = (size >> np.where(segment < 2, 4, segment + 3)) & 15  # noqa: PLR2004 - the two lowest segments have one step
    code = np.where(size > _SEGMENT_ENDS[-1], 0x7F, segment << 4 | step)
    return (code ^ np.where(samples >= 0, 0xD5, 0x55)).astype(np.uint8)


def _mu_law_octets() -> Octets:
    samples = _samples()
    size = np.abs(samples) + _BIAS
    segment = np.minimum(np.searchsorted(_SEGMENT_ENDS, size), 7)
    code = np.where(size > _SEGMENT_ENDS[-1], 0x7F, segment << 4 | ((size >> (segment + 3)) & 15))
    return (code ^ np.where(samples < 0, 0x7F, 0xFF)).astype(np.uint8)


def _law(name: str, meant: Samples, octets: Octets) -> Law:
    return Law(name=name, meant=meant, becomes=meant[octets])


LAWS: Final = {
    0: _law("PCMU", _mu_law_values(), _mu_law_octets()),
    8: _law("PCMA", _a_law_values(), _a_law_octets()),
}
"""By RTP payload type (RFC 3551 table 4)."""


@lru_cache(maxsize=8)
def _arriving(law: str, pcm: bytes) -> bytes:
    """One prompt is played in many calls."""
    becomes = next(each.becomes for each in LAWS.values() if each.name == law)
    arriving: Samples = becomes[np.frombuffer(pcm, "<u2")]
    return arriving.astype("<i2").tobytes()
