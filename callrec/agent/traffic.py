"""What the engine kept out, written down: one entry a minute while there was something, none while there was not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any, Final

from callrec.core.kinds import Kind
from callrec.ports import Traffic

TRAFFIC_S: Final = 60.0


class TrafficWatch:
    """`ask` tells the counts since the engine started, `note` writes an entry. Counts alone: no address of anybody."""

    def __init__(self, ask: Callable[[], Traffic], note: Callable[[Kind, Mapping[str, Any]], Awaitable[None]]) -> None:
        self._ask, self._note = ask, note
        self._told = Traffic()

    async def write(self) -> None:
        """An entry with what came since the last one, where anything did."""
        now = self._ask()
        new, self._told = now.since(self._told), now
        if new != Traffic():
            await self._note(Kind.TRAFFIC_DROPPED, asdict(new))

    def total(self) -> dict[str, int]:
        """For `agent status`: since the start."""
        return asdict(self._ask())
