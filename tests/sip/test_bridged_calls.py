"""Dialling, bridging, capturing and ending real calls."""

from __future__ import annotations

import os
import time

import pytest

from callrec.sip.media import HEADER, finished_size
from tests.peers import audio, pcap, ports, sipp_steps
from tests.peers.rtp import Media
from tests.peers.sipp_steps import (
    PCAP_PORT,
    PCMA,
    answer,
    bye,
    early_media,
    invite,
    keys_by_info,
    never_answer,
    play,
    refuse,
    reinvite,
    response,
    ring,
    sdp,
    send,
    stream,
    take,
    talk,
    until_bye,
    until_told,
    update,
)
from tests.sip.conftest import CALLER_HZ, STAFF_HZ, Calls
from tests.sip.engine import EngineProcess, engine_settings

pytestmark = pytest.mark.calls

OTHER_HZ = 1000


def captured(calls: Calls, uid: str, tmp_path):
    """Both files of a capture that is stopped now."""
    calls.engine.order("stop_capture", uid)
    calls.engine.wait("capture stopped", uid)
    return audio.read_wav(tmp_path / "caller.wav"), audio.read_wav(tmp_path / "staff.wav")


def start_capture(calls: Calls, uid: str, tmp_path) -> None:
    """For somebody who has just heard a notice."""
    paths = [str(tmp_path / "caller.wav"), str(tmp_path / "staff.wav")]
    calls.engine.order("start_capture", uid, paths=paths, heard_ns=now_ns())


def now_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def grown(tmp_path, seconds: float) -> None:
    """Wait until the capture has grown by so many seconds."""
    file = tmp_path / "caller.wav"
    size = file.stat().st_size if file.exists() else 0
    ports.until(
        lambda: file.exists() and file.stat().st_size >= size + seconds * 16000, seconds=15, what="capture grows"
    )


def test_each_leg_is_captured_into_its_own_file_and_both_are_equally_long(calls, tmp_path):
    staff = calls.speaking_staff()
    calls.talking()
    uid = calls.bridged(staff)

    start_capture(calls, uid, tmp_path)
    grown(tmp_path, 1.5)
    caller_file, staff_file = captured(calls, uid, tmp_path)

    assert abs(len(caller_file) - len(staff_file)) <= 160
    assert audio.share(caller_file, CALLER_HZ) > 0.8
    assert audio.share(staff_file, STAFF_HZ) > 0.8
    assert audio.share(caller_file, STAFF_HZ) == 0
    assert audio.share(staff_file, CALLER_HZ) == 0
    calls.over(uid)


def test_a_suspended_capture_keeps_time_and_holds_no_voice(calls, tmp_path):
    staff = calls.speaking_staff()
    calls.talking()
    uid = calls.bridged(staff)
    start_capture(calls, uid, tmp_path)
    grown(tmp_path, 0.75)
    calls.engine.order("suspend_capture", uid)
    grown(tmp_path, 1.5)
    calls.engine.order("resume_capture", uid)
    grown(tmp_path, 0.75)

    for file, hz in zip(captured(calls, uid, tmp_path), (CALLER_HZ, STAFF_HZ), strict=True):
        spans = audio.tone_spans(file, hz)
        assert len(spans) == 2
        assert spans[1][0] - spans[0][1] > 1
    calls.over(uid)


def test_capture_goes_on_through_a_hold_and_a_change_of_codec(calls, tmp_path):
    staff = calls.speaking_staff()
    steps = [until_told(), reinvite("inactive"), talk(1200), reinvite(offer=sdp(codecs=[8, 0])), until_bye()]
    caller = calls.caller(invite(), stream(calls.voices["caller"]), *steps)
    uid = calls.bridged(staff)
    start_capture(calls, uid, tmp_path)
    grown(tmp_path, 0.75)
    caller.go_on()
    calls.engine.wait("LegHeld", uid)
    calls.engine.wait("LegResumed", uid)
    grown(tmp_path, 0.75)

    caller_file, staff_file = captured(calls, uid, tmp_path)

    assert abs(len(caller_file) - len(staff_file)) <= 160
    assert len(audio.tone_spans(caller_file, CALLER_HZ)) == 2
    assert len(audio.tone_spans(staff_file, STAFF_HZ)) == 1
    assert calls.engine.kinds(uid) == []
    calls.over(uid)


