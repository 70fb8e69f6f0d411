"""What the engine's additions see and keep, against real packets and an independent witness on the loopback."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from callrec.core.wire_records import Flag, Kind
from callrec.sip.wire import MediaFilter
from tests.engine.process import AgentProcess, OrderFailed
from tests.peers import audio, ports, rtcp, sipp, sipp_steps
from tests.peers.baresip import Ear
from tests.peers.flood import an_invite
from tests.peers.ports import LOOPBACK
from tests.peers.rtp import Media

pytestmark = pytest.mark.calls

TONE_HZ = 1200


@pytest.fixture
def tone(tmp_path) -> Path:
    return audio.write_wav(tmp_path / "tone.wav", audio.tone(TONE_HZ, 3))


@pytest.fixture
def caller() -> Iterator[Media]:
    with Media() as media:
        yield media


Place = Callable[..., sipp.Sipp]


@pytest.fixture
def call(tmp_path, agent, caller) -> Iterator[Place]:
    """Place a call whose media is in the test's hand, and wait until it is confirmed; it is stopped at the end."""
    placed: list[sipp.Sipp] = []

    def place(*steps: str) -> sipp.Sipp:
        invite = sipp_steps.invite(offer=sipp_steps.sdp(port=str(caller.port)))
        then = steps or (sipp_steps.until_bye(30_000),)
        placed.append(sipp.calling(tmp_path / f"caller{len(placed)}", [invite, *then], to=agent.address))
        agent.confirmed(len(placed))
        return placed[-1]

    yield place
    agent.order("hang_up")
    agent.ended(len(placed))
    for one in placed:
        one.stop()


def engine_media(placed: sipp.Sipp) -> tuple[str, int]:
    return placed.wait_received("SIP/2.0 200", seconds=5).media_address


def payload_sound(packets: list[bytes]) -> audio.Samples:
    return audio.from_alaw(b"".join(packet[12:] for packet in packets))


def test_what_was_tapped_is_what_a_witness_saw_packet_for_packet(agent, tone, caller, witness, call):
    placed = call()
    assert agent.order("open")
    agent.order("play", wav=str(tone))
    caller.heard_so_far(2, within_s=10)
    taken = agent.take()
    seen = witness.sent(engine_media(placed), (LOOPBACK, caller.port))
    tapped = [record.packet for record in taken.of(Kind.RTP_SENT)]

    assert len(tapped) >= 90
    start = seen.index(tapped[0])
    assert seen[start : start + len(tapped)] == tapped
    assert taken.counts["rtp_sent"] == len(tapped)
    assert taken.counts["overflow"] == 0
    assert audio.share(payload_sound(tapped), TONE_HZ) > 0.7


def test_each_record_says_where_to_when_and_how_long(agent, tone, caller, call):
    call()
    agent.order("open")
    agent.order("play", wav=str(tone))
    caller.heard_so_far(0.5, within_s=10)
    taken = agent.take()
    sent = taken.of(Kind.RTP_SENT)

    assert taken.records[0].kind is Kind.PEER_ADDRESS
    assert {(str(one.address[0]), one.address[1]) for one in [taken.records[0], *sent]} == {(LOOPBACK, caller.port)}
    assert {(one.status, one.flags, one.wire_bytes) for one in sent} == {(0, Flag(0), 172)}
    times = [(one.boottime_ns, one.utc_ns) for one in sent]
    assert times == sorted(times)
    sequence = [struct.unpack_from(">H", one.packet, 2)[0] for one in sent]
    assert np.all(np.diff(sequence) % 65536 == 1)


def test_rtcp_of_the_caller_is_kept_with_its_source(agent, caller, call):
    placed = call()
    host, port = engine_media(placed)
    agent.order("open")
    report = struct.pack(">BBHI", 0x80, 201, 1, caller.ssrc)
    caller.send(report, to=(host, port + 1), rtcp=True)
    ports.until(lambda: agent.order("counts")["rtcp_received"], seconds=5, what="RTCP comes in")
    (received,) = agent.take().of(Kind.RTCP_RECEIVED)

    assert received.packet == report
    assert (str(received.address[0]), received.address[1]) == (LOOPBACK, caller.port + 1)


def test_rtcp_from_another_port_of_the_callers_address_is_kept_as_the_callers_and_its_rtp_is_foreign(
    agent, caller, call
):
    host, port = engine_media(call())
    agent.order("open")
    report = struct.pack(">BBHI", 0x80, 201, 1, caller.ssrc)
    with Media() as beside:
        beside.send(report, to=(host, port + 1), rtcp=True)
        ports.until(lambda: agent.order("counts")["rtcp_received"], seconds=20, what="RTCP comes in")
        beside.send(b"\x80\x08" + bytes(170), to=(host, port))
        ports.until(lambda: agent.order("counts")["rtp_foreign"], seconds=20, what="RTP comes in")
        (received,) = agent.take().of(Kind.RTCP_RECEIVED)

    assert (received.packet, received.address[1]) == (report, beside.port + 1)
    assert agent.order("counts")["rtcp_foreign"] == 0


