"""An agent that is started while its PostgreSQL server, and its store, are away: calls go through, and recording begins
by itself once they are back. What the run before left is set right then, and not one recording begins before.
"""

from __future__ import annotations

import secrets
import sys
from dataclasses import replace
from functools import cached_property

import pytest

from callrec.audit.verify import Places, verify
from callrec.config import load
from callrec.ledger.reading import read_entries
from tests.calls.house import House
from tests.calls.test_kill import CALLER_SAYS, STAFF_SAY, all_that_lies_around
from tests.calls.test_status import ALARM
from tests.peers import audio, ports
from tests.peers.baresip import Ear

pytestmark = pytest.mark.calls


class SharedHouse(House):
    """Its ledger and index lie in PostgreSQL."""

    @cached_property
    def database(self):
        return load(self.config).ledger.database

    def prepare(self):
        if not self.config.exists():
            super().prepare()

    def entries(self, kind=None):
        return [entry for entry in read_entries(self.database) if kind in (None, entry.kind)]


@pytest.fixture
def house(tmp_path, postgres):
    with Ear(tmp_path / "staff", say=STAFF_SAY, user="6000", auto_answer=True) as staff:
        house = SharedHouse(tmp_path / "house", staff=staff.address)
        house.staff, house.told = staff, tmp_path / "told"
        house.settings["ledger"] |= {"url": postgres.url(), "log": f"away-{secrets.token_hex(4)}"}
        house.settings["alerts"] = {"command": [sys.executable, "-c", ALARM.format(path=str(house.told))]}
        try:
            with house:
                yield house
        finally:
            house.__exit__(RuntimeError)


def call(house, folder, *, seconds):
    """A caller who talks with staff for so long, and is heard by them."""
    before = len(house.staff.heard)
    caller = Ear(folder, say=CALLER_SAYS)
    caller.dial(house.uri("5000"))
    wanted = before + seconds * audio.RATE
    ports.until(lambda: len(house.staff.heard) >= wanted, seconds=40, what="staff hear the caller")
    return caller


def test_calls_go_through_and_recording_begins_once_the_database_and_the_store_are_back(house, postgres, tmp_path):
    first = call(house, tmp_path / "first", seconds=3)
    house.kill()
    first.kill()
    first.stop()
    store = (house.var / "store").rename(house.folder / "unmounted")
    postgres.stop()
    try:
        house.start()
        said = house.callrec("agent", "status", code=1)
        assert "line advice: NOT RECORDING" in said
        assert "because LEDGER_UNAVAILABLE" in said
        assert "see that the PostgreSQL server is up" in said
        ports.until(house.told.exists, seconds=10, what="the alarm rings")
        call(house, tmp_path / "second", seconds=2).stop()
    finally:
        postgres.start()

    ports.until(lambda: house.status()["lines"]["advice"]["recording"], seconds=60, what="recording is on again")
    ports.until(lambda: "recording again" in house.told.read_text(), seconds=10, what="the all-clear rings")
    store.rename(house.var / "store")
    call(house, tmp_path / "third", seconds=3).stop()
    house.wait_for("recording.kept", seconds=40, count=2)
    house.wait_for("call.closed", seconds=20, count=3)
    house.stop()

    everything_is_right(house)


def everything_is_right(house):
    """The call before, the one meanwhile and the one after: each as it must be, and an auditor finds nothing."""
    offered = [entry.call_uid for entry in house.entries("call.offered")]
    closed = {entry.call_uid: entry.body for entry in house.entries("call.closed")}
    assert sorted(closed) == sorted(offered)
    away = house.entries("agent.started")[1]
    assert (away.late, away.body["settled"]) == (True, False)
    meanwhile = house.entries("call.offered")[1]
    assert (meanwhile.body["number"], meanwhile.late) == (1, True)
    assert closed[offered[1]]["reason"] == "LEDGER_UNAVAILABLE"
    assert closed[offered[1]]["connected"] is True
    assert {entry.call_uid for entry in house.entries("recording.kept")} == {offered[0], offered[2]}
    assert len(house.open(f"{offered[0]}-0")) > audio.RATE
    assert all_that_lies_around(house) == []
    assert findings(house) == []


def findings(house):
    """What an auditor finds, the anchors and files beside the log included."""
    var = house.var
    places = Places(ledger=house.database, anchors=(house.folder / "anchors",), evidence=var / "evidence")
    found = verify(replace(places, store=var / "store", spool=var / "spool"))
    return [one.sentence for one in found.findings]
