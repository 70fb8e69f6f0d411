"""Evidence and facts as they are on a good day; each test changes the one thing it is about."""

from __future__ import annotations

from dataclasses import replace

from callrec.core.call import CallPlan, Keys
from callrec.core.consent import Agreed, Consent, Script, Taken
from callrec.core.evidence import (
    Binding,
    CallerMedia,
    Direction,
    DirectionChange,
    Evidence,
    KeyCapability,
    Observation,
    PlayerWatch,
    PromptFacts,
    StreamIncarnation,
    TapFacts,
)
from callrec.core.kinds import Kind
from callrec.core.proof import Granted, NoticeProof, Receipt, judge
from callrec.core.values import Leg, Purpose, Tap

CALL = "0" * 32
SECOND = 1_000_000_000

ALL_PURPOSES = frozenset(Purpose)

GOOD_STREAM = StreamIncarnation(payload_type=8, codec="PCMA", sent=250, octets=40_000)
GOOD_CALLER = CallerMedia(
    sdp_address="127.0.0.1:6000", source_address="127.0.0.1:6000", rtp_packets=250, rtcp_reports=1, foreign_packets=None
)
GOOD_PLAYER = PlayerWatch(checks=50, listener_misses=0, other_sources=0, level_checks=40, level_misses=0)

GOOD_OBSERVATION = Observation(
    attempt=1,
    complete=True,
    interruption=None,
    tap=Tap.PLAYER,
    tap_pcm=b"\0\0" * 40_000,
    answered=True,
    early_media=False,
    start_ns=10 * SECOND,
    end_ns=15 * SECOND,
    start_utc="2026-11-22T10:00:00.000Z",
    end_utc="2026-11-22T10:00:05.000Z",
    expected_packets=250,
    streams=(GOOD_STREAM,),
    renegotiations=0,
    directions=(DirectionChange(at_ms=0, direction=Direction.SENDRECV),),
    player=GOOD_PLAYER,
    caller=GOOD_CALLER,
    key_capability=KeyCapability(telephone_event=True, info=False, inband=False),
    keys=(),
)

GOOD_EVIDENCE = Evidence(
    binding=Binding(
        call_uid=CALL,
        segment=0,
        attempt=1,
        party="caller",
        leg=Leg.CALLER,
        next_hop="127.0.0.1:5062",
        leg_ends_at="pbx",
        offered_leaf="aa" * 32,
        answered_leaf="bb" * 32,
        boot_id="boot",
    ),
    prompt=PromptFacts(
        prompt_id="advice-line",
        version=1,
        language="en",
        language_source="line default",
        pcm_sha256="cc" * 32,
        samples=40_000,
        approval_leaf="dd" * 32,
        approved=True,
        effective=True,
        names_keys=("2", "3"),
        purposes=("medico-legal", "audit", "training"),
        sample=False,
    ),
    tap=TapFacts(kind=Tap.PLAYER, pcm_sha256="ee" * 32, samples=40_000, matched_samples=40_000, at_sample=0),
    complete=True,
    interruption=None,
    answered=True,
    early_media=False,
    start_ns=GOOD_OBSERVATION.start_ns,
    end_ns=GOOD_OBSERVATION.end_ns,
    start_utc=GOOD_OBSERVATION.start_utc,
    end_utc=GOOD_OBSERVATION.end_utc,
    expected_packets=250,
    streams=(GOOD_STREAM,),
    renegotiations=0,
    directions=GOOD_OBSERVATION.directions,
    player=GOOD_PLAYER,
    caller=GOOD_CALLER,
    key_capability=GOOD_OBSERVATION.key_capability,
    keys=(),
    wire=None,
    rtcp=None,
    required_language="en",
)


def a_granted_verdict() -> Granted:
    verdict = judge(GOOD_EVIDENCE, evidence_sha256="ff" * 32)
    assert isinstance(verdict, Granted)
    return verdict


def a_receipt(*, kind: Kind = Kind.NOTICE_PROVEN, at_ns: int = 16 * SECOND, call_uid: str = CALL) -> Receipt:
    return Receipt(kind=kind, seq=7, leaf="ab" * 32, call_uid=call_uid, segment=0, boottime_ns=at_ns)


def a_proof() -> NoticeProof:
    return NoticeProof(granted=a_granted_verdict(), receipt=a_receipt())


def a_plan(**changes: object) -> CallPlan:
    plan = CallPlan(
        obstacle=None,
        destinations=2,
        attempts=2,
        purposes=ALL_PURPOSES,
        keys=Keys(decline="2", decline_training="3", repeat="0", stop="**2"),
        has_choice_window=True,
    )
    return replace(plan, **changes)


SCRIPT = Script(
    prompt_id="training-consent",
    version=1,
    language="en",
    pcm_sha256="cc" * 32,
    approval_leaf="de" * 32,
    purposes=frozenset({Purpose.MEDICO_LEGAL, Purpose.AUDIT}),
    asks=frozenset({Purpose.TRAINING}),
    agree="1",
    refuse="2",
    essential_ms=5000,
)
"""Asks for training, and names what else the call is recorded for."""


def a_consent(agreed: Agreed, **changes: object) -> Consent:
    """As the ledger's receipt makes it."""
    its = {"kind": Kind.CONSENT_GIVEN, "leaf": "ac" * 32, **changes}
    return Consent(
        agreed=agreed,
        taken=Taken(utc="2026-11-28T10:00:00.000Z", taker="staff sip:6000@pbx"),
        receipt=replace(agreed.proof.receipt, **its),
    )
