"""One call's entries, written in order, without the call ever waiting for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from callrec.core.kinds import Kind
from callrec.core.proof import Receipt
from callrec.errors import Unavailable
from callrec.ports import Entry, Json, Ledger


class CallWriter:
    """Notes facts of one call in the order they came. `lost` is told where neither ledger nor journal took one."""

    def __init__(self, ledger: Ledger, call_uid: str, *, lost: Callable[[Kind], None]) -> None:
        self._ledger = ledger
        self._call_uid = call_uid
        self._lost = lost
        self._last: asyncio.Task[Receipt | None] | None = None

    def note(
        self,
        kind: Kind,
        body: Mapping[str, Json],
        *,
        segment: int = 0,
        actor: str = "agent",
        salts: Mapping[str, str] | None = None,
    ) -> asyncio.Task[Receipt | None]:
        """Queue this fact; the task's result is its receipt, or None where it went to the side journal."""
        entry = Entry(
            kind=kind, body=body, call_uid=self._call_uid, segment=segment, actor=actor, salts=dict(salts or {})
        )
        self._last = asyncio.create_task(self._write(entry, self._last))
        return self._last

    async def _write(self, entry: Entry, before: asyncio.Task[Receipt | None] | None) -> Receipt | None:
        if before is not None and not before.done():
            await asyncio.wait({before})
        try:
            return await self._ledger.note(entry)
        except Unavailable:
            self._lost(entry.kind)
            return None

    async def drained(self) -> None:
        """Return when everything handed in so far was written or given up."""
        if self._last is not None:
            await asyncio.wait({self._last})
