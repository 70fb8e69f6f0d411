"""Every way a call can go between its INVITE and its end, on real calls: each leaves one summary that says what became
of it and why, and `office` sees to it that the process is the same to the last.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.calls.house import House
from tests.calls.office import (
    CALLER_HZ,
    NOBODYS,
    PATIENCE_S,
    PLAIN,
    PLAIN_ALONE,
    RECORDED,
    RECORDED_ALONE,
    STAFF_HZ,
    Office,
)
from tests.peers import audio, ports, sipp
from tests.peers.audio import RATE, Samples
from tests.peers.ports import LOOPBACK
from tests.peers.rtp import Media
from tests.peers.sipp_steps import (
    G729,
    PCMA,
    answer,
    bye,
    invite,
    never_answer,
    refuse,
    response,
    sdp,
    send,
    stream,
    take,
    talk,
    until_bye,
)

pytestmark = pytest.mark.calls


@contextmanager
def heard_by(office: Office, *steps: str, dialled: str, late_offer: bool = False) -> Iterator[tuple[sipp.Sipp, Media]]:
    """A caller who speaks, and whose ear is open to the end."""
    with Media() as media:
        begin = invite(offer=sdp(codecs=[PCMA], port=str(media.port)), late_offer=late_offer)
        transport = "tcp" if late_offer else "udp"
        with office.caller(begin, *(steps or (until_bye(),)), dialled=dialled, transport=transport) as caller:
            to = caller.wait_received("SIP/2.0 200", seconds=10).media_address
            media.speak(audio.tone(CALLER_HZ, 10), to=to)
            yield caller, media


def after_notice(office: Office, heard: Samples) -> Samples:
    notice = office.house.prompt_samples()
    found = audio.find(heard, notice)
    assert found.share >= 0.99
    return heard[round(found.at_s * RATE) + len(notice) :]


# ---------------------------------------------------------------- where the call goes


def test_a_busy_destination_sends_the_call_to_the_fallback_which_is_recorded(office: Office):
    with (
        office.callee(take(), refuse("486 Busy Here")) as busy,
        office.staff(fallback=True) as staff,
        office.phone() as caller,
    ):
        caller.dial(office.house.uri("5000"))
        staff.established(within_s=PATIENCE_S)
        heard = len(caller.heard) / RATE
        caller.heard_so_far(heard + 3, within_s=PATIENCE_S)
        staff.hang_up()
        caller.closed(within_s=10)
        busy.succeed(within_s=10)

    assert office.decided() == ("RECORDED", "", "")
    assert [(one["leg"], one["what"], one["cause"]) for one in office.told("leg.changed")][:2] == [
        ("staff", "failed", "busy"),
        ("staff", "answered", ""),
    ]
    left, right = office.recording()
    assert audio.share(left, CALLER_HZ) > 0.9
    assert audio.share(right, STAFF_HZ) > 0.9


def test_a_caller_whose_line_is_busy_hears_the_busy_tone_and_a_bye_that_says_so(office: Office):
    with (
        office.callee(take(), refuse("486 Busy Here")) as busy,
        heard_by(office, dialled=RECORDED_ALONE) as (caller, media),
    ):
        caller.succeed(within_s=PATIENCE_S)
        busy.succeed(within_s=5)

    (farewell,) = caller.received("BYE")
    assert farewell.header("Reason") == 'Q.850;cause=17;text="User busy"'
    tones = audio.tone_spans(after_notice(office, media.heard), 400)
    assert len(tones) >= 4
    assert all(0.3 <= end - start <= 0.45 for start, end in tones[:-1])
    assert office.decided() == ("NOT_RECORDED", "NOT_ANSWERED", "not answered")
    assert office.closed()["connected"] is False
    assert office.told("recording.started") == []


def test_a_destination_that_only_rings_is_cancelled_and_the_fallback_called(office: Office):
    with (
        office.callee(take(), never_answer()) as ringing,
        office.callee(take(), answer(), stream(office.staff_file), talk(500), bye(), fallback=True) as staff,
        heard_by(office, dialled=PLAIN) as (caller, media),
    ):
        caller.succeed(within_s=PATIENCE_S)
        staff.succeed(within_s=5)
        ringing.succeed(within_s=5)

    assert len(ringing.received("CANCEL")) == 1
    assert audio.ringback_spans(media.heard)[0][0] < 0.5
    assert audio.tone_spans(media.heard, STAFF_HZ)
    assert office.decided() == ("NOT_RECORDED", "LINE_NOT_RECORDED", "bypassed")
    assert office.closed()["connected"] is True


def test_a_caller_whose_line_refuses_hears_congestion_and_a_bye_that_says_so(office: Office):
    with (
        office.callee(take(), refuse("603 Decline")) as staff,
        heard_by(office, dialled=PLAIN_ALONE) as (caller, media),
    ):
        caller.succeed(within_s=PATIENCE_S)
        staff.succeed(within_s=5)

    assert caller.received("BYE")[0].header("Reason") == 'Q.850;cause=21;text="Call rejected"'
    assert hears_congestion(media.heard)
    assert office.closed()["connected"] is False


def test_a_caller_whose_line_is_not_there_hears_congestion_and_a_bye_that_says_so(tmp_path: Path):
    """In an agent of its own: an INVITE that nobody replies to is repeated for half a minute (RFC 3261 section 9.1)."""
    house = House(tmp_path / "house", staff=f"{LOOPBACK}:{ports.free_port()}", notice=None)
    house.line.update(record="never", purposes=[], keys={}, dial_timeout_s=3)
    with house, Media() as ear:
        steps = [invite(offer=sdp(codecs=[PCMA], port=str(ear.port))), until_bye()]
        with sipp.calling(tmp_path / "caller", steps, to=house.address) as caller:
            caller.succeed(within_s=PATIENCE_S)
        closed = house.summary()

    assert caller.received("BYE")[0].header("Reason") == 'Q.850;cause=3;text="No route to destination"'
    assert hears_congestion(ear.heard)
    assert (closed["connected"], closed["reason"]) == (False, "LINE_NOT_RECORDED")


def hears_congestion(heard: Samples) -> bool:
    """400 Hz, short and long in turn."""
    tones = audio.tone_spans(heard, 400)
    return {round(end - start, 1) for start, end in tones[:-1]} == {0.2, 0.4}


# ---------------------------------------------------------------- calls that are not taken


def test_a_number_of_no_line_is_answered_404_and_operators_see_what_to_change(office: Office):
    with office.caller(invite(refused_with=404), dialled=NOBODYS) as caller:
        caller.succeed(within_s=10)

    assert office.decided() == ("NOT_RECORDED", "NO_LINE", "bypassed")
    newest = office.house.status()["not_served"][-1]
    assert newest["why"] == "404 NO_LINE"
    assert "lines.*.match.dialled" in newest["key"]


ENCRYPTED = sdp().replace("RTP/AVP", "RTP/SAVP") + "\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + "A" * 40


@pytest.mark.parametrize(
    ("offer", "key", "reason"),
    [
        (sdp(codecs=[G729]), "sip.codecs", "NO_COMMON_CODEC"),
        (sdp(address="192.0.2.7"), "sip.media_from", "REQUEST_REFUSED"),
        (ENCRYPTED, "sip.srtp", "REQUEST_REFUSED"),
    ],
    ids=["codec", "media address", "encrypted where that is off"],
)
def test_an_offer_that_cannot_be_taken_is_answered_488_and_leaves_a_row(office: Office, offer, key, reason):
    with office.caller(invite(offer=offer, refused_with=488)) as caller:
        caller.succeed(within_s=10)

    assert ports.until(
        lambda: [n for n in office.house.status()["not_served"] if n["key"] == key and "488" in n["why"]],
        seconds=5,
        what=f"488 is shown, with {key}",
    )
    assert office.decided() == ("NOT_RECORDED", reason, "bypassed")


def test_a_full_agent_answers_503_and_says_when_to_try_again(tmp_path: Path):
    staff = sipp.answering(tmp_path / "staff", [take(), answer(offer=sdp(codecs=[PCMA])), until_bye()])
    house = House(tmp_path / "house", staff=staff.address, notice=None)
    house.settings["agent"]["max_calls"] = 1
    house.line.update(record="never", purposes=[], keys={})
    with staff, house, sipp.calling(tmp_path / "caller", [invite(), talk(1500), bye()], to=house.address) as caller:
        staff.wait_received("ACK", seconds=10)
        with sipp.calling(tmp_path / "late", [invite(refused_with=503)], to=house.address) as late:
            late.succeed(within_s=10)
        caller.succeed(within_s=10)
        staff.succeed(within_s=5)
        house.wait_for("call.closed", seconds=5, count=2)
        reasons = [entry.body["reason"] for entry in house.entries("call.closed")]

    assert int(late.received("SIP/2.0 503")[0].header("Retry-After") or "0") > 0
    assert reasons == ["AT_CAPACITY", "LINE_NOT_RECORDED"]


def test_a_call_beyond_what_the_engine_carries_is_turned_away_and_leaves_its_row(office: Office):
    one_codec = sdp(codecs=[PCMA])
    with (
        office.callee(take(), answer(offer=one_codec), until_bye(), calls=2) as staff,
        office.caller(invite(), talk(3000), bye(), dialled=PLAIN, calls=2, rate=10) as both,
    ):
        ports.until(lambda: len(staff.received("ACK")) >= 2, seconds=10, what="two calls connected")
        with office.caller(invite(refused_with=503), dialled=PLAIN) as third:
            third.succeed(within_s=10)
        both.succeed(within_s=PATIENCE_S)
        staff.succeed(within_s=10)

    office.closed(3)
    reasons = sorted(entry.body["reason"] for entry in office.house.entries("call.closed")[-3:])
    assert reasons == ["AT_CAPACITY", "LINE_NOT_RECORDED", "LINE_NOT_RECORDED"]


# ---------------------------------------------------------------- who hangs up


def test_a_caller_who_leaves_during_the_notice_is_never_connected(office: Office):
    with office.callee(take()) as staff:
        with office.caller(invite(), stream(office.caller_file), talk(1500), bye()) as caller:
            caller.succeed(within_s=PATIENCE_S)
        decided = office.decided()
        assert staff.received("INVITE") == []

    assert decided == ("NOT_RECORDED", "CALLER_HUNG_UP", "caller left")
    assert office.told("notice.proven") == []


def test_staff_who_hang_up_end_the_callers_leg(office: Office):
    with (
        office.callee(take(), answer(), talk(500), bye('Reason: Q.850;cause=31;text="done"')) as staff,
        office.caller(invite(), until_bye(), dialled=PLAIN) as caller,
    ):
        staff.succeed(within_s=PATIENCE_S)
        caller.succeed(within_s=5)

    assert caller.received("BYE")[0].header("Reason") == 'Q.850;cause=31;text="Normal, unspecified"'
    assert office.closed()["connected"] is True


def test_a_caller_who_hangs_up_ends_the_leg_of_staff(office: Office):
    with (
        office.callee(take(), answer(), until_bye()) as staff,
        office.caller(invite(), talk(500), bye(), dialled=PLAIN) as caller,
    ):
        caller.succeed(within_s=PATIENCE_S)
        staff.succeed(within_s=5)

    assert office.closed()["connected"] is True


def test_a_caller_who_hangs_up_while_it_rings_has_the_destination_cancelled(office: Office):
    with (
        office.callee(take(), never_answer()) as staff,
        office.caller(invite(), talk(800), bye(), dialled=PLAIN) as caller,
    ):
        caller.succeed(within_s=PATIENCE_S)
        staff.succeed(within_s=5)

    assert len(staff.received("CANCEL")) == 1
    assert office.closed()["connected"] is False


# ---------------------------------------------------------------- what goes along


def test_who_calls_arrives_at_staff_and_what_they_forge_does_not(office: Office):
    told = ["P-Asserted-Identity: <sip:+441632960777@carrier.example>", "Privacy: id"]
    told += ["Diversion: <sip:+441632960002@pbx.example>;reason=no-answer", "X-Ward: Nightingale"]
    told += ["X-Callrec-Call: forged", "X-Callrec-Recording: yes-forged", "X-Other: private"]
    with (
        office.callee(take(), answer(), until_bye()) as staff,
        office.caller(
            invite(headers=told),
            talk(500),
            bye(),
            dialled=PLAIN,
            caller="sip:07700900123@127.0.0.1",
            display="Dr A. Owen",
        ) as caller,
    ):
        caller.succeed(within_s=PATIENCE_S)
        staff.succeed(within_s=5)

    arrived = staff.received("INVITE")[0]
    assert arrived.header("From").startswith('"[NO REC] Dr A. Owen" <sip:07700900123@127.0.0.1>')
    assert "+441632960777@carrier.example" in arrived.header("P-Asserted-Identity")
    assert arrived.header("Privacy") == "id"
    assert arrived.header("Diversion") == "<sip:+441632960002@pbx.example>;reason=no-answer"
    assert arrived.header("X-Ward") == "Nightingale"
    assert arrived.header("X-Callrec-Call") == office.house.entries("call.offered")[-1].call_uid
    assert arrived.header("X-Callrec-Recording") == "no"
    assert arrived.header("X-Callrec-Reason") == "LINE_NOT_RECORDED"
    assert arrived.header("X-Other") is None
    assert "forged" not in arrived.text
    office.closed()


def test_a_late_offer_is_answered_and_the_notice_proven(office: Office):
    with office.staff() as staff, heard_by(office, dialled=RECORDED, late_offer=True) as (caller, media):
        staff.established(within_s=PATIENCE_S)
        office.records(0.5)
        media.heard_so_far(len(media.packets) / 50 + 1, within_s=PATIENCE_S)
        staff.hang_up()
        caller.succeed(within_s=10)

    assert office.decided() == ("RECORDED", "", "")
    assert audio.tone_spans(after_notice(office, media.heard), STAFF_HZ)
    assert "m=audio" in caller.received("SIP/2.0 200")[0].body
    assert "m=audio" not in caller.sent("INVITE")[0].body


def test_a_transfer_is_declined_and_the_call_goes_on(office: Office):
    headers = ["Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]", "[routes]", "From: [$local]"]
    headers += ["To: [$remote]", "Call-ID: [call_id]", "CSeq: [cseq] REFER", "Max-Forwards: 70"]
    headers += ["Refer-To: <sip:thief@127.0.0.1>", "Contact: <sip:peer@[local_ip]:[local_port]>"]
    refer = send("REFER [next_url] SIP/2.0", headers) + response(603)
    with (
        office.callee(take(), answer(), until_bye()) as staff,
        office.caller(invite(), talk(500), refer, talk(500), bye(), dialled=PLAIN) as caller,
    ):
        caller.succeed(within_s=PATIENCE_S)
        staff.succeed(within_s=5)

    assert len({one.header("Call-ID") for one in staff.received("INVITE")}) == 1
    assert office.closed()["connected"] is True


# ---------------------------------------------------------------- the end of the agent


def test_an_agent_told_to_stop_carries_the_call_to_its_end_and_takes_no_other(tmp_path: Path):
    spoken = audio.write_alaw(tmp_path / "staff.alaw", audio.tone(STAFF_HZ, 10))
    staff = sipp.answering(tmp_path / "staff", [take(), answer(), stream(spoken), talk(4000), bye()])
    house = House(tmp_path / "house", staff=staff.address, notice=None)
    house.settings["agent"]["drain_s"] = 20
    house.line.update(record="never", purposes=[], keys={})
    with staff, house, Media() as ear:
        steps = [invite(offer=sdp(codecs=[PCMA], port=str(ear.port))), until_bye()]
        with sipp.calling(tmp_path / "caller", steps, to=house.address, dialled=RECORDED) as caller:
            house.wait_for("leg.changed", seconds=10)
            house.process.signal(signal.SIGTERM)
            house.process.wait_for_output("draining", seconds=10)
            with sipp.calling(tmp_path / "late", [invite(refused_with=503)], to=house.address) as late:
                late.succeed(within_s=10)
            refused_at = len(ear.heard)
            caller.succeed(within_s=PATIENCE_S)
            staff.succeed(within_s=5)
        assert house.process.wait(PATIENCE_S) == 0

    assert late.received("SIP/2.0 503")[0].header("Retry-After")
    assert audio.share(ear.heard[refused_at:], STAFF_HZ) > 0.9
    assert len(ear.heard) - refused_at > RATE
    closed = {entry.body["reason"]: entry.body["connected"] for entry in house.entries("call.closed")}
    assert closed == {"LINE_NOT_RECORDED": True, "DRAINING": False}
    assert "agent.stopped" in house.kinds()
