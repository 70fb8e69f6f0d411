"""callrec itself beside an Asterisk as deploy/asterisk sets it up: carrier, PBX, callrec, PBX again, line.

What the recipe does with a callrec of any kind is told in tests/test_asterisk_recipe.py; here are the real agent's own
notice, recording and ledger in the middle, and what becomes of them when it dies.
"""

from __future__ import annotations

import copy
import shutil
import signal
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.calls.house import House
from tests.peers import audio, ports
from tests.peers.asterisk import CALLER_HOST, MUSIC_HZ, Asterisk
from tests.peers.baresip import Ear

pytestmark = [pytest.mark.asterisk, pytest.mark.calls]


class Chain:
    """The PBX with callrec beside it, the caller outside and one member of staff in the queue."""

    def __init__(self, folder, around: ExitStack) -> None:
        def enter(one):
            return around.enter_context(one)

        self.staff = enter(Ear(folder / "staff", say=audio.tone(audio.STAFF_HZ, 60), user="staff"))
        self.house = House(folder / "house", staff="127.0.0.1:9")
        around.callback(shutil.rmtree, self.house.runtime, ignore_errors=True)
        self.pbx = enter(Asterisk(folder / "pbx", callrec=self.house.address, staff=self.staff.address))
        self._beside_the_pbx()
        self.caller = enter(Ear(folder / "caller", say=audio.tone(audio.CALLER_HZ, 60), host=CALLER_HOST))
        self._around = around

    def _beside_the_pbx(self) -> None:
        """As README.md of the recipe says."""
        sip = self.house.settings["sip"]
        sip["trunks"] = {"pbx": {"uri": f"sip:{self.pbx.address}", "leg_ends_at": "pbx"}}
        sip["trusted_headers"] = ["X-PBX-Linkedid"]
        self.house.line.update(destination="sip:6000@pbx", fallback=[], dial_timeout_s=180)
        self.house.prepare()
        other = copy.deepcopy(self.house.line)
        other.update(match={"dialled": ["5001"]}, destination="sip:6001@pbx")
        self.house.settings["lines"]["other"] = other

    def start_callrec(self) -> None:
        """Start it, and wait until the PBX knows."""
        self._around.enter_context(self.house)
        self.pbx.find_callrec(within_s=30)

    def fates(self) -> list[str]:
        """How calls went on without callrec."""
        return [one.userfield for one in self.pbx.cdr() if "lost" in one.userfield or "bypassed" in one.userfield]

    def sound_so_far(self) -> float:
        return len(self.caller.heard) / audio.RATE


@pytest.fixture
def chain(tmp_path) -> Iterator[Chain]:
    with ExitStack() as around:
        yield Chain(tmp_path, around)


@pytest.fixture
def running(chain) -> Chain:
    chain.start_callrec()
    return chain


def test_a_call_through_the_pbx_is_proven_recorded_and_matched_by_its_linkedid(running):
    caller, house = running.caller, running.house
    caller.dial(f"sip:5001@{running.pbx.address}")
    house.wait_for("recording.started", seconds=30)
    caller.heard_so_far(running.sound_so_far() + 2, within_s=30)
    caller.hang_up()

    left, right = house.recording()
    tried, leg = (running.pbx.wait_cdr(one, seconds=30) for one in ("callrec-tried", "callrec-leg"))
    offered = house.entries("call.offered")[-1]
    assert audio.find(caller.heard, house.prompt_samples()).share >= 0.99
    assert audio.share(left, audio.CALLER_HZ) > 0.95
    assert audio.share(right, audio.ADVICE_HZ) > 0.95
    assert leg.userfield == f"callrec-leg {offered.call_uid} {tried.linkedid}"
    assert running.fates() == []
    house.callrec("audit", "verify")


def test_a_recording_from_a_queue_begins_with_a_person(running):
    caller, house, staff = running.caller, running.house, running.staff
    notice_s = len(house.prompt_samples()) / audio.RATE
    caller.dial(f"sip:5000@{running.pbx.address}")
    staff.rang(within_s=25)
    caller.heard_so_far(notice_s + 8, within_s=25)  # waits longer than the PBX would wait for a dead callrec
    assert house.entries("recording.started") == []

    staff.answer()
    house.wait_for("recording.started", seconds=30)
    staff.heard_so_far(2, within_s=30)
    caller.hang_up()

    left, right = house.recording()
    assert audio.share(caller.heard, MUSIC_HZ) > 0.3
    begins = round(audio.tone_spans(right, audio.STAFF_HZ)[0][0] * audio.RATE)
    assert not audio.tone_spans(right, MUSIC_HZ)
    assert not audio.spans(audio.hears(right[:begins], MUSIC_HZ, dbfs=-50), at_least_s=0.04)  # what was on its way
    assert audio.tone_spans(right, audio.STAFF_HZ)[0][0] < 0.2
    assert audio.share(left, audio.CALLER_HZ) > 0.9
    assert running.fates() == []
    house.callrec("audit", "verify")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize("when", ["in the notice", "in the talk"])
