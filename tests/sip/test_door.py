"""Who is heard at all: strangers get no answer, whom we call may answer, and a call that cannot be is told why."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import pytest

from callrec.config.rules import PORTS_BESIDE, PORTS_PER_CALL
from tests.peers import audio, ports, sipp
from tests.peers.baresip import Ear
from tests.peers.ports import LOOPBACK
from tests.peers.sipp_steps import answer, invite, sdp, stream, take, until_bye
from tests.sip.engine import EngineProcess, engine_settings

pytestmark = pytest.mark.calls

STRANGER, CALLED = "127.0.0.9", "127.0.0.7"
MORE_THAN_THE_LIBRARY_FORGIVES = 60
SRTP_KEY = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + "A" * 40
ENCRYPTED_OFFER = sdp().replace("RTP/AVP", "RTP/SAVP") + "\n" + SRTP_KEY


@contextmanager
def running(folder: Path, **changes: object) -> Iterator[EngineProcess]:
    """An engine; it ends in good order, or the test fails."""
    engine = EngineProcess(engine_settings(folder / "engine", **changes), folder / "engine.log")
    engine.wait("started")
    try:
        yield engine
        for uid in engine.living():
            engine.order("hang_up", uid, leg="caller", cause="normal")
            engine.wait("ended", uid)
    except BaseException:
        engine.process.kill()
        engine.finish()
        raise
    assert engine.finish() == 0
    assert engine.strays == []


def traffic(engine: EngineProcess) -> dict[str, int]:
    engine.order("traffic", "")
    return engine.wait("traffic")["counts"]


class Datagrams:
    """A UDP port at any address of loopback that says what it likes to the engine."""

    def __init__(self, engine: EngineProcess, host: str) -> None:
        self.host, self.number = host, 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, 0))
        self.port = self.socket.getsockname()[1]
        place, _, port = engine.address.partition(":")
        self.to = (place, int(port))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def ask(self, method: str) -> None:
        self.number += 1
        lines = [
            f"{method} sip:5000@{self.to[0]} SIP/2.0",
            f"Via: SIP/2.0/UDP {self.host}:{self.port};branch=z9hG4bK{self.port}x{self.number};rport",
            "Max-Forwards: 70",
            f"From: <sip:a@{self.host}>;tag=1",
            f"To: <sip:5000@{self.to[0]}>",
            f"Call-ID: {self.port}-{self.number}",
            f"CSeq: 1 {method}",
            f"Contact: <sip:a@{self.host}:{self.port}>",
            "Content-Length: 0",
        ]
        self.say("\r\n".join([*lines, "", ""]))

    def say(self, text: str) -> None:
        self.socket.sendto(text.encode(), self.to)

    def answer(self, *, within_s: float = 5) -> str:
        self.socket.settimeout(within_s)
        return self.socket.recv(65536).decode()

    def hears_nothing(self) -> bool:
        self.socket.setblocking(False)
        try:
            self.socket.recv(65536)
        except BlockingIOError:
            return True
        return False


def answered_after(engine: EngineProcess) -> str:
    """What an allowed peer hears to an OPTIONS that was sent after everything else."""
    with Datagrams(engine, LOOPBACK) as friend:
        friend.ask("OPTIONS")
        return friend.answer()


# ---------------------------------------------------------------- strangers


def test_a_stranger_hears_nothing_whatever_the_method(tmp_path):
    methods = ["INVITE", "OPTIONS", "REGISTER", "SUBSCRIBE", "MESSAGE", "INFO", "BYE", "CANCEL", "NOSUCH"]
    with running(tmp_path) as engine, Datagrams(engine, STRANGER) as stranger:
        for method in methods:
            stranger.ask(method)
        stranger.say("this is no SIP at all, and it is long enough to be read")
        stranger.say("SIP/2.0 200 OK\r\nCSeq: 1 INVITE\r\nVia: SIP/2.0/UDP 127.0.0.1\r\n\r\n")

        assert answered_after(engine).startswith("SIP/2.0 200")

        assert stranger.hears_nothing()
        counts = traffic(engine)
        assert counts == {"from_strangers": len(methods) + 1, "over_rate": 0, "stray_responses": 1}
        assert engine.kinds() == []


def test_connections_of_strangers_are_closed_and_an_allowed_one_is_served(tmp_path):
    port = ports.free_port()
    with running(tmp_path, listen=[f"tcp:{LOOPBACK}:{port}"]) as engine:
        for _ in range(MORE_THAN_THE_LIBRARY_FORGIVES):
            with socket.create_connection((LOOPBACK, port), timeout=5, source_address=(STRANGER, 0)) as stranger:
                assert closed(stranger)
        counts = traffic(engine)
        caller = sipp.calling(tmp_path / "caller", [invite(), until_bye()], to=engine.address, transport="tcp")
        uid = engine.wait("invited")["uid"]
        engine.order("answer", uid)
        engine.wait("CallerAnswered", uid)
        engine.order("hang_up", uid, leg="caller", cause="normal")
        caller.succeed(within_s=10)
        engine.wait("ended", uid)

    assert counts["from_strangers"] == MORE_THAN_THE_LIBRARY_FORGIVES


def closed(peer: socket.socket) -> bool:
    try:
        return peer.recv(1) == b""
    except ConnectionResetError:
        return True


def test_whom_we_call_may_answer_and_hang_up_and_ask_nothing_else(tmp_path):
    with (
        running(tmp_path) as engine,
        Ear(tmp_path / "staff", say=audio.tone(800, 20), user="6000", auto_answer=True, host=CALLED) as staff,
        Datagrams(engine, CALLED) as other,
    ):
        caller = sipp.calling(tmp_path / "caller", [invite(), until_bye()], to=engine.address)
        uid = engine.wait("invited")["uid"]
        engine.order("answer", uid)
        engine.wait("CallerAnswered", uid)
        engine.order("dial", uid, destination={"uri": staff.uri, "timeout_s": 5})
        engine.wait("StaffAnswered", uid)
        other.ask("OPTIONS")
        other.ask("INVITE")
        staff.hang_up()

        ended = engine.wait("LegEnded", uid)["fact"]

        assert ended["leg"] == "staff"
        assert answered_after(engine).startswith("SIP/2.0 200")
        assert other.hears_nothing()
        assert traffic(engine)["from_strangers"] == 2
        engine.order("hang_up", uid, leg="caller", cause="normal")
        caller.succeed(within_s=10)
        engine.wait("ended", uid)


# ---------------------------------------------------------------- room


def test_with_the_fewest_ports_that_may_be_configured_a_call_beyond_is_told_503(tmp_path, voices):
    count = PORTS_PER_CALL + PORTS_BESIDE
    first = ports.free_range(count)
    with running(tmp_path, rtp_ports=[first, first + count - 1], max_calls=1) as engine:
        staff = sipp.answering(tmp_path / "staff", [take(), answer(), stream(voices["staff"]), until_bye()])
        caller = sipp.calling(tmp_path / "caller", [invite(), stream(voices["caller"]), until_bye()], to=engine.address)
        uid = engine.wait("invited")["uid"]
        engine.order("answer", uid)
        engine.wait("CallerAnswered", uid)
        engine.order("dial", uid, destination={"uri": f"sip:6000@{staff.address}", "timeout_s": 10})
        engine.wait("StaffAnswered", uid)

        beyond = sipp.calling(tmp_path / "beyond", [invite(refused_with=503)], to=engine.address)

        assert engine.wait("refused")["key"] == "agent.max_calls"
        beyond.succeed(within_s=10)
        assert beyond.received("SIP/2.0 503")[0].header("Retry-After") == "10"
        for leg, peer in (("staff", staff), ("caller", caller)):
            engine.order("hang_up", uid, leg=leg, cause="normal")
            peer.succeed(within_s=10)
        engine.wait("ended", uid)


# ---------------------------------------------------------------- offers

CODEC, ELSEWHERE = "No common codec", "Media address not allowed"
OFFERS = {
    "off": (
        (sdp(codecs=[18]), CODEC, "sip.codecs"),
        (sdp(address=STRANGER), ELSEWHERE, "sip.media_from"),
        (sdp() + f"\na=rtcp:9001 IN IP4 {STRANGER}", ELSEWHERE, "sip.media_from"),
        (ENCRYPTED_OFFER, "Encrypted audio is switched off", "sip.srtp"),
    ),
    "required": ((sdp(), "Encrypted audio is required", "sip.srtp"),),
}


@pytest.mark.parametrize("srtp", OFFERS)
def test_an_offer_that_cannot_be_taken_is_told_488_and_why(tmp_path, srtp):
    with running(tmp_path, srtp=srtp, media_from=[LOOPBACK]) as engine:
        for number, (offer, why, key) in enumerate(OFFERS[srtp]):
            steps = [invite(offer=offer, refused_with=488)]
            caller = sipp.calling(tmp_path / f"caller{number}", steps, to=engine.address)

            refused = engine.wait("refused")

            told = (refused["why"], refused["key"], refused["status"], refused["dialled"])
            assert told == (why, key, 488, "5000")
            caller.succeed(within_s=10)
        assert engine.kinds() == []
