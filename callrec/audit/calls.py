"""Checks 3, 5, 6, 7, 8, 10, 13, 14 and 15: what the entries say of each call, read once and in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final, NamedTuple

from callrec.audit.decisions import TELLING, Decided
from callrec.audit.findings import Findings
from callrec.audit.numbers import RunningNumbers
from callrec.core.bodies import missing_fields, required_fields
from callrec.core.consent import ConsentKind
from callrec.core.fields import leaves, text, texts
from callrec.core.kinds import Kind
from callrec.core.values import LANGUAGE_CHOICE, Grade, Leg
from callrec.ledger.entry import LogEntry

PLAYED: Final = ConsentKind.KEYPRESS.evidence
_SHOWN: Final = frozenset(kind.evidence for kind in ConsentKind)
_ENDINGS: Final = (Kind.RECORDING_SEALED, Kind.RECORDING_DISCARDED, Kind.RECORDING_LOST)


class _Said(NamedTuple):
    """What a proof or a consent says of what may rest on it."""

    purposes: tuple[str, ...] = ()
    language: str = ""
    grade: str = ""
    proven_leaf: str = ""


_NOTHING: Final = _Said()


class _Mark(NamedTuple):
    """What later entries may refer to. A tuple, because most entries of a log leave one."""

    kind: Kind
    seq: int
    segment: int
    boot_id: str
    boottime_ns: int
    late: bool
    said: _Said


class _Call:
    """What is kept of a call to the end of the log: no more than its checks need, for a log has very many."""

    __slots__ = ("closed", "closed_seq", "endings", "first_seq", "language", "marks", "offered", "segments", "used")

    def __init__(self, first_seq: int) -> None:
        self.first_seq = first_seq
        self.offered = self.closed = self.closed_seq = 0
        self.marks: dict[str, _Mark] = {}
        self.endings: dict[str, int] = {}
        self.segments = Decided()
        self.used: set[str] | None = None
        self.language = ""

    def use(self, leaf: str) -> bool:
        """A recording rests on this entry: False where one did before."""
        if self.used is None:
            self.used = set()
        fresh = leaf not in self.used
        self.used.add(leaf)
        return fresh


class _Known(NamedTuple):
    """What is asked of an entry of one kind: its fields, and the rules that look at it."""

    kind: Kind
    wanted: AbstractSet[str]
    of_log: Callable[[LogEntry], None] | None
    of_call: Callable[[LogEntry, _Call], None] | None
    tells_of_segment: bool


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
        of_log: Mapping[Kind, Callable[[LogEntry], None]] = {
            Kind.AGENT_STARTED: self._run_started,
            Kind.AGENT_STOPPED: self._run_stopped,
            Kind.AGENT_HEARTBEAT: self._run_lives,
            Kind.PROMPT_APPROVED: self._approved,
        }
        of_call: Mapping[Kind, Callable[[LogEntry, _Call], None]] = {
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
        self._known: Mapping[str, _Known] = {
            kind.value: _Known(kind, required_fields(kind), of_log.get(kind), of_call.get(kind), kind in TELLING)
            for kind in Kind
        }
        """By the word in the entry: a table by kind would be looked into by way of Python, some million times."""

    def see(self, entry: LogEntry) -> None:
        """Take the next entry."""
        known = self._known.get(entry.kind)
        self._check_time(entry)
        if known is None:
            self._findings.add(3, f"the kind {entry.kind!r} is not known", entry.seq)
            return
        if not entry.body.keys() >= known.wanted:
            missing = missing_fields(known.kind, entry.body)
            self._findings.add(3, f"{entry.kind} lacks {', '.join(missing)}", entry.seq)
            return
        if known.of_log is not None:
            known.of_log(entry)
        if known.tells_of_segment and entry.call_uid:
            self._call(entry).segments.see(known.kind, entry)
        if known.of_call is not None:
            known.of_call(entry, self._call(entry))

    def _call(self, entry: LogEntry) -> _Call:
        call = self._calls.get(entry.call_uid)
        if call is None:
            call = self._calls[entry.call_uid] = _Call(entry.seq)
        return call

    def _check_time(self, entry: LogEntry) -> None:
        if entry.late:
            return
        if entry.boottime_ns < self._last.get(entry.boot_id, 0):
            self._findings.add(5, "boot time runs backwards: this entry says it is older than one before it", entry.seq)
            return
        self._last[entry.boot_id] = entry.boottime_ns

    # ------------------------------------------------------------ the log as a whole

    def _run_started(self, entry: LogEntry) -> None:
        """From here on whatever is open is owed by this agent, unless one before it goes on."""
        settled = entry.body.get("settled") is not False
        self._run, self._run_seq = entry.agent_run if settled else "", entry.seq

    def _run_stopped(self, entry: LogEntry) -> None:
        """Up to here whatever was open should be closed."""
        self._over_seq = entry.seq

    def _run_lives(self, entry: LogEntry) -> None:
        """The later agent has settled down, and what was open before it should be closed."""
        if entry.agent_run == self._run:
            self._over_seq = max(self._over_seq, self._run_seq)

    def _approved(self, entry: LogEntry) -> None:
        if entry.body.get("asks"):
            self._scripts[entry.leaf] = entry

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
        call.closed_seq = entry.seq
        call.segments.sum_up(entry)
        if entry.body["offered_leaf"]:
            self._link(entry, call, entry.body["offered_leaf"], Kind.CALL_OFFERED)

    def _proven(self, entry: LogEntry, call: _Call) -> None:
        self._link(entry, call, entry.body["offered_leaf"], Kind.CALL_OFFERED)
        self._link(entry, call, entry.body["answered_leaf"], Kind.CALL_ANSWERED)
        self._mark(entry, call, Kind.NOTICE_PROVEN, _said(entry))

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
        if proof is not None and body["evidence"] == PLAYED and proof.said.grade != Grade.ACKNOWLEDGED.value:
            self._findings.add(15, "a consent by key, and no key of the caller's is in its proof", entry.seq)
        for sentence in self._misasked(body):
            self._findings.add(15, sentence, entry.seq)
        self._mark(entry, call, Kind.CONSENT_GIVEN, _said(entry))

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
            if not call.use(leaf):
                self._findings.add(15, "this consent served a recording before", entry.seq)
            if consent is not None and consent.said.proven_leaf not in proofs:
                self._findings.add(15, "this consent was given to what rests on another proof", entry.seq)
            added |= set(consent.said.purposes) if consent is not None else set()
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
        if not call.use(leaf):
            self._findings.add(6, "this proof started a recording before", entry.seq)
        if proof is None:
            return
        if proof.segment != entry.segment:
            self._findings.add(6, f"the proof is for segment {proof.segment}, not {entry.segment}", entry.seq)
        if call.language and proof.said.language != call.language:
            other = proof.said.language or "another"
            what = f"the caller chose {call.language}, and the proof is of a notice in {other}"
            self._findings.add(14, what, entry.seq)
        if beyond := set(texts(entry.body["purposes"])) - set(proof.said.purposes) - added:
            what = f"recorded for {', '.join(sorted(beyond))}, which its notice did not name, nor its caller agree to"
            self._findings.add(10, what, entry.seq)

    def _ended(self, entry: LogEntry, call: _Call) -> None:
        leaf = text(entry.body["started_leaf"])
        self._link(entry, call, leaf, Kind.RECORDING_STARTED, same_segment=True)
        call.endings[leaf] = call.endings.get(leaf, 0) + 1
        if call.endings[leaf] > 1:
            self._findings.add(7, f"the recording {_name(entry)} ended twice", entry.seq)
        self._mark(entry, call, self._known[entry.kind].kind)

    def _after_sealed(self, entry: LogEntry, call: _Call) -> None:
        self._link(entry, call, entry.body["sealed_leaf"], Kind.RECORDING_SEALED, same_segment=True)

    # ------------------------------------------------------------ links

    def _mark(self, entry: LogEntry, call: _Call, kind: Kind, said: _Said = _NOTHING) -> None:
        call.marks[entry.leaf] = _Mark(
            kind, entry.seq, entry.segment, entry.boot_id, entry.boottime_ns, entry.late, said
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
            if call.closed:
                for sentence in call.segments.wrong():
                    self._findings.add(13, sentence, call.closed_seq)
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


def _said(entry: LogEntry) -> _Said:
    body = entry.body
    return _Said(
        texts(body.get("purposes")), text(body.get("language")), text(body.get("grade")), text(body.get("proven_leaf"))
    )


def _name(entry: LogEntry) -> str:
    return f"{entry.call_uid}-{entry.segment}"
