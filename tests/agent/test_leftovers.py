"""After a crash every call gets its summary and every recording its one end, and the numbers go on."""

from __future__ import annotations

import asyncio

import pytest

from callrec.agent import leftovers
from callrec.agent.clock import SystemClock
from callrec.core.kinds import Kind
from callrec.ledger.memory import MemoryLedger
from callrec.ports import Entry

UID, OTHER = "aa" * 16, "bb" * 16
ENGINE = {"software": "0", "config_sha256": "", "engine": {}}


@pytest.fixture
def ledger():
    return MemoryLedger(SystemClock())


def tell(ledger, kind, body, uid=""):
    return asyncio.run(ledger.append(Entry(kind=kind, body=body, call_uid=uid), timeout_s=1))


def offer(ledger, uid, number):
    names = ("line", "direction", "transport", "config_sha256")
    return tell(ledger, Kind.CALL_OFFERED, {"number": number, "commitments": {}, **dict.fromkeys(names, "")}, uid)


def close(ledger, uid, number, leaf):
    names = ("decision", "reason", "reason_class", "connected", "duration_ms")
    body = {"number": number, "offered_leaf": leaf, "segments": [], **dict.fromkeys(names, "")}
    tell(ledger, Kind.CALL_CLOSED, body, uid)


def start(ledger, uid):
    offered = ledger.of(Kind.CALL_OFFERED, uid)[0].leaf
    answered = {"offered_leaf": offered, "next_hop": "", "leg_ends_at": "", "commitments": {}}
    answered_leaf = tell(ledger, Kind.CALL_ANSWERED, answered, uid).leaf
    proven = {"offered_leaf": offered, "answered_leaf": answered_leaf, "attempt": 1, "party": "caller", "grade": "sent"}
    proof = tell(ledger, Kind.NOTICE_PROVEN, proven | {"tap": "player", "purposes": [], "evidence_sha256": ""}, uid)
    body = {"proven_leaves": [proof.leaf], "key_id": "", "wrapped_key_sha256": "", "purposes": [], "streams": {}}
    return tell(ledger, Kind.RECORDING_STARTED, body, uid)


def found(ledger):
    return leftovers.find(reversed(ledger.entries))


def test_a_call_that_was_not_closed_is_found_and_a_closed_one_is_not(ledger):
    close(ledger, UID, 1, offer(ledger, UID, 1).leaf)
    offer(ledger, OTHER, 2)

    assert set(found(ledger).offered) == {OTHER}


def test_a_recording_without_an_end_is_found(ledger):
    offer(ledger, UID, 1)
    started = start(ledger, UID)

    left = found(ledger)
    assert left.started[UID, 0].leaf == started.leaf
    assert leftovers.lost(left.started[UID, 0]).body["started_leaf"] == started.leaf


def test_numbers_go_on_where_the_last_run_ended(ledger):
    tell(ledger, Kind.AGENT_STARTED, {**ENGINE, "first_number": 41})
    assert found(ledger).next_number == 41

    offer(ledger, UID, 41)
    assert found(ledger).next_number == 42


def test_only_the_last_run_is_read_back(ledger):
    offer(ledger, UID, 1)
    tell(ledger, Kind.AGENT_STARTED, {**ENGINE, "first_number": 2})
    offer(ledger, OTHER, 2)

    assert set(found(ledger).offered) == {OTHER}


def test_the_first_call_of_a_new_ledger_is_number_one(ledger):
    assert found(ledger).next_number == 1


@pytest.mark.parametrize(("recorded", "reason"), [(True, ""), (False, "AGENT_FAILED")])
def test_the_late_summary_says_what_became_of_the_call(ledger, recorded, reason):
    offer(ledger, UID, 7)

    entry = leftovers.closed(found(ledger).offered[UID], recorded={0} if recorded else set())
    assert (entry.body["number"], entry.body["reason"]) == (7, reason)
    assert entry.body["decision"] == ("RECORDED" if recorded else "NOT_RECORDED")


def test_a_call_that_had_more_segments_has_each_of_them_decided(ledger):
    offer(ledger, UID, 7)
    ledger._take(
        Entry(kind=Kind.LEG_CHANGED, body={"leg": "caller", "what": "x", "cause": ""}, call_uid=UID, segment=2)
    )
    left = found(ledger)

    entry = leftovers.closed(left.offered[UID], recorded={1}, last_segment=left.segments[UID])

    assert entry.body["decision"] == "RECORDED"
    assert [(one["segment"], one["decision"], one["reason"]) for one in entry.body["segments"]] == [
        (0, "NOT_RECORDED", "AGENT_FAILED"),
        (1, "RECORDED", ""),
        (2, "NOT_RECORDED", "AGENT_FAILED"),
    ]