def test_the_caller_reaches_the_line_when_callrec_dies_and_nothing_recorded_is_lost(running, how, when):
    caller, house = running.caller, running.house
    caller.dial(f"sip:5001@{running.pbx.address}")
    caller.heard_so_far(2, within_s=15)
    if when == "in the talk":
        house.wait_for("recording.started", seconds=30)
        caller.heard_so_far(running.sound_so_far() + 2, within_s=30)

    house.kill(how)

    caller.heard_so_far(running.sound_so_far() + 1.5, within_s=30)
    caller.hang_up()
    assert audio.share(caller.heard[-audio.RATE :], audio.ADVICE_HZ) > 0.95
    assert running.pbx.wait_cdr("callrec-lost", seconds=30).userfield == "callrec-lost 44"
    settled(house, how)
    decided = house.summary(seconds=30)["decision"]
    assert decided == ("RECORDED" if when == "in the talk" else "NOT_RECORDED")
    house.callrec("audit", "verify")


def test_a_callrec_that_dies_while_staff_hold_leaves_no_caller_in_the_music(running):
    """The PBX plays it, and would go on for ever: it has to notice that callrec sends nothing any more."""
    caller, house, staff, pbx = running.caller, running.house, running.staff, running.pbx
    caller.dial(f"sip:5000@{pbx.address}")
    staff.rang(within_s=40)
    staff.answer()
    house.wait_for("recording.started", seconds=30)
    staff.hold()
    house.wait_for("recording.paused", seconds=30)
    caller.heard_so_far(running.sound_so_far() + 1, within_s=20)
    assert audio.share(caller.heard[-audio.RATE // 2 :], MUSIC_HZ) > 0.9

    house.kill()

    ports.until(lambda: in_the_queue(running), seconds=40, what="the caller is taken on to the line")
    caller.hang_up()
    assert pbx.wait_cdr("callrec-lost", seconds=20).userfield == "callrec-lost 44"
    settled(house, signal.SIGKILL)
    assert house.summary(seconds=30)["decision"] == "RECORDED"
    house.callrec("audit", "verify")


def in_the_queue(chain: Chain) -> bool:
    """The caller's own channel waits for staff, without callrec."""
    channels = chain.pbx.cli("core show channels concise").splitlines()
    return any(one.startswith("PJSIP/carrier-") and "!callrec-lines!" in one for one in channels)


def settled(house: House, how: signal.Signals) -> None:
    """Started again after a kill, or woken."""
    if how == signal.SIGKILL:
        house.start()
    else:
        house.kill(signal.SIGCONT)
    house.summary(seconds=40)
    ports.until(lambda: len(waiting(house)) == 0, seconds=30, what="what was recorded is in the store")


def waiting(house: House) -> list[str]:
    """Recordings on their way to the store."""
    return [path.name for place in ("tmp", "ready", "done") for path in (house.var / "spool" / place).iterdir()]


def test_without_callrec_the_caller_goes_straight_to_the_line_and_the_record_says_so(chain):
    chain.caller.dial(f"sip:5001@{chain.pbx.address}")
    chain.caller.heard_so_far(1, within_s=30)
    chain.caller.hang_up()

    assert audio.share(chain.caller.heard, audio.ADVICE_HZ) > 0.95
    assert chain.pbx.wait_cdr("callrec-bypassed", seconds=30).disposition == "ANSWERED"
    assert chain.house.entries("call.offered") == []


def test_a_callrec_that_is_told_to_stop_in_a_call_hands_the_caller_on(running):
    caller, house = running.caller, running.house
    caller.dial(f"sip:5001@{running.pbx.address}")
    house.wait_for("recording.started", seconds=30)
    caller.heard_so_far(running.sound_so_far() + 1, within_s=30)

    house.stop()

    caller.heard_so_far(running.sound_so_far() + 1.5, within_s=30)
    caller.hang_up()
    assert audio.share(caller.heard[-audio.RATE :], audio.ADVICE_HZ) > 0.95
    assert running.pbx.wait_cdr("callrec-lost", seconds=30).userfield == "callrec-lost 41"
    assert house.summary()["decision"] == "RECORDED"
    house.callrec("audit", "verify")
