"""The ledger replayed for its recordings: where each is, what holds it, which lists name it. Give it every entry.

Nothing here verifies the log: whoever destroys verifies it first, and shows every entry to a Register on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from callrec.core.fields import person_in, text
from callrec.core.holds import Hold, Person, Scope
from callrec.core.kinds import Kind
from callrec.core.tags import Tags, recorded_for, replayed
from callrec.core.values import Purpose
from callrec.ledger.entry import LogEntry

RETENTION: Final = "retention"
"""What `change` of a `tag.changed` says where facts arrived that move dates."""
CALLER: Final = Person("caller")
"""Who agrees to the destruction of what they withdrew, where nothing else is left that it is kept for."""
HANDOVER: Final = "handover"
"""What `form` of an `export.made` says where everything was handed over."""
DONE: Final = "done"
ASKED: Final = "asked"
"""Steps of a `hold.released`: the first person asks, another ends the hold."""


@dataclass(slots=True)
class Standing:
    """One recording that was sealed. Hashes are those of its `recording.sealed`; `done_leaf` that of its
    `disposal.done`, empty while it is kept.
    """

    recording_id: str
    call_uid: str
    segment: int
    line: str
    started_utc: str
    cipher_sha256: str
    manifest_sha256: str
    kept: bool = False
    kept_seq: int = -1
    damaged: str = ""
    done_leaf: str = ""
    certificate_sha256: str = ""
    tags: Tags = field(default_factory=lambda: replayed((), ()))
    imported: bool = False
    """True for what another recorder made: on the shelf beside the store."""

    @property
    def disposed(self) -> bool:
        """True once the ledger says that it was destroyed."""
        return bool(self.done_leaf)


@dataclass(slots=True)
class DisposalList:
    """One list of recordings, known by the hash of its file."""

    list_sha256: str
    proposed_leaf: str
    proposer: Person
    recordings: tuple[str, ...]
    handover_sha256: str = ""
    """Where they go because they were handed over: the sums of that hand-over, as its `export.made` names them."""
    approved_leaf: str = ""
    approver: Person = field(default_factory=lambda: Person(""))
    approved_utc: str = ""


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest entry, for comparing clocks."""

    utc: str
    boot_id: str
    boottime_ns: int


