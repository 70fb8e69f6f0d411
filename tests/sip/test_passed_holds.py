"""A hold by staff, passed on to the caller's far end: the PBX there plays its music, and none of it comes to us."""

from __future__ import annotations

import pytest

from tests.peers import sipp_steps
from tests.peers.rtp import Media
from tests.peers.sipp_steps import invite, reinvite, sdp, stream, take_offer, talk, until_bye

pytestmark = pytest.mark.calls

PARKED, BACK = "a=sendonly", "a=sendrecv"
RECVONLY = sdp(direction="recvonly")


def staff_who_hold(calls, *holds: str, held_ms: int = 1000):
    """Staff who do so, each time for this long, and then speak until somebody hangs up."""
    steps = [step for how in holds for step in (talk(500), reinvite(how), talk(held_ms), reinvite("sendrecv"))]
    return calls.speaking_staff(*steps, until_bye())


def held_and_resumed(calls, uid: str, times: int = 1) -> None:
    for _ in range(times):
        assert calls.engine.wait("LegHeld", uid)["fact"]["leg"] == "staff"
        assert calls.engine.wait("LegResumed", uid)["fact"]["leg"] == "staff"


def ended_well(calls, uid: str, *peers) -> None:
    """All of them were there to the end, and the caller was never taken for one who holds."""
    calls.over(uid)
    for peer in peers:
        peer.succeed(within_s=20)
    assert "LegHeld" not in calls.engine.kinds(uid)


def asked(peer) -> int:
    """How many re-INVITEs came; one that was sent again counts once."""
    return len({one.header("CSeq") for one in peer.received("INVITE")})


def test_a_caller_whom_staff_hold_is_parked_at_the_far_end_and_brought_back(calls):
    staff = staff_who_hold(calls, "sendonly", "inactive")
    taken = [take_offer(PARKED, answered=RECVONLY), take_offer(BACK, answered=sdp())]
    caller = calls.caller(invite(), stream(calls.voices["caller"]), *taken, *taken, until_bye())
    uid = calls.bridged(staff, pass_holds=True)

    held_and_resumed(calls, uid, times=2)
    for _ in range(4):
        assert calls.engine.wait("LegRenegotiated", uid)["fact"]["leg"] == "caller"

    ended_well(calls, uid, caller, staff)
    assert asked(caller) == 4


def test_a_far_end_that_will_not_be_parked_now_is_asked_again(calls):
    staff = staff_who_hold(calls, "sendonly", held_ms=4000)
    busy = take_offer(PARKED, refused_with="491 Request Pending")
    back = [take_offer(BACK, refused_with="500 Try again"), take_offer(BACK, answered=sdp())]
    caller = calls.caller(invite(), busy, take_offer(PARKED, answered=RECVONLY), *back, until_bye())
    uid = calls.bridged(staff, pass_holds=True)

    held_and_resumed(calls, uid)
    for _ in range(2):
        calls.engine.wait("LegRenegotiated", uid)

    ended_well(calls, uid, caller, staff)
    assert asked(caller) == 4


def test_a_hold_that_is_over_before_it_was_passed_on_leaves_nobody_parked(calls):
    staff = staff_who_hold(calls, "sendonly", held_ms=20)
    slowly = sipp_steps.pause(1000)
    parked = take_offer(PARKED, answered=RECVONLY, before=slowly)
    caller = calls.caller(invite(), parked, take_offer(BACK, answered=sdp()), until_bye())
    uid = calls.bridged(staff, pass_holds=True)

    held_and_resumed(calls, uid)
    for _ in range(2):
        calls.engine.wait("LegRenegotiated", uid)

    ended_well(calls, uid, caller, staff)
    assert asked(caller) == 2


def test_a_parked_caller_is_sent_sound_all_the_time_whatever_staff_send(calls):
    staff = staff_who_hold(calls, "inactive", held_ms=3000)
    with Media() as ear:
        here = {"port": str(ear.port)}
        taken = [take_offer(PARKED, answered=sdp(direction="recvonly", **here)), take_offer(BACK, answered=sdp(**here))]
        caller = calls.caller(invite(offer=sdp(**here)), *taken, until_bye())
        uid = calls.bridged(staff, pass_holds=True)
        calls.engine.wait("LegHeld", uid)
        before = len(ear.packets)
        calls.engine.wait("LegResumed", uid)
        while_held = len(ear.packets) - before

        for _ in range(2):
            calls.engine.wait("LegRenegotiated", uid)
        ended_well(calls, uid, caller, staff)
    assert while_held > 100


def test_where_it_is_not_asked_for_no_hold_is_passed_on(calls):
    staff = staff_who_hold(calls, "sendonly")
    caller = calls.talking()
    uid = calls.bridged(staff)

    held_and_resumed(calls, uid)

    ended_well(calls, uid, caller, staff)
    assert caller.received("INVITE") == []