def test_a_capture_ends_with_the_call_however_late_anybody_orders_it_and_none_begins_after(calls, tmp_path):
    staff = calls.speaking_staff()
    caller = calls.caller(invite(), stream(calls.voices["caller"]), until_told(), bye())
    uid = calls.bridged(staff)
    start_capture(calls, uid, tmp_path)
    grown(tmp_path, 0.75)

    caller.go_on()
    calls.engine.wait("LegEnded", uid)
    files = [tmp_path / "caller.wav", tmp_path / "staff.wav"]
    whole = lambda file: finished_size(file) == file.stat().st_size - HEADER > 0  # noqa: E731
    ports.until(lambda: all(map(whole, files)), seconds=10, what="both files are closed")
    late = [str(tmp_path / f"late-{leg}.wav") for leg in ("caller", "staff")]
    calls.engine.order("start_capture", uid, paths=late, heard_ns=now_ns())
    caller_file, staff_file = captured(calls, uid, tmp_path)

    assert not list(tmp_path.glob("late-*"))
    assert abs(len(caller_file) - len(staff_file)) <= 160
    for file, hz in ((caller_file, CALLER_HZ), (staff_file, STAFF_HZ)):
        assert len(file) - audio.tone_spans(file, hz)[-1][1] * audio.RATE < audio.RATE / 2, "no tail"
    calls.over(uid, "staff")


@pytest.mark.parametrize(
    ("step", "shown"),
    [
        (lambda port: reinvite(offer=sdp(codecs=[PCMA], port=str(port))), "media address"),
        (lambda _: update("P-Asserted-Identity: <sip:07700900777@127.0.0.1>"), "asserted identity"),
    ],
    ids=["media address", "identity"],
)
def test_a_capture_holds_nothing_of_somebody_else_however_late_anybody_hears_of_them(calls, tmp_path, step, shown):
    """Nobody orders the end here: whoever would is as late as can be."""
    staff = calls.speaking_staff()
    with Media() as first, Media() as other:
        offer = sdp(codecs=[PCMA], port=str(first.port))
        caller = calls.caller(invite(offer=offer), until_told(), step(other.port), until_bye())
        uid = calls.bridged(staff)
        to = caller.wait_received("SIP/2.0 200", seconds=10).media_address
        first.speak(audio.tone(CALLER_HZ, 10), to=to)
        start_capture(calls, uid, tmp_path)
        grown(tmp_path, 1)
        heard_ns = now_ns()
        first.be_quiet()
        other.speak(audio.tone(OTHER_HZ, 10), to=to)
        caller.go_on()
        assert calls.engine.wait("PartyChanged", uid)["fact"]["shown_by"] == shown
        if shown == "asserted identity":
            first.speak(audio.tone(OTHER_HZ, 10), to=to)
            first.go_on()

        late = [str(tmp_path / f"late-{leg}.wav") for leg in ("caller", "staff")]
        calls.engine.order("start_capture", uid, paths=late, heard_ns=heard_ns)
        heard_on(first, other)
        file, _ = captured(calls, uid, tmp_path)
        since = captured_anew(calls, uid, tmp_path / "anew")

    assert audio.share(file, CALLER_HZ) > 0.5
    assert audio.tone_spans(file, OTHER_HZ) == []
    assert not list(tmp_path.glob("late-*")), "permitted by a notice that somebody else had heard"
    assert audio.tone_spans(since, OTHER_HZ) != []
    calls.over(uid)


def heard_on(*ears: Media) -> None:
    """Wait until staff were heard for a second more: whatever the caller's side sent meanwhile has passed, too."""
    before = sum(len(ear.packets) for ear in ears)
    ports.until(lambda: sum(len(ear.packets) for ear in ears) >= before + 50, seconds=15, what="a second passes")


def captured_anew(calls: Calls, uid: str, folder) -> audio.Samples:
    """What the caller's side says in a second of a capture that whoever is there now permitted."""
    folder.mkdir()
    start_capture(calls, uid, folder)
    grown(folder, 1)
    return captured(calls, uid, folder)[0]


