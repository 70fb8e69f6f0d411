"""Two agents behind Kamailio, with the files of deploy/kamailio: who gets which call, and what the caller notices when
one agent is full, leaves or dies.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from pathlib import Path

import pytest

from tests.calls.house import House
from tests.calls.office import CALLER_HZ, PATIENCE_S, STAFF_HZ, verified
from tests.peers import audio, ports, sipp
from tests.peers.audio import RATE
from tests.peers.baresip import Ear
from tests.peers.kamailio import RECIPE, Kamailio
from tests.peers.ports import LOOPBACK
from tests.peers.rawsip import RawSip
from tests.peers.sipp import Sipp
from tests.peers.sipp_steps import PCMA, answer, bye, invite, sdp, take, talk, until_bye

pytestmark = pytest.mark.calls

RECORDED, PLAIN = "5000", "5001"
FRONT = "127.0.0.5"
"""Where Kamailio is: the agents take calls from there and from nobody else."""
ROOM = [1, 3]
"""Calls that each agent takes at once."""
HELD_MS = 3000
FULL = "AT_CAPACITY"


class Place:
    """Two agents, one Kamailio, and staff for each agent of the recorded line and of the plain one."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        said = audio.tone(STAFF_HZ, 120)
        self.staff = [
            stack.enter_context(Ear(folder / f"staff{n}", say=said, user="6000", auto_answer=True)) for n in (0, 1)
        ]
        steps = [take(), answer(offer=sdp(codecs=[PCMA])), until_bye()]
        self.desk = stack.enter_context(sipp.answering(folder / "desk", steps, calls=100, limit_s=300))
        self.houses = [self._house(n) for n in (0, 1)]
        for house in self.houses:
            stack.enter_context(house)
        addresses = [house.address for house in reversed(self.houses)]  # the last one listed is asked first
        self.front = stack.enter_context(Kamailio(folder / "kamailio", agents=addresses, host=FRONT))
        self.all_there()

    def _house(self, number: int) -> House:
        house = House(self.folder / f"house{number}", staff=self.staff[number].address)
        house.settings["agent"].update(max_calls=ROOM[number], drain_s=20, name=f"advice-{number}")
        house.settings["sip"]["allow_from"] = [FRONT]
        plain = deepcopy(house.line) | {"record": "never", "purposes": [], "keys": {}, "match": {"dialled": [PLAIN]}}
        house.settings["lines"]["plain"] = plain | {"destination": f"sip:6001@{self.desk.address}"}
        return house

    def all_there(self) -> None:
        ports.until(lambda: self.front.states() == ["AP", "AP"], seconds=10, what="Kamailio finds both agents")

    def calling(self, name: str, *steps: str, dialled: str = PLAIN, **words: object) -> Sipp:
        return sipp.calling(self.folder / name, list(steps), to=self.front.address, dialled=dialled, **words)

    def taken(self) -> list[int]:
        """Calls that each agent answered so far."""
        return [len(house.entries("call.answered")) for house in self.houses]

    def took(self, *, since: list[int], each: list[int]) -> bool:
        """Wait until each agent has answered so many calls since then: its ledger says so a moment after the 200."""

        def as_wanted() -> bool:
            return [now - then for now, then in zip(self.taken(), since, strict=True)] == each

        return ports.until(as_wanted, seconds=10, what=f"calls answered: {each}; they were {since}")

    def none_left(self) -> None:
        ports.until(lambda: self.front.loads() == [0, 0], seconds=10, what="no call is left")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with ExitStack() as stack:
        made = Place(tmp_path_factory.mktemp("front"), stack)
        yield made
        for house in made.houses:
            house.stop()
            found = verified(house)
            assert found.sound, [one.sentence for one in found.findings]


@pytest.fixture
def front(place: Place, tmp_path: Path) -> Place:
    """The module's, for one test."""
    place.folder = tmp_path
    place.none_left()
    return place


@contextmanager
def held(place: Place, count: int) -> Iterator[Sipp]:
    """So many calls, placed one after the other, that are up now; they end by themselves soon after the block."""
    with place.calling("held", invite(), talk(HELD_MS), bye(), calls=count, rate=10) as callers:
        ports.until(lambda: len(callers.sent("ACK")) == count, seconds=PATIENCE_S, what=f"{count} calls are up")
        yield callers
        callers.succeed(within_s=PATIENCE_S)


# ---------------------------------------------------------------- who gets which call


def test_calls_are_spread_evenly_and_counted_until_they_end(front: Place):
    before = front.taken()
    with held(front, 2):
        assert front.front.loads() == [1, 1]
        assert front.took(since=before, each=[1, 1])
    front.none_left()


def test_a_full_agent_sends_the_caller_on_to_the_other(front: Place):
    before = front.taken()
    with held(front, sum(ROOM)) as callers, front.calling("late", invite(refused_with=503)) as late:
        late.succeed(within_s=10)

    assert front.took(since=before, each=ROOM)
    assert len(callers.sent("INVITE")) == sum(ROOM)
    assert callers.received("SIP/2.0 5") == []
    assert sum(front.front.moved_on(one.header("Call-ID")) for one in callers.sent("INVITE")) >= 1
    for house in front.houses:
        assert ports.until(lambda at=house: turned_away(at)[-1:] == [FULL], seconds=10, what="the late caller's row")
    assert int(late.received("SIP/2.0 503")[0].header("Retry-After") or "0") > 0


