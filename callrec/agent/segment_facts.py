"""What must be known of a segment before it is captured, so that it survives a crash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

from callrec.agent.services import Services
from callrec.config import Line, facts_of
from callrec.core import commands as c
from callrec.core.consent import sealed_json
from callrec.core.people import About, about_json
from callrec.core.retention import Subject, schedule
from callrec.core.retention_record import schedule_json
from callrec.core.values import Purpose
from callrec.recording.segment import SegmentFacts


def segment_facts(services: Services, line: Line, order: c.StartRecording, *, tap: str) -> SegmentFacts:
    """The facts of this order. ValueError where no retention rule fits: then nothing is kept (R44)."""
    proof, consent, today = order.proof, order.consent, services.clock.utc().date()
    subject = order.about.subject if order.about else line.subject
    return SegmentFacts(
        line=line.name,
        purposes=order.purposes,
        notice={
            "evidence_sha256": proof.granted.evidence_sha256,
            "grade": proof.granted.grade.value,
            "proven_leaf": proof.receipt.leaf,
            "tap": tap,
        },
        retention=retention_of(services, line, order.purposes, subject, today, consent=today if consent else None),
        started_utc=services.utc_text(),
        details={**_details(order.about), **({"consent": sealed_json(consent)} if consent else {})},
    )


def about(services: Services, line: Line, facts: SegmentFacts, person: About) -> SegmentFacts:
    """These facts, now that somebody said who the call is about (R35)."""
    started = date.fromisoformat(facts.started_utc[:10])
    consent = started if "consent" in facts.details else None
    retention = retention_of(services, line, facts.purposes, person.subject, started, consent=consent)
    return replace(facts, retention=retention, details={**facts.details, **_details(person)})


def _details(person: About | None) -> dict[str, Any]:
    return {} if person is None else {"about": about_json(person)}


def retention_of(
    services: Services,
    line: Line,
    purposes: frozenset[Purpose],
    subject: Subject,
    call: date,
    *,
    consent: date | None = None,
) -> Mapping[str, Any]:
    """Rule and dates of a call of this day about this person, who consented on that one, if they did. ValueError where
    no rule fits.
    """
    facts = replace(facts_of(line, call), subject=subject, consent=consent)
    return schedule_json(facts, schedule(services.rules, facts, purposes))
