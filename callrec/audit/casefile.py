"""Everything there is of one call: its entries in order, the evidence judged again, and where its recordings lie."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from callrec.audit import windows
from callrec.audit.objects import differences, evidence_file, judged_again, read_judged
from callrec.audit.verify import LIMITS, Places
from callrec.audit.windows import Prompts
from callrec.audit.wording import lines_of, not_proven, proven
from callrec.core.evidence_json import JudgedEvidence, judged_to_json
from callrec.core.fields import text, texts
from callrec.core.kinds import Kind
from callrec.core.values import Tap
from callrec.errors import Broken, Unavailable
from callrec.ledger.entry import LogEntry
from callrec.ledger.reading import open_log
from callrec.ports import AUDIO_FILE


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseEvidence:
    """The evidence of one attempt. `judged` is None where the file cannot be read; `wrong` says what does not fit."""

    seq: int
    path: Path
    judged: JudgedEvidence | None
    wrong: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseObject:
    """One ciphertext that was found, and where. `folder` holds it, where it lies in files."""

    recording_id: str
    place: str
    folder: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFile:
    """One call. `objects` are the ciphertexts found, in store or spool."""

    call_uid: str
    log: str
    size: int
    entries: tuple[LogEntry, ...]
    evidence: tuple[CaseEvidence, ...]
    objects: tuple[CaseObject, ...]

    @property
    def exit_code(self) -> int:
        """0, or 30 where evidence does not fit its entry or its own verdict."""
        return 30 if any(item.wrong for item in self.evidence) else 0

    def to_json(self) -> str:
        """One JSON object, indented."""
        return json.dumps(self.to_value(), indent=2)

    def to_value(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {
            "call_uid": self.call_uid,
            "log": self.log,
            "log_size": self.size,
            "entries": [_entry_json(entry) for entry in self.entries],
            "evidence": [_evidence_json(item) for item in self.evidence],
            "objects": [each.place for each in self.objects],
            "exit_code": self.exit_code,
            "limits": LIMITS,
        }

    def to_text(self) -> str:
        """A time line for people."""
        lines = [f"call {self.call_uid} in {self.log} ({self.size} entries)", "", *self.time_line(), ""]
        for item in self.evidence:
            outcome = "; ".join(item.wrong) or "fits its entry, and judged again gives the same verdict"
            lines.append(f"evidence {item.path.name}: {outcome}")
        lines += [f"object {each.place}" for each in self.objects]
        return lines_of([*lines, LIMITS])

    def time_line(self) -> list[str]:
        """One line for each entry: place, time, seconds since the first, and what it says."""
        first = self.entries[0]
        lines = []
        for entry in self.entries:
            seconds = (entry.boottime_ns - first.boottime_ns) / 1e9
            after = f"{seconds:+9.3f} s" if entry.boot_id == first.boot_id else "other boot "
            said = f"{'late ' * entry.late}{_sentence(entry, self.next_hop(entry.seq))}"
            lines.append(f"{entry.seq:8}  {entry.utc}  {after}  {said}")
        return lines

    def next_hop(self, seq: int) -> str:
        """The next hop that the evidence of this entry names; empty where there is none to read."""
        return next((i.judged.evidence.binding.next_hop for i in self.evidence if i.seq == seq and i.judged), "")


def gather(places: Places, call_uid: str) -> CaseFile:
    """Gather one call. It verifies this call's evidence, not the log: `verify` does that.

    `Unavailable` where the log does not know the call; else errors as `open_log`.
    """
    with open_log(places.ledger) as log:
        entries = tuple(log.of_call(call_uid))
        name, size = log.key().name, log.size()
    if not entries:
        raise Unavailable(f"the ledger knows no call {call_uid}", next_step="list calls with `callrec call list`")
    return CaseFile(
        call_uid=call_uid,
        log=name,
        size=size,
        entries=entries,
        evidence=() if places.evidence is None else tuple(_evidence(places.evidence, entries, Prompts(places.prompts))),
        objects=_objects(places, entries),
    )


def _evidence(folder: Path, entries: tuple[LogEntry, ...], prompts: Prompts) -> list[CaseEvidence]:
    found = []
    for entry in entries:
        attempt = entry.body.get("attempt")
        if entry.kind in _JUDGED and entry.body.get("evidence_sha256") and type(attempt) is int:
            found.append(_one_evidence(evidence_file(folder, entry.call_uid, attempt), entry, prompts))
    return found


def _one_evidence(path: Path, entry: LogEntry, prompts: Prompts) -> CaseEvidence:
    try:
        judged = read_judged(path)
    except Broken as error:
        return CaseEvidence(seq=entry.seq, path=path, judged=None, wrong=(str(error),))
    beside = windows.differences(path, judged.evidence, prompts, entry_body=entry.body)
    wrong = (*differences(entry, judged), *beside)
    return CaseEvidence(seq=entry.seq, path=path, judged=judged, wrong=wrong)


def _objects(places: Places, entries: tuple[LogEntry, ...]) -> tuple[CaseObject, ...]:
    names = {f"{entry.call_uid}-{entry.segment}" for entry in entries if entry.kind == Kind.RECORDING_STARTED.value}
    folders = [folder for folder in (places.store, places.spool) if folder is not None]
    paths = sorted(path for folder in folders for path in folder.rglob(AUDIO_FILE) if path.parent.name in names)
    found = [CaseObject(recording_id=each.parent.name, place=str(each), folder=each.parent) for each in paths]
    if (stored := places.objects) is not None:
        there = [name for name in sorted(names) if stored.holds(name)]
        found += [CaseObject(recording_id=name, place=f"{name} in {stored.place}") for name in there]
    return tuple(found)


_JUDGED: Final = (Kind.NOTICE_PROVEN.value, Kind.NOTICE_REFUSED.value)


def _entry_json(entry: LogEntry) -> dict[str, Any]:
    names = ("seq", "leaf", "kind", "segment", "utc", "boot_id", "boottime_ns", "clock", "actor", "late")
    return {name: getattr(entry, name) for name in names} | {"body": entry.body}


def _evidence_json(item: CaseEvidence) -> dict[str, Any]:
    judged = item.judged
    verdict = None if judged is None else judged_again(judged)
    kept = None if judged is None or verdict is None else judged_to_json(judged.evidence, verdict)
    return {"seq": item.seq, "file": str(item.path), "wrong": list(item.wrong), "judged_again": kept}


# ---------------------------------------------------------------- sentences


def _sentence(entry: LogEntry, next_hop: str) -> str:
    say = _SENTENCES.get(entry.kind)
    return entry.kind if say is None else f"{entry.kind}: {say(entry.body, next_hop)}"


def _proven(body: Mapping[str, Any], hop: str) -> str:
    tap = "; evaluation tap" if body.get("tap") == Tap.PLAYER.value else ""
    return f"notice played: {proven(body, hop)[:-1]}{tap})"


def _changed(body: Mapping[str, Any]) -> str:
    what = ", ".join(texts(body.get("purposes"))) or text(body.get("subject"))
    why = f" ({text(body.get('why'))})" if body.get("why") else ""
    return f"{text(body.get('change'))} {what}{why}"


def _agreed(body: Mapping[str, Any]) -> str:
    name = f"{body.get('prompt_id')}.{body.get('language')}.{body.get('version')}"
    heard = f", heard {body.get('offset_ms')} ms into {body.get('heard_in')}" if body.get("heard_in") else ""
    return f"the caller agreed to {', '.join(texts(body.get('purposes')))} ({body.get('consent')}, {name}{heard})"


def _unasked(body: Mapping[str, Any]) -> str:
    """Nobody stopped it: a leg ended, or the next segment began, after a consent."""
    return "next segment" if body.get("stopped_by") == "agent" else "hung up"


_SENTENCES: Final[Mapping[str, Callable[[Mapping[str, Any], str], str]]] = {
    "call.offered": lambda body, _: f"call number {body.get('number')} for line {body.get('line')}",
    "notice.proven": _proven,
    "notice.refused": lambda body, _: f"notice played: {not_proven(body)}",
    "choice.made": lambda body, _: f"{body.get('choice')} (key {body.get('digit')}, {body.get('leg')} leg)",
    "consent.given": lambda body, _: _agreed(body),
    "tag.changed": lambda body, _: _changed(body),
    "withdrawn": lambda body, _: f"by {body.get('by')} ({body.get('why')}): quarantined",
    "recording.paused": lambda body, _: f"{body.get('why')}",
    "recording.stopped": lambda body, _: f"{body.get('reason') or _unasked(body)} by {body.get('stopped_by')}",
    "recording.started": lambda body, _: f"for {', '.join(texts(body.get('purposes'))) or 'no purpose'}",
    "recording.sealed": lambda body, _: f"{body.get('samples')} samples, cipher {body.get('cipher_sha256')}",
    "recording.discarded": lambda body, _: f"destroyed ({body.get('reason')})",
    "recording.lost": lambda body, _: f"lost ({body.get('reason')})",
    "recording.kept": lambda body, _: f"in the store {body.get('store_id')}",
    "access.granted": lambda body, _: f"{body.get('action')} by {body.get('person')} for {body.get('purpose')}",
    "access.denied": lambda body, _: (
        f"{body.get('action')} by {body.get('person')} for {body.get('purpose')}: {body.get('why')}"
    ),
    "export.made": lambda body, _: f"{body.get('form')}, sha256 {body.get('sha256')}",
    "recording.damaged": lambda body, _: f"{body.get('what')}",
    "hold.placed": lambda body, _: f"{body.get('hold_id')} ({body.get('hold_kind')}) by {body.get('person')}",
    "hold.released": lambda body, _: f"{body.get('hold_id')}, {body.get('step')} by {body.get('person')}",
    "disposal.done": lambda body, _: f"destroyed; certificate {body.get('certificate_sha256')}",
    "call.closed": lambda body, _: f"{body.get('decision')} {body.get('reason') or ''}".rstrip(),
}
