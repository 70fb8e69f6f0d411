"""`callrec agent reload`: what each line would do now, after a prompt was retired or approved beside the agent."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from callrec.agent.agent import Agent, House
from callrec.agent.leftovers import Leftovers
from callrec.cli.agent import agent_group
from callrec.control_desk import handlers
from callrec.errors import Unavailable
from callrec.notice import approval
from callrec.notice.approval import NewPrompt
from callrec.notice.register import Register
from callrec.ports import Traffic
from tests.agent.world import MEMORY, a_world
from tests.notice.spoken import PROMPTS

RECORD = Register.load(PROMPTS).find("advice-line.en")


@pytest.fixture
def told():
    return []


@pytest.fixture
def agent(tmp_path, told):
    with tempfile.TemporaryDirectory(dir=MEMORY, prefix="callrec-") as runtime:
        services = a_world(tmp_path, Path(runtime), notice="advice-line")
        services.telephony.traffic = Traffic
        house = House(services=services, shipper=None, read_back=Leftovers, watch=lambda *_: None, notify=told.append)
        yield Agent(house)


async def reload(agent):
    answer = await handlers(agent)["reload"]({"actor": "uid:0"})
    return "\n".join(answer["lines"])


def approved_again(folder):
    words = {"text": RECORD.text, "purposes": RECORD.purposes, "keys": RECORD.keys, "explains": RECORD.explains}
    draft = approval.add(folder, NewPrompt(id="advice-line", language="en", file=PROMPTS / RECORD.file, **words))
    approval.approve(folder, draft.name, by="ig-lead", now=datetime.now(UTC), append=lambda _entry: "ab" * 32)


async def test_a_running_agent_lets_go_of_what_was_retired_and_takes_up_what_was_approved(agent, told, tmp_path):
    folder = tmp_path / "prompts"
    assert await reload(agent) == "advice: recording"

    approval.retire(folder, "advice-line.en", by="ig-lead", why="wrong-words", append=lambda _entry: "cd" * 32)
    without = await reload(agent)
    approved_again(folder)

    assert without.startswith("advice: NOTICE_")
    assert "prompts" in without
    assert await reload(agent) == "advice: recording"
    assert [line.partition(" since ")[0] for line in told] == [
        "line advice: NOT RECORDING",
        "line advice: recording again",
    ]


async def test_a_register_that_cannot_be_read_is_said_with_its_place(agent, tmp_path):
    (tmp_path / "prompts" / "manifest.yaml").write_text("prompts: [{id: x}]\n", "utf-8")

    assert "manifest.yaml" in await reload(agent)


def asked(answer):
    desk = SimpleNamespace(agent=SimpleNamespace(ask=lambda question: {"reload": answer}[question]))
    return CliRunner().invoke(agent_group, ["reload"], obj=desk)


def test_the_command_says_a_line_for_each_line():
    assert asked({"lines": ["advice: recording", "night: NOTICE_MISSING: none"]}).output.splitlines() == [
        "advice: recording",
        "night: NOTICE_MISSING: none",
    ]
    assert isinstance(asked({"lines": []}).exception, Unavailable)
