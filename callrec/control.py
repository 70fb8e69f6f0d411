"""How the command line reaches the running agent: a unix socket, one JSON object a line each way.

Request: `{"ask": name, "args": {...}}`. Reply: `{"answer": {...}}`, or `{"error": {"exit_code", "what", "next_step"}}`.
Who may ask is decided by the file mode (0660) and told to the handler as `actor`, from the kernel (SO_PEERCRED,
unix(7)), never from the request.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import stat
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from callrec.asking import Handler, Questions, reply_for
from callrec.errors import Broken, CallrecError, ConfigError, Refused, Unavailable

REQUEST_LIMIT: Final = 64 * 1024
"""Bytes of one request line."""
REPLY_LIMIT: Final = 4 * 1024 * 1024
"""Bytes of one reply line that a client accepts."""
CONNECTION_LIMIT: Final = 32
"""Askers at once; one more waits for nothing and is told so."""
IDLE_S: Final = 30.0
"""Seconds that an asker may take over one line."""

_NOT_RUNNING: Final = "start it with `callrec agent run`, or name its configuration with -c FILE"
_ERRORS: Final = {kind.exit_code: kind for kind in (ConfigError, Refused, Unavailable, Broken)}


def _line(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def _request(line: bytes) -> tuple[str, dict[str, Any]]:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        raise ConfigError("the request is no JSON", next_step="send one JSON object in each line") from None
    asked = message if isinstance(message, dict) else {}
    name, args = asked.get("ask"), asked.get("args", {})
    if not isinstance(name, str) or not isinstance(args, dict):
        raise ConfigError("the request asks nothing", next_step='send {"ask": name, "args": {...}}')
    return name, args


class ControlServer:
    """Answers questions on a unix socket, from one event loop. Nothing an asker sends stops it."""

    def __init__(self, path: Path, handlers: Mapping[str, Handler]) -> None:
        self._path = path
        self._questions = Questions(handlers)
        self._server: asyncio.Server | None = None
        self._askers: set[asyncio.Task[None]] = set()
        self._closed = False

    async def start(self) -> None:
        """Listen. A socket left over by a dead agent is replaced; `Unavailable` where a living one answers there."""
        bound = _bind(self._path)
        self._server = await asyncio.start_unix_server(self._connected, sock=bound, limit=REQUEST_LIMIT)

    async def close(self) -> None:
        """Stop listening, end every connection, remove the socket. Idempotent."""
        if self._server is None:
            return
        server, self._server = self._server, None
        self._closed = True  # for those who were accepted but not served yet
        server.close()
        for task in self._askers:
            task.cancel()
        await asyncio.gather(*self._askers, return_exceptions=True)
        await server.wait_closed()
        self._path.unlink(missing_ok=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._askers.add(task)
            task.add_done_callback(self._askers.discard)
        try:
            if not self._closed:
                await self._serve(reader, writer)
        except (ConnectionError, TimeoutError):
            pass  # the asker went away or fell silent; nobody is left to be told
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._askers) > CONNECTION_LIMIT:
            busy = Unavailable(f"{CONNECTION_LIMIT} others are asking the agent", next_step="ask again in a moment")
            return await _send(writer, reply_for(busy))
        actor = _actor(writer.get_extra_info("socket"))
        while True:
            try:
                line = await asyncio.wait_for(reader.readline(), IDLE_S)
            except ValueError:  # readline's word for a line beyond the limit; where the next begins is unknown
                long = ConfigError(f"the request is longer than {REQUEST_LIMIT} bytes", next_step="ask for less")
                return await _send(writer, reply_for(long))
            if not line:
                return None
            await _send(writer, await self._answer(line, actor))

    async def _answer(self, line: bytes, actor: str) -> dict[str, Any]:
        try:
            name, args = _request(line)
        except CallrecError as error:
            return reply_for(error)
        return await self._questions.answer(name, args, actor=actor)


async def _send(writer: asyncio.StreamWriter, message: Mapping[str, Any]) -> None:
    try:
        line = _line(message)
    except (TypeError, ValueError) as error:
        line = _line(reply_for(Unavailable(f"the answer is no JSON: {error}", next_step="report this")))
    writer.write(line)
    await asyncio.wait_for(writer.drain(), IDLE_S)


def _actor(connection: Any) -> str:
    """Who is at the other end, as the kernel says: pid, uid and gid when it connected."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return f"uid:{struct.unpack('3i', credentials)[1]}"


def _bind(path: Path) -> socket.socket:
    _make_way(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(listening.fileno(), 0o660)  # Linux gives the file this mode, less the umask: never open to others
        listening.bind(str(path))
        path.chmod(0o660)
        listening.settimeout(0)  # asyncio wants it so
    except OSError as error:
        listening.close()
        step = "choose an agent.data_dir that exists, is writable and has a short path (at most 107 bytes)"
        raise ConfigError(f"{path}: {error.strerror or error}", next_step=step) from error
    return listening


def _make_way(path: Path) -> None:
    """Remove a socket that nobody answers; refuse to touch anything else."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ConfigError(f"{path} is in the way and is no socket", next_step="move it elsewhere")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except OSError as error:
            raise Unavailable(f"{path}: {error.strerror or error}", next_step="stop what holds it") from error
    raise Unavailable(f"another agent answers on {path}", next_step="stop that one first; one agent, one data_dir")


class ControlClient:
    """Asks the running agent. Blocking; not for the event loop."""

    def __init__(self, path: Path, *, timeout_s: float = 5.0) -> None:
        self._path = path
        self._timeout_s = timeout_s

    def ask(self, name: str, **args: Any) -> dict[str, Any]:
        """The agent's answer. Raises what the agent raised; `Unavailable` where it is not running or does not answer
        within the time.
        """
        deadline = time.monotonic() + self._timeout_s
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            try:
                connection.settimeout(self._timeout_s)
                connection.connect(str(self._path))
                connection.sendall(_line({"ask": name, "args": args}))
                reply = _read_line(connection, deadline)
            except (FileNotFoundError, ConnectionRefusedError) as error:
                raise Unavailable("the agent is not running", next_step=_NOT_RUNNING) from error
            except TimeoutError as error:
                step = "look at `systemctl status` and the log; its calls may go on all the same"
                raise Unavailable(f"the agent did not answer within {self._timeout_s:g} s", next_step=step) from error
            except OSError as error:
                step = "ask as the agent's user or a member of its group"
                raise Unavailable(f"{self._path}: {error.strerror or error}", next_step=step) from error
        return _answer_in(reply)


def _read_line(connection: socket.socket, deadline: float) -> bytes:
    received = bytearray()
    while not received.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        piece = connection.recv(65536)
        if not piece:
            raise Unavailable("the agent hung up before it answered", next_step="see whether it still runs")
        received += piece
        if len(received) > REPLY_LIMIT:
            raise Unavailable(f"the answer is longer than {REPLY_LIMIT} bytes", next_step="ask for less")
    return bytes(received)


def _answer_in(line: bytes) -> dict[str, Any]:
    try:
        reply = json.loads(line)
        if "error" in reply:
            error = reply["error"]
            raise _ERRORS.get(error["exit_code"], Unavailable)(str(error["what"]), next_step=str(error["next_step"]))
        return dict(reply["answer"])
    except (ValueError, KeyError, TypeError) as error:
        step = "see that agent and command line are of one version"
        raise Unavailable("the agent's answer cannot be read", next_step=step) from error
