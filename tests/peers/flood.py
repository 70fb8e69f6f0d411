"""Many INVITEs at once: from a stranger who waits for nothing, and from a peer who does as RFC 3261 says.

The stranger is a process of its own, `python -m tests.peers.flood SOURCE TARGET PORT PER_SECOND SECONDS`; it says how
many it sent.
"""

from __future__ import annotations

import re
import select
import socket
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Self

from tests.peers import ports
from tests.peers.ports import LOOPBACK, Process

_REPOSITORY = Path(__file__).parents[2]
_TICK_S = 0.01
_T1_S = 0.5
_CALL = re.compile(rb"^Call-ID: burst-(\d+)-", re.MULTILINE)


def an_invite(number: int, *, source: tuple[str, int], to: tuple[str, int], dialled: str) -> bytes:
    """The same for the same number and source."""
    sdp = f"v=0\r\no=- 1 1 IN IP4 {source[0]}\r\ns=-\r\nc=IN IP4 {source[0]}\r\nt=0 0\r\nm=audio 9 RTP/AVP 8\r\n"
    lines = [
        f"INVITE sip:{dialled}@{to[0]}:{to[1]} SIP/2.0",
        f"Via: SIP/2.0/UDP {source[0]}:{source[1]};branch=z9hG4bK{source[1]}b{number};rport",
        "Max-Forwards: 70",
        f"From: <sip:a@{source[0]}>;tag=f{number}",
        f"To: <sip:{dialled}@{to[0]}>",
        f"Call-ID: burst-{number}-{source[1]}",
        "CSeq: 1 INVITE",
        f"Contact: <sip:a@{source[0]}:{source[1]}>",
        "Content-Type: application/sdp",
        f"Content-Length: {len(sdp)}",
    ]
    return ("\r\n".join([*lines, "", ""]) + sdp).encode()


class Stranger(Process):
    """Sends from `source`, to where it is not wanted, until it has sent for so long. `sent` and `heard` at its end."""

    def __init__(self, folder: Path, *, source: str, port: int, per_second: int, seconds: int) -> None:
        words = [sys.executable, "-m", "tests.peers.flood", source, LOOPBACK, port, per_second, seconds]
        super().__init__([str(word) for word in words], folder=folder, name="stranger", env={"PYTHONPATH": _PATH})

    def done(self, *, within_s: float) -> tuple[int, int]:
        """How many it sent, and how many answers it heard."""
        assert self.wait(within_s) == 0, self.output
        sent, heard = map(int, self.output.split())
        return sent, heard


_PATH = str(_REPOSITORY)


def _flood(source: str, target: str, port: int, per_second: int, seconds: int) -> None:
    over, number, heard = threading.Event(), 0, 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind((source, 0))
        here, to = (source, stranger.getsockname()[1]), (target, port)
        began = time.monotonic()
        while (passed := time.monotonic() - began) < seconds:
            while number < per_second * passed:
                stranger.sendto(an_invite(number, source=here, to=to, dialled="5000"), to)
                number += 1
            over.wait(_TICK_S)
        over.wait(_T1_S)
        stranger.setblocking(False)
        while select.select([stranger], [], [], 0)[0] and stranger.recv(65536):
            heard += 1
    print(number, heard)  # noqa: T201 - what is asked of it


class Burst:
    """A peer who calls so often within a second, says each again until it is answered, and acknowledges. It answers
    what it is asked. `finals` counts the final answers by status, `retry_after` those that said when to come again.
    """

    def __init__(self, *, port: int, dialled: str) -> None:
        self.finals: Counter[int] = Counter()
        self.retry_after = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((LOOPBACK, 0))
        self._here, self._to, self._dialled = self._socket.getsockname(), (LOOPBACK, port), dialled
        self._asked: dict[int, bytes] = {}
        self._waiting: dict[int, tuple[float, float]] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._live, daemon=True)

    def call(self, times: int) -> None:
        """All of them now."""
        for number in range(times):
            self._asked[number] = an_invite(number, source=self._here, to=self._to, dialled=self._dialled)
            self._waiting[number] = (time.monotonic() + _T1_S, _T1_S)
            self._socket.sendto(self._asked[number], self._to)
        self._thread.start()

    def all_answered(self, *, within_s: float) -> None:
        ports.until(lambda: self.finals.total() == len(self._asked), seconds=within_s, what=f"answers: {self.finals}")

    def _live(self) -> None:
        while not self._over.is_set():
            if select.select([self._socket], [], [], _TICK_S)[0]:
                self._hear(self._socket.recv(65536))
            now = time.monotonic()
            for number, (due, wait) in list(self._waiting.items()):
                if now >= due:
                    self._waiting[number] = (now + 2 * wait, 2 * wait)
                    self._socket.sendto(self._asked[number], self._to)

    def _hear(self, text: bytes) -> None:
        if not text.startswith(b"SIP/2.0 "):
            self._socket.sendto(_reply(text), self._to)
            return
        status, found = int(text[8:11]), _CALL.search(text)
        if found is None or b" INVITE\r\n" not in text.partition(b"CSeq:")[2][:24]:
            return
        number = int(found[1])
        if status < 200:
            self._waiting.pop(number, None)
            return
        if number in self._asked:
            self._socket.sendto(_ack(self._asked[number], text), self._to)
        if self._waiting.pop(number, None) is not None or number not in self._known:
            self._known.add(number)
            self.finals[status] += 1
            self.retry_after += b"\nRetry-After:" in text

    def __enter__(self) -> Self:
        self._known: set[int] = set()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(5)
        self._socket.close()


def _header(text: bytes, name: bytes) -> bytes:
    return next(line for line in text.split(b"\r\n") if line.startswith(name + b":"))


def _ack(asked: bytes, answer: bytes) -> bytes:
    first = asked.partition(b"\r\n")[0].replace(b"INVITE", b"ACK")
    kept = [_header(asked, b"Via"), _header(asked, b"From"), _header(answer, b"To"), _header(asked, b"Call-ID")]
    return b"\r\n".join([first, *kept, b"CSeq: 1 ACK", b"Max-Forwards: 70", b"Content-Length: 0", b"", b""])


def _reply(asked: bytes) -> bytes:
    kept = [_header(asked, name) for name in (b"Via", b"From", b"To", b"Call-ID", b"CSeq")]
    return b"\r\n".join([b"SIP/2.0 200 OK", *kept, b"Content-Length: 0", b"", b""])


if __name__ == "__main__":
    _flood(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
