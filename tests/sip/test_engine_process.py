"""Starting, refusing, surviving and ending, each in an engine of its own."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.peers import sipp
from tests.peers.ports import LOOPBACK, free_port
from tests.peers.sipp_steps import (
    _in_dialog,
    answer,
    invite,
    response,
    sdp,
    send,
    stream,
    take,
    talk,
    until_bye,
)
from tests.sip.engine import EngineProcess, engine_settings

pytestmark = pytest.mark.calls


def started(folder: Path, **changes: object) -> EngineProcess:
    engine = EngineProcess(engine_settings(folder, **changes), folder / "engine.log")
    engine.wait("started")
    return engine


def mistaken(folder: Path, **changes: object) -> str:
    """What an engine says that does not start."""
    engine = EngineProcess(engine_settings(folder, **changes), folder / "engine.log")
    failed = engine.wait("failed")
    assert failed["error"] == "ConfigError"
    assert engine.finish() == 2
    return failed["what"]


def test_the_engine_says_what_it_is(tmp_path):
    engine = EngineProcess(engine_settings(tmp_path), tmp_path / "engine.log")

    facts = engine.wait("started")["facts"]

    assert facts["tap"] == "wire"
    assert facts["max_bridged_calls"] == 2
    assert facts["loopback_only"] is False
    assert engine.finish() == 0
    assert engine.strays == []


def test_the_production_engine_set_to_one_call_is_not_taken_for_the_other(tmp_path):
    engine = EngineProcess(engine_settings(tmp_path, max_calls=1), tmp_path / "engine.log")

    facts = engine.wait("started")["facts"]

    assert (facts["build"], facts["max_bridged_calls"]) == ("own build", 1)
    assert engine.finish() == 0


def test_a_port_that_is_taken_is_named(tmp_path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((LOOPBACK, 0))
        port = taken.getsockname()[1]

        said = mistaken(tmp_path, listen=[f"udp:{LOOPBACK}:{port}"])

    assert f"cannot listen on udp:{LOOPBACK}:{port}" in said


def test_an_unknown_codec_is_named(tmp_path):
    assert "no G729" in mistaken(tmp_path, codecs=["PCMA", "G729"])


def test_a_reinvite_that_would_move_media_elsewhere_is_refused_and_the_call_goes_on(tmp_path, voices):
    engine = started(tmp_path, media_from=[LOOPBACK])
    elsewhere = (
        send("INVITE [next_url] SIP/2.0", _in_dialog("INVITE"), sdp(address="127.0.0.9"))
        + response(100, more='optional="true"')
        + response(488)
        + send("ACK [next_url] SIP/2.0", _in_dialog("ACK"))
    )
    steps = [invite(), stream(voices["caller"]), talk(500), elsewhere, until_bye()]
    caller = sipp.calling(tmp_path / "caller", steps, to=engine.address)
    uid = engine.wait("invited")["uid"]
    engine.order("answer", uid)
    engine.wait("CallerAnswered", uid)

    caller.wait_received("SIP/2.0 488", seconds=10)

    assert engine.kinds(uid) == []
    engine.order("hang_up", uid, leg="caller", cause="normal")
    engine.wait("ended", uid)
    caller.succeed(within_s=10)
    assert engine.finish() == 0


def test_calls_over_tcp_are_taken_too(tmp_path):
    port = free_port()
    engine = started(tmp_path, listen=[f"tcp:{LOOPBACK}:{port}", f"udp:{LOOPBACK}:{port}"])
    caller = sipp.calling(tmp_path / "caller", [invite(), until_bye()], to=engine.address, transport="tcp")

    invited = engine.wait("invited")

    assert invited["invite"]["transport"] == "tcp"
    engine.order("answer", invited["uid"])
    engine.wait("CallerAnswered")
    engine.order("hang_up", invited["uid"], leg="caller", cause="normal")
    engine.wait("ended")
    caller.succeed(within_s=10)
    assert engine.finish() == 0


def test_closing_hangs_up_every_leg_and_ends_in_good_order(tmp_path, voices, notice):
    engine = started(tmp_path)
    staff = sipp.answering(tmp_path / "staff", [take(), answer(), stream(voices["staff"]), until_bye()])
    caller = sipp.calling(tmp_path / "caller", [invite(), stream(voices["caller"]), until_bye()], to=engine.address)
    uid = engine.wait("invited")["uid"]
    engine.order("answer", uid)
    engine.wait("CallerAnswered")
    engine.order("dial", uid, destination={"uri": f"sip:6000@{staff.address}", "timeout_s": 10})
    engine.wait("StaffAnswered")
    engine.order("bridge", uid)
    engine.order("start_capture", uid, paths=[str(tmp_path / "a.wav"), str(tmp_path / "b.wav")], heard_ns=1)
    engine.order("play_notice", uid, attempt=1, pcm=notice, keys_named="")
    engine.wait("LegsBridged")

    assert engine.finish() == 0

    caller.succeed(within_s=10)
    staff.succeed(within_s=10)
    assert (tmp_path / "a.wav").stat().st_size >= 44


BAD = [
    b"",
    b"\r\n\r\n",
    bytes(range(256)),
    b"JUMP sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1\r\n\r\n",
    b"INVITE sip:5000@127.0.0.1 SIP/2.0\r\n\r\n",
    b"INVITE sip:5000@127.0.0.1 SIP/9.9\r\nVia: x\r\nFrom: x\r\nTo: x\r\nCall-ID: x\r\nCSeq: x\r\n\r\n",
    b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKx\r\nCSeq: 1 INVITE\r\n\r\n",
]
HEAD = (
    b"INVITE sip:5000@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK%d\r\nMax-Forwards: 70\r\n"
    b"From: <sip:%s@127.0.0.1>;tag=1\r\nTo: <sip:5000@127.0.0.1>\r\nCall-ID: bad%d\r\nCSeq: 1 INVITE\r\n"
    b"Contact: <sip:a@127.0.0.1:9>\r\n"
)
BAD_SDP = [
    b"Content-Type: application/sdp\r\nContent-Length: 9\r\n\r\nv=garbage",
    b"Content-Type: application/sdp\r\nContent-Length: 99999\r\n\r\nv=0\r\n",
    b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
    b"Content-Length: -1\r\n\r\n",
    b"Require: magic\r\nContent-Length: 0\r\n\r\n",
    b"Replaces: a;to-tag=b;from-tag=c\r\nContent-Length: 0\r\n\r\n",
]


def test_malformed_messages_stop_nothing(tmp_path):
    engine = started(tmp_path)
    host, port = engine.address.split(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        for message in BAD:
            peer.sendto(message, (host, int(port)))
        for number, tail in enumerate(BAD_SDP):
            peer.sendto(HEAD % (number, b"a" * 3000 if number == 0 else b"\x1b[2J", number) + tail, (host, int(port)))

    caller = sipp.calling(tmp_path / "caller", [invite(), until_bye()], to=engine.address, caller="sip:good@127.0.0.1")
    uid = ""
    while not uid:
        invited = engine.wait("invited")
        assert "\x1b" not in str(invited)
        if invited["invite"]["from_uri"].startswith("sip:good@"):
            uid = invited["uid"]
        else:
            engine.order("reject", invited["uid"], status=488, phrase="No")
    engine.order("answer", uid)
    engine.wait("CallerAnswered", uid)

    engine.order("hang_up", uid, leg="caller", cause="normal")
    engine.wait("ended", uid)
    caller.succeed(within_s=10)
    assert engine.finish() == 0
