"""Verify a ledger, and the files beside it, by numbered checks. Reads only; needs neither agent nor server nor engine.

What it cannot see: entries after the newest checkpoint that somebody else holds; calls that never came through this
system; whether a person heard the notice. It says so (`LIMITS`).
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from callrec._sql import Database
from callrec.audit.calls import CallRules
from callrec.audit.chain import ChainCheck
from callrec.audit.findings import CHECKS, Finding, Findings
from callrec.audit.objects import EvidenceRules, ObjectRules
from callrec.audit.stored import StoredObjects
from callrec.core.fields import text
from callrec.core.kinds import Kind
from callrec.ledger.anchor import DirectoryAnchor
from callrec.ledger.checkpoint import LogKey, parse_vkey
from callrec.ledger.entry import LogEntry
from callrec.ledger.reading import open_log
from callrec.store.admission import NothingAdmitted
from callrec.store.filesystem import FilesystemStore

LIMITS: Final = (
    "Not shown: that a person heard or understood the notice; what happened beyond the next hop; entries after the "
    "newest checkpoint held outside; calls or recorders outside this system."
)


_STARTED: Final = Kind.AGENT_STARTED.value
_ORIGINS: Final = frozenset({_STARTED, Kind.CONFIG_CHANGED.value})


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where the evidence lies. What is None is not looked at, and the verification says so.

    `anchors` are folders of checkpoints that somebody else holds; `vkey` the line on the auditor's half page. Without
    `prompts` the tapped wire is not compared with the notice again, but all else of it is looked at.
    """

    ledger: Database
    vkey: str | None = None
    anchors: tuple[Path, ...] = ()
    evidence: Path | None = None
    prompts: Path | None = None
    store: Path | None = None
    spool: Path | None = None
    imported: Path | None = None
    """The shelf of what other recorders made."""
    disposal: Path | None = None
    keys: Path | None = None
    """The store's wrapped keys, where they do not lie beside it."""
    objects: StoredObjects | None = None
    """A store that has no folder, in place of `store`."""
    reads_objects: bool = False
    """Whether checks 11 and 12 read all of `objects` anew: as long as all of it takes to come here."""

    def stored(self) -> StoredObjects | None:
        """The store, for who asks it for one thing and another; None where none was named."""
        if self.objects is not None or self.store is None:
            return self.objects
        folder = self.store
        return StoredObjects(lambda: FilesystemStore(folder, admission=NothingAdmitted(), keys=self.keys), str(folder))

    def shelf(self) -> StoredObjects | None:
        """The shelf of what was imported; None where there is none."""
        folder = self.imported
        if folder is None or not folder.is_dir():
            return None
        return StoredObjects(lambda: FilesystemStore(folder, admission=NothingAdmitted()), str(folder))

    @property
    def read_objects(self) -> StoredObjects | None:
        """A store without a folder, where its checks are to be made."""
        return self.objects if self.reads_objects else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was found. `skipped` are checks for which nothing was given to look at."""

    log: str
    size: int
    root: str
    key_was_given: bool
    anchored_size: int | None
    anchored_utc: str
    clock: str
    software: str
    config_sha256: str
    pbx_events: str
    signatures: int
    findings: tuple[Finding, ...]
    counts: dict[int, int]
    open: tuple[str, ...]
    skipped: tuple[int, ...]

    @property
    def sound(self) -> bool:
        """True where nothing was found."""
        return not self.counts

    @property
    def exit_code(self) -> int:
        """0 clean, 30 where evidence contradicts itself."""
        return 0 if self.sound else 30

    def summary(self) -> str:
        """One sentence for a report's header."""
        checked = len(CHECKS) - len(self.skipped)
        if self.sound:
            unseen = f", not looked at: {', '.join(map(str, self.skipped))}" if self.skipped else ""
            return f"{checked} of {len(CHECKS)} checks hold over {self.size} entries{unseen}"
        failed = ", ".join(str(number) for number in sorted(self.counts))
        return f"NOT SOUND: check {failed} found {sum(self.counts.values())} contradictions in {self.size} entries"


