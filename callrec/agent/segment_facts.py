"""What must be known of a segment before it is captured, so that it survives a crash."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from callrec.agent.services import Services
from callrec.config import Line
from callrec.core import commands as c
from callrec.core.retention import Facts, schedule
from callrec.core.retention_record import schedule_json
from callrec.core.values import Purpose
from callrec.recording.segment import SegmentFacts


def segment_facts(services: Services, line: Line, order: c.StartRecording, *, tap: str) -> SegmentFacts:
    """The facts of this order. ValueError where no retention rule fits: then nothing is kept (R44)."""
    proof = order.proof
    return SegmentFacts(
        line=line.name,
        purposes=order.purposes,
        notice={
            "evidence_sha256": proof.granted.evidence_sha256,
            "grade": proof.granted.grade.value,
            "proven_leaf": proof.receipt.leaf,
            "tap": tap,
        },
        retention=_retention(services, line, order.purposes),
        started_utc=services.utc_text(),
    )


def _retention(services: Services, line: Line, purposes: frozenset[Purpose]) -> Mapping[str, Any]:
    facts = Facts(
        nation=services.config.retention.nation,
        call=services.clock.utc().date(),
        subject=line.subject,
        line=line.kind,
        health_record=line.health_record,
    )
    return schedule_json(facts, schedule(services.rules, facts, purposes))
