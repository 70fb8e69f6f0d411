"""This machine's clock, as the kernel tells it."""

from __future__ import annotations

import ctypes
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from callrec.ports import Clock

_TIME_ERROR: Final = 5
_STA_UNSYNC: Final = 0x0040
_TIMEX_BYTES: Final = 256
_STATUS_AT: Final = 40
"""Offset of `status` in struct timex on 64-bit Linux (adjtimex(2))."""


class SystemClock:
    """UTC, boot time and boot id of this machine."""

    def __init__(self) -> None:
        self._boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        self._libc = ctypes.PyDLL(None)  # keeps the interpreter: to give it up and wait for it costs more than the call

    def utc(self) -> datetime:
        """See `ports.Clock`."""
        return datetime.now(UTC)

    def boottime_ns(self) -> int:
        """See `ports.Clock`."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def boot_id(self) -> str:
        """See `ports.Clock`."""
        return self._boot_id

    def state(self) -> str:
        """See `ports.Clock`. Asked with modes 0, which changes nothing and needs no right."""
        answer = ctypes.create_string_buffer(_TIMEX_BYTES)
        result = self._libc.adjtimex(answer)
        if result < 0:
            return "unknown"
        status = ctypes.c_int.from_buffer(answer, _STATUS_AT).value
        return "unsynchronised" if result == _TIME_ERROR or status & _STA_UNSYNC else "synchronised"


_: type[Clock] = SystemClock
