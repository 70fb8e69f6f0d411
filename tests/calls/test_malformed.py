"""Datagrams that no peer should send: none of them may cost a call, the process or the good call that follows."""

from __future__ import annotations

import select
import signal
import socket
from collections.abc import Iterator

import pytest

from tests.calls.office import CALLER_HZ, NOBODYS, PATIENCE_S, RECORDED, STAFF_HZ, Office
from tests.peers import audio, ports
from tests.peers.ports import LOOPBACK

pytestmark = pytest.mark.calls

SDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9000 RTP/AVP 8\r\n"


class Stranger:
    """A UDP port that sends what it likes and reads what comes back."""

    def __init__(self, office: Office, host: str = LOOPBACK) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, 0))
        self.host = host
        self.socket.settimeout(0.1)
        self.port = self.socket.getsockname()[1]
        self.to = (LOOPBACK, office.house.port)
        self.number = 0

    def request(self, method: str, dialled: str = NOBODYS, *, body: str = "", **changes: str | None) -> str:
        """A good request; `changes` replace header lines (None leaves one out), `length` replaces the length."""
        self.number += 1
        uri = f"sip:{dialled}@{LOOPBACK}:{self.to[1]}"
        headers: dict[str, str | None] = {
            "start": f"{method} {uri} SIP/2.0",
            "via": f"Via: SIP/2.0/UDP {self.host}:{self.port};branch=z9hG4bK{self.port}n{self.number}",
            "forwards": "Max-Forwards: 70",
            "sender": f"From: <sip:odd@{LOOPBACK}>;tag=t{self.number}",
            "to": f"To: <{uri}>",
            "call_id": f"Call-ID: odd-{self.port}-{self.number}",
            "cseq": f"CSeq: 1 {method}",
            "contact": f"Contact: <sip:odd@{self.host}:{self.port}>",
            "kind": "Content-Type: application/sdp" if body else None,
            "length": f"Content-Length: {len(body)}",
        }
        lines = [line for line in (headers | changes).values() if line is not None]
        return "\r\n".join(lines) + "\r\n\r\n" + body

    def send(self, text: str | bytes) -> None:
        self.socket.sendto(text if isinstance(text, bytes) else text.encode(), self.to)

    def answers(self, start: str, *, seconds: float) -> str:
        """Wait for an answer that begins so."""

        def come() -> str | None:
            try:
                text = self.socket.recv(65536).decode(errors="replace")
            except TimeoutError:
                return None
            return text if text.startswith(start) else None

        return ports.until(come, seconds=seconds, what=f"an answer {start}")

    def has_heard(self) -> bool:
        """True where anything came in that was not read yet; does not wait."""
        return bool(select.select([self.socket], [], [], 0)[0])

    def close(self) -> None:
        self.socket.close()


@pytest.fixture
def stranger(office: Office) -> Iterator[Stranger]:
    made = Stranger(office)
    yield made
    made.close()


def odd_messages(stranger: Stranger) -> Iterator[str | bytes]:
    """What testers of other systems send, one thing wrong in each."""
    ask, good = stranger.request, {"body": SDP}
    yield from (b"", b"\r\n\r\n", bytes(range(256)), b"\x00" * 1400, b"INVITE")
    yield ask("NOSUCH")
    for left_out in ("via", "call_id", "cseq", "sender", "to", "contact"):
        yield ask("INVITE", **good, **{left_out: None})
    yield ask("INVITE", **good, cseq="CSeq: 1 BYE")
    yield ask("INVITE", **good, cseq="CSeq: 99999999999999 INVITE")
    for length in ("99999", "-1", "1", "x"):
        yield ask("INVITE", **good, length=f"Content-Length: {length}")
    yield ask("INVITE", **good, start="INVITE sip:%%%@@@ SIP/2.0")
    yield ask("INVITE", **good, start=f"INVITE sip:{NOBODYS}@{LOOPBACK} SIP/9.9")
    yield ask("INVITE", **good, forwards="Max-Forwards: 0")
    yield ask("INVITE", **good, more="Require: time-travel")
    yield ask("INVITE", body="v=0\r\nthis is no description")
    yield ask("INVITE", body=SDP.replace("9000", "70000"))
    yield ask("INVITE", body=SDP.replace("c=IN IP4 127.0.0.1\r\n", ""))
    yield ask("INVITE", body=SDP.replace("m=audio", "m=video"))
    yield ask("INVITE", **good, sender=f"From: <sip:{'x' * 5000}@{LOOPBACK}>;tag=long")
    yield ask("INVITE", **good, sender=f'From: "\x1b[2J\x07" <sip:bell@{LOOPBACK}>;tag=esc')
    yield ask("INVITE", **good, more="X-Nul: a\x00b")
    yield ask("INVITE", body=SDP, kind="Content-Type: application/json")
    yield ask("BYE")
    yield ask("ACK")
    yield ask("CANCEL")
    yield ask("INVITE", **good)[:200]
    yield "SIP/2.0 200 OK\r\nCSeq: 1 INVITE\r\n\r\n"


