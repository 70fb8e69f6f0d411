"""Somebody else at the caller's end, on real calls: the segment ends, they hear the notice, and their own proof records
them.
"""

from __future__ import annotations

import pytest

from tests.calls.office import CALLER_HZ, PATIENCE_S, RECORDED, STAFF_HZ, Office
from tests.peers import audio, ports
from tests.peers.audio import RATE, Samples
from tests.peers.rtp import Media
from tests.peers.sipp import Sipp
from tests.peers.sipp_steps import PCMA, bye, invite, reinvite, sdp, until_bye, until_told, update

pytestmark = pytest.mark.calls

OTHER_HZ = 700
LIMIT_S = 180
TALK_S = 2.0
"""Of each party, as far as it is recorded."""


def segments(office: Office) -> list[tuple[int, str, str]]:
    return [(one["segment"], one["decision"], one["reason"]) for one in office.closed()["segments"]]


def opened(office: Office, segment: int) -> tuple[Samples, Samples]:
    """What was kept of this segment: what the caller's side said, and what staff said."""
    ports.until(
        lambda: len(office.told("recording.kept")) > segment, seconds=PATIENCE_S, what=f"segment {segment} is kept"
    )
    stereo = office.house.open(f"{office.uid}-{segment}")
    return stereo[:, 0], stereo[:, 1]


def records(office: Office, caller: Sipp, *, segment: int = 0) -> None:
    """Wait until this segment has some talk in it, however often its notice had to be played."""
    assert caller.alive
    office.records(TALK_S, segment=segment)


def shown_by(office: Office) -> list[str]:
    return [one["cause"] for one in office.told("leg.changed") if one["what"] == "another party"]


def test_a_stream_of_somebody_else_on_the_callers_leg_gets_the_notice_before_it_is_recorded(office: Office):
    with office.staff() as staff, Media() as ear:
        steps = [invite(offer=sdp(codecs=[PCMA], port=str(ear.port))), until_bye()]
        with office.caller(*steps, dialled=RECORDED, limit_s=LIMIT_S) as caller:
            to = caller.wait_received("SIP/2.0 200", seconds=10).media_address
            ear.speak(audio.tone(CALLER_HZ, 60), to=to)
            records(office, caller)
            before_s = len(ear.heard) / RATE

            ear.become_another()

            records(office, caller, segment=1)
            staff.hang_up()
            caller.succeed(within_s=10)

    assert segments(office) == [(0, "RECORDED", ""), (1, "RECORDED", "")]
    assert shown_by(office) == ["media source"]
    second = audio.find(ear.heard[round(before_s * RATE) :], office.house.prompt_samples())
    assert second.share >= 0.99
    for segment in (0, 1):
        left, right = opened(office, segment)
        assert audio.share(left, CALLER_HZ) > 0.7
        assert audio.share(right, STAFF_HZ) > 0.7


def test_another_media_address_and_another_identity_are_asked_each_and_decided_each(office: Office):
    with office.staff(), Media() as ear, Media() as other:
        steps = [
            invite(offer=sdp(codecs=[PCMA], port=str(ear.port))),
            until_told(),
            reinvite(offer=sdp(codecs=[PCMA], port=str(other.port))),
            until_told(),
            update("P-Asserted-Identity: <sip:07700900777@127.0.0.1>"),
            until_told(),
            bye(),
        ]
        with office.caller(*steps, dialled=RECORDED, limit_s=LIMIT_S) as caller:
            to = caller.wait_received("SIP/2.0 200", seconds=10).media_address
            ear.speak(audio.tone(CALLER_HZ, 60), to=to)
            records(office, caller)
            ear.be_quiet()  # from the re-INVITE on its packets would be a stranger's
            other.speak(audio.tone(OTHER_HZ, 60), to=to)
            caller.go_on()
            records(office, caller, segment=1)
            caller.go_on()
            caller.waits(within_s=PATIENCE_S)
            ports.until(lambda: len(shown_by(office)) == 2, seconds=PATIENCE_S, what="another identity is told")
            caller.go_on()
            caller.succeed(within_s=PATIENCE_S)

    first, second, third = segments(office)
    assert (first, second) == ((0, "RECORDED", ""), (1, "RECORDED", ""))
    assert third[:2] == (2, "NOT_RECORDED")
    assert shown_by(office) == ["media address", "asserted identity"]
    assert audio.find(other.heard, office.house.prompt_samples()).share >= 0.99
    left, _ = opened(office, 0)
    assert audio.share(left, OTHER_HZ) == 0
    left, _ = opened(office, 1)
    assert audio.share(left, CALLER_HZ) == 0
    assert audio.share(left, OTHER_HZ) > 0.7


def test_a_call_that_the_pbx_brings_back_after_a_no_hears_no_notice_and_is_not_recorded(office: Office):
    headers = ["X-Linked: pbx-1763800000.7"]
    with office.staff() as staff, Media() as ear:
        steps = [invite(offer=sdp(codecs=[PCMA], port=str(ear.port)), headers=headers), until_bye()]
        with office.caller(*steps, dialled=RECORDED) as caller:
            to = caller.wait_received("SIP/2.0 200", seconds=10).media_address
            ear.speak(audio.tone(CALLER_HZ, 60), to=to, keys={1000: "2"})
            staff.established(within_s=PATIENCE_S)
            staff.hang_up()
            caller.succeed(within_s=10)
    office.closed(1)

    with office.staff() as staff, Media() as ear:
        steps = [invite(offer=sdp(codecs=[PCMA], port=str(ear.port)), headers=headers), until_bye()]
        with office.caller(*steps, dialled=RECORDED) as caller:
            staff.established(within_s=PATIENCE_S)
            ear.heard_so_far(1, within_s=PATIENCE_S)
            staff.hang_up()
            caller.succeed(within_s=10)

    assert office.decided(2) == ("NOT_RECORDED", "CALLER_DECLINED", "caller's choice")
    assert [(one["choice"], one["method"]) for one in office.told("choice.made")] == [
        ("decline", "earlier in the linked call")
    ]
    assert office.told("notice.proven") == office.told("notice.refused") == []
    assert audio.find(ear.heard, office.house.prompt_samples()).share < 0.1
