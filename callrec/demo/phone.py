"""A synthetic telephone: one call at a time, SIP over UDP and A-law on loopback, a thread of its own.

It answers, rings, calls, presses keys, holds, hangs up, and keeps what it heard. It takes no re-INVITE, and knows no
authentication and no forking: its only peer is an agent on this machine.
"""

from __future__ import annotations

import queue
import secrets
import select
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self

from callrec.demo.audio_stream import AudioStream
from callrec.demo.messages import Address, Message, answer_to, branch, parse, render, sdp
from callrec.demo.speech import Samples

LOOPBACK: Final = "127.0.0.1"
_TICK_S: Final = 0.02
_AGAIN_S: Final = 0.5
"""T1 of RFC 3261: a message that nobody answered is sent again."""
_LATE_S: Final = 0.5
"""A thread that was kept from running for longer does not catch up packet by packet."""
_FINAL: Final = 200
_REFUSAL: Final = 300


@dataclass(slots=True, kw_only=True)
class Dialog:
    """What later requests of this call carry."""

    call_id: str
    ours: str
    theirs: str
    target: str
    towards: Address
    branch: str
    sequence: int = 1


class Phone:
    """Start it with `with`. `rings_s`: how long it rings before it answers; None for one that only calls.

    `answered` and `over` are set when the newest call is up, and when it is over.
    """

    def __init__(self, user: str, *, says: bytes, rings_s: float | None = None, host: str = LOOPBACK) -> None:
        self.answered, self.over = threading.Event(), threading.Event()
        self._user, self._rings_s, self._host = user, rings_s, host
        self._sip = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sip.bind((host, 0))
        self._audio = AudioStream(host, says)
        self._orders: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._dialog: Dialog | None = None
        self._unanswered: tuple[bytes, Address] | None = None
        self._again_at = self._answer_at = float("inf")
        self._asked: Message | None = None
        self._said = b""
        self._invite = ""
        self._running = True
        self._thread = threading.Thread(target=self._run, name=f"phone {user}", daemon=True)

    # ------------------------------------------------------------ outside

    @property
    def port(self) -> int:
        """Where it listens for SIP."""
        return int(self._sip.getsockname()[1])

    @property
    def call_id(self) -> str:
        """Call-ID of the newest call, empty before it."""
        return self._dialog.call_id if self._dialog else ""

    @property
    def heard(self) -> Samples:
        """All that this telephone heard so far."""
        return self._audio.heard

    def call(self, uri: str, towards: Address) -> None:
        """Dial; `answered` tells."""
        self._orders.put(lambda: self._dial(uri, towards))

    def press(self, digit: str) -> None:
        """Press one key (RFC 4733)."""
        self._orders.put(lambda: self._audio.press(digit))

    def hold(self) -> None:
        """Put the other side on hold: it is to send nothing, and we send nothing (RFC 3264 section 8.4)."""
        self._orders.put(self._hold)

    def mute(self) -> None:
        """Send no audio from now on, and say nothing about it."""
        self._audio.muted = True

    @property
    def media_towards(self) -> Address | None:
        """Where our audio goes, once the other side said so."""
        return self._audio.towards

    def hang_up(self) -> None:
        """Say BYE; `over` tells when the other side agreed."""
        self._orders.put(self._bye)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._running = False
        self._thread.join(timeout=2)
        self._bye()  # a call that is still up is not left to the other side's patience
        self._sip.close()
        self._audio.close()

    # ------------------------------------------------------------ the thread

    def _run(self) -> None:
        due = time.monotonic()
        while self._running:
            wait = max(due - time.monotonic(), 0)
            ready, _, _ = select.select([self._sip, self._audio.socket], [], [], wait)
            if self._audio.socket in ready:
                self._audio.receive()
            if self._sip in ready:
                self._take()
            now = time.monotonic()
            if now >= due:
                self._tick(now)
                due = max(due + _TICK_S, now - _LATE_S)

    def _tick(self, now: float) -> None:
        while not self._orders.empty():
            self._orders.get()()
        self._audio.tick()
        if now >= self._answer_at:
            self._answer_at = float("inf")
            self._answer()
        if self._unanswered and now >= self._again_at:
            self._send(*self._unanswered, until_answered=True)

    def _send(self, datagram: bytes, towards: Address, *, until_answered: bool = False) -> None:
        self._sip.sendto(datagram, towards)
        if until_answered:
            self._unanswered, self._again_at = (datagram, towards), time.monotonic() + _AGAIN_S

    def _take(self) -> None:
        try:
            datagram, source = self._sip.recvfrom(65535)
        except ConnectionError:
            return
        message = parse(datagram)
        if message is None:
            return
        if message.status:
            self._response(message)
        else:
            self._request(message, source)

    # ------------------------------------------------------------ as a caller

    @property
    def _contact(self) -> str:
        return f"<sip:{self._user}@{self._host}:{self.port}>"

    def _dial(self, uri: str, towards: Address) -> None:
        ours = f"<sip:{self._user}@{self._host}>;tag={secrets.token_hex(6)}"
        self._dialog = dialog = Dialog(
            call_id=secrets.token_hex(12),
            ours=ours,
            theirs=f"<{uri}>",
            target=uri,
            towards=towards,
            branch=branch(),
        )
        body = sdp(self._host, self._audio.port)
        self._send(self._written("INVITE", dialog, body), towards, until_answered=True)

    def _hold(self) -> None:
        dialog = self._dialog
        if dialog is None or not self.answered.is_set():
            return
        dialog.sequence, dialog.branch = dialog.sequence + 1, branch()
        body = sdp(self._host, self._audio.port).replace("a=sendrecv", "a=inactive")
        self._send(self._written("INVITE", dialog, body), dialog.towards, until_answered=True)

    def _written(self, method: str, dialog: Dialog, body: str = "") -> bytes:
        headers = [
            ("Via", f"SIP/2.0/UDP {self._host}:{self.port};rport;branch={dialog.branch}"),
            ("Max-Forwards", "70"),
            ("From", dialog.ours),
            ("To", dialog.theirs),
            ("Call-ID", dialog.call_id),
            ("CSeq", f"{dialog.sequence} {method}"),
            ("Contact", self._contact),
        ]
        return render(f"{method} {dialog.target} SIP/2.0", headers, body)

    def _response(self, message: Message) -> None:
        self._unanswered = None
        dialog = self._dialog
        if dialog is None or message.status < _FINAL:
            return
        if message.method == "BYE":
            self._end()
            return
        dialog.theirs = message.first("to")
        if message.status >= _REFUSAL:
            self._send(self._written("ACK", dialog), dialog.towards)
            self._end()
            return
        dialog.target, dialog.branch = message.contact, branch()
        self._send(self._written("ACK", dialog), dialog.towards)
        self._audio.towards = message.media
        self.answered.set()

    # ------------------------------------------------------------ as the called side

    def _request(self, message: Message, source: Address) -> None:
        match message.method:
            case "INVITE":
                self._invited(message, source)
            case "ACK":
                self._unanswered = None
            case "BYE" | "CANCEL":
                self._say(message, "200 OK", source)
                if message.method == "CANCEL" and self._asked is not None:
                    self._say(self._asked, "487 Request Terminated", source)
                self._end()
            case _:
                self._say(message, "200 OK", source)

    def _invited(self, message: Message, source: Address) -> None:
        if message.first("via") == self._invite:  # sent again, because our answer was not seen
            self._send(self._said, source)
            return
        if self._rings_s is None or self._dialog is not None:
            self._say(message, "486 Busy Here", source)
            return
        self._invite, self._asked = message.first("via"), message
        self.answered.clear()
        self.over.clear()
        ours = f"{message.first('to')};tag={secrets.token_hex(6)}"
        self._dialog = Dialog(
            call_id=message.first("call-id"),
            ours=ours,
            theirs=message.first("from"),
            target=message.contact,
            towards=source,
            branch="",
        )
        self._said = self._say(message, "180 Ringing", source)
        self._answer_at = time.monotonic() + self._rings_s

    def _say(self, request: Message, status: str, source: Address, body: str = "") -> bytes:
        tag = self._dialog.ours.partition("tag=")[2] if self._dialog else secrets.token_hex(6)
        datagram = answer_to(request, status, tag=tag, contact=self._contact, body=body)
        self._send(datagram, source)
        return datagram

    def _answer(self) -> None:
        if self._asked is None or self._dialog is None:
            return
        towards = self._dialog.towards
        self._said = self._say(self._asked, "200 OK", towards, sdp(self._host, self._audio.port))
        self._unanswered, self._again_at = (self._said, towards), time.monotonic() + _AGAIN_S
        self._audio.towards = self._asked.media
        self.answered.set()

    # ------------------------------------------------------------ the end

    def _bye(self) -> None:
        if self._dialog is None or self.over.is_set():
            return
        self._audio.towards = None
        self._dialog.sequence, self._dialog.branch = self._dialog.sequence + 1, branch()
        self._send(self._written("BYE", self._dialog), self._dialog.towards, until_answered=True)

    def _end(self) -> None:
        self._audio.towards = self._dialog = self._unanswered = None
        self._answer_at = float("inf")
        self.over.set()
