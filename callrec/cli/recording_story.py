"""One recording told: what was proven and how far that reaches, and whether ledger, evidence and manifest agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from callrec.audit.casefile import CaseEvidence, CaseFile, gather
from callrec.audit.verify import LIMITS, Places
from callrec.audit.wording import proven, tap_remark
from callrec.cli import recording_files as files
from callrec.config import Config
from callrec.core.fields import leaves, text, texts
from callrec.core.kinds import Kind
from callrec.core.tags import Tags
from callrec.ledger.entry import LogEntry
from callrec.places import evidence_dir
from callrec.ports import Json
from callrec.store.configured import folder_of
from callrec.store.index import IndexRow

CONTRADICTED: Final = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """Everything `recordings show` says. `wrong` are sentences on what does not agree."""

    row: IndexRow
    manifest: Mapping[str, Json]
    case: CaseFile
    proofs: tuple[LogEntry, ...]
    sealed: LogEntry | None
    kept: LogEntry | None
    wrong: tuple[str, ...]

    @property
    def tags(self) -> Tags:
        """What may be done with it now."""
        return files.tags_of(self.manifest, list(self.case.entries), self.row)

    @property
    def exit_code(self) -> int:
        """0, or 30 where something contradicts itself."""
        return CONTRADICTED if self.wrong else 0

    @property
    def evidence(self) -> tuple[CaseEvidence, ...]:
        """The evidence behind this recording's own proofs."""
        seqs = {proof.seq for proof in self.proofs}
        return tuple(item for item in self.case.evidence if item.seq in seqs)

    def notice(self) -> list[str]:
        """What was proven of each outside party, in the words that proof allows."""
        if not self.proofs:
            return ["notice played: NOT PROVEN: the ledger holds no notice.proven for it"]
        lines = []
        for proof in self.proofs:
            ends_at = text(proof.body.get("leg_ends_at")) or "unknown"
            lines.append(f"notice played: {proven(proof.body, self.case.next_hop(proof.seq))}")
            lines.append(f"proof ends at: {ends_at}, as configured")
            lines.append(f"tap:           {tap_remark(proof.body.get('tap'))}")
        return lines

    def to_value(self) -> dict[str, Any]:
        """As plain values, besides the row."""
        whole = self.case.to_value()
        seqs = {proof.seq for proof in self.proofs}
        return {
            "notice_played": [proven(proof.body, self.case.next_hop(proof.seq)) for proof in self.proofs],
            "tap": [tap_remark(proof.body.get("tap")) for proof in self.proofs],
            "manifest": dict(self.manifest),
            "usable_for": sorted(purpose.value for purpose in self.tags.usable),
            "evidence": [item for item in whole["evidence"] if item["seq"] in seqs],
            "entries": whole["entries"],
            "objects": whole["objects"],
            "contradictions": list(self.wrong),
            "limits": LIMITS,
            "exit_code": self.exit_code,
        }

    def lines(self) -> list[str]:
        """For people."""
        return [
            f"recording:     {self.row.recording_id}",
            f"line:          {self.row.line}",
            f"state:         {self._state()}",
            *self._times(),
            f"purposes:      {', '.join(self.manifest['purposes'])}",
            *([f"since then:    {self.tags.in_words()}"] if self.tags.in_words() else []),
            *self.notice(),
            *self._evidence(),
            f"gaps:          {self._gaps()}",
            f"retention:     {self._retention()}",
            *self._uses(),
            f"ciphertext:    sha256 {self.manifest['cipher_sha256']}",
            f"FLAC:          sha256 {self.manifest['flac_sha256']}",
            "",
            "entries of the call:",
            *self.case.time_line(),
            "",
            *(f"CONTRADICTION: {sentence}" for sentence in self.wrong),
            LIMITS,
        ]

    # ------------------------------------------------------------ parts

    def _state(self) -> str:
        if self.kept is None:
            return f"{self.row.state.value}"
        return f"{self.row.state.value} in {self.kept.body.get('store_id')} (lock: {self.kept.body.get('lock')})"

    def _times(self) -> Iterator[str]:
        said = self.manifest
        cut = ", cut short by a failure" if self.row.truncated else ""
        yield f"audio:         {self.row.started_utc} to {said.get('ended_utc')}, {self.row.seconds:.1f} s{cut}"
        yield f"stopped:       {said['stop_reason'] or 'at the end of the call'}, by {said['stopped_by']}"

    def _evidence(self) -> Iterator[str]:
        for item in self.evidence:
            if item.judged is not None:
                prompt = item.judged.evidence.prompt
                yield f"prompt:        {prompt.prompt_id} version {prompt.version}, {prompt.language}"
            outcome = "; ".join(item.wrong) or "the one in the ledger; judged again, the same verdict"
            yield f"evidence:      {item.path.name}: {outcome}"
        if not self.evidence:
            yield "evidence:      none"

    def _gaps(self) -> str:
        rate = self.manifest["rate"]
        gaps = self.manifest["gaps"]
        said = [f"{g['from_sample'] / rate:.1f} s to {g['to_sample'] / rate:.1f} s ({g['why']})" for g in gaps]
        return ", ".join(said) or "none"

    def _retention(self) -> str:
        rule = self.manifest["retention"]
        due = rule.get("due") or "no end set"
        said = f"rule {rule.get('rule')} version {rule.get('version')}, from {rule.get('trigger')}, due {due}"
        return said if self.row.due in ("", due) else f"{said}; {self.row.due} by facts that arrived later"

    def _uses(self) -> Iterator[str]:
        """Until when it may be used for what; nothing where the manifest dates the file alone."""
        for purpose, tag in sorted((self.manifest["retention"].get("tags") or {}).items()):
            yield f"right of use:  {purpose} until {tag.get('due') or 'no end'}"