class Register:
    """See the head of this file. Entries must come in order."""

    def __init__(self) -> None:
        self.size = 0
        self.standings: dict[str, Standing] = {}
        self.holds: dict[str, Hold] = {}
        self.lists: dict[str, DisposalList] = {}
        self.batches: list[str] = []
        self.handovers: dict[str, int] = {}
        """Hand-overs by the hash of their sums, and where their `export.made` stands."""
        self.scanned_to = ""
        self.newest: Newest | None = None
        self.wrong: list[tuple[str, int]] = []
        self._lines: dict[str, str] = {}
        self._started: dict[str, tuple[str, str, Tags]] = {}
        self._steps: Mapping[str, Callable[[LogEntry], None]] = {
            Kind.CALL_OFFERED.value: self._offered,
            Kind.CALL_CLOSED.value: self._closed,
            Kind.RECORDING_STARTED.value: self._begun,
            Kind.RECORDING_SEALED.value: self._sealed,
            Kind.RECORDING_KEPT.value: self._kept,
            Kind.RECORDING_DAMAGED.value: self._damaged,
            Kind.RECORDING_IMPORTED.value: self._imported,
            Kind.TAG_CHANGED.value: self._changed,
            Kind.WITHDRAWN.value: self._withdrawn,
            Kind.HOLD_PLACED.value: self._placed,
            Kind.HOLD_RELEASED.value: self._released,
            Kind.DISPOSAL_PROPOSED.value: self._proposed,
            Kind.DISPOSAL_APPROVED.value: self._approved,
            Kind.DISPOSAL_DONE.value: self._done,
            Kind.FIXITY_OK.value: self._scanned,
            Kind.EXPORT_MADE.value: self._exported,
        }

    def see(self, entry: LogEntry) -> None:
        """Take the next entry."""
        self.size = entry.seq + 1
        if not entry.late:
            self.newest = Newest(entry.utc, entry.boot_id, entry.boottime_ns)
        step = self._steps.get(entry.kind)
        if step is not None:
            step(entry)

    def holds_on(self, recording: Standing) -> tuple[Hold, ...]:
        """Every hold that forbids its disposal now."""
        covers = {"line": recording.line, "started_utc": recording.started_utc}
        return tuple(hold for hold in self.holds.values() if hold.scope.covers(recording.recording_id, **covers))

    def kept(self) -> list[Standing]:
        """What is kept and was not disposed of, in order of its id."""
        alive = (each for each in self.standings.values() if each.kept and not each.disposed)
        return sorted(alive, key=lambda each: each.recording_id)

    def being_disposed(self) -> frozenset[str]:
        """Recordings on a list that two persons agreed to and that is not finished."""
        agreed = (each for each in self.lists.values() if each.approved_leaf)
        return frozenset(name for each in agreed for name in each.recordings if not self._is_done(name))

    def _is_done(self, name: str) -> bool:
        return name in self.standings and self.standings[name].disposed

    # ------------------------------------------------------------ recordings

    def _offered(self, entry: LogEntry) -> None:
        self._lines[entry.call_uid] = text(entry.body.get("line"))

    def _closed(self, entry: LogEntry) -> None:
        self._lines.pop(entry.call_uid, None)

    def _begun(self, entry: LogEntry) -> None:
        purposes = recorded_for(entry.body.get("purposes"))
        self._started[_name(entry)] = (self._lines.get(entry.call_uid, ""), entry.utc, replayed(purposes, ()))

    def _sealed(self, entry: LogEntry) -> None:
        name = _name(entry)
        line, started_utc, tags = self._started.pop(name, ("", "", replayed((), ())))
        self.standings[name] = Standing(
            recording_id=name,
            call_uid=entry.call_uid,
            segment=entry.segment,
            line=line,
            started_utc=started_utc,
            cipher_sha256=text(entry.body.get("cipher_sha256")),
            manifest_sha256=text(entry.body.get("manifest_sha256")),
            tags=tags,
        )

    def _kept(self, entry: LogEntry) -> None:
        if (standing := self.standings.get(_name(entry))) is not None:
            standing.kept, standing.kept_seq = True, entry.seq

    def _imported(self, entry: LogEntry) -> None:
        """Kept as the record of care that it may be, whatever it may be used for: its rule and holds reach it."""
        body, name = entry.body, _name(entry)
        if name in self.standings:
            self.wrong.append((f"{name} was imported and is known already", entry.seq))
            return
        self.standings[name] = Standing(
            recording_id=name,
            call_uid=entry.call_uid,
            segment=entry.segment,
            line=text(body.get("line")),
            started_utc=text(body.get("started_utc")),
            cipher_sha256=text(body.get("cipher_sha256")),
            manifest_sha256=text(body.get("manifest_sha256")),
            kept=True,
            kept_seq=entry.seq,
            tags=replayed({Purpose.MEDICO_LEGAL}, ()),
            imported=True,
        )

    def _damaged(self, entry: LogEntry) -> None:
        if (standing := self.standings.get(text(entry.body.get("recording_id")))) is not None:
            standing.damaged = text(entry.body.get("what"))

    def _changed(self, entry: LogEntry) -> None:
        if entry.body.get("change") == RETENTION:
            self.batches.append(text(entry.body.get("batch_sha256")))
        self._retagged(entry)

    def _retagged(self, entry: LogEntry) -> None:
        name = _name(entry)
        if (standing := self.standings.get(name)) is not None:
            standing.tags = standing.tags.after(entry.kind, entry.body)
        elif name in self._started:
            line, utc, tags = self._started[name]
            self._started[name] = (line, utc, tags.after(entry.kind, entry.body))

    def _withdrawn(self, entry: LogEntry) -> None:
        """The caller's word. Where nothing is left that it is kept for, it agrees to the list that it names (R16)."""
        self._retagged(entry)
        sha256, standing = text(entry.body.get("list_sha256")), self.standings.get(_name(entry))
        if not sha256:
            return
        if standing is None or standing.tags.live:
            self.wrong.append(("a withdrawal agrees to destroy what is still kept for something", entry.seq))
            return
        self.lists[sha256] = DisposalList(
            list_sha256=sha256,
            proposed_leaf=entry.leaf,
            proposer=CALLER,
            recordings=(standing.recording_id,),
            approved_leaf=entry.leaf,
            approver=CALLER,
            approved_utc=entry.utc,
        )

    def _exported(self, entry: LogEntry) -> None:
        if entry.body.get("form") == HANDOVER:
            self.handovers[text(entry.body.get("sha256"))] = entry.seq

    def _scanned(self, entry: LogEntry) -> None:
        self.scanned_to = text(entry.body.get("last"))

    # ------------------------------------------------------------ holds

    def _placed(self, entry: LogEntry) -> None:
        body, scope = entry.body, entry.body.get("scope")
        said = scope if isinstance(scope, dict) else {}
        hold_id = text(body.get("hold_id"))
        self.holds[hold_id] = Hold(
            hold_id=hold_id,
            kind=text(body.get("hold_kind")),
            scope=Scope(**{name: text(said.get(name)) for name in ("recording_id", "line", "since", "until")}),
            reason=text(body.get("reason")),
            review_by=text(body.get("review_by")),
            placed_by=text(body.get("person")),
        )

    def _released(self, entry: LogEntry) -> None:
        hold = self.holds.get(text(entry.body.get("hold_id")))
        if hold is None:
            self.wrong.append(("a hold was released that does not stand", entry.seq))
        elif entry.body.get("step") == ASKED:
            self.holds[hold.hold_id] = hold.asked_by(person_in(entry.body), entry.leaf)
        elif hold.asked is None or not person_in(entry.body).other_than(hold.asked):
            self.wrong.append((f"the hold {hold.hold_id} was released by one person alone, so it stands", entry.seq))
        else:
            del self.holds[hold.hold_id]

    # ------------------------------------------------------------ disposal

    def _proposed(self, entry: LogEntry) -> None:
        named = entry.body.get("recordings")
        sha256 = text(entry.body.get("list_sha256"))
        self.lists[sha256] = DisposalList(
            list_sha256=sha256,
            proposed_leaf=entry.leaf,
            proposer=person_in(entry.body),
            recordings=tuple(map(str, named)) if isinstance(named, list) else (),
            handover_sha256=text(entry.body.get("handover_sha256")),
        )

    def _approved(self, entry: LogEntry) -> None:
        proposed = self.lists.get(text(entry.body.get("list_sha256")))
        if proposed is None or entry.body.get("proposed_leaf") != proposed.proposed_leaf:
            self.wrong.append(("a disposal was approved that nobody proposed", entry.seq))
        elif not person_in(entry.body).other_than(proposed.proposer):
            self.wrong.append(("a disposal was proposed and approved by one person", entry.seq))
        elif not proposed.approved_leaf:
            proposed.approved_leaf, proposed.approver = entry.leaf, person_in(entry.body)
            proposed.approved_utc = entry.utc

    def _done(self, entry: LogEntry) -> None:
        body = entry.body
        name, agreed = text(body.get("recording_id")), self.lists.get(text(body.get("list_sha256")))
        standing = self.standings.get(name)
        if agreed is None or not agreed.approved_leaf or name not in agreed.recordings:
            self.wrong.append((f"{name} was disposed of without a list that two persons agreed to", entry.seq))
        elif body.get("approved_leaf") != agreed.approved_leaf:
            self.wrong.append((f"the disposal of {name} names another approval", entry.seq))
        if standing is None or not standing.kept:
            self.wrong.append((f"{name} was disposed of and had not been kept", entry.seq))
        else:
            if self.holds_on(standing) and not body.get("held_too_late"):
                self.wrong.append((f"{name} was disposed of while a hold forbade it", entry.seq))
            standing.done_leaf, standing.certificate_sha256 = entry.leaf, text(body.get("certificate_sha256"))


def _name(entry: LogEntry) -> str:
    return f"{entry.call_uid}-{entry.segment}"
