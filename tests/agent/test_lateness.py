"""An agent that is behind with its work takes no new call: each would make all of them wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from callrec.agent.lateness import LOOK_S, TOO_LATE_S, Lateness
from callrec.core.kinds import Kind
from tests.agent.test_capacity import room_for_one
from tests.agent.world import INVITE, UID, leg_ended


class Time:
    """A clock that stands, and a pause that ends when it is told to."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self._turns: asyncio.Queue[None] = asyncio.Queue()
        self.asleep = asyncio.Event()

    def now(self) -> float:
        return self.now_s

    async def pause(self, _seconds: float) -> None:
        self.asleep.set()
        await self._turns.get()

    async def wakes(self) -> None:
        """The pause ends, and the next one has begun."""
        self.asleep.clear()
        self._turns.put_nowait(None)
        await self.asleep.wait()


@asynccontextmanager
async def watched() -> AsyncIterator[tuple[Lateness, Time]]:
    time = Time()
    lateness = Lateness(pause=time.pause, now=time.now)
    assert not lateness.too_late()  # nobody watches yet
    watch = asyncio.create_task(lateness.watch())
    await time.asleep.wait()
    yield lateness, time
    watch.cancel()


async def test_who_wakes_in_time_is_not_late():
    async with watched() as (lateness, time):
        time.now_s += LOOK_S
        await time.wakes()
        assert lateness.seconds() == pytest.approx(0)
        assert not lateness.too_late()


async def test_a_loop_that_does_not_come_round_is_late_before_it_does_and_until_it_came_round_in_time():
    async with watched() as (lateness, time):
        time.now_s += LOOK_S + TOO_LATE_S + 0.5
        assert lateness.too_late()
        await time.wakes()
        assert lateness.too_late()
        assert lateness.seconds() == pytest.approx(TOO_LATE_S + 0.5)

        time.now_s += LOOK_S
        await time.wakes()
        assert not lateness.too_late()


async def test_while_it_is_late_a_caller_is_told_503_and_why_and_leaves_a_row_and_then_is_taken(services):
    agent = room_for_one(services)
    async with watched() as (agent.lateness, time):
        time.now_s += LOOK_S + TOO_LATE_S + 0.5

        agent.invited(INVITE)

        assert ("reject", 503, "At capacity", 10) in services.telephony.orders
        assert agent.calls == {}
        assert agent.status()["not_served"][-1]["key"] == (
            "agent.max_setups_per_s: the agent is 1.5 s behind with what it has to do"
        )
        await asyncio.wait_for(asyncio.gather(*agent._background), 20)
        assert [entry.body["reason"] for entry in services.ledger.of(Kind.CALL_CLOSED)] == ["AT_CAPACITY"]

        await time.wakes()
        time.now_s += LOOK_S
        await time.wakes()
        agent.invited(INVITE)
        assert UID in agent.calls
    agent.happened(UID, leg_ended())
    agent.ended(UID)
    await asyncio.wait_for(asyncio.gather(*agent._tasks.values()), 20)
