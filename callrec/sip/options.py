"""Asks a destination whether it is there: one OPTIONS, by a socket of its own, so that no engine need run."""

from __future__ import annotations

import secrets
import socket
from time import monotonic
from typing import Final

from callrec.sip.message import host_of

_FIRST_WAIT_S: Final = 0.5
_DEFAULT_PORT: Final = 5060
_LARGEST: Final = 65535


def port_of(uri: str) -> int:
    """The port of a SIP URI, 5060 where it names none."""
    place = uri.partition(":")[2].rpartition("@")[2].partition(";")[0]
    port = place[len(host_of(uri)) :].removeprefix(":")
    return int(port) if port.isdigit() and int(port) <= _LARGEST else _DEFAULT_PORT


def answers(uri: str, *, timeout_s: float) -> bool:
    """True where anything that speaks SIP answers, whatever its status. Blocks at most `timeout_s`."""
    over_tcp = ";transport=tcp" in uri.lower()
    kind = socket.SOCK_STREAM if over_tcp else socket.SOCK_DGRAM
    try:
        found = socket.getaddrinfo(host_of(uri).strip("[]"), port_of(uri), type=kind)[0]
        with socket.socket(found[0], kind) as peer:
            peer.settimeout(timeout_s)
            peer.connect(found[4])
            return _asked(peer, _request(uri, peer, over_tcp=over_tcp), monotonic() + timeout_s, again=not over_tcp)
    except OSError:
        return False


def _asked(peer: socket.socket, request: bytes, deadline: float, *, again: bool) -> bool:
    """Send, and over UDP send again with growing patience (RFC 3261 section 17.1.2.2), until the deadline."""
    wait = _FIRST_WAIT_S
    while (left := deadline - monotonic()) > 0:
        peer.sendall(request)
        peer.settimeout(min(wait, left) if again else left)
        try:
            return peer.recv(_LARGEST).startswith(b"SIP/2.0 ")
        except TimeoutError:
            wait *= 2
    return False


def _request(uri: str, peer: socket.socket, *, over_tcp: bool) -> bytes:
    host, port = peer.getsockname()[:2]
    here = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    branch, tag, call_id = (secrets.token_hex(8) for _ in range(3))
    lines = (
        f"OPTIONS {uri} SIP/2.0",
        f"Via: SIP/2.0/{'TCP' if over_tcp else 'UDP'} {here};branch=z9hG4bK{branch};rport",
        "Max-Forwards: 70",
        f"From: <sip:callrec@{here}>;tag={tag}",
        f"To: <{uri}>",
        f"Call-ID: {call_id}",
        "CSeq: 1 OPTIONS",
        f"Contact: <sip:callrec@{here}>",
        "Content-Length: 0",
        "",
        "",
    )
    return "\r\n".join(lines).encode()
