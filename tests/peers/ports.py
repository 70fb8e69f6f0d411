"""Free ports on loopback, and processes that are waited for with a bound and stopped by their own pid."""

from __future__ import annotations

import fcntl
import os
import random
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self, TypeVar

LOOPBACK = "127.0.0.1"
_BELOW_EPHEMERAL = range(10_000, 32_000)
_MOST_CLAIMED = 2_000
_claims = os.open(Path(tempfile.gettempdir()) / f"callrec-test-ports-{os.getuid()}", os.O_RDWR | os.O_CREAT, 0o600)
_claimed: deque[range] = deque()
"""A port is this process's from when it was handed out, bound or not, until so many were handed out after it: its byte
of this file is locked. Test processes beside each other, of one run or of several, keep off what another one has."""
_handing_out = threading.Lock()
_next = random.SystemRandom().choice(_BELOW_EPHEMERAL)
"""Where the search goes on: ports are handed out in turn, so that one is not given again before all others were. The
start differs, also where pytest-randomly seeds the shared dice."""
T = TypeVar("T")


class PeerFailed(AssertionError):
    """A peer did not do its part. The message carries the last of its output."""


def free_port() -> int:
    """One port that is free for both UDP and TCP."""
    return free_range(1)


def free_range(count: int) -> int:
    """First of `count` neighbouring ports, even, free for UDP and TCP, and not handed out lately by this process. Safe
    from any thread.
    """
    with _handing_out:
        return _free_range(count)


def _free_range(count: int) -> int:
    global _next  # noqa: PLW0603 - the one memory of what was handed out
    between = _BELOW_EPHEMERAL
    for _ in range(2 * len(between)):
        first = _next + _next % 2
        if first + count > between.stop:
            first = between.start
        taken = next((port for port in reversed(range(first, first + count)) if not _is_free(port)), None)
        if taken is not None:
            _next = taken + 1
            continue
        _next = first + count
        if _claim(range(first, first + count)):
            return first
    raise PeerFailed(f"no {count} neighbouring ports are free between {between.start} and {between.stop}")


def _claim(wanted: range) -> bool:
    try:
        fcntl.lockf(_claims, fcntl.LOCK_EX | fcntl.LOCK_NB, len(wanted), wanted.start)
    except OSError:
        return False
    _claimed.append(wanted)
    while len(_claimed) > 2 and sum(map(len, _claimed)) > _MOST_CLAIMED:
        oldest = _claimed.popleft()
        fcntl.lockf(_claims, fcntl.LOCK_UN, len(oldest), oldest.start)
    return True


def _is_free(port: int) -> bool:
    with ExitStack() as stack:
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            probe = stack.enter_context(socket.socket(socket.AF_INET, kind))
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                return False
    return True


def until(ask: Callable[[], T | None], *, seconds: float, what: str | Callable[[], str]) -> T:
    """Ask until the answer is true, and return it. PeerFailed, saying `what` was awaited, after `seconds`; a function
    is asked only then.
    """
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        if time.monotonic() > deadline:
            raise PeerFailed(f"not within {seconds:g} s: {what if isinstance(what, str) else what()}")
        time.sleep(0.01)
    return answer


class Process:
    """One program of one test. Its output goes to `<folder>/<name>.out`. Use it as a context, or call `stop`."""

    def __init__(
        self, words: Sequence[str | Path], *, folder: Path, name: str, env: Mapping[str, str] | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.log = folder / f"{name}.out"
        with self.log.open("wb") as out:
            self._popen = subprocess.Popen(
                [str(word) for word in words],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, "TERM": "dumb", **(env or {})},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def alive(self) -> bool:
        return self._popen.poll() is None

    @property
    def exit_code(self) -> int | None:
        return self._popen.poll()

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def wait(self, seconds: float) -> int:
        """Exit code. PeerFailed, with the output's end, when it still runs after `seconds`; it is then killed."""
        try:
            return self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            raise PeerFailed(f"{self.name} still ran after {seconds:g} s\n{self.output[-2000:]}") from None

    def wait_for_output(self, words: str, *, seconds: float) -> None:
        """Wait until these words stand in the output. PeerFailed at once where the process ends without them."""

        def said() -> bool:
            ended = not self.alive
            found = words in self.output
            if ended and not found:
                raise PeerFailed(f"{self.name} ended ({self.exit_code}) without {words!r}\n{self.output[-2000:]}")
            return found

        until(said, seconds=seconds, what=f"{self.name} says {words!r}")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to this very process; nothing where it is gone. SIGKILL also waits for the end."""
        if self.alive:
            self._popen.send_signal(number)
        if number == signal.SIGKILL:
            self._popen.wait(10)

    def stop(self) -> None:
        """Ask it to end, insist after five seconds. Safe to call twice."""
        if not self.alive:
            return
        self._popen.send_signal(signal.SIGCONT)
        self._popen.terminate()
        try:
            self._popen.wait(5)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def udp_is_bound(port: int) -> bool:
    """True once some process listens on this UDP port of loopback or of all addresses; asked without touching it."""
    lines = Path("/proc/net/udp").read_text().splitlines()[1:]
    return any(line.split()[1].endswith(f":{port:04X}") for line in lines)


def wait_udp(port: int, process: Process, *, seconds: float = 10) -> None:
    """Wait until `process` listens there; PeerFailed, with its output, where it ended instead."""

    def listens() -> bool:
        if not process.alive:
            raise PeerFailed(f"{process.name} ended ({process.exit_code}) before it listened\n{process.output[-2000:]}")
        return udp_is_bound(port)

    until(listens, seconds=seconds, what=f"{process.name} listens on UDP {port}")
