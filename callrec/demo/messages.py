"""SIP messages as far as a synthetic telephone on loopback needs them (RFC 3261), and its SDP (RFC 4566)."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

PCMA: Final = 8
TELEPHONE_EVENT: Final = 101
Address = tuple[str, int]

_START: Final = re.compile(r"SIP/2\.0 [1-6][0-9]{2}( .*)?|[A-Z]+ \S+ SIP/2\.0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One request or response; header names in small letters, with every value they came with."""

    start: str
    headers: Mapping[str, tuple[str, ...]]
    body: str

    @property
    def method(self) -> str:
        """What is asked, or what this answers."""
        return self.first("cseq").partition(" ")[2]

    @property
    def status(self) -> int:
        """The status of a response; 0 for a request."""
        return int(self.start.split(" ")[1]) if self.start.startswith("SIP/2.0 ") else 0

    def first(self, name: str) -> str:
        """The first value of a header, or nothing."""
        return self.headers.get(name, ("",))[0]

    @property
    def contact(self) -> str:
        """The URI that later requests of this dialog go to."""
        found = re.search(r"<([^>]+)>", self.first("contact"))
        return found[1] if found else self.first("contact")

    @property
    def media(self) -> Address | None:
        """Where this message's SDP wants audio, or None where it has none."""
        host = re.search(r"^c=IN IP4 (\S+)", self.body, re.MULTILINE)
        port = re.search(r"^m=audio (\d+)", self.body, re.MULTILINE)
        return (host[1], int(port[1])) if host and port else None


def parse(datagram: bytes) -> Message | None:
    """The message in this datagram, or None where it holds none (a keep-alive)."""
    head, _, body = datagram.decode("utf-8", "replace").partition("\r\n\r\n")
    start, *lines = head.split("\r\n")
    if not _START.fullmatch(start):
        return None
    headers: dict[str, tuple[str, ...]] = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = (*headers.get(name.strip().lower(), ()), value.strip())
    return Message(start=start, headers=headers, body=body)


def render(start: str, headers: list[tuple[str, str]], body: str = "") -> bytes:
    """The datagram of a message; an SDP body brings its Content-Type."""
    typed = [("Content-Type", "application/sdp")] if body else []
    lines = [f"{name}: {value}" for name, value in (*headers, *typed, ("Content-Length", str(len(body))))]
    return "\r\n".join([start, *lines, "", body]).encode()


def answer_to(request: Message, status: str, *, tag: str, contact: str, body: str = "") -> bytes:
    """A response (section 8.2.6): what identifies the request is copied."""
    to = request.first("to")
    headers = [("Via", via) for via in request.headers.get("via", ())]
    headers += [("From", request.first("from")), ("To", to if "tag=" in to else f"{to};tag={tag}")]
    headers += [("Call-ID", request.first("call-id")), ("CSeq", request.first("cseq")), ("Contact", contact)]
    return render(f"SIP/2.0 {status}", headers, body)


def branch() -> str:
    """A new transaction's name (section 8.1.1.7)."""
    return f"z9hG4bK{secrets.token_hex(8)}"


def sdp(host: str, port: int) -> str:
    """An offer or an answer: A-law, and keys by RFC 4733."""
    lines = (
        f"v=0|o=- 1 1 IN IP4 {host}|s=-|c=IN IP4 {host}|t=0 0|m=audio {port} RTP/AVP {PCMA} {TELEPHONE_EVENT}|"
        f"a=rtpmap:{PCMA} PCMA/8000|a=rtpmap:{TELEPHONE_EVENT} telephone-event/8000|a=fmtp:{TELEPHONE_EVENT} 0-16|"
        "a=ptime:20|a=sendrecv|"
    )
    return lines.replace("|", "\r\n")
