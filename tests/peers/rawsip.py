"""SIP over a bare UDP socket, for what no decent program sends: each message is what the test wrote, once.

    with RawSip(to=(LOOPBACK, house.port)) as raw:
        asked = raw.request("INVITE", "5000", body=raw.sdp())
        raw.send(asked)
        answer = raw.waits_for("SIP/2.0 200", seconds=5)
        raw.send(raw.in_dialog("ACK", asked, answer))

Nothing is repeated or answered by itself. `heard` is everything that came in.
"""

from __future__ import annotations

import re
import socket
from typing import Self

from tests.peers import ports
from tests.peers.ports import LOOPBACK


class RawSip:
    """One UDP port that sends what it is told to and keeps what comes in."""

    def __init__(self, *, to: tuple[str, int], host: str = LOOPBACK) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, 0))
        self._socket.setblocking(False)
        self.host, self.port = host, int(self._socket.getsockname()[1])
        self._to = to
        self._number = 0
        self._heard: list[str] = []

    # ------------------------------------------------------------ messages

    def sdp(self, *, media_port: int = 9000, kind: str = "audio") -> str:
        """An offer of one stream: PCMA and telephone-event."""
        lines = ["v=0", f"o=- 1 1 IN IP4 {self.host}", "s=-", f"c=IN IP4 {self.host}", "t=0 0"]
        return "\r\n".join([*lines, f"m={kind} {media_port} RTP/AVP 8 101", "a=rtpmap:101 telephone-event/8000", ""])

    def request(self, method: str, user: str = "", *, body: str = "", headers: tuple[str, ...] = ()) -> str:
        """A request outside any dialog, with a branch, a tag and a Call-ID of its own."""
        self._number += 1
        number = f"{self.port}n{self._number}"
        host, port = self._to
        uri = f"sip:{user}@{host}:{port}" if user else f"sip:{host}:{port}"
        lines = [f"{method} {uri} SIP/2.0", self._via(), "Max-Forwards: 70"]
        lines += [f"From: <sip:raw@{self.host}:{self.port}>;tag=t{number}", f"To: <{uri}>"]
        lines += [f"Call-ID: raw-{number}", f"CSeq: 1 {method}", self._contact(), *headers]
        return _whole(lines, body)

    def again(self, request: str) -> str:
        """The same request by another way: only its branch differs (RFC 3261 section 8.2.2.2)."""
        return re.sub(r"^Via: .*?\r$", f"{self._via()}\r", request, count=1, flags=re.MULTILINE)

    def cancel(self, request: str) -> str:
        """The CANCEL of this INVITE: its own branch and number (RFC 3261 section 9.1)."""
        kept = [line for line in _lines(request)[1:] if not line.startswith(("Content-", "Contact", "CSeq"))]
        return _whole([_lines(request)[0].replace("INVITE", "CANCEL"), *kept, "CSeq: 1 CANCEL"], "")

    def acknowledge_refusal(self, request: str, answer: str) -> str:
        """The ACK of a final refusal, which belongs to the INVITE's own transaction (RFC 3261 section 17.1.1.3)."""
        kept = [line for line in _lines(request)[1:] if not line.startswith(("Content-", "Contact", "CSeq", "To"))]
        to = f"To: {header(answer, 'To')}"
        return _whole([_lines(request)[0].replace("INVITE", "ACK"), *kept, to, "CSeq: 1 ACK"], "")

    def in_dialog(self, method: str, request: str, answer: str, *, number: int = 1) -> str:
        """A request in the dialog that this INVITE and its 200 made."""
        target = header(answer, "Contact").partition("<")[2].partition(">")[0] or _lines(request)[0].split(" ")[1]
        lines = [f"{method} {target} SIP/2.0", self._via(), "Max-Forwards: 70"]
        lines += [f"{name}: {header(answer, name)}" for name in ("From", "To", "Call-ID")]
        return _whole([*lines, f"CSeq: {number} {method}", self._contact()], "")

    def reply(self, request: str, status: str = "200 OK") -> str:
        """The answer to a request that came in."""
        copied = [line for line in _lines(request) if line.startswith(("Via", "From", "To", "Call-ID", "CSeq"))]
        return _whole([f"SIP/2.0 {status}", *copied], "")

    def _via(self) -> str:
        self._number += 1
        return f"Via: SIP/2.0/UDP {self.host}:{self.port};rport;branch=z9hG4bK{self.port}n{self._number}"

    def _contact(self) -> str:
        return f"Contact: <sip:raw@{self.host}:{self.port}>"

    # ------------------------------------------------------------ sending and hearing

    def send(self, text: str) -> None:
        self._socket.sendto(text.encode(), self._to)

    @property
    def heard(self) -> list[str]:
        """Every message that came in so far, in order."""
        while True:
            try:
                self._heard.append(self._socket.recv(65536).decode(errors="replace"))
            except BlockingIOError:
                return list(self._heard)

    def all_heard(self, start: str, cseq: str = "") -> list[str]:
        """Messages that begin so, and whose CSeq ends so."""
        return [one for one in self.heard if one.startswith(start) and header(one, "CSeq").endswith(cseq)]

    def waits_for(self, start: str, cseq: str = "", *, seconds: float, count: int = 1) -> str:
        """The newest message that begins so, and whose CSeq ends so, once there are so many."""

        def come() -> list[str] | None:
            found = self.all_heard(start, cseq)
            return found if len(found) >= count else None

        return ports.until(come, seconds=seconds, what=f"{count} x {start} {cseq}")[-1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def header(message: str, name: str) -> str:
    """The first header of this name, or nothing."""
    found = re.search(rf"^{re.escape(name)}\s*:[ \t]*(.*?)\r?$", message, re.MULTILINE | re.IGNORECASE)
    return found[1] if found else ""


def _lines(message: str) -> list[str]:
    return message.partition("\r\n\r\n")[0].split("\r\n")


def _whole(lines: list[str], body: str) -> str:
    named = any(line.startswith("Content-Type") for line in lines)
    kind = ["Content-Type: application/sdp"] if body and not named else []
    return "\r\n".join([*lines, *kind, f"Content-Length: {len(body)}", "", body])
