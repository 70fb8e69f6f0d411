"""One call as its caller is told of it: recorded or not and why, the notice, and what became of each recording."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from callrec.audit.wording import proven
from callrec.cli import recording_files as files
from callrec.config import Config
from callrec.core.fields import text, texts
from callrec.core.kinds import Kind
from callrec.errors import Broken, ConfigError, Unavailable
from callrec.ledger.entry import LogEntry
from callrec.ledger.reading import LogReader

IMPORTED: Final = "IMPORTED"
LEFT: Final = {Kind.EXPORT_MADE.value: "copy", Kind.DISCLOSURE.value: "disclosure"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingTold:
    """One recording of the call. `uses` names each purpose with the day on which that right of use ends."""

    recording_id: str
    state: str
    purposes: tuple[str, ...]
    uses: Mapping[str, str]
    rule: str
    due: str
    copies: tuple[str, ...]
    disclosures: tuple[str, ...]
    remark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallTold:
    """One call that was offered. `reason` and `reason_class` say why it was not recorded."""

    call_uid: str
    utc: str
    line: str
    decision: str
    reason: str
    reason_class: str
    notices: tuple[str, ...]
    recordings: tuple[RecordingTold, ...]
    log: str = ""
    """Which agent's log tells of it, where several were asked."""

    def value(self) -> dict[str, Any]:
        """As plain values."""
        return {name: value for name, value in asdict(self).items() if name != "log" or value}

    def cells(self) -> tuple[str, str, str]:
        """For a table: recorded, why not, recordings."""
        recorded = {"RECORDED": "yes", "NOT_RECORDED": "no", IMPORTED: "by another recorder"}.get(
            self.decision, "not ended yet"
        )
        why = f"{self.reason} ({self.reason_class})" if self.reason else "-"
        said = ", ".join(f"{each.recording_id} ({each.state})" for each in self.recordings)
        return recorded, why, said or "-"


def tell_call(config: Config | None, log: LogReader, seq: int) -> CallTold:
    """The call offered at this place of the ledger. `Broken` where no call was. Without a configuration, of a log that
    another agent writes: how long something is kept is then not told.
    """
    offered = log.entry(seq)
    if offered is not None and offered.kind == Kind.RECORDING_IMPORTED.value:
        return _imported(config, log.of_call(offered.call_uid), offered)
    if offered is None or offered.kind != Kind.CALL_OFFERED.value:
        raise Broken(f"no call was offered at entry {seq}", next_step="run `callrec ledger verify`")
    entries = log.of_call(offered.call_uid)
    closed = _last(entries, Kind.CALL_CLOSED)
    body: Mapping[str, Any] = {} if closed is None else closed.body
    return CallTold(
        call_uid=offered.call_uid,
        utc=offered.utc,
        line=text(offered.body.get("line")),
        decision=text(body.get("decision")),
        reason=text(body.get("reason")),
        reason_class=text(body.get("reason_class")),
        notices=tuple(_notices(entries)),
        recordings=tuple(_recording(config, entries, e) for e in entries if e.kind == Kind.RECORDING_STARTED.value),
    )


def _imported(config: Config | None, entries: list[LogEntry], entry: LogEntry) -> CallTold:
    """A call of which there is only what another recorder made of it."""
    gone = _last(entries, Kind.DISPOSAL_DONE) is not None
    retention, due, remark = ({}, "", "") if gone else _retention(config, text(entry.body.get("recording_id")))
    recording = RecordingTold(
        recording_id=text(entry.body.get("recording_id")),
        state="destroyed, with a certificate" if gone else "kept",
        purposes=(),
        uses={},
        rule=text(retention.get("rule")),
        due=due or text(retention.get("due")),
        copies=tuple(_left(entries, Kind.EXPORT_MADE, entry.segment)),
        disclosures=(),
        remark=remark or f"imported from another recorder: {text(entry.body.get('standing'))}",
    )
    return CallTold(
        call_uid=entry.call_uid,
        utc=text(entry.body.get("started_utc")),
        line=text(entry.body.get("line")),
        decision=IMPORTED,
        reason="",
        reason_class="",
        notices=(),
        recordings=(recording,),
    )


def _last(entries: list[LogEntry], kind: Kind, segment: int | None = None) -> LogEntry | None:
    found = [e for e in entries if e.kind == kind.value and segment in (None, e.segment)]
    return found[-1] if found else None


def _notices(entries: list[LogEntry]) -> list[str]:
    hops = [text(e.body.get("next_hop")) for e in entries if e.kind == Kind.CALL_ANSWERED.value]
    hop = hops[-1] if hops else ""
    told = [proven(e.body, hop) for e in entries if e.kind == Kind.NOTICE_PROVEN.value]
    refused = [", ".join(texts(e.body.get("reasons"))) for e in entries if e.kind == Kind.NOTICE_REFUSED.value]
    return told + [f"not proven ({why})" for why in refused]


_ENDS: Final = (
    (Kind.DISPOSAL_DONE, "destroyed, with a certificate"),
    (Kind.RECORDING_KEPT, "kept"),
    (Kind.RECORDING_SEALED, "waits for the store"),
    (Kind.RECORDING_DISCARDED, "discarded at once"),
    (Kind.RECORDING_LOST, "lost"),
)


def _recording(config: Config | None, entries: list[LogEntry], started: LogEntry) -> RecordingTold:
    segment = started.segment
    name = f"{started.call_uid}-{segment}"
    state = next((word for kind, word in _ENDS if _last(entries, kind, segment)), "runs")
    retention, due, remark = (
        _retention(config, name) if _last(entries, Kind.RECORDING_SEALED, segment) else ({}, "", "")
    )
    uses = {purpose: text(tag.get("due")) or "no end" for purpose, tag in (retention.get("tags") or {}).items()}
    return RecordingTold(
        recording_id=name,
        state=state,
        purposes=texts(started.body.get("purposes")),
        uses=uses,
        rule=text(retention.get("rule")),
        due=due or text(retention.get("due")),
        copies=tuple(_left(entries, Kind.EXPORT_MADE, segment)),
        disclosures=tuple(_left(entries, Kind.DISCLOSURE, segment)),
        remark=remark,
    )


def _left(entries: list[LogEntry], kind: Kind, segment: int) -> list[str]:
    found = [e for e in entries if e.kind == kind.value and e.segment == segment]
    return [f"{e.utc}: {text(e.body.get('form')) or text(e.body.get('step'))}" for e in found]


def _retention(config: Config | None, name: str) -> tuple[Mapping[str, Any], str, str]:
    """What its manifest says of how long, the day that holds now, and what could not be found out."""
    if config is None:
        return {}, "", "how long it is kept is told where its own agent is configured"
    try:
        row = files.find(config, name)
        return files.manifest_of(config, row)["retention"], row.due, ""
    except (Unavailable, ConfigError, Broken) as error:
        return {}, "", f"how long it is kept cannot be told now: {error}"
