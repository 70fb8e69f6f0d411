"""How many calls an engine set to two carries, and what becomes of one more: every slot counts."""

from __future__ import annotations

import pytest

from tests.peers.sipp_steps import invite

pytestmark = pytest.mark.calls


def test_a_third_call_is_turned_away_with_503(calls):
    for _ in range(2):
        calls.talking()
        calls.answered()

    third = calls.caller(invite(refused_with=503))

    third.succeed(within_s=10)
    assert third.received("SIP/2.0 503")[0].header("Retry-After") == "10"
    assert calls.engine.wait("refused")["why"] == "Engine limit reached"


def test_where_two_calls_are_bridged_a_third_is_turned_away(calls):
    for _ in range(2):
        staff = calls.speaking_staff()
        calls.talking()
        calls.bridged(staff)

    third = calls.caller(invite(refused_with=503))

    third.succeed(within_s=10)
    assert calls.engine.wait("refused")["why"] == "Engine limit reached"
    assert calls.engine.kinds() == []


def test_six_calls_in_a_row_reuse_the_slots_and_none_ends_another(calls):
    for _ in range(6):
        staff = calls.speaking_staff()
        caller = calls.talking()
        uid = calls.bridged(staff)
        calls.over(uid)
        caller.succeed(within_s=10)
        staff.succeed(within_s=10)
        assert sorted(calls.engine.kinds(uid)) == ["LegEnded", "LegEnded"]
