"""What deploy/ promises operators, held against the code and against itself."""

from __future__ import annotations

import re
from pathlib import Path

from callrec.cli.root import root
from tests.peers.ports import LOOPBACK

DEPLOY = Path(__file__).parents[1] / "deploy"
UNIT = (DEPLOY / "systemd" / "callrec-agent.service").read_text()
TEMPLATE = (DEPLOY / "systemd" / "callrec-agent@.service").read_text()
EXAMPLE = (DEPLOY.parent / "config" / "callrec.example.yaml").read_text()
DIALPLAN = (DEPLOY / "asterisk" / "extensions_callrec.conf").read_text()
PJSIP = (DEPLOY / "asterisk" / "pjsip_callrec.conf").read_text()


def setting(unit: str, key: str) -> str:
    (value,) = re.findall(rf"^{key}=(.*)$", unit, re.MULTILINE)
    return value


def example(key: str) -> int:
    (value,) = re.findall(rf"^\s+{key}: (\d+)", EXAMPLE, re.MULTILINE)
    return int(value)


def test_the_template_differs_from_the_unit_only_where_it_names_the_agent():
    def nameless(unit: str) -> list[str]:
        lines = unit.replace("/%i.yaml", "/callrec.yaml").replace("/%i", "").replace(" %i", "").splitlines()
        return lines[1:]

    assert nameless(TEMPLATE) == nameless(UNIT)
    assert TEMPLATE.count("%i") == 7


def test_no_voice_can_reach_a_disk_through_swap_or_a_core():
    assert setting(UNIT, "MemorySwapMax") == "0"
    assert setting(UNIT, "LimitCORE") == "0"
    assert setting(UNIT, "RuntimeDirectoryPreserve") == "yes"
    assert f"runtime_dir: /run/{setting(UNIT, 'RuntimeDirectory')} " in EXAMPLE


def test_a_stop_waits_longer_than_the_drain():
    assert int(setting(UNIT, "TimeoutStopSec")) > example("drain_s")


def test_the_pbx_gives_up_on_a_silent_callrec_after_four_seconds():
    (timeout,) = re.findall(r"Dial\(PJSIP/\$\{EXTEN\}@callrec,(\d+),", DIALPLAN)

    assert int(timeout) <= 4


def test_a_hung_agent_is_killed_no_later_than_the_pbx_gives_it_up():
    (rtp_timeout,) = re.findall(r"^rtp_timeout=(\d+)", PJSIP, re.MULTILINE)

    assert int(setting(UNIT, "WatchdogSec")) <= int(rtp_timeout) < 10


def test_a_queue_gives_up_before_callrec_can():
    (queue,) = re.findall(r"Queue\(advice,,,,(\d+)\)", DIALPLAN)
    (most,) = re.findall(r"may ring; 3 to (\d+)", EXAMPLE)

    assert int(queue) < int(most)


def test_the_addresses_to_set_are_marked():
    assert [line.split("=")[0] for line in PJSIP.splitlines() if "; SET:" in line] == ["contact", "match"]
    assert PJSIP.count(LOOPBACK) == 2


def test_nothing_in_the_recipe_answers_plays_or_records():
    code = "\n".join(line.partition(";")[0] for line in DIALPLAN.splitlines())

    assert not re.findall(r"\b(?:Answer|Playback|Background|MixMonitor|Monitor|Record)\(", code)


def test_the_nightly_selftest_is_a_command_of_the_agents_own_user():
    unit = (DEPLOY / "systemd" / "callrec-selftest.service").read_text()
    timer = (DEPLOY / "systemd" / "callrec-selftest.timer").read_text()

    assert setting(unit, "ExecStart").split()[-1] in root.commands
    assert setting(unit, "User") == setting(UNIT, "User")
    assert "AF_INET" in setting(unit, "RestrictAddressFamilies")
    assert setting(timer, "OnCalendar").startswith("*-*-* ")
    assert setting(timer, "Persistent") == "yes"


def test_the_weekly_scan_is_a_command_and_takes_only_what_calls_leave():
    unit = (DEPLOY / "systemd" / "callrec-fixity.service").read_text()
    timer = (DEPLOY / "systemd" / "callrec-fixity.timer").read_text()
    group, command = setting(unit, "ExecStart").split()[-2:]

    assert command in root.commands[group].commands
    assert (setting(unit, "Nice"), setting(unit, "IOSchedulingClass")) == ("19", "idle")
    assert setting(unit, "User") == setting(UNIT, "User")
    assert setting(timer, "Persistent") == "yes"
