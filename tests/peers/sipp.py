"""sipp as caller or callee: real SIP and real RTP from a program that knows nothing of callrec.

    busy = sipp.answering(tmp_path / "staff", [take(), refuse("486 Busy Here")])
    caller = sipp.calling(tmp_path / "caller", [invite(), stream(voice), talk(4000), bye()], to=agent, dialled="5000")
    caller.succeed(within_s=20)
    assert caller.received("BYE") == []

That sipp succeeded means that its messages came as written. Whether a sound went through only ears can tell.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.peers import ports, sipp_steps
from tests.peers.ports import LOOPBACK, PeerFailed, Process

_HEAD = re.compile(r"^-{20,}.*\n\w+ message (sent|received) .*:\n\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Message:
    """One SIP message as sipp logged it."""

    sent: bool
    text: str

    @property
    def first_line(self) -> str:
        return self.text.partition("\n")[0].strip()

    @property
    def body(self) -> str:
        return self.text.replace("\r", "").partition("\n\n")[2]

    @property
    def media_address(self) -> tuple[str, int]:
        """Where the sender of this message wants its audio. There is one stream, so the last `c=` is its own."""
        media = re.search(r"^m=audio (\d+)", self.body, re.MULTILINE)
        hosts = re.findall(r"^c=IN IP4 (\S+)$", self.body, re.MULTILINE)
        assert media, f"no media address in {self.text}"
        assert hosts, f"no media address in {self.text}"
        return hosts[-1], int(media[1])

    def header(self, name: str) -> str | None:
        """The first header of this name, or None."""
        found = re.search(rf"^{re.escape(name)}\s*:[ \t]*(.*?)\r?$", self.text, re.MULTILINE | re.IGNORECASE)
        return found[1] if found else None


class Sipp(Process):
    """A running sipp. `address` is where it takes calls."""

    def __init__(
        self,
        folder: Path,
        steps: Sequence[str],
        words: Sequence[str],
        *,
        calls: int,
        limit_s: int,
        port: int | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port, control = port or ports.free_port(), ports.free_port()
        self.address = f"{LOOPBACK}:{self.port}"
        self._messages, self._errors, self._log = (folder / f"{name}.log" for name in ("messages", "errors", "log"))
        self._told = 0
        script = folder / "scenario.xml"
        script.write_text(sipp_steps.scenario(steps, calls=calls))
        media = ports.free_range(max(8, 4 * min(calls, 1000)))
        fixed: list[str | Path] = ["sipp", "-sf", script, "-nostdin", "-aa", "-cp", str(control)]
        fixed += ["-i", LOOPBACK, "-p", str(self.port), "-mi", LOOPBACK, "-mp", str(media)]
        fixed += ["-timeout", f"{limit_s}s", "-timeout_error", "-trace_err", "-error_file", self._errors]
        fixed += ["-trace_msg", "-message_file", self._messages, "-trace_logs", "-log_file", self._log]
        super().__init__([*fixed, *words], folder=folder, name="sipp")

    @property
    def errors(self) -> str:
        """What sipp itself complains of."""
        return self._errors.read_text(errors="replace") if self._errors.exists() else ""

    @property
    def messages(self) -> list[Message]:
        """All SIP messages so far, in order."""
        text = self._messages.read_text(errors="replace") if self._messages.exists() else ""
        parts = _HEAD.split(text)
        return [Message(way == "sent", body) for way, body in zip(parts[1::2], parts[2::2], strict=True)]

    def received(self, start: str) -> list[Message]:
        """Messages that came in and whose first line starts so: `"INVITE"`, `"SIP/2.0 486"`."""
        return [one for one in self.messages if not one.sent and one.first_line.startswith(start)]

    def sent(self, start: str) -> list[Message]:
        """Messages that went out and whose first line starts so."""
        return [one for one in self.messages if one.sent and one.first_line.startswith(start)]

    def wait_received(self, start: str, *, seconds: float) -> Message:
        """The first message in that starts so; PeerFailed when none came in time."""
        try:
            return ports.until(lambda: self.received(start), seconds=seconds, what=f"sipp receives {start}")[0]
        except PeerFailed as late:
            raise PeerFailed(f"{late}\n{self.errors[-2000:]}") from None

    def waits(self, *, within_s: float) -> None:
        """Wait until its one call has come to the next `until_told`; PeerFailed where it ends before."""

        def come() -> bool:
            waiting = self._log.exists() and self._log.read_text().count(sipp_steps.WAITS) > self._told
            if not waiting and not self.alive:
                raise PeerFailed(f"sipp ended ({self.exit_code}) and waits for nothing\n{self.errors[-2000:]}")
            return waiting

        ports.until(come, seconds=within_s, what=f"sipp comes to its {self._told + 1}. until_told")

    def go_on(self, *, within_s: float = 10) -> None:
        """Tell its one call that it may go on, by a MESSAGE within it, once it has come to `until_told`."""
        self.waits(within_s=within_s)
        self._told += 1
        call = next(one.header("Call-ID") for one in self.messages if one.first_line.startswith("INVITE"))
        lines = [f"MESSAGE sip:peer@{self.address} SIP/2.0", f"Via: SIP/2.0/UDP {LOOPBACK};branch=z9hG4bK{self._told}"]
        lines += [f"From: <sip:test@{LOOPBACK}>;tag=test", f"To: <sip:peer@{self.address}>;tag=peer"]
        lines += [f"Call-ID: {call}", f"CSeq: {self._told} MESSAGE", "Content-Length: 0", "", ""]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as teller:
            teller.sendto("\r\n".join(lines).encode(), (LOOPBACK, self.port))

    def succeed(self, *, within_s: float) -> None:
        """Wait for the end. PeerFailed, with sipp's own complaint, unless every step went as written."""
        if code := self.wait(within_s):
            talk = "\n".join(("> " if one.sent else "< ") + one.first_line for one in self.messages[-20:])
            raise PeerFailed(f"sipp ended with {code}\n{self.errors[-3000:]}\n{talk}")


def calling(
    folder: Path,
    steps: Sequence[str],
    *,
    to: str,
    dialled: str = "5000",
    caller: str = "sip:07700900001@127.0.0.1",
    display: str = "",
    transport: str = "udp",
    calls: int = 1,
    rate: float = 1,
    limit_s: int = 60,
) -> Sipp:
    """Start placing `calls` calls, `rate` a second, to `dialled` at `to` ("127.0.0.1:5080")."""
    name = f'"{display}" <{caller}>' if display else f"<{caller}>"
    words = [to, "-m", str(calls), "-r", str(rate), "-s", dialled, "-key", "caller", name]
    words += ["-t", "t1" if transport == "tcp" else "u1"]
    return Sipp(folder, steps, words, calls=calls, limit_s=limit_s)


def answering(
    folder: Path, steps: Sequence[str], *, calls: int = 1, limit_s: int = 120, port: int | None = None
) -> Sipp:
    """Start a callee and wait until it listens; it ends after `calls` calls, or fails after `limit_s`. `port` is one of
    `ports.free_port`, where it must be known beforehand. `steps` begin with `take`, which counts the calls.
    """
    peer = Sipp(folder, steps, [], calls=calls, limit_s=limit_s, port=port)
    ports.wait_udp(peer.port, peer)
    return peer
