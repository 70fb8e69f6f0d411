"""The notice on real calls: what the engine observes is what happened."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from callrec.notice import wire, wire_window
from tests.peers import audio, ports
from tests.peers.rtp import Media
from tests.peers.sipp_steps import bye, invite, reinvite, sdp, stream, talk, until_bye
from tests.sip.conftest import Calls
from tests.sip.engine import window_of

pytestmark = pytest.mark.calls
PACKETS = 75


def weighed(observation: dict, notice: bytes) -> wire.Weighed:
    return wire.weigh(wire_window.keep(window_of(observation)), notice)


def left_whole(observation: dict, notice: bytes) -> bool:
    """What left us on the wire has the whole notice in it, and nothing else."""
    seen = weighed(observation, notice).tap
    return seen.at_sample is not None and seen.matched_samples == len(notice) // 2


def observed(calls: Calls, uid: str, notice: bytes, attempt: int = 1) -> dict:
    calls.engine.order("play_notice", uid, attempt=attempt, pcm=notice, keys_named="2")
    ended = calls.engine.wait("NoticeEnded", uid)["fact"]
    assert ended["attempt"] == attempt
    return ended["observation"]


def test_a_notice_that_plays_to_its_end_is_observed_whole(calls, notice):
    calls.talking()
    uid = calls.answered()

    seen = observed(calls, uid, notice)

    assert seen["complete"]
    assert seen["interruption"] is None
    assert left_whole(seen, notice)
    assert seen["expected_packets"] == PACKETS
    assert [stream["codec"] for stream in seen["streams"]] == ["PCMA"]
    assert PACKETS <= seen["streams"][0]["sent"] <= PACKETS + 15
    assert [change["direction"] for change in seen["directions"]] == ["sendrecv"]
    assert (seen["tap"], seen["player"], seen["tap_pcm"]) == ("wire", None, "")
    assert seen["caller"]["rtp_packets"] > 0
    assert seen["caller"]["source_address"] == seen["caller"]["sdp_address"]
    assert seen["key_capability"] == {"telephone_event": True, "info": True, "inband": False}
    assert seen["start_ns"] < seen["end_ns"]
    calls.over(uid)
    assert list((calls.engine.runtime_dir / "tap").iterdir()) == []


def test_a_caller_who_sends_no_rtp_is_seen_as_silent(calls, notice):
    calls.caller(invite(), until_bye())
    uid = calls.answered()

    seen = observed(calls, uid, notice)

    assert seen["complete"]
    assert seen["caller"]["rtp_packets"] == 0
    assert seen["caller"]["rtcp_reports"] == 0
    assert seen["caller"]["source_address"] == ""
    calls.over(uid)


def test_a_caller_without_telephone_event_is_heard_to_press_keys_until_they_are_asked_for_no_more(
    calls, notice, tmp_path
):
    with Media() as ear:
        offer = sdp(port=str(ear.port), telephone_event=False)
        caller = calls.caller(invite(offer=offer, info=False), until_bye())
        uid = calls.answered()
        to = caller.wait_received("SIP/2.0 200", seconds=5).media_address
        calls.engine.order("play_notice", uid, attempt=1, pcm=notice, keys_named="2")
        ear.speak(pressed("2"), to=to)

        first = calls.engine.wait("KeyPressed", uid)["fact"]
        seen = calls.engine.wait("NoticeEnded", uid)["fact"]["observation"]
        calls.engine.order("stop_listening", uid)
        ear.speak(pressed("3"), to=to)
        paths = [str(tmp_path / "caller.wav"), str(tmp_path / "staff.wav")]
        calls.engine.order("start_capture", uid, paths=paths, heard_ns=1)
        ports.until(lambda: threes(tmp_path / "caller.wav") > 0.1, seconds=15, what="the later key is captured")
        calls.over(uid)

    assert (first["leg"], first["digit"], first["method"]) == ("caller", "2", "inband")
    assert seen["complete"]
    assert seen["key_capability"] == {"telephone_event": False, "info": False, "inband": True}
    assert {(key["digit"], key["method"]) for key in seen["keys"]} <= {("2", "inband")}
    assert left_whole(seen, notice)
    later = [fact["fact"]["digit"] for fact in calls.engine.waiting(uid) if fact["kind"] == "KeyPressed"]
    assert set(later) <= {"2"}
    assert list((calls.engine.runtime_dir / "tap").iterdir()) == []


def pressed(key: str) -> audio.Samples:
    """Somebody who presses this key again and again."""
    return np.concatenate([audio.silence(0.3), audio.key(key, 0.1), audio.silence(0.2)])


def threes(path: Path) -> float:
    """Seconds of the tone that a 3 has and a 2 has not."""
    if not path.exists() or path.stat().st_size < audio.RATE:
        return 0.0
    return float(audio.hears(audio.read_wav(path), audio.KEYPAD["3"][1], dbfs=-25).sum()) * audio.FRAME / audio.RATE


@pytest.mark.parametrize(
    "hold",
    [reinvite("sendonly"), reinvite("inactive"), reinvite(offer=sdp(address="0.0.0.0"))],
    ids=["sendonly", "inactive", "c=0.0.0.0"],
)
def test_a_hold_interrupts_the_notice_and_the_end_of_the_hold_is_told(calls, notice, hold):
    calls.caller(invite(), stream(calls.voices["caller"]), talk(600), hold, talk(800), reinvite(), until_bye())
    uid = calls.answered()

    seen = observed(calls, uid, notice)

    assert not seen["complete"]
    assert seen["interruption"] == "held"
    assert seen["renegotiations"] == 1
    assert seen["directions"][0]["direction"] == "sendrecv"
    assert seen["directions"][-1]["direction"] != "sendrecv"
    assert 0 < sum(one["sent"] for one in seen["streams"]) < PACKETS
    assert 0 < weighed(seen, notice).tap.samples < len(notice) // 2
    assert not left_whole(seen, notice)
    assert calls.engine.wait("LegHeld", uid)["fact"]["leg"] == "caller"
    assert calls.engine.wait("LegResumed", uid)["fact"]["leg"] == "caller"
    again = observed(calls, uid, notice, attempt=2)
    assert again["complete"]
    assert left_whole(again, notice)
    calls.over(uid)


def test_a_notice_ordered_while_the_caller_is_on_hold_ends_at_once(calls, notice):
    calls.caller(invite(offer=sdp(direction="sendonly")), until_bye())
    uid = calls.answered()
    calls.engine.wait("LegHeld", uid)

    seen = observed(calls, uid, notice)

    assert seen["interruption"] == "held"
    assert seen["window"] is None
    calls.over(uid)


def test_a_change_of_codec_interrupts_the_notice(calls, notice):
    calls.caller(invite(), stream(calls.voices["caller"]), talk(600), reinvite(offer=sdp(codecs=[0])), until_bye())
    uid = calls.answered()

    seen = observed(calls, uid, notice)

    assert seen["interruption"] == "renegotiated"
    calls.engine.wait("LegRenegotiated", uid)
    calls.over(uid)


def test_a_caller_who_hangs_up_in_the_notice_ends_it_before_the_leg(calls, notice):
    caller = calls.caller(invite(), stream(calls.voices["caller"]), talk(600), bye())
    uid = calls.answered()
    calls.engine.order("play_notice", uid, attempt=1, pcm=notice, keys_named="")

    calls.engine.wait("LegEnded", uid)

    assert calls.engine.kinds(uid) == ["NoticeEnded"]
    seen = calls.engine.wait("NoticeEnded", uid)["fact"]["observation"]
    assert seen["interruption"] == "hung up"
    assert 0 < sum(one["sent"] for one in seen["streams"]) < PACKETS
    calls.engine.wait("ended", uid)
    caller.succeed(within_s=10)


def test_a_notice_that_is_stopped_says_so_and_a_repeat_plays_whole(calls, notice):
    calls.talking()
    uid = calls.answered()
    calls.engine.order("play_notice", uid, attempt=1, pcm=notice, keys_named="0")
    calls.engine.order("stop_notice", uid, attempt=1)

    seen = observed(calls, uid, notice, attempt=2) if calls.engine.wait("NoticeEnded", uid) else {}

    assert seen["complete"]
    assert left_whole(seen, notice)
    calls.over(uid)


def test_a_late_offer_is_answered_and_hears_the_notice(calls, notice):
    calls.caller(invite(late_offer=True), stream(calls.voices["caller"]), until_bye())
    uid = calls.answered()

    seen = observed(calls, uid, notice)

    assert seen["complete"]
    calls.over(uid)
