"""The judge: one row per thing that must hold; each alone refuses, and names its reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from callrec.core.evidence import (
    Direction,
    DirectionChange,
    Interruption,
    KeyCapability,
    KeyHeard,
    RtcpFacts,
    RtcpReport,
    WireFacts,
)
from callrec.core.kinds import Kind
from callrec.core.proof import (
    BORDERLINE,
    FIRST_VERIFIER,
    HOLES_CEILING_NS,
    RECEIPT_MAX_AGE_NS,
    SENT_FLOOR,
    Granted,
    NoticeProof,
    judge,
)
from callrec.core.reasons import Reason
from callrec.core.values import Grade, KeyMethod, Leg, Purpose, Tap
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


def pressed(digit="1", method=KeyMethod.TELEPHONE_EVENT, leg=Leg.CALLER, at_ms=4000):
    return {"keys": (KeyHeard(digit=digit, method=method, leg=leg, at_ms=at_ms),)}


NAMED = prompt(acknowledges="1", essential_ms=4000)


@pytest.mark.parametrize("method", [KeyMethod.TELEPHONE_EVENT, KeyMethod.INFO])
def test_the_callers_key_after_the_phrase_that_names_it_acknowledges(method):
    assert verdict(**NAMED, **pressed(method=method)).grade is Grade.ACKNOWLEDGED


@pytest.mark.parametrize(
    "other", [{"at_ms": 3999}, {"digit": "3"}, {"leg": Leg.STAFF}, {"method": KeyMethod.INBAND}, {"digit": ""}]
)
def test_a_key_too_early_of_another_leg_or_unsure_acknowledges_nothing(other):
    assert verdict(**NAMED, **pressed(**other)).grade is Grade.SENT


def test_a_notice_that_names_no_such_key_is_never_acknowledged():
    assert verdict(**pressed(digit="1")).grade is Grade.SENT


@pytest.mark.parametrize("wanted", list(Grade))
def test_what_reaches_less_far_than_the_line_asked_for_is_refused(wanted):
    assert verdict(required_grade=wanted, **NAMED, **pressed()).grade is Grade.ACKNOWLEDGED
    low = verdict(required_grade=wanted)
    assert low == (Reason.GRADE_TOO_LOW,) if wanted is not Grade.SENT else low.grade is Grade.SENT


STEADY = WireFacts(
    window_sha256="99" * 32,
    overflow=0,
    refused=0,
    held_back=0,
    deferred=0,
    odd=0,
    strayed=0,
    peer_changes=0,
    missing=0,
    repeated=0,
    timestamp_faults=0,
    srtp=False,
    leg_gone=False,
    notice_first_sequence=100,
    notice_last_sequence=349,
    notice_span_ns=5_000_000_000,
    sdp_rtp=GOOD_CALLER.sdp_address,
    sdp_rtcp="127.0.0.1:6001",
    sdp_keys=True,
)


def reported(lost, highest=349, source="127.0.0.1:6001"):
    newest = RtcpReport(at_ms=5100, source=source, highest_sequence=highest, lost=lost)
    stream = replace(GOOD_STREAM, ssrc=7, first_sequence=100, last_sequence=349)
    return {
        **tap(kind=Tap.WIRE),
        "wire": STEADY,
        "player": None,
        "streams": (stream,),
        "caller": replace(GOOD_CALLER, foreign_packets=0),
        "rtcp": RtcpFacts(authenticated=False, accepted=1, rejected=(), raw_sha256="88" * 32, newest=newest),
    }


@pytest.mark.parametrize(("lost", "received"), [(-3, True), (0, True), (12, True), (13, False), (250, False)])
def test_a_report_on_the_whole_notice_proves_its_arrival_or_refuses_it(lost, received):
    found = verdict(**reported(lost))

    assert found == (Reason.PROOF_CONTRADICTED,) if not received else found.grade is Grade.RECEIVED


def test_a_report_on_a_part_of_the_notice_says_nothing_about_it():
    assert verdict(**reported(200, highest=348)).grade is Grade.SENT
    assert verdict(**reported(200, source="")).grade is Grade.SENT


def test_evidence_of_an_earlier_verifier_is_judged_as_it_was_then():
    assert verdict(verifier=FIRST_VERIFIER, **reported(200)).grade is Grade.SENT


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
