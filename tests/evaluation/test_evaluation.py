"""It admits what it is: two bridged calls, loopback only, the player's word; and the demonstration works on it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.peers.sipp_steps import invite
from tests.sip.engine import EngineProcess, engine_settings

pytestmark = pytest.mark.calls
CALLREC = Path(sys.executable).with_name("callrec")


def test_it_says_what_it_is(tmp_path):
    engine = EngineProcess(engine_settings(tmp_path), tmp_path / "engine.log")

    facts = engine.wait("started")["facts"]

    assert (facts["build"], facts["tap"], facts["max_bridged_calls"]) == ("evaluation wheel", "player", 2)
    assert facts["loopback_only"]
    assert any("loopback only" in remark for remark in facts["remarks"])
    assert engine.finish() == 0
    assert engine.strays == []


def test_it_listens_on_loopback_only(tmp_path):
    engine = EngineProcess(engine_settings(tmp_path, listen=["udp:0.0.0.0:5080"]), tmp_path / "engine.log")

    failed = engine.wait("failed")

    assert failed["error"] == "ConfigError"
    assert "the evaluation engine is admitted on loopback only" in failed["what"]
    assert engine.finish() == 2


def test_where_two_calls_are_bridged_a_third_is_turned_away_by_the_library_itself(calls):
    for _ in range(2):
        staff = calls.speaking_staff()
        calls.talking()
        calls.bridged(staff)

    third = calls.caller(invite(refused_with=486))

    third.succeed(within_s=10)
    assert calls.engine.wait("refused")["why"] == "turned away by the engine with 486"
    assert calls.engine.kinds() == []


def test_the_demonstration_records_one_call_and_not_the_other_and_every_check_passes(tmp_path):
    shown = subprocess.run([CALLREC, "demo"], cwd=tmp_path, capture_output=True, text=True, timeout=110, check=False)
    command = [CALLREC, "-c", "callrec-demo/callrec.yaml", "audit", "verify", "--json"]
    checked = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)

    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "First call: RECORDED" in shown.stdout
    assert "Second call: connected, NOT_RECORDED (CALLER_DECLINED)" in shown.stdout
    assert "tap: player, an evaluation grade" in shown.stdout
    assert json.loads(checked.stdout)["exit_code"] == 0
