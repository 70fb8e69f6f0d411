"""Questions about calls: was a notice whole before anything was recorded, what words were played, what is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from callrec._canonical import sha256_hex
from callrec.audit.asking import Asked, Gathered, count, recording_of, today
from callrec.audit.casefile import CaseEvidence, gather
from callrec.audit.objects import evidence_file, read_judged
from callrec.audit.report import Filters, Report
from callrec.audit.verify import Places, verify
from callrec.audit.wording import proven
from callrec.core.evidence import Evidence
from callrec.core.fields import leaves, text, texts
from callrec.core.kinds import Kind
from callrec.errors import Broken, CallrecError, ConfigError, Unavailable
from callrec.ledger.entry import LogEntry
from callrec.ledger.reading import open_log
from callrec.notice.manifest import PromptRecord, Status
from callrec.notice.register import ApprovedPrompt, Register


def _evidence_of(places: Places, entry: LogEntry) -> Evidence | None:
    """The evidence that this entry is about, where it can be read."""
    attempt = entry.body.get("attempt")
    if places.evidence is None or type(attempt) is not int or not entry.call_uid.isalnum():
        return None
    try:
        return read_judged(evidence_file(places.evidence, entry.call_uid, attempt)).evidence
    except Broken:
        return None


# ---------------------------------------------------------------- 1


def recorded_before_notice(places: Places, filters: Filters) -> Report:
    """Did any recording start before its notice ended? Errors as `verify`."""
    seen = Gathered(filters, Kind.NOTICE_PROVEN, Kind.RECORDING_STARTED)
    verification = verify(places, also=(seen.see,))
    proofs = {entry.leaf: entry for entry in seen.of(Kind.NOTICE_PROVEN)}
    rows = [_before(places, entry, proofs) for entry in seen.of(Kind.RECORDING_STARTED)]
    asked = Asked(
        name="recorded-before-notice",
        question="did any recording start before its notice ended?",
        filters=filters,
        verification=verification,
        answered=seen.spoken and places.evidence is not None,
        columns=("recording", "notice ended", "recording started", "seconds after", "what"),
    )
    wrong = [f"{row[0]}: {row[4]}" for row in rows if row[4] != "after its notice"]
    summary = f"{count(len(rows), 'recording')}, {len(wrong)} not after their notice"
    return asked.report(summary, rows=rows, exceptions=wrong)


def _before(places: Places, started: LogEntry, proofs: dict[str, LogEntry]) -> tuple[Any, ...]:
    """By boot time where both are of one boot: clocks may be set, that one cannot."""
    name = f"{started.call_uid}-{started.segment}"
    named = [proofs.get(leaf) for leaf in leaves(started.body.get("proven_leaves"))]
    evidence = [_evidence_of(places, proof) for proof in named if proof is not None]
    found = [each for each in evidence if each is not None]
    if not named or len(found) != len(named):
        return (name, "-", started.utc, "-", "without the evidence of its notice")
    last = max(found, key=lambda each: each.end_ns)
    if any(each.binding.boot_id != started.boot_id for each in found):
        return (name, last.end_utc, started.utc, "-", "of another boot than its notice")
    seconds = (started.boottime_ns - last.end_ns) / 1e9
    what = "after its notice" if seconds >= 0 else "BEFORE its notice ended"
    return (name, last.end_utc, started.utc, f"{seconds:.3f}", what)


# ---------------------------------------------------------------- 2


def evidence(places: Places, filters: Filters, which: str) -> Report:
    """Which words were played for this recording or call, in what language, when? Errors as `verify` and `gather`."""
    verification = verify(places)
    uid, _, segment = which.partition("-")
    case = gather(places, the_call(places, uid))
    items = [item for item in case.evidence if not segment or _segment(item) in (None, int(segment))]
    words = _Words(places)
    rows = [row for item in items for row in _told(item, case.entries, words)]
    wrong = [f"{item.path.name} {sentence}" for item in items for sentence in item.wrong]
    asked = Asked(
        name="evidence",
        question=f"which words were played for {which}, in what language, when, on which leg?",
        filters=filters,
        verification=verification,
        answered=places.evidence is not None and bool(items),
        columns=("of the attempt", "found"),
        exceptions=wrong,
    )
    return asked.report(count(len(items), "attempt"), rows=rows)


def _segment(item: CaseEvidence) -> int | None:
    return None if item.judged is None else item.judged.evidence.binding.segment


def _told(item: CaseEvidence, entries: tuple[LogEntry, ...], words: _Words) -> Iterator[tuple[str, str]]:
    entry = next(each for each in entries if each.seq == item.seq)
    name = f"{item.path.stem}"
    if item.judged is None:
        yield name, "cannot be read"
        return
    found = item.judged.evidence
    prompt, sent = found.prompt, sum(stream.sent for stream in found.streams)
    said = proven(entry.body, found.binding.next_hop) if entry.kind == Kind.NOTICE_PROVEN.value else "not proven"
    yield name, f"notice played: {said}"
    yield name, f"prompt {prompt.prompt_id} version {prompt.version}, {prompt.language}, sha256 {prompt.pcm_sha256}"
    yield name, f"words: {words.of(prompt.approval_leaf)}"
    leg, party = found.binding.leg.value, found.binding.party
    yield name, f"from {found.start_utc} to {found.end_utc}, on the {leg} leg of {party}"
    yield name, f"packets: {sent} sent of {found.expected_packets} expected; tap: {found.tap.kind.value}"


class _Words:
    """The words of each approval, as the register has them."""

    def __init__(self, places: Places) -> None:
        self._records = _records(places)

    def of(self, approval_leaf: str) -> str:
        """What was said."""
        found = [each.text for each in self._records if each.approved and each.approved.leaf == approval_leaf]
        return found[0] if found else "not in the register that was given"


def _records(places: Places) -> tuple[PromptRecord, ...]:
    if places.prompts is None:
        return ()
    try:
        return Register.load(places.prompts).records
    except ConfigError:
        return ()


def the_call(places: Places, prefix: str) -> str:
    """The one call whose id begins so. `Unavailable` where the ledger knows none, ConfigError where several."""
    with open_log(places.ledger) as log:
        found = log.calls_beginning(prefix) if prefix.isalnum() else set()
    if not found:
        raise Unavailable(f"the ledger knows no call {prefix!a:.40}", next_step="see `callrec recordings list`")
    if len(found) > 1:
        raise ConfigError(f"{len(found)} calls begin with {prefix!a:.40}", next_step="give more of the id")
    return found.pop()


# ---------------------------------------------------------------- 8


def notices(places: Places, filters: Filters) -> Report:
    """Are the prompt files in use the approved ones, and which calls heard which? Errors as `verify`."""
    seen = Gathered(filters, Kind.NOTICE_PROVEN)
    verification = verify(places, also=(seen.see,))
    heard = Counter(_prompt_of(places, entry) for entry in seen.entries)
    rows, wrong = [], []
    records = _records(places)
    for record in records:
        why = _not_as_approved(places, record)
        approved = record.approved
        dates = f"{_day(record.effective_from)} to {_day(record.effective_to)}"
        who = "-" if approved is None else approved.by
        calls = heard.pop(("" if approved is None else approved.leaf), 0)
        rows.append((record.name, record.status.value, who, dates, calls, why or "the approved one"))
        in_use = approved is not None and record.status is not Status.RETIRED
        wrong += [f"{record.name}: {why}"] if why and in_use else []
    wrong += [f"{count(number, 'proof')} with a notice that is not in this register" for number in heard.values()]
    asked = Asked(
        name="notices",
        question="are the prompt files in use the approved ones?",
        filters=filters,
        verification=verification,
        answered=seen.spoken and bool(records) and places.evidence is not None,
        columns=("prompt", "status", "approved by", "in force", "proofs", "file"),
    )
    return asked.report(f"{count(len(rows), 'prompt')}, {len(seen.entries)} proofs", rows=rows, exceptions=wrong)


def _prompt_of(places: Places, entry: LogEntry) -> str:
    found = _evidence_of(places, entry)
    return "?" if found is None else found.prompt.approval_leaf


def _not_as_approved(places: Places, record: PromptRecord) -> str:
    """Why this is not what was approved; empty where it is."""
    if places.prompts is None:
        return "not looked at"
    try:
        found = Register.load(places.prompts).read(record)
    except CallrecError as error:
        return str(error)
    return "" if isinstance(found, ApprovedPrompt) else found.what


def _day(moment: datetime | None) -> str:
    return "-" if moment is None else moment.astimezone(UTC).date().isoformat()


# ---------------------------------------------------------------- 6


def orphans(places: Places, filters: Filters) -> Report:
    """Is there audio without entries, or an entry whose audio is gone without a certificate? Errors as `verify`."""
    seen = Gathered(filters)
    verification = verify(replace(places, reads_objects=True), also=(seen.see,))
    found = [finding for finding in verification.findings if finding.check in _ORPHANED]
    asked = Asked(
        name="orphans",
        question="is there audio without entries, or are there entries whose audio is gone without a certificate?",
        filters=filters,
        verification=verification,
        answered=seen.spoken and places.stored() is not None and places.spool is not None,
        columns=("check", "found"),
    )
    rows = [(finding.check, finding.sentence) for finding in found]
    waiting = [("open", sentence) for sentence in verification.open if "evidence" not in sentence]
    return asked.report(f"{count(len(found), 'orphan')}", rows=[*rows, *waiting], exceptions=[row[1] for row in rows])


_ORPHANED: Final = (11, 12)


# ---------------------------------------------------------------- a sample


def sample(places: Places, filters: Filters, *, n: int, seed: str) -> Report:
    """Recordings chosen by chance that anybody may draw again: the same seed and ledger give the same.

    Ranked by SHA-256 of seed and recording id, so that nothing but the seed decides. Errors as `verify`.
    """
    seen = Gathered(filters, Kind.RECORDING_STARTED, Kind.RECORDING_SEALED)
    verification = verify(places, also=(seen.see,))
    sealed = {recording_of(entry) for entry in seen.of(Kind.RECORDING_SEALED)}
    those = {recording_of(entry): entry for entry in seen.of(Kind.RECORDING_STARTED)}
    drawn = sorted(sealed & those.keys(), key=lambda name: sha256_hex(f"{seed}\0{name}".encode()))[:n]
    asked = Asked(
        name="sample",
        question="which recordings shall be looked at?",
        filters=filters,
        verification=verification,
        answered=seen.spoken and bool(sealed),
        columns=("recording", "started", "line", "purposes", "look with"),
    )
    rows = [
        (name, those[name].utc, seen.line(those[name]), _purposes(those[name]), f"callrec audit evidence {name}")
        for name in drawn
    ]
    return asked.report(f"{len(rows)} of {count(len(sealed), 'recording')}, drawn with --seed {seed}", rows=rows)


def _purposes(started: LogEntry) -> str:
    return ", ".join(texts(started.body.get("purposes")))


# ---------------------------------------------------------------- 20


def selftest(places: Places, filters: Filters) -> Report:
    """Does the control work today: when did each line last prove it? Errors as `verify`."""
    seen = Gathered(filters, Kind.SELFTEST_DONE, Kind.CALL_OFFERED, Kind.TESTCALL_MATCHED)
    verification = verify(places, also=(seen.see,))
    done = {text(entry.body.get("line")): entry for entry in seen.of(Kind.SELFTEST_DONE)}
    lines = sorted({seen.line(entry) for entry in seen.of(Kind.CALL_OFFERED)} - {""} | done.keys())
    rows = [_tested(line, done.get(line)) for line in lines]
    asked = Asked(
        name="selftest",
        question="does the control work today?",
        filters=filters,
        verification=verification,
        answered=bool(done),
        columns=("line", "last self-test", "outcome"),
    )
    wrong = [f"line {line}: {when}: {outcome}" for line, when, outcome in rows if outcome != "held"]
    return asked.report(f"{count(len(lines), 'line')} by {today()}", rows=rows, exceptions=wrong)


def _tested(line: str, entry: LogEntry | None) -> tuple[str, str, str]:
    if entry is None:
        return (line, "never", "no self-test")
    outcome = entry.body.get("outcome", entry.body.get("passed"))
    return (line, entry.utc, "held" if outcome in (True, "held", "passed", "ok") else f"{outcome}")