def verify(places: Places, *, also: Sequence[Callable[[LogEntry], None]] = ()) -> Verification:
    """Run every check for which there is something to look at; never stops at the first finding.

    Each of `also` is shown every entry on the way, so that a report needs no second reading. ConfigError where there is
    no ledger, `Unavailable` where it cannot be read, `Broken` where it is no ledger at all or the given key is none.
    """
    findings = Findings()
    beside = _Beside(places, findings)  # before the log: whatever lies there by now has its entries in it
    with open_log(places.ledger) as log:
        key = log.key() if places.vkey is None else parse_vkey(places.vkey)
        if log.key() != key:
            findings.add(2, f"the log names another key than the one given: {log.key().name} instead of {key.name}")
        chain = ChainCheck(log, key, _anchor_notes(places.anchors), findings)
        origin = _Origin()
        calls = CallRules(findings)
        with _uncollected():
            _read_all(chain, (calls.see, origin.see, *beside.watchers(), *also))
        calls.finish()
        beside.finish()
        return _result(places, key, chain, origin, findings)


def _read_all(chain: ChainCheck, watchers: Sequence[Callable[[LogEntry], None]]) -> None:
    for entry in chain.entries():
        for see in watchers:
            see(entry)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Millions of short-lived values without cycles: looking for cycles among them takes a third of the time."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _anchor_notes(folders: Sequence[Path]) -> list[bytes]:
    return [note for folder in folders for note in DirectoryAnchor(folder).notes()]


def _result(places: Places, key: LogKey, chain: ChainCheck, origin: _Origin, findings: Findings) -> Verification:
    needed = {
        4: chain.held_outside > 0,
        9: places.evidence is not None,
        11: places.store is not None or places.read_objects is not None,
    }
    needed[12] = needed[11] or places.spool is not None
    return Verification(
        log=key.name,
        size=chain.size,
        root=chain.root().hex(),
        key_was_given=places.vkey is not None,
        anchored_size=None if chain.anchored is None else chain.anchored.size,
        anchored_utc=chain.anchored_utc,
        clock=origin.clock_text(),
        software=origin.software,
        config_sha256=origin.config_sha256,
        pbx_events=origin.pbx_events(),
        signatures=chain.signatures,
        findings=tuple(findings.found),
        counts=dict(findings.counts),
        open=tuple(findings.open),
        skipped=tuple(number for number, given in sorted(needed.items()) if not given),
    )


class _Beside:
    """The files beside the log, as far as they were named."""

    def __init__(self, places: Places, findings: Findings) -> None:
        self._places = places
        self._evidence = None if places.evidence is None else EvidenceRules(places.evidence, findings, places.prompts)
        wanted = any(place is not None for place in (places.store, places.spool, places.imported, places.read_objects))
        self._objects = _objects(places, findings) if wanted else None

    def watchers(self) -> list[Callable[[LogEntry], None]]:
        return [rules.see for rules in (self._evidence, self._objects) if rules is not None]

    def finish(self) -> None:
        if self._evidence is not None:
            self._evidence.finish()
        if self._objects is not None:
            self._objects.finish()


def _objects(places: Places, findings: Findings) -> ObjectRules:
    certificates = None if places.disposal is None else places.disposal / "certificates"
    return ObjectRules(
        findings,
        store=places.store,
        spool=places.spool,
        certificates=certificates,
        objects=places.read_objects,
        imported=places.shelf(),
    )


class _Origin:
    """By which clock, software and configuration the entries were written."""

    def __init__(self) -> None:
        self._total = 0
        self._doubtful = 0
        self.software = ""
        self.config_sha256 = ""
        self._tellers: dict[str, int] = {}

    def see(self, entry: LogEntry) -> None:
        self._total += 1
        if entry.clock != "synchronised":
            self._doubtful += 1
        if entry.kind in _ORIGINS:
            self.software = text(entry.body.get("software")) or self.software
            self.config_sha256 = text(entry.body.get("config_sha256"))
        if entry.kind == _STARTED:
            told = text(entry.body.get("pbx_events")) or "not stated"
            self._tellers[told] = self._tellers.get(told, 0) + 1

    def pbx_events(self) -> str:
        """Who told what happened behind the PBX, over all runs of the agent."""
        return " and ".join(sorted(self._tellers)) or "not stated"

    def clock_text(self) -> str:
        if not self._doubtful:
            return "synchronised throughout"
        return f"not known to be synchronised in {self._doubtful} of {self._total} entries"
