"""What an earlier run left open in the ledger: every call gets its summary, every recording its end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from callrec.core.kinds import Kind
from callrec.core.reasons import REASON_CLASS, Reason
from callrec.ledger.entry import LogEntry
from callrec.ports import Entry

_ENDS = {Kind.RECORDING_SEALED.value, Kind.RECORDING_DISCARDED.value, Kind.RECORDING_LOST.value}

NOES = frozenset({"decline", "emergency"})
"""Choices after which nothing of the call may be kept."""


@dataclass(slots=True)
class Leftovers:
    """Open things of the last run, oldest first, and the number that the next call gets."""

    next_number: int = 1
    offered: dict[str, LogEntry] = field(default_factory=dict)
    started: dict[tuple[str, int], LogEntry] = field(default_factory=dict)
    ended: set[tuple[str, int]] = field(default_factory=set)
    declined: set[str] = field(default_factory=set)


def find(newest_first: Iterable[LogEntry]) -> Leftovers:
    """Read back to the last `agent.started`: whatever came before it was settled before it was written."""
    run: list[LogEntry] = []
    for entry in newest_first:
        run.append(entry)
        if entry.kind == Kind.AGENT_STARTED.value:
            break
    left = Leftovers()
    for entry in reversed(run):
        _take(left, entry)
    return left


def _take(left: Leftovers, entry: LogEntry) -> None:
    place = (entry.call_uid, entry.segment)
    if entry.kind == Kind.AGENT_STARTED.value:
        left.next_number = int(entry.body.get("first_number", 1))
    elif entry.kind == Kind.CALL_OFFERED.value:
        left.offered[entry.call_uid] = entry
        left.next_number = max(left.next_number, int(entry.body["number"]) + 1)
    elif entry.kind == Kind.CALL_CLOSED.value:
        left.offered.pop(entry.call_uid, None)
    elif entry.kind == Kind.RECORDING_STARTED.value:
        left.started[place] = entry
    elif entry.kind == Kind.CHOICE_MADE.value and entry.body.get("choice") in NOES:
        left.declined.add(entry.call_uid)
    elif entry.kind in _ENDS:
        left.started.pop(place, None)
        if entry.kind == Kind.RECORDING_SEALED.value:
            left.ended.add(place)


def lost(started: LogEntry) -> Entry:
    """`recording.lost`: it was begun, and nothing of it is left that this agent can seal."""
    body = {"started_leaf": started.leaf, "reason": Reason.AGENT_FAILED.value}
    return Entry(kind=Kind.RECORDING_LOST, body=body, call_uid=started.call_uid, segment=started.segment)


def closed(offered: LogEntry, *, recorded: bool) -> Entry:
    """The summary that the earlier run could not write."""
    decision = "RECORDED" if recorded else "NOT_RECORDED"
    reason = "" if recorded else Reason.AGENT_FAILED.value
    body = {
        "number": offered.body["number"],
        "offered_leaf": offered.leaf,
        "decision": decision,
        "reason": reason,
        "reason_class": "" if recorded else REASON_CLASS[Reason.AGENT_FAILED].value,
        "segments": [{"segment": 0, "decision": decision, "reason": reason}],
        "connected": None,
        "duration_ms": None,
        "written_by": "the next start",
    }
    return Entry(kind=Kind.CALL_CLOSED, body=body, call_uid=offered.call_uid)