def tell(config: Config, row: IndexRow) -> Story:
    """Gather one recording. Errors as `manifest_of` and `gather`; what merely disagrees is told in the story."""
    places = Places(
        ledger=config.ledger.database,
        evidence=evidence_dir(config),
        store=folder_of(config),
        spool=config.spool.path,
    )
    case = gather(places, row.call_uid)
    story = Story(
        row=row,
        manifest=files.manifest_of(config, row),
        case=case,
        proofs=_proofs(case, row),
        sealed=_of(case, Kind.RECORDING_SEALED, row),
        kept=_of(case, Kind.RECORDING_KEPT, row),
        wrong=(),
    )
    return replace(story, wrong=tuple(_disagreements(story)))


def _of(case: CaseFile, kind: Kind, row: IndexRow) -> LogEntry | None:
    found = [entry for entry in case.entries if (entry.kind, entry.segment) == (kind.value, row.segment)]
    return found[-1] if found else None


def _proofs(case: CaseFile, row: IndexRow) -> tuple[LogEntry, ...]:
    """Those of its segment that its own start names."""
    started = _of(case, Kind.RECORDING_STARTED, row)
    named = () if started is None else leaves(started.body.get("proven_leaves"))
    proofs = (entry for entry in case.entries if entry.kind == Kind.NOTICE_PROVEN.value)
    return tuple(proof for proof in proofs if proof.leaf in named and proof.segment == row.segment)


def _consents(story: Story) -> list[LogEntry]:
    """What its caller agreed to, as its own start names it, where the very record lies in the recording."""
    started = _of(story.case, Kind.RECORDING_STARTED, story.row)
    named = () if started is None else leaves(started.body.get("consent_leaves") or [])
    held = story.manifest.get("details", {}).get("consent")
    own = (each for each in story.case.entries if each.kind == Kind.CONSENT_GIVEN.value and each.leaf in named)
    return [each for each in own if {**each.body, "leaf": each.leaf} == held]


def _disagreements(story: Story) -> Iterator[str]:
    if not story.proofs:
        yield "it was recorded without a proven notice"
    if story.sealed is None:
        yield "the ledger holds no recording.sealed for it"
    elif not files.is_sealed_one(story.manifest, story.sealed):
        yield "its manifest is not the one in the ledger"
    for proof in story.proofs:
        yield from _unlike(story, proof)
    for item in story.evidence:
        yield from (f"the evidence {item.path.name} {sentence}" for sentence in item.wrong)


def _unlike(story: Story, proof: LogEntry) -> Iterator[str]:
    agreed = {name for entry in _consents(story) for name in texts(entry.body.get("purposes"))}
    if beyond := set(texts(story.manifest["purposes"])) - set(texts(proof.body.get("purposes"))) - agreed:
        yield f"its notice did not name {', '.join(sorted(beyond))}, nor did its caller agree to that"
    if all(item.seq != proof.seq for item in story.evidence):
        yield f"the proof in entry {proof.seq} names no evidence"
