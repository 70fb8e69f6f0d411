"""An operator learns that a line is not recording, since when and why, and that it records again."""

from __future__ import annotations

import sys

import pytest

from tests.calls.house import House
from tests.peers import ports, sipp
from tests.peers.sipp_steps import invite

pytestmark = pytest.mark.calls

NOBODY = f"{ports.LOOPBACK}:9"
ALARM = "import sys, pathlib; pathlib.Path({path!r}).open('a').write(sys.argv[1] + '\\n')"


@pytest.fixture
def house(tmp_path):
    house = House(tmp_path / "house", staff=NOBODY, notice=None)
    told = tmp_path / "told"
    house.settings["alerts"] = {"command": [sys.executable, "-c", ALARM.format(path=str(told))]}
    house.told = told
    with house:
        yield house


def told(house):
    return house.told.read_text().splitlines() if house.told.exists() else []


def prompt(house):
    return next((house.var / "prompts").glob("advice-line.en.*.wav"))


def test_a_line_whose_prompt_is_gone_is_reported_with_status_1_and_the_alarm_rings_once_each_way(house):
    assert "line advice: recording" in house.callrec("agent", "status")
    kept = prompt(house).rename(house.folder / "kept.wav")

    said = house.callrec("agent", "status", code=1)
    assert "line advice: NOT RECORDING since " in said
    assert "because NOTICE_MISSING" in said
    ports.until(lambda: len(told(house)) == 1, seconds=10, what="the alarm rings")

    kept.rename(house.var / "prompts" / "advice-line.en.1.wav")
    assert "line advice: recording since" in house.callrec("agent", "status")
    ports.until(lambda: len(told(house)) == 2, seconds=10, what="the all-clear rings")
    assert "NOT RECORDING" in told(house)[0]
    assert "recording again" in told(house)[1]


def test_an_invite_that_was_not_served_is_listed_with_the_key_to_change(house, tmp_path):
    steps = [invite(refused_with=404)]
    sipp.calling(tmp_path / "lost", steps, to=house.address, dialled="4999").succeed(within_s=10)

    said = house.callrec("agent", "status")
    assert "404 NO_LINE (lines.*.match.dialled" in said
    assert "4999" not in said + house.process.output, "what callers dial stays out of status and logs"
    assert house.summary()["reason"] == "NO_LINE"
