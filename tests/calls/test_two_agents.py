"""Two agents, each with its own log, share one PostgreSQL database: one list of what both recorded, and two ledgers."""

from __future__ import annotations

import json
import secrets
import shutil
from contextlib import ExitStack

import pytest

from tests.calls.test_database_away import SharedHouse, call, findings
from tests.calls.test_kill import STAFF_SAY
from tests.peers import ports
from tests.peers.baresip import Ear

pytestmark = pytest.mark.calls


@pytest.fixture
def houses(tmp_path, postgres):
    with ExitStack() as stack:
        made = []
        for name in ("one", "two"):
            staff = stack.enter_context(Ear(tmp_path / f"staff-{name}", say=STAFF_SAY, user="6000", auto_answer=True))
            house = SharedHouse(tmp_path / name, staff=staff.address)
            house.staff = staff
            house.settings["ledger"] |= {"url": postgres.url(), "log": f"{name}-{secrets.token_hex(4)}"}
            made.append(stack.enter_context(house))
        yield made


def test_what_two_agents_recorded_stands_in_one_list_and_each_ledger_is_its_own(houses, tmp_path):
    one, two = houses
    callers = [call(house, tmp_path / f"caller-{n}", seconds=2) for n, house in enumerate(houses)]
    for caller in callers:
        caller.stop()
    kept = [house.wait_for("recording.kept", seconds=40) for house in houses]

    printed = one.callrec("recordings", "list", "--all-logs", "--json")
    listed = json.loads(printed[: printed.rindex("]") + 1])  # what follows tells of other tests' indexes
    told = {(row["log"], row["recording_id"]) for row in listed}
    assert {(house.database.schema, f"{entry.call_uid}-0") for house, entry in zip(houses, kept, strict=True)} <= told
    for house in houses:
        house.wait_for("call.closed", seconds=20)
        assert {entry.log_id for entry in house.entries()} == {house.entries()[0].log_id}
    assert one.entries()[0].log_id != two.entries()[0].log_id
    one.callrec("audit", "verify", "--log", two.database.schema)
    one.callrec("audit", "verify", "--log", two.database.schema, "--vkey", str(key_of(one)), code=30)

    assert "held by" in started_on_a_copy(one, tmp_path / "copy")
    for house in houses:
        house.stop()
        assert findings(house) == []


def key_of(house):
    return (house.var / "store" / "logs" / f"{house.entries()[0].log_id}.vkey").absolute()


def started_on_a_copy(house, folder):
    """What a third agent says that is given everything of the first one, on ports of its own, while that one runs."""
    shutil.copytree(house.folder, folder, ignore=shutil.ignore_patterns("*.sock"))
    port = ports.free_port()
    text = (folder / "callrec.yaml").read_text().replace(f":{house.port}", f":{port}")
    (folder / "callrec.yaml").write_text(text.replace(str(house.runtime), str(folder / "run")))
    copy = SharedHouse.__new__(SharedHouse)
    copy.config, copy.environment = folder / "callrec.yaml", {}
    (folder / "run").mkdir(mode=0o700)
    return copy.callrec("agent", "run", "--allow-unsafe-memory", code=20)
