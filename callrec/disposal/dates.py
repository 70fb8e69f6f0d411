"""The dates of one kept recording as they stand now: those of its manifest, or of the facts that arrived since."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from typing import Final

from callrec._canonical import canonical, parse, sha256_hex
from callrec.core.retention import Action, Facts, Rule, Schedule
from callrec.core.retention_record import parse_facts, parse_schedule, schedule_json
from callrec.core.values import Purpose
from callrec.disposal.places import Places
from callrec.disposal.register import Register, Standing
from callrec.errors import Broken
from callrec.ports import Json, RecordingStore

FACTS_FORMAT: Final = "callrec/facts/1"
BATCH_FORMAT: Final = "callrec/classification/1"
_STEP: Final = "keep everything as it is, run `callrec audit verify`, call a person"

Defaults = Callable[[str, date], Facts]
"""The facts of a call on this line and day as the configuration has them, for manifests that hold none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """One recording with its dates."""

    standing: Standing
    facts: Facts
    schedule: Schedule

    def due_on(self) -> date | None:
        """The day on which its file falls due, None where there is no end."""
        return self.schedule.file.on

    def not_yet(self, day: date) -> str:
        """Why it is not due on this day, as a sentence; empty where it is. What is kept for nothing is due at once."""
        if not self.standing.tags.live:
            return ""
        due = self.due_on()
        if due is None:
            return "its rule sets no end"
        return f"it is due on {due}" if due > day else ""

    def needs_review(self) -> bool:
        """True where its rule asks for a review and not for its destruction."""
        return self.schedule.file.action is Action.REVIEW and bool(self.standing.tags.live)

    def open_tasks(self) -> tuple[str, ...]:
        """What must be found out before it may be destroyed at all: classified facts close them."""
        return self.schedule.file.tasks if self.needs_review() else ()


class Dates:
    """Reads manifests and facts. For one event loop."""

    def __init__(
        self, register: Register, store: RecordingStore, places: Places, rules: Iterable[Rule], defaults: Defaults
    ) -> None:
        self._register = register
        self._store = store
        self._places = places
        self.rules = tuple(rules)
        self._defaults = defaults
        self._facts = classified(register, places)

    def facts_sha256(self, recording_id: str) -> str:
        """The hash of its newest facts, empty where none arrived."""
        return next(reversed(self._facts.get(recording_id, ())), "")

    def every_facts(self, recording_id: str) -> tuple[str, ...]:
        """The hashes of all facts that ever arrived of it."""
        return tuple(self._facts.get(recording_id, ()))

    async def known(self, standing: Standing) -> Known:
        """Its dates. `Broken` where manifest or facts are not those of the ledger, `Unavailable` without them."""
        manifest = await self._store.manifest(standing.recording_id)
        if sha256_hex(canonical(dict(manifest))) != standing.manifest_sha256:
            raise Broken(f"{standing.recording_id}: its manifest is not the one in the ledger", next_step=_STEP)
        tags = frozenset(Purpose(name) for name in manifest["purposes"])
        written = manifest["retention"]
        if sha256 := self.facts_sha256(standing.recording_id):
            written = self._learned(standing.recording_id, sha256)
        try:
            schedule = parse_schedule(written, tags, self.rules)
            facts = self._facts_of(written, manifest)
        except ValueError as error:
            raise Broken(f"{standing.recording_id}: its retention cannot be read: {error}", next_step=_STEP) from error
        return Known(standing=standing, facts=facts, schedule=schedule)

    def _facts_of(self, written: Json, manifest: Json) -> Facts:
        if "facts" in written:
            return parse_facts(written["facts"])
        return self._defaults(manifest["line"], date.fromisoformat(manifest["started_utc"][:10]))

    def _learned(self, recording_id: str, sha256: str) -> Json:
        found = parse(self._places.read("facts", sha256))
        if not isinstance(found, dict) or found.get("recording_id") != recording_id:
            raise Broken(f"the facts of {recording_id} are another's", next_step=_STEP)
        return found["retention"]


def classified(register: Register, places: Places) -> dict[str, list[str]]:
    """The hashes of the facts of each recording that was ever classified, oldest first."""
    found: dict[str, list[str]] = {}
    for name in register.batches:
        for recording_id, facts in batch_of(places, name).items():
            found.setdefault(recording_id, []).append(facts)
    return found


def batch_of(places: Places, sha256: str) -> dict[str, str]:
    """What one classification names: recording and the hash of its facts."""
    found = parse(places.read("batches", sha256))
    if not isinstance(found, dict) or found.get("format") != BATCH_FORMAT:
        raise Broken(f"batches/{sha256}.json is no classification", next_step=_STEP)
    return dict(found["facts"])


def facts_paper(recording_id: str, facts: Facts, schedule: Schedule, salt: str) -> bytes:
    """The file of what was learned of one recording. The salt keeps its hash from telling a birthday."""
    fields = {"format": FACTS_FORMAT, "recording_id": recording_id, "salt": salt}
    return canonical(fields | {"retention": schedule_json(facts, schedule)})


def batch_paper(facts: dict[str, str]) -> bytes:
    """The file of one classification."""
    return canonical({"format": BATCH_FORMAT, "facts": facts})
