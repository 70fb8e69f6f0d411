"""Loops end when told, also those that did not hear it the first time."""

from __future__ import annotations

import asyncio
import gc
import weakref

from callrec.agent.loops import Tidying, end_all


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


class Part:
    """Of an ended call: it holds itself, as a call's parts hold each other."""

    def __init__(self):
        self.other = self


def test_what_hundreds_of_ended_calls_hold_of_each_other_is_freed_without_waiting_for_the_collector():
    tidying, left = Tidying(), []
    gc.disable()
    try:
        for _ in range(200):
            left.append(weakref.ref(Part()))
            tidying.call_ended()
    finally:
        gc.enable()

    assert [part() for part in left if part() is not None] == []
