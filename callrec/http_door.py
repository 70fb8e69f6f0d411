"""How a PBX or a CRM on this machine reaches the running agent: HTTP/1.1 with a token, one request a connection.

    POST /stop HTTP/1.1                              POST /event HTTP/1.1
    Authorization: Bearer TOKEN                      Authorization: Bearer TOKEN
    Content-Type: application/json                   Content-Type: application/x-www-form-urlencoded

    {"call": "4f1c"}                                 event=held&linked_id=pbx-1763800000.7

The path is the question, the body its arguments; the answers are those of the control socket, from the same place
(`asking.Questions`), and errors are the same JSON sentences. What is not in `ASKED` cannot be asked here. Sources:
RFC 9112 (messages), RFC 6750 section 2.1 (bearer tokens), RFC 9110 section 15 (status codes).
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl

from callrec.asking import Handler, Questions, reply_for
from callrec.errors import CallrecError, ConfigError, Refused, Unavailable

ASKED: Final = ("stop", "pause", "resume", "flag", "subject", "tag", "notice", "event")
"""What may be asked by HTTP, as far as the agent answers it. No path reads recordings, and none starts one: `notice`
has the outside party told, and a recording then needs its proof as ever; `tag` is refused, and written down.
"""
HEAD_LIMIT: Final = 8 * 1024
"""Bytes of the request line with its headers."""
BODY_LIMIT: Final = 16 * 1024
CONNECTION_LIMIT: Final = 32
PATIENCE_S: Final = 10.0
"""Seconds that an asker may take over the whole request, and over taking the answer."""
TOKEN_LEAST: Final = 24
"""Characters of the shortest token that is admitted."""
ACTOR: Final = "http"
"""Who asks, in ledger and manifest: whoever has the token."""

_STATUS: Final = {2: HTTPStatus.BAD_REQUEST, 10: HTTPStatus.CONFLICT, 20: HTTPStatus.SERVICE_UNAVAILABLE}
_HEAD_END: Final = b"\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    method: str
    path: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Response:
    status: HTTPStatus
    reply: Mapping[str, Any]
    headers: tuple[str, ...] = ()


class _Turned(Exception):
    """This request is not answered, but told why."""

    def __init__(self, response: _Response) -> None:
        super().__init__(response.status.phrase)
        self.response = response


def _turned(status: HTTPStatus, error: CallrecError, *headers: str) -> _Turned:
    return _Turned(_Response(status=status, reply=reply_for(error), headers=headers))


def checked_token(token: bytes, *, at: str) -> bytes:
    """The token as it is compared. ConfigError where it is too short, or cannot stand in a header."""
    if len(token) < TOKEN_LEAST or not token.isascii() or any(byte <= 32 or byte == 127 for byte in token):  # noqa: PLR2004
        step = f"write at least {TOKEN_LEAST} letters and digits into it, as `openssl rand -hex 24` prints them"
        raise ConfigError(f"{at}: this is no token", next_step=step)
    return token


class HttpDoor:
    """Answers on one address, from one event loop. Nothing an asker sends stops it."""

    def __init__(self, host: str, port: int, token: bytes, handlers: Mapping[str, Handler]) -> None:
        self._host, self._port, self._token = host, port, token
        self._questions = Questions({name: handlers[name] for name in ASKED if name in handlers})
        self._server: asyncio.Server | None = None
        self._askers: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """Where it listens; what was asked for, or what the system chose for 0."""
        return int(self._server.sockets[0].getsockname()[1]) if self._server is not None else self._port

    async def start(self) -> None:
        """Listen. ConfigError where the address cannot be had."""
        try:
            self._server = await asyncio.start_server(self._connected, self._host, self._port, limit=HEAD_LIMIT)
        except OSError as error:
            what = f"http.listen: {self._host}:{self._port}: {error.strerror or error}"
            raise ConfigError(what, next_step="stop the program that has this port, or choose another") from error

    async def close(self) -> None:
        """Stop listening and end every connection. Idempotent."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        for task in self._askers:
            task.cancel()
        await asyncio.gather(*self._askers, return_exceptions=True)
        await server.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._askers.add(task)
            task.add_done_callback(self._askers.discard)
        try:
            with contextlib.suppress(ConnectionError, TimeoutError):  # nobody is left to be told
                writer.write(_bytes_of(await self._response(reader)))
                await asyncio.wait_for(writer.drain(), PATIENCE_S)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _response(self, reader: asyncio.StreamReader) -> _Response:
        try:
            async with asyncio.timeout(PATIENCE_S):
                name, args = await self._question(reader)
        except _Turned as turned:
            return turned.response
        reply = await self._questions.answer(name, args, actor=ACTOR)
        code = reply.get("error", {}).get("exit_code", 0)
        status = HTTPStatus.OK if "answer" in reply else _STATUS.get(code, HTTPStatus.INTERNAL_SERVER_ERROR)
        return _Response(status=status, reply=reply)

    async def _question(self, reader: asyncio.StreamReader) -> tuple[str, dict[str, Any]]:
        if len(self._askers) > CONNECTION_LIMIT:
            busy = Unavailable(f"{CONNECTION_LIMIT} others are asking the agent", next_step="ask again in a moment")
            raise _turned(HTTPStatus.SERVICE_UNAVAILABLE, busy)
        request = await _read_head(reader)
        self._admit(request)
        if request.method != "POST":
            error = ConfigError(f"{request.method} asks nothing here", next_step="send POST")
            raise _turned(HTTPStatus.METHOD_NOT_ALLOWED, error, "Allow: POST")
        return request.path.removeprefix("/"), _arguments(request, await _read_body(reader, request))

    def _admit(self, request: _Request) -> None:
        """Before anything else of it is looked at; compared in a time that tells nothing of the token."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._token):
            return
        refused = Refused("this request shows no token, or another one", next_step="send Authorization: Bearer TOKEN")
        raise _turned(HTTPStatus.UNAUTHORIZED, refused, "WWW-Authenticate: Bearer")


async def _read_head(reader: asyncio.StreamReader) -> _Request:
    try:
        head = await reader.readuntil(_HEAD_END)
    except asyncio.LimitOverrunError:
        long = ConfigError(f"the headers are longer than {HEAD_LIMIT} bytes", next_step="send fewer")
        raise _turned(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, long) from None
    except asyncio.IncompleteReadError as error:
        raise ConnectionError("the asker went away") from error
    first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1.") or not words[1].startswith("/"):  # noqa: PLR2004 - RFC 9112 3
        raise _turned(HTTPStatus.BAD_REQUEST, ConfigError("this is no HTTP/1.1 request", next_step="send POST /stop"))
    pairs = (line.partition(":") for line in lines)
    return _Request(method=words[0], path=words[1], headers={n.strip().lower(): v.strip() for n, _, v in pairs})


async def _read_body(reader: asyncio.StreamReader, request: _Request) -> bytes:
    length = request.headers.get("content-length", "0")
    if "transfer-encoding" in request.headers or not (length.isascii() and length.isdigit()):
        error = ConfigError("the length of the body is not told", next_step="send Content-Length, not chunks")
        raise _turned(HTTPStatus.LENGTH_REQUIRED, error)
    if int(length[:9]) > BODY_LIMIT or len(length) > 9:  # noqa: PLR2004
        error = ConfigError(f"the body is longer than {BODY_LIMIT} bytes", next_step="send less")
        raise _turned(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, error)
    try:
        return await reader.readexactly(int(length))
    except asyncio.IncompleteReadError as error:
        raise ConnectionError("the asker went away") from error


def _arguments(request: _Request, body: bytes) -> dict[str, Any]:
    try:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json":
            read = json.loads(body)
        else:
            read = dict(parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=bool(body)))
    except (ValueError, RecursionError):
        read = None
    if isinstance(read, dict):
        return read
    error = ConfigError(
        "the arguments cannot be read", next_step='send a form, or one JSON object as in {"call": "4f1c"}'
    )
    raise _turned(HTTPStatus.BAD_REQUEST, error)


def _bytes_of(response: _Response) -> bytes:
    body = json.dumps(response.reply, ensure_ascii=True, default=str).encode() + b"\n"
    lines = (
        f"HTTP/1.1 {response.status.value} {response.status.phrase}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "Connection: close",
        *response.headers,
    )
    return "\r\n".join(lines).encode() + _HEAD_END + body
