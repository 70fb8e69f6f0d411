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
from tests.peers import audio, ports
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
        staff.press("*77")
        office.wait_told("recording.started")
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
    judged = parse((office.house.var / "evidence" / f"{uid}-1.json").read_bytes())["evidence"]
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


def louder_than_staff(ear: Media) -> bool:
    """Something else than a voice of staff was heard there."""
    heard = ear.heard
    return len(heard) > 0 and int(np.abs(heard).max()) > LOUDER_THAN_STAFF


def test_who_is_called_and_whose_keys_are_only_heard_says_no_by_them(office: Office, staff: Ear):
    with Media() as outside:
        described = sdp(codecs=[PCMA], port=str(outside.port), telephone_event=False)
        with office.callee(take(), answer(offer=described), until_bye()) as called:
            staff.dial(office.house.uri(DIALLED))
            to = called.wait_received("INVITE", seconds=PATIENCE_S).media_address
            outside.speak(soft(CALLER_HZ), to=to)
            outside.heard_so_far(0.5, within_s=PATIENCE_S)
            staff.press("*77")
            ports.until(lambda: louder_than_staff(outside), seconds=PATIENCE_S, what="the notice")
            outside.speak(np.concatenate([audio.silence(0.5), audio.key("2", 0.12, dbfs=-18)]), to=to)
            office.wait_told("choice.made")
            staff.hang_up()
            called.succeed(within_s=PATIENCE_S)

    assert office.decided() == ("NOT_RECORDED", "CALLER_DECLINED", "caller's choice")
    assert [(one["choice"], one["method"]) for one in office.told("choice.made")] == [("decline", "inband")]
    assert office.told("recording.started") == []


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