def turned_away(house: House) -> list[str]:
    """Why calls were never connected, in order."""
    return [one.body["reason"] for one in house.entries("call.closed") if not one.body["connected"]]


def test_an_agent_that_drains_sends_new_callers_on_and_keeps_its_own(front: Place):
    leaving = front.houses[0]
    before = front.taken()
    with held(front, 2) as callers:
        leaving.kill(signal.SIGTERM)
        leaving.process.wait_for_output("draining", seconds=10)
        with front.calling("late", invite(), talk(200), bye()) as late:
            late.succeed(within_s=10)

    assert front.took(since=before, each=[1, 2])
    assert front.front.moved_on(late.sent("INVITE")[0].header("Call-ID")) == 1
    assert callers.received("BYE") == []
    assert leaving.process.wait(PATIENCE_S) == 0
    leaving.start()
    front.all_there()


# ---------------------------------------------------------------- an agent dies


def test_a_killed_agent_loses_its_own_calls_only_and_the_next_caller_is_answered(front: Place):
    dying, living = front.houses
    say = audio.tone(CALLER_HZ, 60)
    with Ear(front.folder / "lost", say=say) as lost, Ear(front.folder / "kept", say=say) as kept:
        for caller, house in ((lost, dying), (kept, living)):
            answered = len(house.entries("call.answered"))
            caller.dial(f"sip:{RECORDED}@{front.front.address}")
            house.wait_for("call.answered", seconds=10, count=answered + 1)
        for staff, house in zip(front.staff, front.houses, strict=True):
            house.wait_for("recording.started", seconds=PATIENCE_S)
            staff.heard_so_far(2, within_s=PATIENCE_S)
        dying.kill()
        assert_next_caller_is_answered(front)
        talked = len(kept.heard) / RATE
        kept.heard_so_far(talked + 2, within_s=PATIENCE_S)
        front.staff[1].hang_up()
        kept.closed(within_s=10)
        lost.hang_up()

    left, right = living.recording()
    assert audio.share(left, CALLER_HZ) > 0.95
    assert audio.share(right, STAFF_HZ) > 0.95
    assert audio.share(kept.heard[-4 * RATE :], STAFF_HZ) > 0.95
    dying.start()
    front.all_there()
    assert dying.wait_for("recording.kept", seconds=PATIENCE_S).body
    before = front.taken()
    with held(front, 2):
        assert front.took(since=before, each=[1, 1])


def assert_next_caller_is_answered(front: Place) -> None:
    """The caller's one INVITE is enough: Kamailio waits once for the dead agent (fr_timer), the other takes the call.
    Who calls after that does not wait at all.
    """
    for name, moves in (("first", 1), ("second", 0)):
        with front.calling(name, invite(), talk(200), bye()) as caller:
            caller.succeed(within_s=10)
        (asked,) = caller.sent("INVITE")
        assert front.front.moved_on(asked.header("Call-ID")) == moves
    assert front.front.states()[-1] != "AP"


def test_kamailio_gives_a_dead_agent_up_before_the_pbx_gives_up_kamailio():
    config = (RECIPE / "kamailio.cfg").read_text()
    timers = {name: int(re.search(rf'"{name}", (\d+)', config)[1]) for name in ("fr_timer", "fr_inv_timer")}

    assert timers["fr_timer"] < 3000
    assert timers["fr_inv_timer"] < 4000


def test_with_no_agent_there_the_pbx_is_told_at_once_and_its_question_stays_unanswered(tmp_path: Path):
    """Silence is what a PBX that asks with OPTIONS takes for gone; a call that it sends all the same is refused."""
    dead = [f"{LOOPBACK}:{ports.free_port()}" for _ in range(2)]
    with Kamailio(tmp_path / "kamailio", agents=dead) as front, RawSip(to=(LOOPBACK, front.port)) as pbx:
        ports.until(lambda: all(one.startswith("I") for one in front.states()), seconds=20, what="nobody is there")
        pbx.send(pbx.request("OPTIONS"))
        with sipp.calling(tmp_path / "caller", [invite(refused_with=503)], to=front.address) as caller:
            caller.succeed(within_s=10)
        assert pbx.heard == []

    assert int(caller.received("SIP/2.0 503")[0].header("Retry-After") or "0") > 0
    assert front.output.count("moves on") == 0


def test_who_is_not_in_the_list_of_callers_gets_no_answer_at_all(front: Place):
    with RawSip(to=(FRONT, front.front.port)) as pbx, RawSip(to=(FRONT, front.front.port), host="127.0.0.9") as other:
        pbx.send(pbx.request("OPTIONS"))
        pbx.waits_for("SIP/2.0 200", seconds=5)
        for method in ("OPTIONS", "INVITE", "REGISTER"):
            other.send(other.request(method, PLAIN))
        ports.until(
            lambda: front.front.output.count(f"no answer to 127.0.0.9:{other.port}") == 3, seconds=5, what="3 strangers"
        )
        assert other.heard == []