@pytest.mark.parametrize("caller_first", [False, True], ids=["before the caller's first packet", "after it"])
def test_a_stranger_gets_no_media_and_is_counted(agent, tone, caller, caller_first, call):
    placed = call()
    host, port = engine_media(placed)
    agent.order("open")
    agent.order("play", wav=str(tone))
    if caller_first:
        caller.speak(audio.tone(600, 1), to=(host, port))
        ports.until(lambda: agent.order("counts")["rtp_received"] >= 5, seconds=5, what="the caller is heard")
    with Media("127.0.0.9") as stranger:
        stranger.speak(audio.tone(700, 1), to=(host, port))
        for _ in range(5):
            stranger.send(struct.pack(">BBHI", 0x80, 201, 1, stranger.ssrc), to=(host, port + 1), rtcp=True)
        ports.until(lambda: agent.order("counts")["rtp_foreign"] >= 20, seconds=5, what="the stranger is counted")
        before = len(caller.packets)
        caller.heard_so_far(before / 50 + 0.5, within_s=5)
        taken, counts = agent.take(), agent.order("counts")

        assert stranger.packets == []
        assert stranger.rtcp == []
        assert (counts["rtcp_foreign"], counts["rtcp_received"]) == (5, 0)
        assert counts["first_foreign"] == f"127.0.0.9:{stranger.port}"
        assert {one.address[1] for one in taken.of(Kind.RTP_FOREIGN)} == {stranger.port}
        assert {one.address[1] for one in taken.of(Kind.RTP_SENT)} == {caller.port}


def test_without_the_filter_a_stranger_is_still_counted(agent, caller, call):
    agent.order("filter", rtp=MediaFilter.COUNT_ONLY, rtcp=MediaFilter.COUNT_ONLY)
    placed = call()
    with Media() as stranger:
        stranger.speak(audio.tone(700, 1), to=engine_media(placed))
        ports.until(lambda: agent.order("counts")["rtp_foreign"] >= 5, seconds=5, what="the stranger is counted")

    assert agent.order("counts")["rtp_received"] == 0


def test_a_window_outlives_its_leg(agent, tone, caller, call):
    call(sipp_steps.talk(1000), sipp_steps.bye())
    agent.order("open")
    agent.order("play", wav=str(tone))
    agent.ended()
    taken = agent.take()

    assert len(taken.of(Kind.RTP_SENT)) > 20
    assert taken.records[-1].kind is Kind.LEG_GONE
    assert agent.order("counts") is None
    assert not agent.order("open")


def test_a_window_begins_with_our_reports_from_before_it(agent, caller, call):
    caller.speak(audio.tone(600, 1), to=engine_media(call()))
    ports.until(lambda: rtcp.newest_report(caller.rtcp), seconds=10, what="a sender report comes in")
    agent.order("open")
    first, earlier, *_ = agent.take().records

    assert (first.kind, earlier.kind, earlier.flags) == (Kind.PEER_ADDRESS, Kind.RTCP_SENT, Flag.EARLIER)
    assert earlier.packet in [one[:28] for one in caller.rtcp]
    assert earlier.boottime_ns < first.boottime_ns
    assert agent.order("counts")["peer_ssrc"] == caller.ssrc


def test_what_a_peer_who_moved_sent_before_is_late_and_not_foreign_for_a_moment(agent, caller, call):
    with Media() as renewed:
        placed = call(sipp_steps.talk(500), sipp_steps.reinvite(offer=sipp_steps.sdp(port=str(renewed.port))))
        to = engine_media(placed)
        caller.speak(audio.tone(600, 1), to=to)
        renewed.heard_so_far(0.2, within_s=10)
        moved = agent.order("counts")
        renewed.speak(audio.tone(600, 1), to=to)
        ports.until(
            lambda: agent.order("counts")["rtp_received"] > moved["rtp_received"] + 5, seconds=5, what="it is heard"
        )
        at_once = agent.order("counts")
        ports.until(lambda: agent.order("counts")["rtp_foreign"] > 0, seconds=5, what="the old address is foreign")

    assert (at_once["rtp_foreign"], at_once["peer_addresses"]) == (0, 2)


def test_a_full_window_says_so(agent, tone, caller, call):
    call()
    agent.order("open", room=1000)
    agent.order("play", wav=str(tone))
    caller.heard_so_far(0.5, within_s=10)
    taken = agent.take()

    assert len(taken.of(Kind.RTP_SENT)) == 4
    assert taken.counts["overflow"] >= taken.counts["rtp_sent"] - 4 > 0


