"""The peers prove themselves against each other, without callrec: what they fail to hear here, they cannot witness."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from tests.peers import audio, pcap, ports, sipp
from tests.peers.baresip import Ear
from tests.peers.ports import PeerFailed, Process
from tests.peers.rawsip import RawSip
from tests.peers.rtp import Media
from tests.peers.sipp_steps import (
    PCAP_PORT,
    PCMU,
    answer,
    bye,
    early_media,
    invite,
    invite_then_cancel,
    keys_by_info,
    never_answer,
    play,
    refuse,
    reinvite,
    ring,
    sdp,
    stream,
    take,
    talk,
    until_bye,
    until_told,
)


@pytest.fixture
def caller_voice(tmp_path):
    return audio.write_alaw(tmp_path / "caller.alaw", audio.tone(audio.CALLER_HZ, 1))


@pytest.fixture
def staff_voice(tmp_path):
    return audio.write_alaw(tmp_path / "staff.alaw", audio.tone(audio.STAFF_HZ, 1))


def test_a_law_there_and_back_changes_a_sample_by_less_than_the_step_at_its_size():
    samples = np.arange(-32768, 32768, 7).astype(np.int16)

    back = audio.from_alaw(audio.to_alaw(samples))

    assert np.all(np.abs(back.astype(int) - samples) <= np.maximum(16, np.abs(samples.astype(int)) // 16))


def test_a_sound_is_found_where_it_lies_and_a_missing_half_counts_as_missing():
    notice = audio.speech("This call is recorded for medico-legal purposes.")
    whole = np.concatenate([audio.silence(1.5), notice, audio.tone(audio.ADVICE_HZ, 1)])
    half = np.concatenate([audio.silence(1.5), notice[: len(notice) // 2]])

    assert audio.find(whole, notice) == audio.Found(at_s=1.5, share=1.0)
    assert audio.find(half, notice).at_s == 1.5
    assert audio.find(half, notice).share == pytest.approx(0.5, abs=0.01)


def test_another_speech_is_not_taken_for_the_notice():
    notice = audio.speech("This call is recorded for medico-legal purposes.")
    other = audio.speech("Thank you for calling, please hold the line while we find somebody for you.")

    assert audio.find(other, notice).share < 0.5


def test_ringback_is_told_from_each_of_the_test_tones():
    ringback = audio.tone(400, 0.4, dbfs=-20) + audio.tone(450, 0.4, dbfs=-20)
    others = np.concatenate(
        [audio.tone(hz, 1) for hz in (audio.NOTICE_HZ, audio.ADVICE_HZ, audio.CALLER_HZ, audio.STAFF_HZ)]
    )

    assert audio.ringback_spans(np.concatenate([others, ringback, others])) == [(4.0, 4.4)]


def test_a_port_range_is_not_handed_out_twice():
    first, second = ports.free_range(50), ports.free_range(50)

    assert abs(first - second) >= 50


def test_a_port_that_another_test_process_was_given_is_not_given_here():
    """It is told the port that is next here, and has claimed it when it answers."""
    ours = ports.free_port()
    find = f"from tests.peers import ports; ports._next = {ours}; found = [ports.free_port() for _ in range(3)]"
    tell = "print(*found, flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", f"{find}; {tell}"], stdin=-1, stdout=-1, text=True) as other:
        theirs = [int(port) for port in other.stdout.readline().split()]
        here = [ports.free_port() for _ in range(3)]
        other.communicate("\n")

    assert theirs[0] > ours
    assert not set(theirs) & {ours, *here}


def test_a_long_run_does_not_use_the_ports_up():
    singles = {ports.free_port() for _ in range(2_000)}
    firsts = [ports.free_range(200) for _ in range(150)]

    assert len(singles) == 2_000
    assert len(firsts) * 200 > 22_000
    assert all(abs(one - other) >= 200 for one, other in pairwise(firsts))


def test_a_process_that_does_not_end_is_killed_and_its_output_told(tmp_path):
    process = Process(["sh", "-c", "echo waiting; exec sleep 60"], folder=tmp_path, name="sleeper")
    process.wait_for_output("waiting", seconds=5)

    with pytest.raises(PeerFailed, match="waiting"):
        process.wait(0.1)
    assert not process.alive


@pytest.mark.calls
def test_two_baresips_hear_each_other_and_their_keys(tmp_path):
    with (
        Ear(tmp_path / "staff", say=audio.tone(audio.STAFF_HZ, 20), user="staff", auto_answer=True) as staff,
        Ear(tmp_path / "caller", say=audio.tone(audio.CALLER_HZ, 20)) as caller,
    ):
        caller.dial(staff.uri)
        caller.established(within_s=5)
        caller.press("27")
        caller.heard_so_far(1.5, within_s=10)
        caller.hang_up()
        staff.closed(within_s=5)
        assert staff.pressed == "27"

    assert audio.share(caller.heard, audio.STAFF_HZ) > 0.95
    assert audio.share(staff.heard, audio.CALLER_HZ) > 0.8
    assert audio.share(caller.heard, audio.CALLER_HZ) == 0


@pytest.mark.calls
def test_the_ear_hears_every_sample_that_sipp_sends(tmp_path):
    speech = audio.speech("I would like to ask about my medicines, please.")
    coded = audio.write_alaw(tmp_path / "speech.alaw", speech)
    steps = [take(), ring(300), answer(), stream(coded, loops=1), until_bye()]
    staff = sipp.answering(tmp_path / "staff", steps)

    with Ear(tmp_path / "caller", say=audio.silence(20)) as caller:
        caller.dial(f"sip:6000@{staff.address}")
        caller.established(within_s=5)
        caller.heard_so_far(len(speech) / audio.RATE, within_s=10)
        caller.hang_up()
    staff.succeed(within_s=5)

    assert audio.find(caller.heard, audio.from_alaw(coded.read_bytes())).share > 0.99


@pytest.mark.calls
def test_the_ear_hears_early_media_and_learns_of_a_refusal(tmp_path, staff_voice):
    steps = [take(), early_media(staff_voice, 60_000)]
    ringing = sipp.answering(tmp_path / "ringing", steps)
    busy = sipp.answering(tmp_path / "busy", [take(), refuse("486 Busy Here")])

    with Ear(tmp_path / "caller", say=audio.silence(20)) as caller:
        caller.dial(f"sip:6004@{ringing.address}")
        caller.heard_so_far(1, within_s=10)
        caller.hang_up()
        caller.dial(f"sip:6002@{busy.address}")
        assert "486" in caller.closed(within_s=5)
    ringing.succeed(within_s=5)
    busy.succeed(within_s=5)

    assert audio.share(caller.heard, audio.STAFF_HZ) > 0.95


@pytest.mark.calls
def test_keys_in_a_pcap_reach_the_ear_as_keys(tmp_path):
    sound = pcap.speech_with_keys(tmp_path / "keys.pcap", audio.tone(audio.CALLER_HZ, 2), {500: "2", 1000: "#"})

    with Ear(tmp_path / "staff", say=audio.silence(20), user="staff", auto_answer=True) as staff:
        steps = [invite(offer=sdp(port=PCAP_PORT)), play(sound), talk(2100), bye()]
        caller = sipp.calling(tmp_path / "caller", steps, to=f"127.0.0.1:{staff.port}", dialled="staff")
        caller.succeed(within_s=10)
        staff.closed(within_s=5)
        assert staff.pressed == "2#"

    assert audio.share(staff.heard, audio.CALLER_HZ) > 0.9


@pytest.mark.calls
def test_media_in_our_own_hand_hears_on_after_a_hold_and_presses_keys(tmp_path):
    speech = audio.speech("I would like to ask about my medicines, please.")
    coded = audio.write_alaw(tmp_path / "speech.alaw", speech)
    steps = [take(), answer(), stream(coded), talk(60_000)]
    staff = sipp.answering(tmp_path / "staff", steps)
    with Media() as media:
        offer, held = sdp(port=str(media.port)), sdp(port=str(media.port), direction="inactive")
        steps = [invite(offer=offer), talk(300), reinvite(offer=held), reinvite(offer=offer), talk(4000), bye()]
        caller = sipp.calling(tmp_path / "caller", steps, to=staff.address)
        caller.succeed(within_s=15)
    staff.succeed(within_s=5)

    assert audio.find(media.heard, audio.from_alaw(coded.read_bytes())).share > 0.9

    with Ear(tmp_path / "ear", say=audio.silence(20), user="staff", auto_answer=True) as ear, Media() as media:
        steps = [invite(offer=sdp(port=str(media.port))), talk(2000), bye()]
        caller = sipp.calling(tmp_path / "caller2", steps, to=ear.address, dialled="staff")
        to = caller.wait_received("SIP/2.0 200", seconds=5).media_address
        media.speak(audio.tone(audio.CALLER_HZ, 1), to=to, keys={400: "5"})
        caller.succeed(within_s=10)
        ear.closed(within_s=5)
        assert ear.pressed == "5"
    assert audio.share(ear.heard, audio.CALLER_HZ) > 0.9


CALLS = {
    "answered": ([invite(), talk(300), bye()], [take(), ring(200), answer(), until_bye()]),
    "ended by the callee": ([invite(), until_bye()], [take(), answer(), talk(300), bye()]),
    "busy": ([invite(refused_with=486)], [take(), refuse()]),
    "cancelled": ([invite_then_cancel(200)], [take(), never_answer()]),
    "cancelled while it rings": ([invite_then_cancel(200)], [take(), ring(5000)]),
    "late offer": ([invite(late_offer=True), talk(300), bye()], [take(), answer(), until_bye()]),
    "held and resumed by the caller": (
        [invite(), talk(200), reinvite("sendonly"), talk(200), reinvite(), talk(200), bye()],
        [take(), answer(), until_bye()],
    ),
    "held by the callee": (
        [invite(), talk(800), bye()],
        [take(), answer(), talk(200), reinvite("inactive"), until_bye()],
    ),
    "another codec": (
        [invite(), talk(200), reinvite(offer=sdp(codecs=[PCMU])), talk(200), bye()],
        [take(), answer(), until_bye()],
    ),
    "keys by INFO": ([invite(), talk(200), keys_by_info("12"), bye()], [take(), answer(), until_bye()]),
    "no key possible": (
        [invite(offer=sdp(telephone_event=False), info=False), talk(200), bye()],
        [take(), answer(), until_bye()],
    ),
}


@pytest.mark.calls
@pytest.mark.parametrize("case", CALLS)
def test_sipp_plays_both_ends_of_a_call(tmp_path, case):
    caller_steps, staff_steps = CALLS[case]
    staff = sipp.answering(tmp_path / "staff", staff_steps)
    caller = sipp.calling(tmp_path / "caller", caller_steps, to=staff.address)

    caller.succeed(within_s=15)
    staff.succeed(within_s=15)

    assert len(caller.sent("INVITE")) == len(staff.received("INVITE"))


@pytest.mark.calls
def test_a_sipp_that_was_asked_whether_it_is_there_still_takes_all_its_calls(tmp_path):
    with (
        sipp.answering(tmp_path / "staff", [take(), answer(), until_bye()], calls=2) as staff,
        RawSip(to=(ports.LOOPBACK, staff.port)) as pbx,
    ):
        for number in (1, 2, 3):
            pbx.send(pbx.request("OPTIONS"))
            pbx.waits_for("SIP/2.0 200", "OPTIONS", seconds=10, count=number)
        steps = [invite(), talk(300), bye()]
        sipp.calling(tmp_path / "callers", steps, to=staff.address, calls=2, rate=10).succeed(within_s=15)
        staff.succeed(within_s=15)

    assert len(staff.received("INVITE")) == 2


@pytest.mark.calls
def test_a_sipp_goes_on_when_it_is_told_to_and_not_before(tmp_path):
    with (
        sipp.answering(tmp_path / "staff", [take(), answer(), until_bye()]) as staff,
        sipp.calling(tmp_path / "caller", [invite(), until_told(), until_told(), bye()], to=staff.address) as caller,
    ):
        caller.go_on()
        caller.waits(within_s=10)
        assert caller.sent("BYE") == []
        caller.go_on()

        caller.succeed(within_s=10)
        staff.succeed(within_s=10)


def test_sipp_says_what_went_otherwise_than_written(tmp_path):
    staff = sipp.answering(tmp_path / "staff", [take(), refuse("603 Decline")])
    caller = sipp.calling(tmp_path / "caller", [invite(), bye()], to=staff.address)

    with pytest.raises(PeerFailed, match="603"):
        caller.succeed(within_s=15)
    staff.stop()
