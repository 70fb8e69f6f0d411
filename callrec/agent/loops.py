"""Ending tasks that run for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final

ASK_AGAIN_S: Final = 0.2


async def end_all(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel, until every one has ended. What they raise is theirs.

    Once is not enough: before Python 3.12 `asyncio.wait_for` loses a cancellation that comes just as its wait ends, and
    the task goes on for ever (python/cpython#86296).
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=ASK_AGAIN_S)