def test_a_leg_has_one_window_at_a_time(agent, caller, call):
    call()
    agent.order("open")
    with pytest.raises(OrderFailed, match="is open already"):
        agent.order("open")
    agent.take()

    assert agent.order("open")
    agent.take()


def test_windows_beyond_the_memory_limit_are_refused(agent, caller, call):
    call()

    with pytest.raises(OrderFailed, match="finds no memory"):
        agent.order("open", room=1 << 40)


def test_under_srtp_the_packets_are_kept_in_the_clear(tmp_path, tone):
    spoken = audio.read_wav(tone)
    with (
        AgentProcess(tmp_path / "agent", srtp=2) as agent,
        Ear(tmp_path / "caller", say=audio.tone(600, 20), srtp=True) as ear,
    ):
        ear.dial(f"sip:5000@{agent.address}")
        agent.confirmed()
        agent.order("open")
        agent.order("play", wav=str(tone))
        ear.heard_so_far(2, within_s=10)
        taken = agent.take()
        ear.hang_up()
    sent = taken.of(Kind.RTP_SENT)

    assert {(one.flags, one.wire_bytes - len(one.packet)) for one in sent} == {(Flag.DECRYPTED, 10)}
    heard = payload_sound([one.packet for one in sent])
    assert audio.find(heard, spoken[: audio.RATE]).share == 1


# ---------------------------------------------------------------- SIP


def options(source: str) -> bytes:
    lines = [
        "OPTIONS sip:any@127.0.0.1 SIP/2.0",
        f"Via: SIP/2.0/UDP {source};branch=z9hG4bK{source};rport",
        "Max-Forwards: 70",
        f"From: <sip:a@{source}>;tag=1",
        "To: <sip:any@127.0.0.1>",
        f"Call-ID: {source}",
        "CSeq: 1 OPTIONS",
        "Content-Length: 0",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def test_a_stranger_to_sip_gets_no_answer_at_all(tmp_path):
    with (
        AgentProcess(tmp_path, allow=[LOOPBACK]) as agent,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as friend,
    ):
        stranger.bind(("127.0.0.9", 0))
        friend.bind((LOOPBACK, 0))
        friend.settimeout(5)
        stranger.sendto(options("127.0.0.9"), (LOOPBACK, agent.port))
        friend.sendto(options(LOOPBACK), (LOOPBACK, agent.port))
        answered = friend.recv(4096)
        counts = agent.order("sip_counts")
        stranger.setblocking(False)

        assert answered.startswith(b"SIP/2.0 ")
        assert (counts["requests"], counts["strangers"]) == (1, 1)
        with pytest.raises(BlockingIOError):
            stranger.recv(4096)


def test_invites_beyond_the_rate_get_no_answer_until_they_come_again(tmp_path):
    rate = {"invites_per_second": 2, "at_once": 3}
    with AgentProcess(tmp_path / "agent", allow=["127.0.0.0/8"], rate=rate) as agent:
        steps = [sipp_steps.invite(), sipp_steps.talk(100), sipp_steps.bye()]
        callers = sipp.calling(tmp_path / "callers", steps, to=agent.address, calls=8, rate=80)
        callers.succeed(within_s=30)
        counts = agent.order("sip_counts")

    assert counts["invites_taken"] == 8
    assert counts["invites_beyond_rate"] > 0


class Peer:
    """One who calls, and reads what is said to each call first."""

    def __init__(self, agent: AgentProcess) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((LOOPBACK, 0))
        self._socket.settimeout(5)
        self._to = (LOOPBACK, agent.port)

    def told(self, number: int) -> bytes:
        """The first final answer to this INVITE."""
        here = self._socket.getsockname()
        self._socket.sendto(an_invite(number, source=here, to=self._to, dialled="5000"), self._to)
        while True:
            answer = self._socket.recv(65536)
            if b"Call-ID: burst-%d-" % number in answer and not answer.startswith(b"SIP/2.0 1"):
                return answer

    def close(self) -> None:
        self._socket.close()


def test_an_invite_that_was_refused_stays_refused_when_it_comes_again(tmp_path):
    refusals = {"refusals_per_second": 1000, "retry_after_s": 7}
    rate = {"invites_per_second": 0.01, "at_once": 1, **refusals}
    with AgentProcess(tmp_path, allow=[LOOPBACK], rate=rate) as agent:
        peer = Peer(agent)
        first, second = peer.told(0), peer.told(1)
        agent.order("allow", networks=[LOOPBACK], invites_per_second=100, at_once=100, **refusals)
        third, again = peer.told(2), peer.told(1)
        peer.close()
        agent.order("hang_up")

    assert [one[8:11] for one in (first, second, third, again)] == [b"200", b"503", b"200", b"503"]
    assert b"\r\nRetry-After: 7\r\n" in second
