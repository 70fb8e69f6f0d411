"""A process of our own for heavy work: started, asked one thing at a time, bounded in time, ended with its owner.

What it does takes none of our interpreter's time and gives way to whoever has more to hurry for; where it crashes, or
hangs, it costs what it was asked and nothing else. Both sides speak over a socket pair that nobody else holds, JSON
behind its length (4 bytes, big endian): secrets may pass there, and pass nowhere else.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

from callrec.errors import Unavailable

START_S: Final = 20.0
"""How long it may take to read its modules, on a machine that is busy."""
_END_S: Final = 5.0
_LENGTH_BYTES: Final = 4
_PR_SET_PDEATHSIG: Final = 1
_PASSED_ON: Final = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR")
_READY: Final = {"ready": True}
_NEXT_STEP: Final = "see what it wrote above; look at memory and the number of processes (TasksMax), or install again"

Message = dict[str, Any]
Answer = Callable[[Message], Message]


class LostError(Exception):
    """The child ended, or was ended, before it had answered: whether it did its work is not known. It is gone."""


@dataclass(slots=True)
class _Living:
    process: subprocess.Popen[bytes]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    owes_an_answer: bool = True
    """From when it is asked; a new one, that it is ready."""

    @property
    def gone(self) -> bool:
        return self.reader.at_eof() or self.process.poll() is not None


class Child:
    """Runs `python -m module *words`, which calls `serve`. `tell` hears what a person should. For one event loop, whose
    thread must outlive it: the kernel ends the child with the thread that started it (prctl(2), PR_SET_PDEATHSIG).
    """

    def __init__(
        self, name: str, module: str, *words: str, tell: Callable[[str], None], start_s: float = START_S
    ) -> None:
        self.name = name
        self._tell = tell
        self.trouble = ""
        """Why it could not be started last, and what to do; empty where it could."""
        self._command = (sys.executable, "-P", "-m", module, *words)
        self._start_s = start_s
        self._living: _Living | None = None
        self._stuck: subprocess.Popen[bytes] | None = None
        self._closed = False
        self._turn = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """Of the living process."""
        return self._living.process.pid if self._living is not None else None

    async def start(self) -> None:
        """Have it run; harmless where it does, or is asked something. `Unavailable` where it cannot be started."""
        if not self._turn.locked():
            async with self._turn:
                await self._started()

    async def ask(self, message: Message, *, within_s: float) -> Message:
        """Its answer. It is started where it does not run: `Unavailable` where it cannot be. `LostError` where it ended
        meanwhile, or had not answered within so many seconds: then it was killed.
        """
        async with self._turn:
            living = await self._started()
            try:
                async with asyncio.timeout(within_s):
                    return await _exchanged(living, message)
            except TimeoutError as error:
                raise LostError(f"had not answered after {within_s:g} s") from error
            except (OSError, EOFError) as error:
                raise LostError(await _how_it_ended(living.process)) from error
            finally:
                if living.owes_an_answer:  # it would come in place of the next one
                    await self._end(living)

    async def close(self) -> None:
        """End it, for good. What it works on may come to its end within a few seconds, untold. Idempotent."""
        self._closed = True
        if (living := self._living) is not None:
            living.writer.close()
            await _ended(living.process, _END_S)
            await self._end(living)

    # ------------------------------------------------------------ its life

    async def _started(self) -> _Living:
        if self._living is not None and self._living.gone:
            self._tell(f"{self.name} {await _how_it_ended(self._living.process)} while it had nothing to do")
            await self._end(self._living)
        if self._living is None:
            try:
                self._living = await self._begun()
            except Unavailable as error:
                self.trouble = f"{error}; {error.next_step}"
                raise
        self.trouble = ""
        return self._living

    async def _begun(self) -> _Living:
        """A new one, never beside one that may still write."""
        if self._closed:
            raise Unavailable(f"{self.name} was ended", next_step="start the agent again")
        if self._stuck is not None and self._stuck.poll() is None:
            step = "it waits for a disk: look at the kernel log"
            raise Unavailable(f"{self.name}: process {self._stuck.pid} was killed and does not end", next_step=step)
        living = await self._opened()
        try:
            async with asyncio.timeout(self._start_s):
                said = await _received(living)
        except TimeoutError as error:
            why = f"{self.name} was not ready after {self._start_s:g} s"
            raise Unavailable(why, next_step=_NEXT_STEP) from error
        except (OSError, EOFError) as error:
            why = f"{self.name} {await _how_it_ended(living.process)} before it was ready"
            raise Unavailable(why, next_step=_NEXT_STEP) from error
        finally:
            if living.owes_an_answer:
                await self._end(living)
        if said != _READY:
            await self._end(living)
            raise Unavailable(f"{self.name}: {said['what']}", next_step=said["next_step"])
        return living

    async def _opened(self) -> _Living:
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                process = _spawned(self._command, theirs)
        except OSError as error:
            ours.close()
            raise Unavailable(f"{self.name} cannot be started: {error.strerror}", next_step=_NEXT_STEP) from error
        return _Living(process, *await asyncio.open_connection(sock=ours))

    async def _end(self, living: _Living) -> None:
        """Gone, or stuck in the kernel: then no other is started until it is."""
        self._living = None
        living.writer.close()
        if living.process.poll() is None:
            living.process.kill()
            if await asyncio.shield(_ended(living.process, _END_S)) is None:
                self._stuck = living.process


def _spawned(command: Sequence[str], door: socket.socket) -> subprocess.Popen[bytes]:
    """Its one descriptor besides the log is the door, as its standard input. It finds the very modules that we have,
    and nothing of our environment that it does not need. A group of its own, or Ctrl-C would end it under our feet; no
    session of its own, or the kernel would give it half of the machine, however nice it is (sched(7), autogroup).
    """
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    environment |= {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdin=door.fileno(), stdout=subprocess.DEVNULL, env=environment, process_group=0)


async def _ended(process: subprocess.Popen[bytes], within_s: float) -> int | None:
    """Its exit status; None where it goes on for so long."""
    try:
        return await asyncio.to_thread(process.wait, within_s)
    except subprocess.TimeoutExpired:
        return None


async def _how_it_ended(process: subprocess.Popen[bytes]) -> str:
    code = await _ended(process, _END_S)
    if code is None:
        return "closed its door"
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"


async def _exchanged(living: _Living, message: Message) -> Message:
    living.owes_an_answer = True
    living.writer.write(_framed(message))
    await living.writer.drain()
    return await _received(living)


async def _received(living: _Living) -> Message:
    size = int.from_bytes(await living.reader.readexactly(_LENGTH_BYTES), "big")
    message = dict(json.loads(await living.reader.readexactly(size)))
    living.owes_an_answer = False
    return message


def _framed(message: Message) -> bytes:
    data = json.dumps(message).encode()
    return len(data).to_bytes(_LENGTH_BYTES, "big") + data


# ---------------------------------------------------------------- the child's side


def serve(ready: Callable[[], Answer], *, nice: int) -> None:
    """The whole of a child: get `ready`, say so, answer until the owner is gone. The owner is told an `Unavailable` of
    getting ready. What an answer raises ends the process: the owner sees that it is gone.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the owner decides, and ends only once its calls have
    os.nice(nice)
    with socket.socket(fileno=0) as door, door.makefile("rb") as heard, suppress(ConnectionError):
        try:  # a broken connection: the owner left without waiting for what it asked
            answer = ready()
        except Unavailable as error:
            door.sendall(_framed({"what": str(error), "next_step": error.next_step}))
            return
        door.sendall(_framed(_READY))
        while (message := _heard(heard)) is not None:
            door.sendall(_framed(answer(message)))


def _heard(stream: BinaryIO) -> Message | None:
    """None where the owner is gone."""
    if len(start := stream.read(_LENGTH_BYTES)) < _LENGTH_BYTES:
        return None
    size = int.from_bytes(start, "big")
    return dict(json.loads(data)) if len(data := stream.read(size)) == size else None
