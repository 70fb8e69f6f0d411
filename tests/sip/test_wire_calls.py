"""What goes over the wire of real calls: the notice as a witness saw it, and what strangers and forgers get."""

from __future__ import annotations

import hashlib
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from callrec.core.evidence import RtcpFault
from callrec.notice import wire, wire_window
from tests.peers import audio, ports, rtcp, sipp, sipp_steps
from tests.peers.baresip import Ear
from tests.peers.ports import LOOPBACK
from tests.peers.rtp import Address, Media
from tests.sip.conftest import NOTICE_HZ, Calls
from tests.sip.engine import EngineProcess, engine_settings, window_of

pytestmark = pytest.mark.calls

REPORTING_S = 3.0
"""How long the engine waits for reports after a notice: long enough for a test that others keep from the processor."""


@pytest.fixture
def caller() -> Iterator[Media]:
    with Media() as media:
        yield media


def called(calls: Calls, caller: Media) -> tuple[str, Address]:
    """A call whose media is in the test's hand, answered: its uid, and where the engine takes its audio."""
    placed = calls.caller(sipp_steps.invite(offer=sipp_steps.sdp(port=str(caller.port))), sipp_steps.until_bye())
    uid = calls.answered()
    return uid, placed.wait_received("SIP/2.0 200", seconds=5).media_address


def play(engine: EngineProcess, uid: str, pcm: bytes, **words: object) -> None:
    engine.order("play_notice", uid, attempt=1, pcm=pcm, keys_named="", **words)


def ended(engine: EngineProcess, uid: str, pcm: bytes) -> wire.Weighed:
    """What the wire shows of the notice that ends now, undisturbed."""
    observation = engine.wait("NoticeEnded", uid)["fact"]["observation"]
    assert observation["complete"]
    return wire.weigh(wire_window.keep(window_of(observation)), pcm)


