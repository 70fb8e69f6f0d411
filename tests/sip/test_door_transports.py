"""TLS, encrypted audio and IPv6, each with a real call; and an answer that leaves a codec to choose."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import Self

import pytest

from tests.peers import audio, ports, sipp
from tests.peers.baresip import Ear
from tests.peers.certificates import Authority, Identity
from tests.peers.ports import LOOPBACK
from tests.peers.sipp_steps import invite, sdp, stream, until_bye
from tests.sip.conftest import NOTICE_HZ, Calls
from tests.sip.engine import EngineProcess
from tests.sip.test_door import STRANGER, closed, running

pytestmark = pytest.mark.calls

HERE_V6 = "::1"


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


def shown(authority: Authority, name: str) -> dict[str, object]:
    ours = authority.issue(name)
    return {"cert": str(ours.cert), "key": str(ours.key), "ca": str(authority.cert), "require_client": True}


# ---------------------------------------------------------------- TLS


class TlsPeer:
    """A peer with this certificate, or none, that speaks these versions of TLS."""

    def __init__(self, authority: Authority, identity: Identity | None, *versions: ssl.TLSVersion) -> None:
        self._context = ssl.create_default_context(cafile=str(authority.cert))
        if identity is not None:
            self._context.load_cert_chain(identity.cert, identity.key)
        self._context.set_ciphers("ALL:@SECLEVEL=0")
        self._context.minimum_version, self._context.maximum_version = versions[0], versions[-1]

    def options(self, address: str) -> str:
        """The first line of the answer; empty where there is none. ssl.SSLError where no session comes about."""
        host, _, port = address.partition(":")
        with (
            socket.create_connection((host, int(port)), timeout=5) as plain,
            self._context.wrap_socket(plain, server_hostname=LOOPBACK) as peer,
        ):
            lines = [
                f"OPTIONS sip:{address} SIP/2.0",
                f"Via: SIP/2.0/TLS {LOOPBACK}:9;branch=z9hG4bK{peer.getsockname()[1]};rport",
                "Max-Forwards: 70",
                f"From: <sip:a@{LOOPBACK}>;tag=1",
                f"To: <sip:{address}>",
                f"Call-ID: {peer.getsockname()[1]}",
                "CSeq: 1 OPTIONS",
                "Content-Length: 0",
            ]
            peer.sendall("\r\n".join([*lines, "", ""]).encode())
            return peer.recv(4096).decode().partition("\r\n")[0]


def test_tls_is_spoken_in_its_newer_versions_with_peers_that_show_a_certificate(tmp_path, authority):
    old, new, newest = ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
    known = authority.issue("known")
    unknown = Authority(tmp_path / "another").issue("unknown")
    with running(tmp_path, listen=[f"tls:{LOOPBACK}:{ports.free_port()}"], tls=shown(authority, "ours")) as engine:
        for version in (new, newest):
            assert TlsPeer(authority, known, version).options(engine.address) == "SIP/2.0 200 OK"
        with pytest.warns(DeprecationWarning, match="TLSv1_1"), pytest.raises((ssl.SSLError, ConnectionError)):
            TlsPeer(authority, known, old).options(engine.address)
        for identity in (None, unknown):
            assert not answered(TlsPeer(authority, identity, new), engine)
        place = (LOOPBACK, int(engine.address.partition(":")[2]))
        with socket.create_connection(place, timeout=5, source_address=(STRANGER, 0)) as stranger:
            assert closed(stranger)


def answered(peer: TlsPeer, engine: EngineProcess) -> bool:
    try:
        return bool(peer.options(engine.address))
    except (ssl.SSLError, ConnectionError):
        return False


def test_a_call_goes_in_and_out_over_tls_with_its_audio_encrypted(tmp_path, authority, voices):
    """One engine calls another: both show a certificate and ask for one."""
    tls = f"tls:{LOOPBACK}:{ports.free_port()}"
    udp = f"udp:{LOOPBACK}:{ports.free_port()}"
    outer_tls = f"tls:{LOOPBACK}:{ports.free_port()}"
    with (
        running(tmp_path / "inner", listen=[tls], tls=shown(authority, "inner"), srtp="optional") as inner,
        running(tmp_path / "outer", listen=[udp, outer_tls], tls=shown(authority, "outer"), srtp="optional") as outer,
    ):
        caller = sipp.calling(tmp_path / "caller", [invite(), stream(voices["caller"]), until_bye()], to=outer.address)
        uid = outer.wait("invited")["uid"]
        outer.order("answer", uid)
        outer.wait("CallerAnswered", uid)
        destination = {"uri": f"sip:6000@{inner.address};transport=tls", "timeout_s": 5}
        outer.order("dial", uid, destination=destination)
        invited = inner.wait("invited")
        inner.order("answer", invited["uid"])
        outer.wait("StaffAnswered", uid)
        inner.wait("CallerAnswered", invited["uid"])
        outer.order("hang_up", uid, leg="staff", cause="normal")
        inner.wait("ended", invited["uid"])
        outer.order("hang_up", uid, leg="caller", cause="normal")
        caller.succeed(within_s=10)
        outer.wait("ended", uid)

    assert invited["invite"]["transport"] == "tls"


# ---------------------------------------------------------------- encrypted audio


@pytest.mark.parametrize("srtp", ["optional", "required"])
def test_a_caller_with_encrypted_audio_is_heard_and_hears(tmp_path, notice, srtp):
    with (
        running(tmp_path, srtp=srtp) as engine,
        Ear(tmp_path / "caller", say=audio.tone(600, 20), srtp=True) as caller,
    ):
        caller.dial(f"sip:5000@{engine.address}")
        uid = engine.wait("invited")["uid"]
        engine.order("answer", uid)
        engine.wait("CallerAnswered", uid)
        engine.order("play_notice", uid, attempt=1, pcm=notice, keys_named="")
        seen = engine.wait("NoticeEnded", uid)["fact"]["observation"]
        caller.hang_up()
        engine.wait("ended", uid)
        if srtp == "optional":
            a_plain_call(engine, tmp_path)

    assert seen["complete"]
    assert seen["caller"]["rtp_packets"] > 0
    assert audio.share(caller.heard, NOTICE_HZ) > 0.3


def a_plain_call(engine: EngineProcess, folder: Path) -> None:
    """It is taken where encryption is optional."""
    caller = sipp.calling(folder / "plain", [invite(), until_bye()], to=engine.address)
    uid = engine.wait("invited")["uid"]
    engine.order("answer", uid)
    engine.wait("CallerAnswered", uid)
    engine.order("hang_up", uid, leg="caller", cause="normal")
    engine.wait("ended", uid)
    caller.succeed(within_s=10)


# ---------------------------------------------------------------- IPv6


class CallerV6:
    """A caller at ::1 who writes its own SIP: INVITE, ACK, and the RTP it hears."""

    def __init__(self, port: int) -> None:
        self._sip, self._rtp = (socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) for _ in range(2))
        for one in (self._sip, self._rtp):
            one.bind((HERE_V6, 0))
            one.settimeout(5)
        self._to = (HERE_V6, port)
        self.here, self.media = (f"[{HERE_V6}]:{one.getsockname()[1]}" for one in (self._sip, self._rtp))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sip.close()
        self._rtp.close()

    def send(self, method: str, *, to_tag: str = "", body: str = "") -> None:
        lines = [
            f"{method} sip:5000@[{HERE_V6}]:{self._to[1]} SIP/2.0",
            f"Via: SIP/2.0/UDP {self.here};branch=z9hG4bK{method}{self.here[-5:]};rport",
            "Max-Forwards: 70",
            f"From: <sip:caller@{self.here}>;tag=v6",
            f"To: <sip:5000@[{HERE_V6}]>{to_tag}",
            f"Call-ID: over-{self.here}",
            f"CSeq: 1 {method}",
            f"Contact: <sip:caller@{self.here}>",
            *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        self._sip.sendto(("\r\n".join([*lines, "", ""]) + body).encode(), self._to)

    def invite(self) -> None:
        port = self.media.rpartition(":")[2]
        lines = ["v=0", f"o=- 1 1 IN IP6 {HERE_V6}", "s=-", f"c=IN IP6 {HERE_V6}", "t=0 0", f"m=audio {port} RTP/AVP 8"]
        self.send("INVITE", body="\r\n".join([*lines, ""]))

    def acknowledge(self) -> str:
        """Wait for the 200, and send its ACK."""
        while not (answer := self._sip.recv(65536).decode()).startswith("SIP/2.0 200"):
            assert answer.startswith("SIP/2.0 1"), answer
        tag = next(line for line in answer.splitlines() if line.startswith("To:")).partition(">")[2]
        self.send("ACK", to_tag=tag)
        return answer

    def takes_the_bye(self) -> None:
        asked = self._sip.recv(65536).decode()
        assert asked.startswith("BYE "), asked
        kept = [line for line in asked.splitlines() if line.startswith(("Via", "From", "To", "Call-ID", "CSeq"))]
        self._sip.sendto("\r\n".join(["SIP/2.0 200 OK", *kept, "Content-Length: 0", "", ""]).encode(), self._to)

    def hears(self, packets: int) -> list[tuple[str, int]]:
        """Wait for so many RTP packets; where they came from."""
        return [self._rtp.recvfrom(4096)[1][:2] for _ in range(packets)]


def test_a_call_over_ipv6_is_taken_and_hears_the_notice(tmp_path, notice):
    port = ports.free_port()
    listen, allow = [f"udp:[{HERE_V6}]:{port}"], [HERE_V6]
    with running(tmp_path, listen=listen, allow_from=allow, media_from=allow) as engine, CallerV6(port) as caller:
        caller.invite()
        uid = engine.wait("invited")["uid"]
        engine.order("answer", uid)
        answer = caller.acknowledge()
        engine.wait("CallerAnswered", uid)
        engine.order("play_notice", uid, attempt=1, pcm=notice, keys_named="")
        sources = caller.hears(50)
        engine.order("hang_up", uid, leg="caller", cause="normal")
        caller.takes_the_bye()
        engine.wait("ended", uid)

    assert f"c=IN IP6 {HERE_V6}" in answer
    assert f"Contact: <sip:callrec@[{HERE_V6}]:{port}" in answer
    assert {host for host, _ in sources} == {HERE_V6}


# ---------------------------------------------------------------- a codec left to choose


def test_a_late_answer_with_two_codecs_brings_no_reinvite_into_the_notice(calls: Calls, notice):
    caller = calls.caller(
        invite(late_offer=True, offer=sdp(codecs=[8, 0])), stream(calls.voices["caller"]), until_bye()
    )
    uid = calls.answered()
    calls.engine.order("play_notice", uid, attempt=1, pcm=notice, keys_named="")

    assert calls.engine.wait("NoticeEnded", uid)["fact"]["observation"]["complete"]

    assert caller.received("INVITE") == []
    calls.over(uid)