def test_an_announcement_is_in_no_capture(calls, tmp_path, notice):
    staff = calls.speaking_staff()
    calls.talking()
    uid = calls.bridged(staff)
    start_capture(calls, uid, tmp_path)
    calls.engine.order("announce", uid, pcm=notice, legs=["caller", "staff"])
    grown(tmp_path, 2)

    for file in captured(calls, uid, tmp_path):
        assert audio.share(file, 1200) == 0
    calls.over(uid)


def test_a_capture_that_cannot_be_written_is_told_and_the_call_goes_on(calls, tmp_path):
    staff = calls.speaking_staff()
    calls.talking()
    uid = calls.bridged(staff)

    calls.engine.order("start_capture", uid, paths=["/nowhere/a.wav", "/nowhere/b.wav"], heard_ns=now_ns())

    failed = calls.engine.wait("RecordingFailed", uid)["fact"]
    assert failed["reason"] == "CAPTURE_FAILED"
    assert not failed["started"]
    assert calls.engine.kinds(uid) == []
    calls.over(uid)


def test_the_callers_identity_and_the_ordered_headers_go_along(calls):
    staff = calls.speaking_staff()
    identity = ["P-Asserted-Identity: <sip:+441632960001@example.org>", "Privacy: id"]
    diverted = ["Diversion: <sip:5000@example.org>;reason=unconditional"]
    steps = [invite(headers=identity + diverted), until_bye()]
    calls.caller(*steps, caller="sip:+441632960001@example.org", display="Ann Other")
    uid = calls.answered()

    calls.dial(uid, staff, headers=[["X-Callrec-Call", uid], ["X-Evil", "a\r\nBcc: b"]], from_prefix="Advice: ")

    asked = staff.wait_received("INVITE", seconds=10)
    assert asked.header("From").startswith('"Advice: Ann Other" <sip:+441632960001@example.org>')
    assert asked.header("P-Asserted-Identity") == "<sip:+441632960001@example.org>"
    assert asked.header("Privacy") == "id"
    assert asked.header("Diversion") == "<sip:5000@example.org>;reason=unconditional"
    assert asked.header("X-Callrec-Call") == uid
    assert asked.header("Bcc") is None
    calls.engine.wait("StaffAnswered", uid)
    calls.over(uid)


@pytest.mark.parametrize(
    ("steps", "failure"),
    [
        ([take(), refuse("486 Busy Here")], "busy"),
        ([take(), refuse("600 Busy Everywhere")], "busy"),
        ([take(), refuse("403 Forbidden")], "refused"),
        ([take(), ring(300), refuse("480 Temporarily Unavailable")], "no answer"),
        ([take(), refuse("503 Service Unavailable")], "unreachable"),
        ([take(), never_answer()], "no answer"),
    ],
    ids=["486", "600", "403", "480", "503", "never"],
)
def test_a_destination_that_does_not_answer_is_told_by_its_kind(calls, steps, failure):
    staff = calls.staff(*steps)
    calls.talking()
    uid = calls.answered()

    calls.dial(uid, staff, timeout_s=2)

    assert calls.engine.wait("DialFailed", uid)["fact"]["failure"] == failure
    staff.succeed(within_s=10)
    second = calls.speaking_staff()
    calls.dial(uid, second)
    calls.engine.wait("StaffAnswered", uid)
    calls.over(uid)


def test_a_destination_where_nobody_is_is_unreachable(calls):
    calls.talking()
    uid = calls.answered()

    nowhere = {"uri": f"sip:6000@127.0.0.1:{ports.free_port()}", "timeout_s": 1}
    calls.engine.order("dial", uid, destination=nowhere)

    assert calls.engine.wait("DialFailed", uid)["fact"]["failure"] == "unreachable"
    calls.over(uid)


def test_a_destination_that_is_no_uri_is_unreachable(calls):
    calls.talking()
    uid = calls.answered()

    calls.engine.order("dial", uid, destination={"uri": "not a uri", "timeout_s": 1})

    assert calls.engine.wait("DialFailed", uid)["fact"]["failure"] == "unreachable"
    calls.over(uid)


