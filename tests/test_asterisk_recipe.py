"""The recipe in deploy/asterisk, on a real Asterisk: whatever becomes of callrec, the caller reaches the line.

A second Asterisk, or sipp, stands in for callrec here; what callrec itself does in this place is told in tests/calls.
"""

from __future__ import annotations

import signal

import pytest

from tests.peers import audio, ports, sipp
from tests.peers.asterisk import CALLER_HOST, MUSIC_HZ, Asterisk, StandIn
from tests.peers.baresip import Ear
from tests.peers.sipp_steps import answer, bye, refuse, stream, take, talk, until_bye

pytestmark = [pytest.mark.asterisk, pytest.mark.calls]


@pytest.fixture
def agent(tmp_path):
    with StandIn(tmp_path / "agent") as agent:
        yield agent


@pytest.fixture
def staff(tmp_path):
    with Ear(tmp_path / "staff", say=audio.tone(audio.STAFF_HZ, 60), user="staff") as staff:
        yield staff


@pytest.fixture
def pbx(tmp_path, agent, staff):
    with Asterisk(tmp_path / "pbx", callrec=agent.address, staff=staff.address) as pbx:
        agent.serve(pbx)
        pbx.reach_callrec(within_s=30)
        yield pbx


@pytest.fixture
def caller(tmp_path):
    with Ear(tmp_path / "caller", say=audio.tone(audio.CALLER_HZ, 60), host=CALLER_HOST) as caller:
        yield caller


def pbx_with(tmp_path, steps):
    """A PBX whose callrec is a sipp that does these steps."""
    stand_in = sipp.answering(tmp_path / "stand-in", steps)
    return stand_in, Asterisk(tmp_path / "pbx", callrec=stand_in.address)


def test_a_call_goes_through_callrec_to_the_line_and_the_records_match(pbx, caller):
    caller.dial(f"sip:5001@{pbx.address}")
    caller.established(within_s=20)
    caller.heard_so_far(3.2, within_s=30)
    caller.hang_up()

    tried, leg = pbx.wait_cdr("callrec-tried", seconds=30), pbx.wait_cdr("callrec-leg", seconds=5)
    assert leg.userfield == f"callrec-leg stand-in {tried.linkedid}"
    assert len(pbx.cdr()) == 2
    assert audio.share(caller.heard[: audio.RATE], audio.NOTICE_HZ) > 0.95
    assert audio.share(caller.heard[-audio.RATE :], audio.ADVICE_HZ) > 0.95