def is_whole(seen: wire.Weighed, pcm: bytes) -> bool:
    return (seen.tap.matched_samples, seen.wire.strayed, seen.wire.missing) == (len(pcm) // 2, 0, 0)


def test_the_evidence_has_what_a_witness_saw_packet_for_packet(calls, caller, notice, witness):
    uid, to = called(calls, caller)
    caller.speak(audio.tone(600, 1), to=to)
    play(calls.engine, uid, notice)
    seen = ended(calls.engine, uid, notice)
    passed = witness.sent(to, (LOOPBACK, caller.port))
    (stream,) = seen.streams
    sequences = [struct.unpack_from(">H", one, 2)[0] for one in passed]
    first = sequences.index(stream.first_sequence)
    tapped = passed[first : first + stream.sent]

    heard = audio.from_alaw(b"".join(one[12:] for one in tapped)).astype("<i2").tobytes()
    assert is_whole(seen, notice)
    assert sequences[first : first + stream.sent][-1] == stream.last_sequence
    assert hashlib.sha256(heard).hexdigest() == seen.tap.pcm_sha256
    calls.over(uid, "caller")


def attack(stranger: Media, to: Address, ssrc: int) -> None:
    """Sound, a goodbye in the caller's name, and word that everything arrived: all from elsewhere."""
    stranger.speak(audio.tone(700, 1), to=to)
    host, port = to
    stranger.send(rtcp.receiver_report(ssrc) + rtcp.goodbye(ssrc), to=(host, port + 1), rtcp=True)
    forged = rtcp.receiver_report(ssrc, rtcp.block(1, highest=0xFFFF, last_report=1))
    stranger.send(forged, to=(host, port + 1), rtcp=True)


@pytest.mark.parametrize("caller_first", [False, True], ids=["before the caller's first packet", "after it"])
def test_a_stranger_moves_nothing_ends_nothing_and_is_counted(calls, caller, notice, caller_first):
    uid, to = called(calls, caller)
    with Media("127.0.0.9") as stranger:
        if caller_first:
            caller.speak(audio.tone(600, 1), to=to)
            caller.heard_so_far(0.2, within_s=5)
        play(calls.engine, uid, notice)
        attack(stranger, to, caller.ssrc)
        if not caller_first:
            caller.heard_so_far(0.2, within_s=5)
            caller.speak(audio.tone(600, 1), to=to)
        seen = ended(calls.engine, uid, notice)

        assert is_whole(seen, notice)
        assert (stranger.packets, stranger.rtcp) == ([], [])
        assert seen.foreign_packets > 50
        assert (seen.rtp_received > 0, seen.peer_ssrc) == (True, caller.ssrc)
        assert seen.rtcp is None, "a stranger's reports are not even looked at"
        assert audio.share(caller.heard, NOTICE_HZ) > 0.7
    assert calls.engine.kinds(uid) == []
    calls.over(uid, "caller")


def test_a_stranger_beside_the_caller_is_not_believed_and_cannot_end_the_stream(calls, caller, notice):
    """From the caller's own address, but another port: its sound is a stranger's, what it reports is judged and found
    wrong, and its goodbye does not reach the stream.
    """
    uid, to = called(calls, caller)
    caller.speak(audio.tone(600, 1), to=to)
    with Media() as stranger:
        play(calls.engine, uid, notice)
        ports.until(lambda: audio.share(caller.heard[-800:], NOTICE_HZ) > 0.7, seconds=5, what="the notice has begun")
        attack(stranger, to, caller.ssrc)
        seen = ended(calls.engine, uid, notice)

    assert is_whole(seen, notice)
    assert seen.foreign_packets > 20
    assert seen.rtp_received > 0
    assert seen.rtcp.accepted == 0
    assert {one.why: one.packets for one in seen.rtcp.rejected} == {RtcpFault.NOT_OUR_STREAM: 2}
    calls.over(uid, "caller")


@pytest.mark.parametrize("how", ["the port of RTP", "a port that the SDP names"])
def test_a_report_counts_whichever_port_of_the_callers_address_it_leaves_from(calls, notice, how):
    """RFC 3605, and those who send RTCP from where they take RTP: what a report knows of us tells whose it is."""
    named = ports.free_port() if how == "a port that the SDP names" else None
    with Media(rtcp_port=named) as caller:
        offer = sipp_steps.sdp(port=str(caller.port)) + (f"\na=rtcp:{named}" if named else "")
        placed = calls.caller(sipp_steps.invite(offer=offer), sipp_steps.until_bye())
        uid = calls.answered()
        host, port = placed.wait_received("SIP/2.0 200", seconds=20).media_address
        caller.speak(audio.tone(600, 1), to=(host, port))
        play(calls.engine, uid, notice, await_report_s=REPORTING_S)
        caller.report_after(len(notice) / 16000 + 0.06, to=(host, port + 1), from_rtp=named is None)
        seen = ended(calls.engine, uid, notice)

        assert (seen.foreign_packets, seen.rtcp.accepted, seen.rtcp.rejected) == (0, 1, ())
        assert seen.rtcp.newest.source == f"{LOOPBACK}:{named or caller.port}"
        calls.over(uid, "caller")


def test_an_authentic_report_counts_and_forged_ones_from_the_same_address_do_not(calls, caller, notice):
    uid, (host, port) = called(calls, caller)
    caller.speak(audio.tone(600, 1), to=(host, port))
    play(calls.engine, uid, notice, await_report_s=REPORTING_S)
    there = (host, port + 1)
    caller.heard_so_far(len(notice) / 16000 + 0.06, within_s=10)
    caller.report(to=there)
    caller.report(to=there, ssrc=7)
    caller.report(to=there, highest=(caller.packets[-1].sequence + 30_000) % 65536)
    caller.report(to=there, last_report=1)
    caller.send(b"\x80\xc9", to=there, rtcp=True)
    seen = ended(calls.engine, uid, notice)

    assert is_whole(seen, notice)
    told = {one.why: one.packets for one in seen.rtcp.rejected}
    assert seen.rtcp.accepted == 1
    assert seen.rtcp.newest.source == f"{LOOPBACK}:{caller.port + 1}"
    assert (seen.rtcp.newest.highest_sequence - seen.wire.notice_last_sequence) % 65536 < 50
    assert told == {
        RtcpFault.NOT_UNDERSTOOD: 1,
        RtcpFault.NOT_OUR_STREAM: 1,
        RtcpFault.NEVER_SENT: 1,
        RtcpFault.NO_REPORT_OF_OURS: 1,
    }
    calls.over(uid, "caller")


def test_under_srtp_the_notice_is_weighed_as_it_was_before_encryption(tmp_path, notice):
    engine = EngineProcess(engine_settings(tmp_path, srtp="required"), tmp_path / "engine.log")
    engine.wait("started")
    with Ear(tmp_path / "caller", say=audio.tone(600, 20), srtp=True) as ear:
        ear.dial(f"sip:5000@{engine.address}")
        uid = engine.wait("invited")["uid"]
        engine.order("answer", uid)
        engine.wait("CallerAnswered", uid)
        play(engine, uid, notice)
        seen = ended(engine, uid, notice)
        ear.hang_up()
        engine.wait("ended", uid)

    assert is_whole(seen, notice)
    assert seen.wire.srtp
    assert seen.rtp_received > 0
    assert engine.finish() == 0


# ---------------------------------------------------------------- before the ACK


def invite(source: Address, media: Media) -> bytes:
    body = f"v=0\r\no=- 1 1 IN IP4 {LOOPBACK}\r\ns=-\r\nc=IN IP4 {LOOPBACK}\r\nt=0 0\r\n"
    body += f"m=audio {media.port} RTP/AVP 8\r\n"
    here = f"{source[0]}:{source[1]}"
    lines = [
        "INVITE sip:5000@127.0.0.1 SIP/2.0",
        f"Via: SIP/2.0/UDP {here};branch=z9hG4bKgate;rport",
        "Max-Forwards: 70",
        f"From: <sip:a@{here}>;tag=1",
        "To: <sip:5000@127.0.0.1>",
        "Call-ID: gate",
        "CSeq: 1 INVITE",
        f"Contact: <sip:a@{here}>",
        "Content-Type: application/sdp",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*lines, "", body]).encode()


