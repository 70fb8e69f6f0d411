"""Checks 3, 5, 6, 7, 8, 10, 13, 14 and 15: what the entries say of each call, read once and in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from callrec.audit.decisions import Decided
from callrec.audit.findings import Findings
from callrec.audit.numbers import RunningNumbers
from callrec.core.bodies import missing_fields
from callrec.core.consent import ConsentKind
from callrec.core.fields import leaves, text, texts
from callrec.core.kinds import Kind
from callrec.core.values import LANGUAGE_CHOICE, Grade, Leg
from callrec.ledger.entry import LogEntry

_KINDS: Final = {kind.value: kind for kind in Kind}
PLAYED: Final = ConsentKind.KEYPRESS.evidence
_SHOWN: Final = frozenset(kind.evidence for kind in ConsentKind)
_ENDINGS: Final = (Kind.RECORDING_SEALED, Kind.RECORDING_DISCARDED, Kind.RECORDING_LOST)


@dataclass(frozen=True, slots=True)
class _Mark:
    """What later entries may refer to."""

    kind: Kind
    seq: int
    segment: int
    boot_id: str
    boottime_ns: int
    late: bool
    purposes: tuple[str, ...] = ()
    language: str = ""
    grade: str = ""
    proven_leaf: str = ""


@dataclass(slots=True)
class _Call:
    offered: int = 0
    closed: int = 0
    first_seq: int = 0
    marks: dict[str, _Mark] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    endings: dict[str, int] = field(default_factory=dict)
    segments: Decided = field(default_factory=Decided)
    summary: LogEntry | None = None
    language: str = ""


class CallRules:
    """Give it every entry in order by `see`, then `finish` once."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._calls: dict[str, _Call] = {}
        self._last: dict[str, int] = {}
        self._over_seq = -1
        self._run = ""
        self._run_seq = -1
        self.numbers = RunningNumbers(findings)
        self._scripts: dict[str, LogEntry] = {}
        self._rules: Mapping[Kind, Callable[[LogEntry, _Call], None]] = {
            Kind.CALL_OFFERED: self._offered,
            Kind.CALL_ANSWERED: self._answered,
            Kind.CALL_CLOSED: self._closed,
            Kind.CHOICE_MADE: self._chose,
            Kind.NOTICE_PROVEN: self._proven,
            Kind.CONSENT_GIVEN: self._agreed,
            Kind.RECORDING_STARTED: self._started,
            Kind.RECORDING_SEALED: self._ended,
            Kind.RECORDING_DISCARDED: self._ended,
            Kind.RECORDING_LOST: self._ended,
            Kind.STORE_INTENT: self._after_sealed,
            Kind.RECORDING_KEPT: self._after_sealed,
        }

    def see(self, entry: LogEntry) -> None:
        """Take the next entry."""
        kind = _KINDS.get(entry.kind)
        self._check_time(entry)
        if kind is None:
            self._findings.add(3, f"the kind {entry.kind!r} is not known", entry.seq)
            return
        if missing := missing_fields(kind, entry.body):
            self._findings.add(3, f"{entry.kind} lacks {', '.join(missing)}", entry.seq)
            return
        self._check_run(kind, entry)
        if kind is Kind.PROMPT_APPROVED and entry.body.get("asks"):
            self._scripts[entry.leaf] = entry
        rule = self._rules.get(kind)
        if entry.call_uid and (rule is not None or kind is Kind.NOTICE_REFUSED):
            self._call(entry).segments.see(kind, entry)
        if rule is not None:
            rule(entry, self._call(entry))

    def _call(self, entry: LogEntry) -> _Call:
        call = self._calls.get(entry.call_uid)
        if call is None:
            call = self._calls[entry.call_uid] = _Call(first_seq=entry.seq)
        return call

    def _check_time(self, entry: LogEntry) -> None:
        if entry.late:
            return
        if entry.boottime_ns < self._last.get(entry.boot_id, 0):
            self._findings.add(5, "boot time runs backwards: this entry says it is older than one before it", entry.seq)
            return
        self._last[entry.boot_id] = entry.boottime_ns

    def _check_run(self, kind: Kind, entry: LogEntry) -> None:
        """Note up to where whatever is open should be closed: an agent stopped, or a later one has settled down."""
        if kind is Kind.AGENT_STARTED:
            settled = entry.body.get("settled") is not False
            self._run, self._run_seq = entry.agent_run if settled else "", entry.seq
        elif kind is Kind.AGENT_STOPPED:
            self._over_seq = entry.seq
        elif kind is Kind.AGENT_HEARTBEAT and entry.agent_run == self._run:
            self._over_seq = max(self._over_seq, self._run_seq)

    # ------------------------------------------------------------ one kind each

    def _offered(self, entry: LogEntry, call: _Call) -> None:
        call.offered += 1
        if call.offered > 1:
            self._findings.add(8, f"call {entry.call_uid} was offered twice", entry.seq)
        self.numbers.see(entry)
        self._mark(entry, call, Kind.CALL_OFFERED)

    def _answered(self, entry: LogEntry, call: _Call) -> None:
        """Refers to no offer where the ledger did not answer in time; nothing can be proven of such a call."""
        if entry.body["offered_leaf"]:
            self._link(entry, call, entry.body["offered_leaf"], Kind.CALL_OFFERED)
        self._mark(entry, call, Kind.CALL_ANSWERED)

    def _closed(self, entry: LogEntry, call: _Call) -> None:
        call.closed += 1
        if call.closed > 1:
            self._findings.add(8, f"call {entry.call_uid} was closed twice", entry.seq)
        call.summary = entry
        if entry.body["offered_leaf"]:
            self._link(entry, call, entry.body["offered_leaf"], Kind.CALL_OFFERED)

    def _proven(self, entry: LogEntry, call: _Call) -> None:
        self._link(entry, call, entry.body["offered_leaf"], Kind.CALL_OFFERED)
        self._link(entry, call, entry.body["answered_leaf"], Kind.CALL_ANSWERED)
        self._mark(entry, call, Kind.NOTICE_PROVEN)

    def _chose(self, entry: LogEntry, call: _Call) -> None:
        """A language, by a key (R59): from now on no notice in another one proves anything."""
        choice = text(entry.body["choice"])
        if choice.startswith(LANGUAGE_CHOICE) and entry.body["leg"] == Leg.CALLER.value:
            call.language = choice.removeprefix(LANGUAGE_CHOICE)

    def _agreed(self, entry: LogEntry, call: _Call) -> None:
        """A consent: to an approved script, for this segment, which has a proof of its own (R19, R20)."""
        body = entry.body
        proof = self._link(entry, call, body["proven_leaf"], Kind.NOTICE_PROVEN, check=15, same_segment=True)
        if body["evidence"] not in _SHOWN:
            self._findings.add(15, "a consent says of no kind how it was asked for", entry.seq)
        if proof is not None and body["evidence"] == PLAYED and proof.grade != Grade.ACKNOWLEDGED.value:
            self._findings.add(15, "a consent by key, and no key of the caller's is in its proof", entry.seq)
        for sentence in self._misasked(body):
            self._findings.add(15, sentence, entry.seq)
        self._mark(entry, call, Kind.CONSENT_GIVEN)

    def _misasked(self, body: Mapping[str, Any]) -> Iterator[str]:
        script = self._scripts.get(text(body["script_leaf"]))
        if script is None:
            yield "a consent to a script that had not been approved"
            return
        if any(script.body.get(name) != body[name] for name in ("prompt_id", "version", "language", "pcm_sha256")):
            yield "a consent to another script than was approved"
        if beyond := set(texts(body["purposes"])) - set(texts(script.body.get("asks"))):
            yield f"a consent to {', '.join(sorted(beyond))}, which its script does not ask for"

    def _consented(self, entry: LogEntry, call: _Call, proofs: tuple[str, ...]) -> frozenset[str]:
        """What the caller agreed to, by the consents that this recording names."""
        added: set[str] = set()
        for leaf in leaves(entry.body.get("consent_leaves") or []):
            consent = self._link(entry, call, leaf, Kind.CONSENT_GIVEN, check=15, same_segment=True)
            if leaf in call.used:
                self._findings.add(15, "this consent served a recording before", entry.seq)
            call.used.add(leaf)
            if consent is not None and consent.proven_leaf not in proofs:
                self._findings.add(15, "this consent was given to what rests on another proof", entry.seq)
            added |= set(consent.purposes) if consent is not None else set()
        return frozenset(added)

    def _started(self, entry: LogEntry, call: _Call) -> None:
        proofs = leaves(entry.body["proven_leaves"])
        added = self._consented(entry, call, proofs)
        if not proofs:
            self._findings.add(6, "a recording started without any proof", entry.seq)
        for leaf in proofs:
            self._consume(entry, call, leaf, added)
        self._mark(entry, call, Kind.RECORDING_STARTED)
        call.endings[entry.leaf] = 0

    def _consume(self, entry: LogEntry, call: _Call, leaf: str, added: frozenset[str]) -> None:
        proof = self._link(entry, call, leaf, Kind.NOTICE_PROVEN, check=6)
        if leaf in call.used:
            self._findings.add(6, "this proof started a recording before", entry.seq)
        call.used.add(leaf)
        if proof is None:
            return
        if proof.segment != entry.segment:
            self._findings.add(6, f"the proof is for segment {proof.segment}, not {entry.segment}", entry.seq)
        if call.language and proof.language != call.language:
            what = f"the caller chose {call.language}, and the proof is of a notice in {proof.language or 'another'}"
            self._findings.add(14, what, entry.seq)
        if beyond := set(texts(entry.body["purposes"])) - set(proof.purposes) - added:
            what = f"recorded for {', '.join(sorted(beyond))}, which its notice did not name, nor its caller agree to"
            self._findings.add(10, what, entry.seq)

    def _ended(self, entry: LogEntry, call: _Call) -> None:
        leaf = text(entry.body["started_leaf"])
        self._link(entry, call, leaf, Kind.RECORDING_STARTED, same_segment=True)
        call.endings[leaf] = call.endings.get(leaf, 0) + 1
        if call.endings[leaf] > 1:
            self._findings.add(7, f"the recording {_name(entry)} ended twice", entry.seq)
        self._mark(entry, call, _KINDS[entry.kind])

    def _after_sealed(self, entry: LogEntry, call: _Call) -> None:
        self._link(entry, call, entry.body["sealed_leaf"], Kind.RECORDING_SEALED, same_segment=True)

    # ------------------------------------------------------------ links

    def _mark(self, entry: LogEntry, call: _Call, kind: Kind) -> None:
        purposes, language = texts(entry.body.get("purposes")), text(entry.body.get("language"))
        call.marks[entry.leaf] = _Mark(
            kind,
            entry.seq,
            entry.segment,
            entry.boot_id,
            entry.boottime_ns,
            entry.late,
            purposes,
            language,
            text(entry.body.get("grade")),
            text(entry.body.get("proven_leaf")),
        )

    def _link(
        self, entry: LogEntry, call: _Call, leaf: Any, kind: Kind, *, check: int = 5, same_segment: bool = False
    ) -> _Mark | None:
        """The earlier entry of this call that `leaf` names; a finding where it is none, or is younger."""
        mark = call.marks.get(leaf) if isinstance(leaf, str) else None
        if mark is None or mark.kind is not kind:
            self._findings.add(check, f"{entry.kind} refers to no earlier {kind.value} of its call", entry.seq)
            return None
        if same_segment and mark.segment != entry.segment:
            self._findings.add(check, f"{entry.kind} refers to a {kind.value} of another segment", entry.seq)
        if mark.boot_id == entry.boot_id and mark.boottime_ns > entry.boottime_ns:
            self._findings.add(5, f"{entry.kind} says it happened before its {kind.value}", entry.seq)
        return mark

    # ------------------------------------------------------------ the end

    def finish(self) -> None:
        """What is still missing at the end of the log: a finding, or open where the agent that owes it may run."""
        for call_uid, call in self._calls.items():
            if call.offered == 0:
                self._findings.add(8, f"call {call_uid} was never offered", call.first_seq)
            elif call.closed == 0:
                self._owed(8, f"call {call_uid} was not closed", call.first_seq)
            if call.summary is not None:
                for sentence in call.segments.wrong(call.summary):
                    self._findings.add(13, sentence, call.summary.seq)
            for leaf, times in call.endings.items():
                mark = call.marks.get(leaf)
                if times == 0 and mark is not None:
                    self._owed(7, f"the recording {call_uid}-{mark.segment} has not ended", mark.seq)
        self.numbers.finish(self._over_seq)

    def _owed(self, check: int, sentence: str, seq: int) -> None:
        if seq < self._over_seq:
            self._findings.add(check, sentence, seq)
        else:
            self._findings.still_open(sentence)


def _name(entry: LogEntry) -> str:
    return f"{entry.call_uid}-{entry.segment}"
