"""A PBX asks over HTTP what the command line asks over its socket, and gets one answer; nothing stops the agent."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callrec.control import ControlClient, ControlServer
from callrec.errors import Broken, ConfigError, Refused, Unavailable
from callrec.http_door import BODY_LIMIT, CONNECTION_LIMIT, HEAD_LIMIT, HttpDoor, checked_token

TOKEN = b"t0ken-of-a-test-0123456789"
BOUND_S = 10


async def stop(args):
    if args.get("call") == "unknown":
        raise Refused("there is no one call 'unknown'", next_step="see `callrec call list`")
    return args


async def away(args):
    raise Unavailable("not now", next_step="ask again")


async def contradict(args):
    raise Broken("two truths", next_step="call a person")


async def stumble(args):
    raise KeyError("a defect")


HANDLERS = {"stop": stop, "pause": away, "resume": contradict, "flag": stumble, "append": stop, "status": stop}


@pytest.fixture
async def door():
    made = HttpDoor("127.0.0.1", 0, TOKEN, HANDLERS)
    await made.start()
    yield made
    await made.close()


async def send(door, data: bytes) -> tuple[int, dict[str, str], dict]:
    """Status, headers and JSON of what is answered to these bytes."""
    async with asyncio.timeout(BOUND_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(data)
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return int(first.split(" ")[1]), dict(line.split(": ", 1) for line in lines), json.loads(body)


def request(path="/stop", body=b"", *, token=TOKEN, method="POST", headers=()):
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}", *headers]
    if token is not None:
        lines.append(f"Authorization: Bearer {token.decode()}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


FORM = "Content-Type: application/x-www-form-urlencoded"
JSON = "Content-Type: application/json"


@pytest.mark.parametrize(
    ("headers", "body"), [((JSON,), b'{"call": "4f1c"}'), ((FORM,), b"call=4f1c"), ((), b"call=4f1c")]
)
async def test_a_form_and_a_json_object_ask_the_same(door, headers, body):
    status, _, reply = await send(door, request(body=body, headers=headers))

    assert status == 200
    assert reply == {"answer": {"call": "4f1c", "actor": "http"}}


async def test_who_asks_is_whoever_has_the_token_and_not_whom_the_asker_names(door):
    _, _, reply = await send(door, request(body=b'{"actor": "uid:0"}', headers=(JSON,)))

    assert reply["answer"]["actor"] == "http"


@pytest.mark.parametrize("token", [None, b"another-token-0123456789-x", TOKEN[:-1], TOKEN + b"x", b""])
async def test_without_the_token_nothing_is_asked(door, token):
    status, headers, reply = await send(door, request(body=b"call=4f1c", token=token))

    assert status == 401
    assert headers["WWW-Authenticate"] == "Bearer"
    assert reply["error"]["next_step"]


@pytest.mark.parametrize("path", ["/append", "/status", "/", "/calls", "/stop/", "/../stop"])
async def test_what_is_not_for_a_pbx_cannot_be_asked_by_http_even_where_the_command_line_may(door, path):
    status, _, reply = await send(door, request(path))

    assert status == 400
    assert "cannot be asked" in reply["error"]["what"]


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/stop", b"call=unknown", 409, 10),
        ("/pause", b"", 503, 20),
        ("/resume", b"", 500, 30),
        ("/flag", b"", 503, 20),
        ("/stop", b"no form", 400, 2),
    ],
)
async def test_every_error_is_a_sentence_with_what_to_do_next(door, path, body, status, code):
    told, headers, reply = await send(door, request(path, body))

    assert told == status
    assert reply["error"]["exit_code"] == code
    assert reply["error"]["what"]
    assert reply["error"]["next_step"]
    assert headers["Content-Type"] == "application/json"


async def test_a_defect_in_an_answer_tells_nothing_of_what_was_asked_and_ends_nothing(door):
    _, _, failed = await send(door, request("/flag", b"call=07700900123"))
    _, _, well = await send(door, request(body=b"call=4f1c"))

    assert "07700900123" not in json.dumps(failed)
    assert well["answer"]["call"] == "4f1c"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request(method="GET"), 405),
        (request(headers=("Transfer-Encoding: chunked",)), 411),
        (b"POST /stop HTTP/1.1\r\nAuthorization: Bearer " + TOKEN + b"\r\nContent-Length: -1\r\n\r\n", 411),
        (
            b"POST /stop HTTP/1.1\r\nAuthorization: Bearer "
            + TOKEN
            + f"\r\nContent-Length: {BODY_LIMIT + 1}\r\n\r\n".encode(),
            413,
        ),
        (request(headers=("X: " + "x" * HEAD_LIMIT,)), 431),
        (b"\x16\x03\x01 hello\r\n\r\n", 400),
        (request(body=b"[1]", headers=(JSON,)), 400),
        (request(body=b'{"call": ', headers=(JSON,)), 400),
        (request(body=b"\xff\xfe=1"), 400),
    ],
)
async def test_what_is_no_request_is_told_so(door, data, status):
    told, _, reply = await send(door, data)

    assert told == status
    assert reply["error"]["next_step"]


@given(st.binary(max_size=400))
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_that_is_sent_stops_the_door(data):
    async def attack():
        door = HttpDoor("127.0.0.1", 0, TOKEN, HANDLERS)
        await door.start()
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", door.port)
            writer.write(data)
            writer.close()
            await writer.wait_closed()
            return (await send(door, request(body=b"call=4f1c")))[2]
        finally:
            await door.close()

    assert asyncio.run(attack())["answer"]["call"] == "4f1c"


@asynccontextmanager
async def silent_askers(door, count):
    """So many connections that send nothing."""
    pairs = [await asyncio.open_connection("127.0.0.1", door.port) for _ in range(count)]
    try:
        yield
    finally:
        for _, writer in pairs:
            writer.close()
            await writer.wait_closed()


async def test_askers_who_say_nothing_do_not_crowd_the_others_out_unheard(door):
    async with silent_askers(door, CONNECTION_LIMIT):
        status, _, reply = await send(door, request(body=b"call=4f1c"))

    assert status == 503
    assert "others are asking" in reply["error"]["what"]


async def test_both_doors_give_one_answer(door, tmp_path):
    control = ControlServer(tmp_path / "control.sock", HANDLERS)
    await control.start()
    try:
        with pytest.raises(Refused) as by_socket:
            await asyncio.to_thread(ControlClient(tmp_path / "control.sock").ask, "stop", call="unknown")
    finally:
        await control.close()
    _, _, by_http = await send(door, request(body=b"call=unknown"))

    assert by_http["error"]["what"] == str(by_socket.value)
    assert by_http["error"]["next_step"] == by_socket.value.next_step


async def test_an_address_that_is_taken_is_told_with_its_key(door):
    with pytest.raises(ConfigError, match=r"http\.listen"):
        await HttpDoor("127.0.0.1", door.port, TOKEN, HANDLERS).start()


@pytest.mark.parametrize(
    "token", [b"", b"short", b"with space-0123456789-0123456789", b"\xc3\xa9" * 20, b"x" * 40 + b"\r\n"]
)
def test_a_token_that_could_be_guessed_or_cannot_be_sent_is_none(token):
    with pytest.raises(ConfigError, match="no token") as refused:
        checked_token(token, at="http.token")

    assert token.decode() not in str(refused.value) or not token