def test_after_malformed_messages_of_every_kind_a_good_call_is_recorded(office: Office, stranger: Stranger):
    pid = office.house.process.pid
    sent = 0
    for message in odd_messages(stranger):
        stranger.send(message)
        stranger.send(stranger.request("OPTIONS"))
        stranger.answers("SIP/2.0 200", seconds=5)
        sent += 1
    assert sent >= 30
    ports.until(
        lambda: len(office.house.entries("call.closed")) == len(office.house.entries("call.offered")),
        seconds=10,
        what="every call offered is closed",
    )
    office.begin(office.folder)

    with office.staff() as staff, office.phone() as caller:
        caller.dial(office.house.uri(RECORDED))
        office.records(0.5)
        staff.heard_so_far(2, within_s=PATIENCE_S)
        caller.hang_up()
        staff.closed(within_s=5)

    assert office.decided() == ("RECORDED", "", "")
    left, right = office.recording()
    assert audio.share(left, CALLER_HZ) > 0.9
    assert audio.share(right, STAFF_HZ) > 0.9
    assert office.house.process.alive
    assert office.house.process.pid == pid
    assert "\x1b" not in office.house.process.output
    assert "\x1b" not in office.house.callrec("agent", "status", code=None)


OUTSIDE = {
    **dict.fromkeys(("BYE", "UPDATE", "PRACK", "INFO", "NOTIFY"), "481"),
    **dict.fromkeys(("REGISTER", "SUBSCRIBE", "PUBLISH", "MESSAGE", "REFER"), "405"),
    "NOSUCH": "501",
}
"""What belongs to no call, and how it is answered (RFC 3261 sections 8.2.1, 12.2.2, 21.5.2)."""


def test_a_request_that_belongs_to_no_call_is_answered_by_its_kind(office: Office, stranger: Stranger):
    for method, status in OUTSIDE.items():
        stranger.send(stranger.request(method))
        told = stranger.answers("SIP/2.0 ", seconds=20)

        assert told.startswith(f"SIP/2.0 {status} "), method
        assert ("\nAllow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK, INFO\r" in told) is (status == "405"), (
            method
        )


@pytest.mark.parametrize("method", ["BYE", "UPDATE", "PRACK", "INFO", "INVITE", "REFER"])
def test_a_request_in_a_call_that_is_none_is_told_that_there_is_none(office: Office, stranger: Stranger, method: str):
    uri = f"sip:{NOBODYS}@{LOOPBACK}:{office.house.port}"
    stranger.send(stranger.request(method, to=f"To: <{uri}>;tag=of-a-call-that-never-was"))

    assert stranger.answers("SIP/2.0 ", seconds=20).startswith("SIP/2.0 481 ")


def test_who_may_not_speak_to_callrec_hears_nothing_whatever_the_method(office: Office, stranger: Stranger):
    outsider = Stranger(office, host="127.0.0.9")
    for method in (*OUTSIDE, "INVITE", "OPTIONS", "ACK", "CANCEL"):
        outsider.send(outsider.request(method))
        uri = f"sip:{NOBODYS}@{LOOPBACK}:{office.house.port}"
        outsider.send(outsider.request(method, to=f"To: <{uri}>;tag=of-a-call-that-never-was"))
    stranger.send(stranger.request("OPTIONS"))
    stranger.answers("SIP/2.0 200", seconds=20)  # by the same socket, so that what came before it was read

    assert not outsider.has_heard()
    outsider.close()


def test_a_caller_who_gives_up_before_the_answer_leaves_a_row_and_nothing_else(office: Office, stranger: Stranger):
    """Both messages are there before the agent reads the first: it is stopped meanwhile."""
    wanted = stranger.request("INVITE", RECORDED, body=SDP)
    cancel = (
        wanted.partition("\r\n\r\n")[0].replace("INVITE", "CANCEL").replace("Content-Type: application/sdp\r\n", "")
    )
    office.house.process.signal(signal.SIGSTOP)
    stranger.send(wanted)
    stranger.send(cancel.replace(f"Content-Length: {len(SDP)}", "Content-Length: 0") + "\r\n\r\n")
    office.house.process.signal(signal.SIGCONT)

    stranger.answers("SIP/2.0 487", seconds=5)

    assert office.decided() == ("NOT_RECORDED", "CALLER_HUNG_UP", "caller left")
    assert office.told("call.answered") == []
    assert office.closed()["connected"] is False
