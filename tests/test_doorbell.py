"""The way into an event loop from other threads: everything handed in is done, in order, with few wakes."""

from __future__ import annotations

import asyncio
import threading

import pytest

from callrec._doorbell import Doorbell


class CountingLoop:
    """A loop as the doorbell sees it."""

    def __init__(self, loop):
        self.loop, self.wakes = loop, 0

    def call_soon_threadsafe(self, job):
        self.wakes += 1
        self.loop.call_soon_threadsafe(job)


async def test_what_waits_is_done_in_order_after_one_wake():
    loop, done = CountingLoop(asyncio.get_running_loop()), []
    bell = Doorbell(loop)
    for number in range(100):
        bell.hand_in(lambda number=number: done.append(number))
    await asyncio.sleep(0)
    assert (done, loop.wakes) == (list(range(100)), 1)


async def test_what_is_laid_in_waits_for_the_ring_and_wakes_nobody_before():
    loop, done = CountingLoop(asyncio.get_running_loop()), []
    bell = Doorbell(loop)
    bell.ring()
    bell.lay_in(lambda: done.append("first"))
    await asyncio.sleep(0)
    assert (done, loop.wakes) == ([], 0)

    bell.hand_in(lambda: done.append("second"))
    bell.ring()
    await asyncio.sleep(0)

    assert (done, loop.wakes) == (["first", "second"], 1)


async def test_nothing_is_lost_when_many_threads_hand_in_while_the_loop_answers():
    loop, finished = asyncio.get_running_loop(), asyncio.Event()
    bell, heard = Doorbell(loop), []

    def hear(one):
        heard.append(one)
        if len(heard) == 4 * 2000:
            finished.set()

    def tell(thread):
        for number in range(2000):
            bell.hand_in(lambda number=number: hear((thread, number)))

    threads = [threading.Thread(target=tell, args=(one,)) for one in range(4)]
    for each in threads:
        each.start()
    await asyncio.wait_for(finished.wait(), 20)
    for each in threads:
        each.join()
    assert all([number for thread, number in heard if thread == one] == list(range(2000)) for one in range(4))


async def test_a_job_that_raises_keeps_none_behind_it_waiting():
    loop, raised, done = asyncio.get_running_loop(), [], asyncio.Event()
    loop.set_exception_handler(lambda _, context: raised.append(context["exception"]))
    bell = Doorbell(loop)
    bell.hand_in(lambda: 1 / 0)
    bell.hand_in(done.set)
    await asyncio.wait_for(done.wait(), 5)
    assert [type(one) for one in raised] == [ZeroDivisionError]


def test_a_closed_loop_is_told_of_at_once():
    loop = asyncio.new_event_loop()
    loop.close()
    with pytest.raises(RuntimeError, match="closed"):
        Doorbell(loop).hand_in(lambda: None)
