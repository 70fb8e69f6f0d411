"""The command line asks, the agent answers; nothing that is sent stops the agent."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callrec.control import CONNECTION_LIMIT, REQUEST_LIMIT, ControlClient, ControlServer
from callrec.errors import Broken, ConfigError, Refused, Unavailable

BOUND_S = 10


async def echo(args):
    return args


async def refuse(args):
    raise Refused("the rules say no", next_step="ask a guardian")


async def contradict(args):
    raise Broken("two truths", next_step="call a person")


async def stumble(args):
    raise KeyError("a defect")


async def babble(args):
    return {"odd": object()}


HANDLERS = {"echo": echo, "refuse": refuse, "contradict": contradict, "stumble": stumble, "babble": babble}


@pytest.fixture
async def path(tmp_path):
    server = ControlServer(tmp_path / "control.sock", HANDLERS)
    await server.start()
    yield tmp_path / "control.sock"
    await server.close()


async def ask(path, name, **args):
    return await asyncio.to_thread(ControlClient(path).ask, name, **args)


@asynccontextmanager
async def connected(path):
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        yield reader, writer
    finally:
        writer.close()
        await writer.wait_closed()


async def send(path, data: bytes) -> dict:
    """What the server says to these bytes."""
    async with connected(path) as (reader, writer):
        writer.write(data)
        return json.loads(await asyncio.wait_for(reader.readline(), BOUND_S))


async def test_a_question_gets_its_answer(path):
    assert (await ask(path, "echo", line="advice"))["line"] == "advice"


async def test_the_kernel_says_who_asks_whatever_the_asker_says(path):
    answer = await send(path, b'{"ask": "echo", "args": {"actor": "uid:12345"}}\n')

    assert answer["answer"]["actor"] == f"uid:{os.getuid()}"


async def test_only_owner_and_group_may_ask(path):
    assert stat.S_IMODE(path.stat().st_mode) == 0o660


@pytest.mark.parametrize(("name", "error"), [("refuse", Refused), ("contradict", Broken), ("unheard-of", ConfigError)])
async def test_a_refusal_arrives_as_what_it_was(path, name, error):
    with pytest.raises(error) as refused:
        await ask(path, name)

    assert refused.value.next_step


@pytest.mark.parametrize("name", ["stumble", "babble"])
async def test_a_defect_in_one_answer_is_told_and_ends_nothing(path, name):
    with pytest.raises(Unavailable):
        await ask(path, name)

    assert (await ask(path, "echo", still="there"))["still"] == "there"


@pytest.mark.parametrize(
    "line", [b"\n", b"hello\n", b"[]\n", b'"echo"\n', b'{"ask": 1}\n', b'{"ask": "echo", "args": 3}\n', b"\xff\xfe\n"]
)
async def test_what_is_no_request_gets_a_reply_that_says_so(path, line):
    assert (await send(path, line))["error"]["exit_code"] == 2


async def test_a_line_without_end_is_cut_off(path):
    reply = await send(path, b"x" * (REQUEST_LIMIT + 10))

    assert "longer than" in reply["error"]["what"]
    assert (await ask(path, "echo", still="there"))["still"] == "there"


async def test_several_questions_go_over_one_connection(path):
    answers = []
    async with connected(path) as (reader, writer):
        for number in range(3):
            writer.write(json.dumps({"ask": "echo", "args": {"number": number}}).encode() + b"\n")
            answers.append(json.loads(await asyncio.wait_for(reader.readline(), BOUND_S))["answer"]["number"])

    assert answers == [0, 1, 2]


async def test_one_asker_too_many_is_told_at_once(path):
    async with AsyncExitStack() as held:
        for _ in range(CONNECTION_LIMIT):
            await held.enter_async_context(connected(path))
        reply = await send(path, b'{"ask": "echo"}\n')

    assert "others are asking" in reply["error"]["what"]


async def test_a_stale_socket_is_replaced(tmp_path):
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    server = ControlServer(path, HANDLERS)

    await server.start()

    assert await ask(path, "echo", a=1) == {"a": 1, "actor": f"uid:{os.getuid()}"}
    await server.close()


async def test_a_living_agent_keeps_its_socket(path):
    with pytest.raises(Unavailable, match="another agent"):
        await ControlServer(path, HANDLERS).start()

    assert (await ask(path, "echo", still="there"))["still"] == "there"


async def test_a_file_in_the_way_is_left_alone(tmp_path):
    path = tmp_path / "control.sock"
    path.write_text("mine")

    with pytest.raises(ConfigError, match="no socket"):
        await ControlServer(path, HANDLERS).start()

    assert path.read_text() == "mine"


@pytest.mark.parametrize("place", ["missing/control.sock", "long" * 40])
async def test_a_place_where_no_socket_can_be_is_a_configuration_error(tmp_path, place):
    with pytest.raises(ConfigError) as refused:
        await ControlServer(tmp_path / place, HANDLERS).start()

    assert "data_dir" in refused.value.next_step


async def test_closing_ends_connections_removes_the_socket_and_may_be_repeated(tmp_path):
    server = ControlServer(tmp_path / "control.sock", HANDLERS)
    await server.start()
    async with connected(tmp_path / "control.sock") as (reader, writer):
        writer.write(b'{"ask": "echo"}\n')
        await asyncio.wait_for(reader.readline(), BOUND_S)

        await server.close()
        await server.close()

        assert await asyncio.wait_for(reader.read(), BOUND_S) == b""
        assert not (tmp_path / "control.sock").exists()


def test_without_an_agent_the_client_says_so(tmp_path):
    with pytest.raises(Unavailable, match="the agent is not running") as refused:
        ControlClient(tmp_path / "control.sock").ask("status")

    assert "callrec agent run" in refused.value.next_step


def test_a_dead_agents_socket_is_no_agent(tmp_path):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "control.sock"))

    with pytest.raises(Unavailable, match="the agent is not running"):
        ControlClient(tmp_path / "control.sock").ask("status")


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (b"", "hung up"),
        (b"nonsense\n", "cannot be read"),
        (b"[]\n", "cannot be read"),
        (b'{"error": 3}\n', "cannot be read"),
    ],
)
async def test_a_strange_answer_is_no_answer(tmp_path, reply, says):
    async def strange(reader, writer):
        await reader.readline()
        writer.write(reply)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_unix_server(strange, tmp_path / "s")
    try:
        with pytest.raises(Unavailable, match=says):
            await ask(tmp_path / "s", "status")
    finally:
        server.close()
        await server.wait_closed()


async def test_an_agent_that_is_silent_is_given_up(tmp_path):
    asked = asyncio.Event()

    async def silent(reader, writer):
        await reader.readline()
        asked.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_unix_server(silent, tmp_path / "s")
    client = ControlClient(tmp_path / "s", timeout_s=0.2)
    try:
        with pytest.raises(Unavailable, match="did not answer"):
            await asyncio.to_thread(client.ask, "status")
    finally:
        server.close()
        await server.wait_closed()

    assert asked.is_set()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(st.binary(max_size=200))
def test_any_line_gets_exactly_one_reply(data):
    server = ControlServer.__new__(ControlServer)
    server._handlers = HANDLERS

    reply = asyncio.run(server._answer(data, "uid:0"))

    assert set(reply) in ({"answer"}, {"error"})
