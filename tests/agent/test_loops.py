"""Loops end when told, also those that did not hear it the first time."""

from __future__ import annotations

import asyncio

from callrec.agent.loops import end_all


async def deaf(times: int) -> None:
    """Loses so many cancellations, as a wait that ends at the same moment does."""
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if times == 0:
                raise
            times -= 1


async def fails() -> None:
    raise ValueError("of its own")


async def test_every_task_ends_however_often_it_did_not_hear():
    tasks = [asyncio.create_task(work) for work in (deaf(0), deaf(1), deaf(2), fails())]
    await asyncio.sleep(0)

    await asyncio.wait_for(end_all(tasks), 10)

    assert [task.cancelled() for task in tasks] == [True, True, True, False]
    assert isinstance(tasks[3].exception(), ValueError)
