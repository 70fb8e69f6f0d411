"""Staff call somebody outside, on real calls: nothing is played or recorded before they press the code, and whoever was
called is told, and proven to have been, on their own leg.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from callrec._canonical import parse
from tests.calls.office import CALLER_HZ, OUTSIDE, PATIENCE_S, STAFF_HZ, Office
from tests.calls.test_orders import more, soft
from tests.peers import audio
from tests.peers.audio import RATE
from tests.peers.baresip import Ear
from tests.peers.rtp import Media
from tests.peers.sipp_steps import PCMA, answer, invite, refuse, sdp, take, until_bye

pytestmark = pytest.mark.calls

DIALLED = f"81{OUTSIDE}"
GREETING_HZ = 1000
LOUDER_THAN_STAFF = 2000
"""Of 16 bits: their tone reaches some 400, and the notice many thousands."""


@pytest.fixture
def staff(office: Office) -> Iterator[Ear]:
    """A telephone of staff, which calls out."""
    with office.phone(soft(STAFF_HZ)) as phone:
        yield phone


def called(office: Office, staff: Ear, outside: Ear) -> None:
    """The call is answered, and both hear each other."""
    staff.dial(office.house.uri(DIALLED))
    outside.established(within_s=PATIENCE_S)
    for ear in (staff, outside):
        more(ear, 0.5)


def test_who_is_called_is_told_after_the_code_and_recorded_from_there(office: Office, staff: Ear):
    with office.outside(soft(CALLER_HZ)) as outside:
        called(office, staff, outside)
        assert office.told("recording.started") == []
        staff.press_until("*77", lambda: office.told("recording.started"), what=lambda: office.story)
        more(staff, 2)
        staff.hang_up()
        outside.closed(within_s=PATIENCE_S)

    assert office.decided() == ("RECORDED", "", "")
    assert office.told("call.offered")[0]["direction"] == "outbound"
    assert outside.pressed == "", "codes are for us"
    notice = office.house.prompt_samples()
    assert audio.find(outside.heard, notice).share >= 0.99
    assert audio.find(staff.heard, notice).share > 0.9, "staff hear when it is over"
    assert audio.hears(outside.heard, STAFF_HZ, dbfs=-48).any(), "the talk went both ways"
    left, right = office.recording()
    assert audio.hears(left, CALLER_HZ, dbfs=-48).mean() > 0.9
    assert audio.hears(right, STAFF_HZ, dbfs=-48).mean() > 0.9
    assert audio.find(left, notice).share < 0.5
    check_evidence(office, outside)


def check_evidence(office: Office, outside: Ear) -> None:
    """Of the leg of whoever was called, as far as the place that was dialled."""
    (proven,) = office.told("notice.proven")
    assert (proven["next_hop"], proven["leg_ends_at"]) == (outside.address, "phone")
    uid = office.house.entries("call.offered")[-1].call_uid
    judged = parse((office.house.var / "evidence" / f"{uid}-{proven['attempt']}.json").read_bytes())["evidence"]
    assert (judged["binding"]["leg"], judged["binding"]["next_hop"]) == ("caller", outside.address)
    assert judged["caller"]["sdp_address"].startswith("127.0.0.1:")
    (answered,) = office.told("call.answered")
    assert answered["next_hop"] == outside.address


def test_an_answering_machine_gets_neither_notice_nor_recording(office: Office, staff: Ear):
    with office.outside(audio.tone(GREETING_HZ, 60)) as machine:
        called(office, staff, machine)
        more(staff, 3)
        staff.hang_up()
        machine.closed(within_s=PATIENCE_S)

    assert office.decided() == ("NOT_RECORDED", "NOTICE_NOT_ORDERED", "bypassed")
    assert audio.hears(staff.heard, GREETING_HZ).mean() > 0.5, "the call went through"
    assert np.abs(machine.heard).max() < LOUDER_THAN_STAFF, "and nothing but their voice into it"
    assert office.told("notice.proven") == office.told("notice.refused") == office.told("recording.started") == []


def test_who_is_called_says_no_by_key_and_the_call_goes_on(office: Office, staff: Ear):
    with office.outside(soft(CALLER_HZ)) as outside:
        called(office, staff, outside)
        staff.press("*77")
        more(outside, 2)
        outside.press("2")
        office.wait_told("choice.made")
        more(staff, 1)
        staff.press("*77")
        more(staff, 2)
        outside.hang_up()
        staff.closed(within_s=PATIENCE_S)

    assert office.decided() == ("NOT_RECORDED", "CALLER_DECLINED", "caller's choice")
    assert [(one["choice"], one["leg"]) for one in office.told("choice.made")] == [("decline", "caller")]
    assert office.told("recording.started") == []
    assert audio.find(outside.heard, office.house.prompt_samples()).share < 0.9, "nobody is asked again after a no"
    assert audio.hears(outside.heard[-RATE:], STAFF_HZ, dbfs=-48).mean() > 0.5


def test_who_answers_hears_the_notice_at_once_where_the_line_says_so_and_chooses_by_tones(office: Office, staff: Ear):
    with Media() as outside:
        described = sdp(codecs=[PCMA], port=str(outside.port), telephone_event=False)
        with office.callee(take(), answer(offer=described), until_bye()) as called:
            staff.dial(office.house.uri(f"82{OUTSIDE}"))
            to = called.wait_received("INVITE", seconds=PATIENCE_S).media_address
            outside.speak(audio.over(soft(CALLER_HZ), audio.key("3", 0.12, dbfs=-18), at_s=3), to=to)
            office.records(0.5)
            more(staff, 1)
            staff.hang_up()
            called.succeed(within_s=PATIENCE_S)

    assert office.decided() == ("RECORDED", "", "")
    assert [(one["choice"], one["method"]) for one in office.told("choice.made")] == [("without training", "inband")]
    assert office.told("recording.started")[0]["purposes"] == ["audit", "medico-legal"]
    notice = office.house.prompt_samples()
    assert audio.find(outside.heard, notice).share >= 0.99, "nobody had to order it"
    left, right = office.recording()
    assert audio.hears(left, CALLER_HZ, dbfs=-48).mean() > 0.9
    assert audio.hears(right, STAFF_HZ, dbfs=-48).mean() > 0.9
    assert audio.find(left, notice).share < 0.5


def test_staff_hear_the_tone_and_the_reason_where_who_is_called_refuses(office: Office):
    with (
        office.callee(take(), refuse("486 Busy Here")) as busy,
        office.caller(invite(), until_bye(), dialled=DIALLED) as calling,
    ):
        calling.succeed(within_s=PATIENCE_S)
        (bye,) = calling.received("BYE")
        (asked,) = busy.received("INVITE")

    assert "cause=17" in (bye.header("Reason") or "")
    assert asked.first_line.startswith(f"INVITE sip:{OUTSIDE}@")
    assert "[REC]" not in asked.text
    assert asked.header("X-Callrec-Call") is None, "no PBX of ours is there"
    assert office.decided() == ("NOT_RECORDED", "NOT_ANSWERED", "not answered")
