"""What staff hear of an order: beeps that rise, fall or repeat, so that nobody has to look at a screen."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from functools import cache
from typing import Final

from callrec.core.values import Signal

RATE: Final = 8000
_PEAK: Final = 3300
"""About -20 dB below full scale: heard beside speech, and no shock."""
_BEEP_S: Final = 0.12
_GAP_S: Final = 0.08
LOW_HZ: Final = 500
HIGH_HZ: Final = 1000

BEEPS: Final[Mapping[Signal, tuple[int, ...]]] = {
    Signal.PAUSED: (HIGH_HZ, LOW_HZ),
    Signal.RESUMED: (LOW_HZ, HIGH_HZ),
    Signal.STILL_PAUSED: (HIGH_HZ, LOW_HZ, HIGH_HZ, LOW_HZ),
    Signal.DONE: (HIGH_HZ,),
    Signal.REFUSED: (LOW_HZ, LOW_HZ, LOW_HZ),
    Signal.RECORDED: (HIGH_HZ, HIGH_HZ, HIGH_HZ),
    Signal.NOT_RECORDED: (LOW_HZ, HIGH_HZ, LOW_HZ),
}
"""Hz of each beep, in order."""


@cache
def sound_of(signal: Signal) -> bytes:
    """This signal as PCM: int16, 8 kHz, mono."""
    return b"".join(_beep(hz) + bytes(2 * round(_GAP_S * RATE)) for hz in BEEPS[signal])


def _beep(hz: int) -> bytes:
    samples = [round(_PEAK * math.sin(2 * math.pi * hz * at / RATE)) for at in range(round(_BEEP_S * RATE))]
    return struct.pack(f"<{len(samples)}h", *samples)