def test_ringing_is_told_with_and_without_early_media(calls):
    for steps, early in (
        ([take(), ring(300), answer()], False),
        ([take(), early_media(calls.voices["staff"], 300)], True),
    ):
        staff = calls.staff(*steps, *([] if not early else [answer()]), until_bye())
        calls.talking()
        uid = calls.answered()
        calls.dial(uid, staff)

        assert calls.engine.wait("DestinationRinging", uid)["fact"]["early_media"] is early

        calls.engine.wait("StaffAnswered", uid)
        calls.over(uid)


def test_a_dial_that_is_given_up_is_silent_and_cancelled(calls):
    staff = calls.staff(take(), never_answer())
    calls.talking()
    uid = calls.answered()
    calls.dial(uid, staff)
    calls.engine.wait("DestinationRinging", uid)

    calls.engine.order("cancel_dial", uid)

    staff.succeed(within_s=10)
    calls.over(uid)
    assert "DialFailed" not in calls.engine.kinds(uid)
    assert calls.engine.kinds(uid) == ["LegEnded"]


def test_either_side_may_hang_up_and_the_other_hears_why(calls):
    staff = calls.speaking_staff(talk(500), send("BYE [next_url] SIP/2.0", _reasoned()), response(200))
    caller = calls.talking()
    uid = calls.bridged(staff)

    ended = calls.engine.wait("LegEnded", uid)["fact"]
    assert (ended["leg"], ended["cause"]) == ("staff", "Q.850;cause=31")
    calls.engine.order("hang_up", uid, leg="caller", cause=ended["cause"])

    bye_received = caller.wait_received("BYE", seconds=10)
    assert bye_received.header("Reason") == 'Q.850;cause=31;text="Normal, unspecified"'
    calls.engine.wait("ended", uid)
    caller.succeed(within_s=10)


def _reasoned(method: str = "BYE") -> list[str]:
    via = "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]"
    ends = ["From: [$local]", "To: [$remote]", "Call-ID: [call_id]", f"CSeq: [cseq] {method}", "Max-Forwards: 70"]
    return [via, "[routes]", *ends, "Reason: Q.850;cause=31"]


def test_a_call_that_cannot_be_completed_ends_with_a_tone_and_a_reason(calls):
    caller = calls.talking()
    uid = calls.answered()

    calls.engine.order("end_with_tone", uid, tone="busy", cause="User busy")

    bye_received = caller.wait_received("BYE", seconds=10)
    assert bye_received.header("Reason") == 'Q.850;cause=17;text="User busy"'
    calls.engine.wait("ended", uid)
    caller.succeed(within_s=10)


def test_a_caller_who_gives_up_before_the_answer_is_told(calls):
    caller = calls.caller(cancelled_at_once())
    uid = calls.engine.wait("invited")["uid"]

    ended = calls.engine.wait("LegEnded", uid)["fact"]

    assert (ended["leg"], ended["cause"]) == ("caller", "SIP;cause=487")
    calls.engine.wait("ended", uid)
    caller.succeed(within_s=10)


def cancelled_at_once() -> str:
    """A caller who gives up on the 100."""
    invited = [*sipp_steps._before_dialog("INVITE"), sipp_steps._CONTACT]
    cancel = sipp_steps._before_dialog("CANCEL", steps_since_invite=2)
    ack = sipp_steps._before_dialog("ACK", steps_since_invite=5, to="[last_To:]")
    return (
        send(f"INVITE {sipp_steps._URI} SIP/2.0", invited, sdp())
        + response(100)
        + send(f"CANCEL {sipp_steps._URI} SIP/2.0", cancel)
        + response(200)
        + response(487)
        + send(f"ACK {sipp_steps._URI} SIP/2.0", ack)
    )


def test_keys_are_told_and_those_of_ours_are_not_passed_on(calls):
    staff = calls.speaking_staff()
    caller = calls.caller(invite(), stream(calls.voices["caller"]), until_told(), keys_by_info("2*57"), until_bye())
    uid = calls.bridged(staff)
    calls.engine.order("swallow_keys", uid, leg="caller", keys="2 **2 999")
    caller.go_on()

    pressed = [calls.engine.wait("KeyPressed", uid)["fact"] for _ in range(4)]

    assert [(one["digit"], one["method"], one["leg"]) for one in pressed] == [(d, "info", "caller") for d in "2*57"]
    calls.over(uid)


