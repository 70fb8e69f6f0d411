"""Which fields the body of each entry kind must carry (design: What is bound). One missing is a refusal to append.

Bodies hold ids, hashes, numbers and salted commitments: no name, no telephone number, no audio. `leaf` fields hold
the hex leaf hash of an earlier entry; `_sha256` fields a hex digest; commitments are `{name: hex}` over a value and a
fresh salt that can be erased later.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from callrec.core.kinds import Kind


def _fields(names: str) -> frozenset[str]:
    return frozenset(names.split())


REQUIRED: Final[Mapping[Kind, frozenset[str]]] = {
    Kind.CALL_OFFERED: _fields("number line direction transport config_sha256 commitments"),
    Kind.CALL_ANSWERED: _fields("offered_leaf next_hop leg_ends_at commitments"),
    Kind.CALL_CLOSED: _fields("number offered_leaf decision reason reason_class segments connected duration_ms"),
    Kind.LEG_CHANGED: _fields("leg what cause"),
    Kind.NOTICE_PROVEN: _fields("attempt party grade tap purposes evidence_sha256 offered_leaf answered_leaf"),
    Kind.NOTICE_REFUSED: _fields("attempt party reasons evidence_sha256 offered_leaf"),
    Kind.CHOICE_MADE: _fields("digit choice leg method"),
    Kind.RECORDING_STARTED: _fields("proven_leaves key_id wrapped_key_sha256 purposes streams"),
    Kind.RECORDING_PAUSED: _fields("started_leaf why"),
    Kind.RECORDING_RESUMED: _fields("started_leaf"),
    Kind.RECORDING_PROGRESS: _fields("started_leaf samples running_sha256"),
    Kind.RECORDING_STOPPED: _fields("started_leaf reason stopped_by"),
    Kind.RECORDING_SEALED: _fields(
        "started_leaf manifest_sha256 cipher_sha256 flac_sha256 pcm_sha256 samples gaps "
        "stop_reason stopped_by truncated"
    ),
    Kind.RECORDING_DISCARDED: _fields("started_leaf reason"),
    Kind.RECORDING_LOST: _fields("started_leaf reason"),
    Kind.STORE_INTENT: _fields("sealed_leaf cipher_sha256"),
    Kind.RECORDING_KEPT: _fields("sealed_leaf store_id object_version lock readback_sha256"),
    Kind.INCIDENT: _fields("what reason"),
    Kind.AGENT_STARTED: _fields("software config_sha256 engine"),
    Kind.AGENT_HEARTBEAT: _fields("calls_offered calls_up"),
    Kind.AGENT_STOPPED: _fields("why calls_offered"),
    Kind.PROMPT_APPROVED: _fields("prompt_id version language pcm_sha256 text_sha256 purposes by"),
    Kind.PROMPT_RETIRED: _fields("prompt_id version language by why"),
    Kind.CONFIG_CHANGED: _fields("config_sha256 by"),
    Kind.KEY_CREATED: _fields("key_id use"),
    Kind.KEY_ROTATED: _fields("key_id use step from_key_id rewrapped person login"),
    Kind.CHECKPOINT_SHIPPED: _fields("anchor size root"),
    Kind.TRAFFIC_DROPPED: _fields("from_strangers over_rate"),
    Kind.ACCESS_GRANTED: _fields("recording_id purpose person action"),
    Kind.ACCESS_DENIED: _fields("recording_id purpose person action why"),
    Kind.EXPORT_MADE: _fields("recording_id form sha256"),
    Kind.SALT_ERASED: _fields("seqs by"),
    Kind.TAG_CHANGED: _fields("change"),
    Kind.CONSENT_GIVEN: _fields(
        "consent evidence prompt_id version language pcm_sha256 script_leaf proven_leaf purposes given_by given_utc "
        "taker heard_in offset_ms"
    ),
    Kind.DISCLOSURE: _fields("disclosure_id step basis recordings paper_sha256 person login"),
    Kind.WITHDRAWN: _fields("recording_id by list_sha256"),
    Kind.HOLD_PLACED: _fields("hold_id hold_kind scope reason review_by person login"),
    Kind.HOLD_RELEASED: _fields("hold_id step reason person login"),
    Kind.DISPOSAL_PROPOSED: _fields("list_sha256 recordings person login"),
    Kind.DISPOSAL_APPROVED: _fields("list_sha256 proposed_leaf person login"),
    Kind.DISPOSAL_DONE: _fields("recording_id list_sha256 approved_leaf certificate_sha256"),
    Kind.RECORDING_IMPORTED: _fields(
        "recording_id source_sha256 manifest_sha256 cipher_sha256 key_id wrapped_key_sha256 line started_utc "
        "standing found person login"
    ),
    Kind.RECORDING_DAMAGED: _fields("recording_id what"),
    Kind.TESTCALL_MATCHED: _fields("attempt evidence_sha256 commitments"),
    Kind.SELFTEST_DONE: _fields("passed software engine config_sha256 running_agent lines"),
    Kind.FIXITY_OK: _fields("first last items bytes damaged"),
}
"""Kinds that are not listed have no use yet and no required field."""


_NONE: Final[frozenset[str]] = frozenset()


def required_fields(kind: Kind) -> frozenset[str]:
    """Names of the fields that a body of this kind must have."""
    return REQUIRED.get(kind, _NONE)


def missing_fields(kind: Kind, body: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of required fields that the body lacks, in order."""
    wanted = required_fields(kind)
    return () if body.keys() >= wanted else tuple(sorted(wanted - body.keys()))
