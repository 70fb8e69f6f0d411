"""What waits for the store is seen in `agent status`, and told when it waits too long, whatever the cause."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from callrec.agent.agent import Agent, House
from callrec.agent.leftovers import Leftovers
from callrec.cli.agent import _store_line
from callrec.errors import Refused, Unavailable
from callrec.ports import Traffic
from callrec.recording.seal import seal
from tests.agent.world import MEMORY, a_world
from tests.recording.builders import ENDING, FACTS, KEY, a_header


@pytest.fixture
def told():
    return []


@pytest.fixture
def agent(tmp_path, told):
    with tempfile.TemporaryDirectory(dir=MEMORY, prefix="callrec-") as runtime:
        services = a_world(tmp_path, Path(runtime))
        services.telephony.traffic = Traffic
        house = House(services=services, shipper=None, read_back=Leftovers, watch=lambda *_: None, notify=told.append)
        yield Agent(house)


def one_waits(agent, *, since=None):
    """A sealed recording in the spool; `since` is when, in seconds of the wall clock."""
    live = agent.services.spool.open_segment(a_header(), KEY, FACTS)
    live.append(bytes(4000))
    sealed = seal(agent.services.spool, live, ENDING)
    if since is not None:
        os.utime(sealed.folder, (since, since))
    return sealed


async def test_nothing_waits_at_first(agent, told):
    await agent.store_watch.look()

    assert agent.status()["store"] == {"failing": False, "why": "", "waiting": 0, "oldest_waits_s": 0}
    assert _store_line(agent.status()["store"]) == "store: nothing waits for it"
    assert told == []


async def test_what_waits_too_long_is_told_once_and_its_end_too(agent, told):
    sealed = one_waits(agent, since=0)

    await agent.store_watch.look()
    await agent.store_watch.look()
    status = agent.status()["store"]
    agent.services.spool.hand_off(sealed.recording_id)
    await agent.store_watch.look()

    assert (status["waiting"], status["oldest_waits_s"] > 10**9) == (1, True)
    assert len(told) == 2
    assert told[0].startswith("store: the oldest of 1 recordings waits ")
    assert told[1] == "store: nothing waits too long any more"


async def test_what_waits_since_a_moment_is_seen_and_not_told(agent, told):
    one_waits(agent)

    await agent.store_watch.look()

    assert agent.status()["store"]["waiting"] == 1
    assert told == []


@pytest.mark.parametrize("error", [Unavailable("the store is full", next_step="free room"), Refused("no rule")])
async def test_the_cause_is_told_with_it(agent, told, error, monkeypatch):
    one_waits(agent, since=0)
    mover = agent.services.mover
    mover.why = f"{error}; {error.next_step}" if isinstance(error, Unavailable) else ""
    mover.backoff.failures = int(isinstance(error, Unavailable))

    await agent.store_watch.look()

    wanted = "the store is full; free room" if isinstance(error, Unavailable) else "the store refuses it"
    assert wanted in told[0]
    assert ("FAILING: the store is full; free room" in _store_line(agent.status()["store"])) == bool(mover.why)
