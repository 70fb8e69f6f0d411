"""A call is never turned away for the sake of a recording (the call goes through)."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace

from callrec.agent.agent import Agent, House
from callrec.agent.leftovers import Leftovers
from callrec.agent.services import SEALS_AT_ONCE
from callrec.core.kinds import Kind
from callrec.core.values import Tap
from callrec.ports import EngineFacts, Traffic
from tests.agent.test_call_task import bridged
from tests.agent.world import INVITE, UID, leg_ended

NEXT = replace(INVITE, call_uid="cd" * 16)
AFTER = replace(INVITE, call_uid="ef" * 16)


def room_for_one(services) -> Agent:
    services.telephony.traffic = Traffic
    house = House(services=services, shipper=None, read_back=Leftovers, watch=lambda *_: None)
    agent = Agent(house)
    agent.engine = EngineFacts(build="", version="", tap=Tap.WIRE, max_bridged_calls=1, loopback_only=True)
    return agent


async def test_a_call_that_has_ended_takes_no_place_while_its_recording_waits_to_be_sealed(services):
    agent = room_for_one(services)
    async with AsyncExitStack() as busy:
        for _ in range(SEALS_AT_ONCE):
            await busy.enter_async_context(services.sealing)
        agent.invited(INVITE)
        await bridged(agent.calls[UID])
        await services.telephony.asked("start_capture")
        agent.happened(UID, leg_ended())
        await services.telephony.asked("stop_capture")
        agent.ended(UID)

        agent.invited(NEXT)
        agent.invited(AFTER)

        assert services.ledger.of(Kind.RECORDING_SEALED) == []
        assert [order for order in services.telephony.orders if order[0] == "reject"] == [
            ("reject", 503, "At capacity", 10)
        ]
        assert (NEXT.call_uid in agent.calls, AFTER.call_uid in agent.calls) == (True, False)
        assert agent.status()["calls_up"] == 1
    agent.happened(NEXT.call_uid, leg_ended())
    agent.ended(NEXT.call_uid)
    await asyncio.wait_for(asyncio.gather(*agent._tasks.values(), *agent._background), 20)
    assert [entry.call_uid for entry in services.ledger.of(Kind.RECORDING_SEALED)] == [UID]
