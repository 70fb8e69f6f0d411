"""Another outside party: two recordings, each with its own proof, key and decision; and what the PBX tells."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from callrec.agent import pbx
from callrec.agent.declined import KEPT_S, MOST, Declined
from callrec.core import events as e
from callrec.core.kinds import Kind
from callrec.core.reasons import Reason
from callrec.core.values import KeyMethod, Leg, Purpose
from callrec.errors import ConfigError, Unavailable
from tests.agent.test_call_task import a_call, bridged, summary
from tests.agent.world import UID, a_world, heard_whole

CHANGED = e.PartyChanged(at_ns=9, leg=Leg.CALLER, shown_by=e.PartyShown.IDENTITY)


async def ordered(services, name, count):
    """Wait until this was ordered so often."""
    async with asyncio.timeout(10):
        while services.telephony.names().count(name) < count:
            services.telephony._asked.clear()
            await services.telephony._asked.wait()


async def talking(call):
    await bridged(call)
    await call.services.telephony.asked("start_capture")


async def asked_again(call, attempt=2):
    """The later segment's notice, whole."""
    await ordered(call.services, "play_notice", attempt)
    call.happened(e.NoticeEnded(at_ns=10, attempt=attempt, observation=heard_whole(call.services, attempt)))


def segments(services):
    return [(one["segment"], one["decision"], one["reason"]) for one in summary(services)["segments"]]


async def test_another_party_gives_a_second_recording_with_a_proof_and_a_key_of_its_own(services):
    async with a_call(services) as call:
        await talking(call)
        call.happened(CHANGED)
        await asked_again(call)
        await ordered(services, "start_capture", 2)

    assert segments(services) == [(0, "RECORDED", ""), (1, "RECORDED", "")]
    assert services.spool.ready_ids() == (f"{UID}-0", f"{UID}-1")
    proven, started = services.ledger.of(Kind.NOTICE_PROVEN), services.ledger.of(Kind.RECORDING_STARTED)
    assert [entry.segment for entry in proven] == [entry.segment for entry in started] == [0, 1]
    assert [entry.body["proven_leaves"] for entry in started] == [[entry.leaf] for entry in proven]
    assert len({entry.body["key_id"] for entry in started}) == 2
    assert services.ledger.of(Kind.RECORDING_STOPPED)[0].body["reason"] == Reason.PARTY_WITHOUT_NOTICE.value


async def test_the_second_capture_begins_only_when_the_first_has_ended(services):
    async with a_call(services) as call:
        await talking(call)
        call.happened(CHANGED)
        await asked_again(call)
        await ordered(services, "start_capture", 2)

    captures = [name for name in services.telephony.names() if name.endswith("_capture") and name[:2] == "st"]
    assert captures == ["start_capture", "stop_capture", "start_capture", "stop_capture"]


async def test_a_no_to_the_later_notice_leaves_the_first_recording_and_makes_no_other(services):
    async with a_call(services) as call:
        await talking(call)
        call.happened(CHANGED)
        await ordered(services, "play_notice", 2)
        call.happened(e.KeyPressed(at_ns=11, leg=Leg.CALLER, digit="2", method=KeyMethod.INFO))
        await services.telephony.asked("stop_notice")

    assert segments(services) == [(0, "RECORDED", ""), (1, "NOT_RECORDED", "CALLER_DECLINED")]
    assert summary(services)["decision"] == "RECORDED"
    assert services.spool.ready_ids() == (f"{UID}-0",)


async def test_a_later_recording_that_cannot_start_is_its_own_failure(services, monkeypatch):
    async with a_call(services) as call:
        await talking(call)
        services.ledger.hang()
        call.happened(CHANGED)
        await asked_again(call)
        await ordered(services, "resume_capture", 0)
        services.ledger.recover()

    first, second = segments(services)
    assert first == (0, "RECORDED", "")
    assert second[:2] == (1, "NOT_RECORDED")


async def told(call, to=None, **args):
    await call.told(pbx.read(args), to, "http")


async def test_what_the_pbx_tells_stands_in_the_ledger_with_who_told_it(services):
    async with a_call(services) as call:
        await talking(call)
        await told(call, event="held")
        await services.telephony.asked("suspend_capture")
        await told(call, event="joined")
        await services.telephony.asked("resume_capture")

    entries = [one for one in services.ledger.of(Kind.LEG_CHANGED) if one.actor == "http"]
    assert [(one.body["leg"], one.body["what"]) for one in entries] == [("staff", "held"), ("staff", "joined")]
    assert services.ledger.of(Kind.RECORDING_PAUSED)[0].body["why"] == "staff side on hold behind the PBX"


async def test_a_line_that_waits_for_staff_is_recorded_from_when_the_pbx_says_that_they_joined(tmp_path, runtime):
    services = a_world(tmp_path, runtime)
    waiting = replace(services.config.lines[0], capture_from=type(services.config.lines[0].capture_from).STAFF_JOINED)
    services.config = replace(services.config, lines=(waiting,))
    async with a_call(services) as call:
        await bridged(call)
        await services.telephony.asked("bridge")
        before = services.ledger.of(Kind.RECORDING_STARTED)
        await told(call, event="joined")
        await services.telephony.asked("start_capture")

    assert before == []
    assert summary(services)["decision"] == "RECORDED"


