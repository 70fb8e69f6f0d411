"""`callrec selftest` on a house whose agent runs: what it hears is judged by it, and what it says is judged here."""

from __future__ import annotations

import json

import numpy as np
import pytest

from callrec.demo.phone import Phone
from callrec.demo.speech import voice
from tests.calls.house import House
from tests.peers import ports
from tests.peers.ports import LOOPBACK

pytestmark = pytest.mark.calls

LOUD = 1000
TRIALS = ["heard back", "altered prompt", "held call", "one-way call", "stolen stream"]


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    folder = tmp_path_factory.mktemp("selftest") / "house"
    with (
        Phone("6000", says=voice(660), rings_s=0) as staff,
        House(folder, staff=f"{LOOPBACK}:{staff.port}") as made,
    ):
        yield made


def test_every_trial_of_a_line_is_passed_and_the_ledger_says_so(house):
    before = len(house.entries("call.offered"))
    said = house.callrec("selftest", "--json", seconds=400)
    found, _ = json.JSONDecoder().raw_decode(said)  # what its agent says of the altered prompt comes behind
    (done,) = house.entries("selftest.done")
    (line,) = found["lines"]

    assert found["passed"] is True
    assert [trial["trial"] for trial in line["trials"] if trial["passed"]] == TRIALS
    assert line["trials"][0]["figures"]["coverage"] > 0.99
    assert done.body["lines"][0]["trials"] == dict.fromkeys(TRIALS, True)
    assert done.body["running_agent"] == {"advice": True}
    (caller,) = house.entries("call.offered")[before:]
    assert caller.body["line"] == "advice"


def test_a_line_that_is_not_there_is_told(house):
    assert "there is no line 'x'" in house.callrec("selftest", "--line", "x", code=2)


def test_six_digits_pressed_in_a_notice_find_the_call_again_and_stand_nowhere_in_the_ledger(house):
    closed = len(house.entries("call.closed"))
    with Phone("auditor", says=voice(440)) as auditor:
        auditor.call(house.uri("5000"), (LOOPBACK, house.port))
        ports.until(
            lambda: np.abs(auditor.heard).max(initial=0) > LOUD, seconds=30, what="the auditor hears the notice"
        )
        for digit in "450617":
            auditor.press(digit)
        matched = house.wait_for("testcall.matched", seconds=30)
        auditor.hang_up()
    house.wait_for("call.closed", seconds=20, count=closed + 1)

    (found,) = json.loads(house.callrec("audit", "testcall", "450617", "--json"))
    assert (found["call_uid"], found["seq"]) == (matched.call_uid, matched.seq)
    assert "450617" not in json.dumps(matched.body)
    assert "no call" in house.callrec("audit", "testcall", "450618", code=1)
    assert "no six digits" in house.callrec("audit", "testcall", "4506", code=2)
