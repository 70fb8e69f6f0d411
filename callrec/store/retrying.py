"""A store that wraps a store and tries again what was `Unavailable`. Nothing else is ever tried again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Final, TypeVar

from callrec.errors import Unavailable
from callrec.ports import Json, Kept, RecordingStore, Sealed

FIRST_S: Final = 0.1
MOST_S: Final = 5.0
Sleep = Callable[[float], Awaitable[None]]
T = TypeVar("T")


class RetryingStore:
    """Tries each operation up to `attempts` times, with full jitter between. For commands that a person waits for; the
    agent's mover has its own patience.
    """

    def __init__(self, store: RecordingStore, *, attempts: int = 4, sleep: Sleep = asyncio.sleep) -> None:
        self._store = store
        self._attempts = attempts
        self._sleep = sleep

    async def put(self, sealed: Sealed) -> Kept:
        """See `RecordingStore`: repeating a put is harmless."""
        return await self._again(lambda: self._store.put(sealed))

    async def stat(self, recording_id: str) -> Kept | None:
        """See `RecordingStore`."""
        return await self._again(lambda: self._store.stat(recording_id))

    async def manifest(self, recording_id: str) -> Mapping[str, Json]:
        """See `RecordingStore`."""
        return await self._again(lambda: self._store.manifest(recording_id))

    async def read(self, recording_id: str) -> AsyncIterator[bytes]:
        """See `RecordingStore`. What was handed out already is skipped when it has to begin again."""
        done, attempt = 0, 1
        while True:
            skip = done
            try:
                async for piece in self._store.read(recording_id):
                    fresh, skip = piece[skip:], max(0, skip - len(piece))
                    done += len(fresh)
                    if fresh:
                        yield fresh
            except Unavailable:
                if attempt >= self._attempts:
                    raise
                await self._pause(attempt)
                attempt += 1
            else:
                return

    async def ids(self) -> AsyncIterator[str]:
        """See `RecordingStore`."""
        for recording_id in await self._again(self._all_ids):
            yield recording_id

    async def _all_ids(self) -> list[str]:
        return [recording_id async for recording_id in self._store.ids()]

    async def _again(self, work: Callable[[], Awaitable[T]]) -> T:
        for attempt in range(1, self._attempts):
            try:
                return await work()
            except Unavailable:
                await self._pause(attempt)
        return await work()

    async def _pause(self, attempt: int) -> None:
        ceiling = min(MOST_S, FIRST_S * 2**attempt)
        await self._sleep(random.uniform(FIRST_S, ceiling))  # noqa: S311 - spreads load, keeps no secret


_: type[RecordingStore] = RetryingStore
