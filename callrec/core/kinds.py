"""The closed list of ledger entry kinds. An unknown kind fails verification; a kind is never renamed."""

from __future__ import annotations

from enum import Enum, unique
from typing import Final


@unique
class Kind(Enum):
    """What one ledger entry states."""

    CALL_OFFERED = "call.offered"
    CALL_ANSWERED = "call.answered"
    CALL_CLOSED = "call.closed"
    LEG_CHANGED = "leg.changed"
    NOTICE_PROVEN = "notice.proven"
    NOTICE_REFUSED = "notice.refused"
    CHOICE_MADE = "choice.made"
    RECORDING_STARTED = "recording.started"
    RECORDING_PAUSED = "recording.paused"
    RECORDING_RESUMED = "recording.resumed"
    RECORDING_PROGRESS = "recording.progress"
    RECORDING_STOPPED = "recording.stopped"
    RECORDING_SEALED = "recording.sealed"
    RECORDING_DISCARDED = "recording.discarded"
    RECORDING_LOST = "recording.lost"
    RECORDING_KEPT = "recording.kept"
    RECORDING_DAMAGED = "recording.damaged"
    RECORDING_IMPORTED = "recording.imported"
    STORE_INTENT = "store.intent"
    TAG_CHANGED = "tag.changed"
    CONSENT_GIVEN = "consent.given"
    ACCESS_GRANTED = "access.granted"
    ACCESS_DENIED = "access.denied"
    EXPORT_MADE = "export.made"
    DISCLOSURE = "disclosure"
    HOLD_PLACED = "hold.placed"
    HOLD_RELEASED = "hold.released"
    DISPOSAL_PROPOSED = "disposal.proposed"
    DISPOSAL_APPROVED = "disposal.approved"
    DISPOSAL_DONE = "disposal.done"
    WITHDRAWN = "withdrawn"
    INCIDENT = "incident"
    AGENT_STARTED = "agent.started"
    AGENT_HEARTBEAT = "agent.heartbeat"
    AGENT_STOPPED = "agent.stopped"
    CLOCK_STEPPED = "clock.stepped"
    TRAFFIC_DROPPED = "traffic.dropped"
    CHECKPOINT_SHIPPED = "checkpoint.shipped"
    CONFIG_CHANGED = "config.changed"
    PROMPT_APPROVED = "prompt.approved"
    PROMPT_RETIRED = "prompt.retired"
    KEY_CREATED = "key.created"
    KEY_ROTATED = "key.rotated"
    SALT_ERASED = "salt.erased"
    SELFTEST_DONE = "selftest.done"
    TESTCALL_MATCHED = "testcall.matched"
    FIXITY_OK = "fixity.ok"


CONTRADICTED: Final = "proof contradicted"
"""The `what` of an incident whose call's recording is quarantined: an authentic report came later that speaks against
the proof (design: What may fail).
"""
