"""How much waits for the store and for how long, whatever the cause: told at onset and at recovery."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Final

from callrec.errors import CallrecError
from callrec.recording.mover import Mover

_STAYS: Final = "the store refuses it; the ledger's `incident` says why"


class StoreWatch:
    """`tell` hears once that recordings wait longer than `late_after_s` seconds, and once that none does any more."""

    def __init__(self, mover: Mover, *, late_after_s: float, tell: Callable[[str], None]) -> None:
        self._mover, self._late_after_s, self._tell = mover, late_after_s, tell
        self._late = False
        self._waiting, self._oldest_s = 0, 0.0

    async def look(self) -> None:
        """Look again. What cannot be looked at now changes nothing."""
        mover = self._mover
        with contextlib.suppress(CallrecError):
            self._waiting, self._oldest_s = await asyncio.to_thread(
                lambda: (mover.unhanded(), mover.oldest_unhanded_s())
            )
            late = self._oldest_s >= self._late_after_s
            if late != self._late:
                self._late = late
                said = f"the oldest of {self._waiting} recordings waits {self._oldest_s:.0f} s"
                self._tell(f"store: {f'{said}: {mover.why or _STAYS}' if late else 'nothing waits too long any more'}")

    def standing(self) -> dict[str, Any]:
        """For `agent status`."""
        return {
            "failing": self._mover.store_is_failing(),
            "why": self._mover.why,
            "waiting": self._waiting,
            "oldest_waits_s": round(self._oldest_s),
        }