def ack(source: Address, answered: str) -> bytes:
    to = next(line for line in answered.split("\r\n") if line.lower().startswith("to:"))
    here = f"{source[0]}:{source[1]}"
    lines = [
        "ACK sip:5000@127.0.0.1 SIP/2.0",
        f"Via: SIP/2.0/UDP {here};branch=z9hG4bKgate-ack;rport",
        "Max-Forwards: 70",
        f"From: <sip:a@{here}>;tag=1",
        to,
        "Call-ID: gate",
        "CSeq: 1 ACK",
        "Content-Length: 0",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def test_nothing_leaves_for_a_caller_who_has_not_acknowledged_the_answer(calls, caller):
    engine = calls.engine
    host, _, port = engine.address.rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.bind((LOOPBACK, 0))
        phone.settimeout(10)
        phone.sendto(invite(phone.getsockname(), caller), (host, int(port)))
        uid = engine.wait("invited")["uid"]
        engine.order("answer", uid)
        answers: list[str] = []
        while len(answers) < 3:  # the 200, and again after half a second, and after another
            received = phone.recv(4096).decode()
            answers += [received] if received.startswith("SIP/2.0 200") else []
        silent = (list(caller.packets), list(caller.rtcp))
        phone.sendto(ack(phone.getsockname(), answers[-1]), (host, int(port)))
        engine.wait("CallerAnswered", uid)
        caller.heard_so_far(0.2, within_s=5)

        assert silent == ([], [])
        engine.order("hang_up", uid, leg="caller", cause="normal")
        assert ports.until(lambda: phone.recv(4096).startswith(b"BYE"), seconds=5, what="a BYE")


def test_staff_who_want_their_audio_sent_elsewhere_are_not_connected(tmp_path, voices):
    engine = EngineProcess(engine_settings(tmp_path, media_from=[LOOPBACK]), tmp_path / "engine.log")
    engine.wait("started")
    spoken: Path = voices["caller"]
    away = sipp_steps.sdp(address="127.0.0.9")
    steps = [sipp_steps.invite(), sipp_steps.stream(spoken), sipp_steps.until_bye()]
    staff = sipp.answering(
        tmp_path / "staff", [sipp_steps.take(), sipp_steps.answer(offer=away), sipp_steps.until_bye()]
    )
    caller = sipp.calling(tmp_path / "caller", steps, to=engine.address)
    uid = engine.wait("invited")["uid"]
    engine.order("answer", uid)
    engine.wait("CallerAnswered", uid)
    engine.order("dial", uid, destination={"uri": f"sip:6000@{staff.address}", "timeout_s": 10})

    failed = engine.wait("DialFailed", uid)

    assert failed["fact"]["failure"] == "refused"
    assert "StaffAnswered" not in engine.kinds(uid)
    engine.order("hang_up", uid, leg="caller", cause="normal")
    engine.wait("ended", uid)
    caller.succeed(within_s=10)
    staff.stop()
    assert engine.finish() == 0
