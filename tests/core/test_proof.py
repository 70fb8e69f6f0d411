"""The judge: one row per thing that must hold; each alone refuses, and names its reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from callrec.core.evidence import Direction, DirectionChange, Interruption, KeyCapability
from callrec.core.kinds import Kind
from callrec.core.proof import (
    BORDERLINE,
    HOLES_CEILING_NS,
    RECEIPT_MAX_AGE_NS,
    SENT_FLOOR,
    Granted,
    NoticeProof,
    judge,
)
from callrec.core.reasons import Reason
from callrec.core.values import Grade, Leg, Purpose
from tests.core.builders import (
    CALL,
    GOOD_CALLER,
    GOOD_EVIDENCE,
    GOOD_PLAYER,
    GOOD_STREAM,
    a_granted_verdict,
    a_receipt,
)


def verdict(**changes):
    return judge(replace(GOOD_EVIDENCE, **changes), evidence_sha256="ff" * 32)


def prompt(**changes):
    return {"prompt": replace(GOOD_EVIDENCE.prompt, **changes)}


def tap(**changes):
    return {"tap": replace(GOOD_EVIDENCE.tap, **changes)}


def binding(**changes):
    return {"binding": replace(GOOD_EVIDENCE.binding, **changes)}


def player(**changes):
    return {"player": replace(GOOD_PLAYER, **changes)}


def caller(**changes):
    return {"caller": replace(GOOD_CALLER, **changes)}


def sent(packets):
    return {"streams": (replace(GOOD_STREAM, sent=packets),)}


HELD = DirectionChange(at_ms=900, direction=Direction.RECVONLY)


def test_good_evidence_is_granted_for_what_the_notice_named():
    granted = verdict()

    assert isinstance(granted, Granted)
    assert granted.grade is Grade.SENT
    assert granted.purposes == frozenset(Purpose)
    assert granted.call_uid == CALL


WRONGS = [
    (prompt(approved=False), Reason.NOTICE_UNAPPROVED),
    (prompt(effective=False), Reason.NOTICE_UNAPPROVED),
    (prompt(approval_leaf=""), Reason.NOTICE_UNAPPROVED),
    ({"required_language": "cy"}, Reason.WRONG_LANGUAGE),
    (binding(leg=Leg.STAFF), Reason.WRONG_LEG),
    (binding(offered_leaf=""), Reason.PARTY_WITHOUT_NOTICE),
    (binding(answered_leaf=""), Reason.PARTY_WITHOUT_NOTICE),
    (binding(next_hop=""), Reason.PARTY_WITHOUT_NOTICE),
    (binding(boot_id=""), Reason.PARTY_WITHOUT_NOTICE),
    ({"answered": False}, Reason.EARLY_MEDIA_ONLY),
    ({"early_media": True}, Reason.EARLY_MEDIA_ONLY),
    ({"complete": False}, Reason.NOTICE_INTERRUPTED),
    ({"interruption": Interruption.HELD}, Reason.NOTICE_INTERRUPTED),
    ({"renegotiations": 1}, Reason.NOTICE_INTERRUPTED),
    ({"directions": ()}, Reason.NOTICE_INTERRUPTED),
    ({"directions": (*GOOD_EVIDENCE.directions, HELD)}, Reason.NOTICE_INTERRUPTED),
    ({"end_ns": GOOD_EVIDENCE.end_ns + HOLES_CEILING_NS}, Reason.NOTICE_INTERRUPTED),
    (tap(matched_samples=39_999), Reason.NOTICE_ALTERED),
    (tap(at_sample=None), Reason.NOTICE_ALTERED),
    (prompt(samples=0) | tap(matched_samples=0), Reason.NOTICE_ALTERED),
    (player(listener_misses=1), Reason.NOTICE_NOT_SENT),
    (player(other_sources=1), Reason.NOTICE_NOT_SENT),
    (player(checks=0), Reason.NOTICE_NOT_SENT),
    (player(level_checks=0), Reason.NOTICE_NOT_SENT),
    (player(level_misses=3), Reason.NOTICE_NOT_SENT),
    (sent(0), Reason.NOTICE_NOT_SENT),
    ({"streams": ()}, Reason.NOTICE_NOT_SENT),
    ({"expected_packets": 0}, Reason.NOTICE_NOT_SENT),
    (caller(rtp_packets=0, rtcp_reports=0), Reason.UNHEARD_SUSPECT),
    (caller(foreign_packets=1), Reason.MEDIA_FOREIGN),
    (caller(source_address="127.0.0.9:6000"), Reason.MEDIA_FOREIGN),
    ({"key_capability": KeyCapability(telephone_event=False, info=False, inband=False)}, Reason.CHOICE_UNAVAILABLE),
    ({"end_ns": GOOD_EVIDENCE.start_ns}, Reason.NOTICE_UNDECIDED),
    ({"start_ns": 0}, Reason.NOTICE_UNDECIDED),
]


@pytest.mark.parametrize(("changes", "reason"), WRONGS)
def test_each_thing_that_is_wrong_refuses_with_its_own_reason(changes, reason):
    assert verdict(**changes) == (reason,)


def test_all_that_is_wrong_is_named_in_order_and_once():
    reasons = verdict(**prompt(approved=False), **player(listener_misses=1), **sent(0))

    assert reasons == (Reason.NOTICE_UNAPPROVED, Reason.NOTICE_NOT_SENT)


@pytest.mark.parametrize(("packets", "enough"), [(250, True), (243, True), (242, False), (200, False)])
def test_the_floor_of_packets_sent_is_97_in_100_and_a_thousandth_more(packets, enough):
    assert isinstance(verdict(**sent(packets)), Granted) is enough
    assert (packets / 250 >= SENT_FLOOR + BORDERLINE) is enough


@pytest.mark.parametrize(("late_ms", "enough"), [(0, True), (998, True), (999, False), (1000, False), (3000, False)])
def test_a_notice_that_took_a_second_longer_than_its_prompt_had_holes(late_ms, enough):
    assert isinstance(verdict(end_ns=GOOD_EVIDENCE.end_ns + late_ms * 1_000_000), Granted) is enough


def test_a_notice_that_names_no_key_needs_no_way_for_keys():
    silent = KeyCapability(telephone_event=False, info=False, inband=False)

    assert isinstance(verdict(key_capability=silent, **prompt(names_keys=())), Granted)


def test_a_caller_behind_rtcp_alone_is_alive():
    assert isinstance(verdict(**caller(rtp_packets=0, rtcp_reports=1)), Granted)


def test_a_proof_needs_a_receipt_for_this_notice():
    with pytest.raises(ValueError, match="proves no notice"):
        NoticeProof(granted=a_granted_verdict(), receipt=a_receipt(kind=Kind.CALL_ANSWERED))


def test_a_proof_cannot_be_moved_to_another_call():
    with pytest.raises(ValueError, match="another call"):
        NoticeProof(granted=a_granted_verdict(), receipt=a_receipt(call_uid="1" * 32))


@pytest.mark.parametrize(("late", "valid"), [(0, True), (1, False)])
def test_a_receipt_later_than_ten_seconds_is_void(late, valid):
    receipt = a_receipt(at_ns=GOOD_EVIDENCE.end_ns + RECEIPT_MAX_AGE_NS + late)

    if valid:
        assert NoticeProof(granted=a_granted_verdict(), receipt=receipt).receipt is receipt
    else:
        with pytest.raises(ValueError, match="too late"):
            NoticeProof(granted=a_granted_verdict(), receipt=receipt)
