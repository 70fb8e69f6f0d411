"""The auditor's questions, each a report over one verified reading of the ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from callrec.audit.call_questions import notices, orphans, recorded_before_notice, selftest
from callrec.audit.keeping_questions import disposals, holds, retention_due
from callrec.audit.report import Filters, Report
from callrec.audit.use_questions import (
    access,
    choices,
    coding,
    disclosures,
    protected,
    stops,
    training_consent,
    withdrawals,
)
from callrec.audit.verify import Places, verify
from callrec.core.fields import leaves, text, texts
from callrec.core.kinds import Kind
from callrec.core.values import Tap
from callrec.ledger.entry import LogEntry


@dataclass(slots=True)
class _Recording:
    utc: str
    segment: int
    proofs: list[LogEntry]
    unmatched: int
    ended: str = "open"


@dataclass(slots=True)
class _Call:
    line: str
    utc: str
    proofs: dict[str, LogEntry] = field(default_factory=dict)
    recordings: dict[str, _Recording] = field(default_factory=dict)
    closed: Mapping[str, Any] | None = None


class _Calls:
    """What the questions need of every call, gathered while the log is verified."""

    def __init__(self, filters: Filters) -> None:
        self._filters = filters
        self.calls: dict[str, _Call] = {}
        self.spoken = False

    def see(self, entry: LogEntry) -> None:
        self.spoken = self.spoken or self._filters.takes_time(entry.utc)
        if entry.kind == Kind.CALL_OFFERED.value:
            self._offered(entry)
        elif entry.call_uid in self.calls:
            self._of_call(entry, self.calls[entry.call_uid])

    def _offered(self, entry: LogEntry) -> None:
        line = text(entry.body.get("line"))
        if self._filters.takes_time(entry.utc) and self._filters.line in ("", line):
            self.calls[entry.call_uid] = _Call(line=line, utc=entry.utc)

    def _of_call(self, entry: LogEntry, call: _Call) -> None:
        if entry.kind == Kind.NOTICE_PROVEN.value:
            call.proofs[entry.leaf] = entry
        elif entry.kind == Kind.RECORDING_STARTED.value:
            named = leaves(entry.body.get("proven_leaves"))
            proofs = [call.proofs[leaf] for leaf in named if leaf in call.proofs]
            unmatched = len(named) - len(proofs) if named else 1
            call.recordings[entry.leaf] = _Recording(entry.utc, entry.segment, proofs, unmatched)
        elif entry.kind == Kind.CALL_CLOSED.value:
            call.closed = entry.body
        elif text(entry.body.get("started_leaf")) in call.recordings and entry.kind in _ENDED:
            call.recordings[entry.body["started_leaf"]].ended = _ENDED[entry.kind]


_ENDED: Final = {
    Kind.RECORDING_SEALED.value: "sealed",
    Kind.RECORDING_DISCARDED.value: "discarded",
    Kind.RECORDING_LOST.value: "lost",
}


def coverage(places: Places, filters: Filters) -> Report:
    """Is every recording matched to one completed notice per outside party? Errors as `verify`."""
    calls = _Calls(filters)
    verification = verify(places, also=(calls.see,))
    rows, exceptions = [], []
    matched = unmatched = 0
    for uid, call in calls.calls.items():
        for recording in call.recordings.values():
            name = f"{uid}-{recording.segment}"
            matched += len(recording.proofs)
            unmatched += recording.unmatched
            rows.append((name, recording.utc, call.line, *_matched(recording), recording.ended))
            if recording.unmatched:
                exceptions.append(f"{name} was recorded without a proven notice for every outside party")
    return Report(
        name="coverage",
        question="is every recording matched to one proven notice per outside party?",
        filters=filters,
        columns=("recording", "started", "line", "parties", "matched", "notice", "ended"),
        rows=tuple(rows),
        summary=f"{len(rows)} recordings, {matched + unmatched} parties, {matched} matched, {unmatched} unmatched",
        exceptions=tuple(exceptions),
        answered=calls.spoken,
        verification=verification,
    )


def _matched(recording: _Recording) -> tuple[int, int, str]:
    proven = len(recording.proofs)
    grades = sorted({_grade(proof) for proof in recording.proofs})
    return proven + recording.unmatched, proven, ", ".join(grades) or "not proven"


def _grade(proof: LogEntry) -> str:
    grade = text(proof.body.get("grade"))
    if proof.body.get("tap") == Tap.PLAYER.value:
        return f"proven ({grade}; evaluation tap)"
    return f"proven ({grade})"


def refusals(places: Places, filters: Filters) -> Report:
    """Which calls were not recorded, and why? Counted by day, line, class and reason. Errors as `verify`."""
    calls = _Calls(filters)
    verification = verify(places, also=(calls.see,))
    counted: Counter[tuple[str, str, str, str]] = Counter()
    for call in calls.calls.values():
        if call.closed is not None and not _recorded(call):
            closed = call.closed
            why = (text(closed.get("reason_class")) or "unknown", text(closed.get("reason")) or "unknown")
            counted[(call.utc[:10], call.line, *why)] += 1
    refused = sum(counted.values())
    return Report(
        name="refusals",
        question="which calls were not recorded, and why?",
        filters=filters,
        columns=("day", "line", "class", "reason", "calls"),
        rows=tuple((*key, count) for key, count in sorted(counted.items())),
        summary=f"{len(calls.calls)} calls, {refused} not recorded",
        exceptions=(),
        answered=calls.spoken,
        verification=verification,
    )


def _recorded(call: _Call) -> bool:
    return call.closed is not None and call.closed.get("decision") == "RECORDED"


def purpose_ceiling(places: Places, filters: Filters) -> Report:
    """Does every recording's set of purposes lie inside what its notice named, or its caller agreed to? Errors as
    `verify`.
    """
    calls = _Tagged(filters)
    verification = verify(places, also=(calls.see,))
    rows = tuple(calls.rows)
    return Report(
        name="purpose-ceiling",
        question="do the purposes of every recording lie inside what its notice named, or its caller agreed to?",
        filters=filters,
        columns=("recording", "purposes", "named", "agreed to", "beyond"),
        rows=rows,
        summary=f"{len(rows)} recordings",
        exceptions=tuple(
            f"{row[0]} is tagged {row[4]}, which its notice did not name, nor its caller agree to"
            for row in rows
            if row[4]
        ),
        answered=calls.spoken,
        verification=verification,
    )


class _Tagged(_Calls):
    def __init__(self, filters: Filters) -> None:
        super().__init__(filters)
        self.rows: list[tuple[str, str, str, str, str]] = []
        self._agreed: dict[str, set[str]] = {}

    def _of_call(self, entry: LogEntry, call: _Call) -> None:
        super()._of_call(entry, call)
        if entry.kind == Kind.CONSENT_GIVEN.value:
            self._agreed[entry.leaf] = set(texts(entry.body.get("purposes")))
        if entry.kind != Kind.RECORDING_STARTED.value:
            return
        consents = leaves(entry.body.get("consent_leaves") or [])
        agreed = {name for leaf in consents for name in self._agreed.get(leaf, ())}
        proofs = call.recordings[entry.leaf].proofs
        granted = [set(texts(proof.body.get("purposes"))) for proof in proofs]
        named = set.intersection(*granted) if granted else set()
        tags = set(texts(entry.body.get("purposes")))
        name = f"{entry.call_uid}-{entry.segment}"
        self.rows.append((name, _list(tags), _list(named), _list(agreed), _list(tags - named - agreed)))


def _list(words: set[str]) -> str:
    return ", ".join(sorted(words))


QUESTIONS: Final[Mapping[str, Callable[[Places, Filters], Report]]] = {
    "recorded-before-notice": recorded_before_notice,
    "coverage": coverage,
    "refusals": refusals,
    "orphans": orphans,
    "notices": notices,
    "purpose-ceiling": purpose_ceiling,
    "choices": choices,
    "stops": stops,
    "withdrawals": withdrawals,
    "training-consent": training_consent,
    "protected": protected,
    "access": access,
    "disclosures": disclosures,
    "coding": coding,
    "retention-due": retention_due,
    "disposals": disposals,
    "holds": holds,
    "selftest": selftest,
}
"""By the name on the command line: those that need nothing besides the period. The others have their own commands."""