@pytest.mark.skipif(os.geteuid() != 0, reason="sipp plays RTP files through a raw socket, which needs root")
def test_keys_that_are_not_ours_are_passed_on_as_rfc_4733(calls, tmp_path):
    keys = pcap.speech_with_keys(
        tmp_path / "keys.pcap", audio.tone(CALLER_HZ, 6), dict(zip(range(2000, 6000, 500), "12**257#", strict=True))
    )
    other_settings = engine_settings(tmp_path / "other")
    other = EngineProcess(other_settings, tmp_path / "other.log")
    other.wait("started")
    calls.caller(invite(offer=sdp(port=PCAP_PORT)), play(keys), until_bye())
    uid = calls.answered()
    calls.engine.order("dial", uid, destination={"uri": f"sip:6000@{other.address}", "timeout_s": 10})
    heard = other.wait("invited")["uid"]
    other.order("answer", heard)
    calls.engine.wait("StaffAnswered", uid)
    calls.engine.order("swallow_keys", uid, leg="caller", keys="2 **2 999")
    calls.engine.order("bridge", uid)

    told = [other.wait("KeyPressed", heard)["fact"] for _ in range(4)]

    assert [(one["digit"], one["method"]) for one in told] == [(digit, "rfc4733") for digit in "157#"]
    assert [calls.engine.wait("KeyPressed", uid)["fact"]["digit"] for _ in range(8)] == list("12**257#")
    calls.over(uid)
    assert other.finish() == 0


def test_a_status_refuses_a_call_before_it_is_answered(calls):
    caller = calls.caller(invite(refused_with=404))
    uid = calls.engine.wait("invited")["uid"]

    calls.engine.order("reject", uid, status=404, phrase="No such line", retry_after_s=7)

    caller.succeed(within_s=10)
    refusal = caller.received("SIP/2.0 404")[0]
    assert refusal.first_line == "SIP/2.0 404 No such line"
    assert refusal.header("Retry-After") == "7"
    calls.engine.wait("LegEnded", uid)
    calls.engine.wait("ended", uid)


def test_refer_is_declined_and_the_call_goes_on(calls):
    staff = calls.speaking_staff()
    contact = "Contact: <sip:peer@[local_ip]:[local_port]>"
    refer = send("REFER [next_url] SIP/2.0", [*_reasoned("REFER")[:-1], "Refer-To: <sip:thief@127.0.0.1>", contact])
    caller = calls.caller(invite(), talk(500), refer, response(603), until_bye())
    uid = calls.bridged(staff)

    caller.wait_received("SIP/2.0 603", seconds=10)

    assert calls.engine.kinds(uid) == []
    calls.over(uid)
    caller.succeed(within_s=10)


def test_orders_for_a_call_that_is_gone_do_nothing(calls, notice, tmp_path):
    calls.talking()
    uid = calls.answered()
    calls.over(uid)

    for gone in (uid, "never-was"):
        calls.engine.order("answer", gone)
        calls.engine.order("play_notice", gone, attempt=1, pcm=notice, keys_named="")
        calls.engine.order("dial", gone, destination={"uri": "sip:1@127.0.0.1:9", "timeout_s": 1})
        calls.engine.order("bridge", gone)
        start_capture(calls, gone, tmp_path)
        calls.engine.order("end_with_tone", gone, tone="busy", cause="busy")
        calls.engine.order("hang_up", gone, leg="staff", cause="normal")
        calls.engine.order("reject", gone, status=404, phrase="no")
        calls.engine.order("stop_capture", gone)
        calls.engine.wait("capture stopped", gone)

    calls.talking()
    calls.over(calls.answered())
    assert not (tmp_path / "caller.wav").exists()


def test_a_leg_is_hung_up_by_the_caller_in_good_order(calls):
    staff = calls.speaking_staff()
    caller = calls.caller(invite(), stream(calls.voices["caller"]), talk(500), bye())
    uid = calls.bridged(staff)

    assert calls.engine.wait("LegEnded", uid)["fact"]["leg"] == "caller"

    calls.over(uid, "staff")
    caller.succeed(within_s=10)
    staff.succeed(within_s=10)