def test_the_queue_is_heard_but_answers_only_with_a_person(pbx, caller, staff):
    caller.dial(f"sip:5000@{pbx.address}")
    staff.rang(within_s=30)
    caller.heard_so_far(10, within_s=15)  # longer than rtp_timeout: waiting must not look like a dead callrec

    waiting = [line for line in pbx.cli("core show channels concise").splitlines() if "!Queue!" in line]
    assert [line.split("!")[4] for line in waiting] == ["Ring"]  # not "Up": nobody answered yet

    staff.answer()
    staff.heard_so_far(1, within_s=20)
    caller.hang_up()
    assert audio.share(caller.heard[4 * audio.RATE : 8 * audio.RATE], MUSIC_HZ) > 0.9
    assert audio.share(caller.heard[-audio.RATE // 2 :], audio.STAFF_HZ) > 0.9
    assert audio.share(staff.heard, audio.CALLER_HZ) > 0.9


@pytest.mark.parametrize("number", ["5002", "5007"])
def test_a_call_that_callrec_ended_is_over(pbx, caller, number):
    caller.dial(f"sip:{number}@{pbx.address}")
    caller.closed(within_s=20)

    assert pbx.wait_cdr("callrec-tried", seconds=30).disposition == "ANSWERED"
    assert not [one for one in pbx.cdr() if "lost" in one.userfield or "bypassed" in one.userfield]


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize("talked_s", [1, 3.5], ids=["in the notice", "in the talk"])
def test_the_caller_is_taken_on_to_the_line_when_callrec_vanishes(pbx, agent, caller, how, talked_s):
    caller.dial(f"sip:5001@{pbx.address}")
    caller.established(within_s=20)
    caller.heard_so_far(talked_s, within_s=30)

    agent.process.signal(how)

    before = len(caller.heard) / audio.RATE
    caller.heard_so_far(before + 1.5, within_s=30)
    caller.hang_up()
    assert audio.share(caller.heard[-audio.RATE :], audio.ADVICE_HZ) > 0.95
    assert pbx.wait_cdr("callrec-lost", seconds=30).userfield == "callrec-lost 44"


def test_a_callrec_that_hangs_is_passed_by(pbx, agent, caller):
    agent.process.signal(signal.SIGSTOP)

    caller.dial(f"sip:5001@{pbx.address}")
    caller.heard_so_far(1, within_s=30)
    caller.hang_up()
    assert audio.share(caller.heard, audio.ADVICE_HZ) > 0.95
    assert pbx.wait_cdr("callrec-bypassed", seconds=30).disposition == "ANSWERED"


def test_a_callrec_known_to_be_dead_is_not_even_tried(tmp_path, caller):
    with Asterisk(tmp_path / "pbx", callrec=f"127.0.0.1:{ports.free_port()}") as pbx:
        ports.until(lambda: "Unavail" in pbx.cli("pjsip show aor callrec"), seconds=30, what="OPTIONS go unanswered")
        caller.dial(f"sip:5001@{pbx.address}")
        caller.established(within_s=20)
        caller.heard_so_far(1, within_s=20)
        caller.hang_up()

        assert pbx.wait_cdr("callrec-bypassed", seconds=30).userfield == "callrec-bypassed CHANUNAVAIL"
    assert audio.share(caller.heard, audio.ADVICE_HZ) > 0.95


def test_a_callrec_at_capacity_is_passed_by_at_once(tmp_path, caller):
    stand_in, pbx = pbx_with(tmp_path, [take(), refuse("503 Service Unavailable")])
    with stand_in, pbx:
        caller.dial(f"sip:5001@{pbx.address}")
        caller.established(within_s=20)
        caller.heard_so_far(1, within_s=20)
        caller.hang_up()

        bypassed = pbx.wait_cdr("callrec-bypassed", seconds=30)
        assert bypassed.disposition == "ANSWERED"
        assert bypassed.userfield != "callrec-bypassed NOANSWER"  # that would have taken four seconds
    assert audio.share(caller.heard, audio.ADVICE_HZ) > 0.95


def test_a_callrec_that_is_shut_down_in_a_call_hands_the_caller_on(tmp_path, caller):
    voice = audio.write_alaw(tmp_path / "notice.alaw", audio.tone(audio.NOTICE_HZ, 1))
    ends = [take(), answer(), stream(voice), talk(1500), bye("Reason: Q.850;cause=41")]
    stand_in, pbx = pbx_with(tmp_path, ends)
    with stand_in, pbx:
        caller.dial(f"sip:5001@{pbx.address}")
        caller.heard_so_far(3, within_s=30)
        caller.hang_up()

        assert pbx.wait_cdr("callrec-lost", seconds=30).userfield == "callrec-lost 41"
    assert audio.share(caller.heard[-audio.RATE :], audio.ADVICE_HZ) > 0.95


def test_the_number_and_the_linkedid_reach_callrec(tmp_path, caller):
    stand_in, pbx = pbx_with(tmp_path, [take(), answer(), until_bye()])
    with stand_in, pbx:
        caller.dial(f"sip:5001@{pbx.address}")
        invite = stand_in.wait_received("INVITE", seconds=30)
        caller.established(within_s=20)
        caller.hang_up()

        assert "sip:5001@" in invite.first_line
        assert invite.header("X-PBX-Linkedid") == pbx.wait_cdr("callrec-tried", seconds=30).linkedid


def test_a_line_forwarded_to_its_own_number_does_not_go_round(pbx, caller):
    caller.dial(f"sip:5008@{pbx.address}")
    caller.established(within_s=20)
    caller.heard_so_far(3.2, within_s=30)
    caller.hang_up()

    assert audio.share(caller.heard[-audio.RATE :], audio.ADVICE_HZ) > 0.95
    assert len([one for one in pbx.cdr() if one.userfield == "callrec-tried"]) == 1


def test_the_recording_of_the_pbx_itself_is_stopped(pbx, caller):
    caller.dial(f"sip:5009@{pbx.address}")
    caller.established(within_s=20)
    caller.heard_so_far(3.2, within_s=30)
    caller.hang_up()
    pbx.wait_cdr("callrec-tried", seconds=30)
    through_callrec = len(pbx.recorded)
    caller.dial(f"sip:6009@{pbx.address}")
    caller.heard_so_far(5, within_s=30)
    caller.hang_up()

    assert through_callrec == 0
    ports.until(lambda: audio.share(pbx.recorded, audio.CALLER_HZ) > 0.5, seconds=30, what="without callrec it records")