async def test_a_transfer_to_another_line_plays_that_lines_notice_and_keeps_for_its_purposes(services):
    other = replace(services.config.lines[0], name="other", purposes=frozenset({Purpose.MEDICO_LEGAL}))
    async with a_call(services) as call:
        await talking(call)
        await told(call, other, event="transferred", line="other")
        await asked_again(call)
        await ordered(services, "start_capture", 2)

    started = services.ledger.of(Kind.RECORDING_STARTED)
    assert [entry.body["purposes"] for entry in started] == [["audit", "medico-legal", "training"], ["medico-legal"]]
    assert "transferred to line other" in [one.body["what"] for one in services.ledger.of(Kind.LEG_CHANGED)]


@pytest.mark.parametrize(
    ("args", "wrong"),
    [
        ({}, "event: None"),
        ({"event": "answered"}, "event: 'answered'"),
        ({"event": "held", "side": "left"}, "side: 'left'"),
        ({"event": "left", "party": "nobody"}, "party: 'nobody'"),
        ({"event": "held", "line": "advice"}, "line: goes with transferred"),
        ({"event": ["joined"]}, "event: "),
    ],
)
def test_what_is_no_event_is_told_so_with_what_may_be_written(args, wrong):
    with pytest.raises(ConfigError) as refused:
        pbx.read(args)

    assert str(refused.value).startswith(wrong)
    assert refused.value.next_step


WHO_IS_THERE = {
    ("joined", "staff", "staff"): e.StaffJoined,
    ("left", "staff", "staff"): e.StaffLeft,
    ("left", "staff", "outside"): e.OutsideLeft,
    ("left", "caller", "outside"): None,
    ("held", "caller", "staff"): e.HeldBehind,
    ("transferred", "staff", "staff"): e.StaffTransferred,
    ("transferred", "staff", "outside"): e.OutsideJoined,
    ("transferred", "caller", "outside"): e.PartyChanged,
    ("outside_party", "staff", "outside"): e.OutsideJoined,
    ("outside_party", "caller", "outside"): e.PartyChanged,
}


@pytest.mark.parametrize(("told", "kind"), WHO_IS_THERE.items())
def test_each_event_is_one_fact_of_the_core(told, kind):
    event, side, party = told
    made = pbx.fact(pbx.read({"event": event, "side": side, "party": party}), 7)

    assert made is None if kind is None else type(made) is kind
    assert made is None or made.at_ns == 7


def test_a_no_holds_for_the_linked_call_on_that_line_and_not_for_ever(tmp_path):
    noes = Declined(tmp_path / "noes")
    noes.remember("pbx-1", "advice", now_s=5)
    noes.remember("", "advice", now_s=5)

    assert noes.holds("pbx-1", "advice", now_s=6)
    assert not noes.holds("pbx-1", "other", now_s=6)
    assert not noes.holds("pbx-2", "advice", now_s=6)
    assert not noes.holds("", "advice", now_s=6)
    assert not noes.holds("pbx-1", "advice", now_s=6 + KEPT_S)


def test_noes_without_end_are_not_remembered_without_end(tmp_path):
    noes = Declined(tmp_path / "noes")
    for number in range(MOST + 1):
        noes.remember(f"pbx-{number}", "advice", now_s=1)

    assert not noes.holds("pbx-0", "advice", now_s=1)
    assert noes.holds(f"pbx-{MOST}", "advice", now_s=1)


def test_a_no_outlives_a_restart_and_no_number_is_written_down(tmp_path):
    file = tmp_path / "noes"
    noes = Declined(file)
    assert noes.remember("07700900001-17", "advice", now_s=5)
    assert not noes.remember("07700900001-17", "advice", now_s=9), "known: nothing is to be written again"
    noes.remember("pbx-2", "advice", now_s=5 - KEPT_S)
    noes.save(now_s=6)

    again = Declined(file)

    assert again.holds("07700900001-17", "advice", now_s=7)
    assert not again.holds("07700900001-17", "other", now_s=7)
    assert not again.holds("pbx-2", "advice", now_s=5), "what holds no more is not written"
    assert b"07700900001" not in file.read_bytes()
    assert file.stat().st_mode & 0o77 == 0


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format": "callrec/noes/2"}', '{"format": "callrec/noes/1"}', "\xff"]
)
def test_noes_that_cannot_be_read_keep_nobody_from_starting(tmp_path, text):
    file = tmp_path / "noes"
    file.write_bytes(text.encode("latin-1"))

    noes = Declined(file)

    assert not noes.holds("pbx-1", "advice", now_s=1)
    noes.remember("pbx-1", "advice", now_s=1)
    noes.save(now_s=1)
    assert Declined(file).holds("pbx-1", "advice", now_s=1)


def test_a_disk_that_takes_no_noes_is_told_of(tmp_path):
    noes = Declined(tmp_path / "away" / "noes")
    noes.remember("pbx-1", "advice", now_s=1)
    with pytest.raises(Unavailable):
        noes.save(now_s=1)
