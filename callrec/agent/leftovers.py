"""What an earlier run left open in the ledger: every call gets its summary, every recording its end."""

from __future__ import annotations

from collections.abc import Collection, Iterable
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
    segments: dict[str, int] = field(default_factory=dict)
    """The last segment of each open call that an entry speaks of."""


def find(newest_first: Iterable[LogEntry]) -> Leftovers:
    """Read back to the last `agent.started` that says nothing else: whatever came before it was settled before it was
    written. One that started while the ledger was away says that it had settled nothing.
    """
    run: list[LogEntry] = []
    for entry in newest_first:
        run.append(entry)
        if entry.kind == Kind.AGENT_STARTED.value and entry.body.get("settled") is not False:
            break
    left = Leftovers()
    for entry in reversed(run):
        _take(left, entry)
    return left


def _take(left: Leftovers, entry: LogEntry) -> None:
    place = (entry.call_uid, entry.segment)
    left.segments[entry.call_uid] = max(entry.segment, left.segments.get(entry.call_uid, 0))
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


def closed(offered: LogEntry, *, recorded: Collection[int], last_segment: int = 0) -> Entry:
    """The summary that the earlier run could not write, with the numbers of the segments that were `recorded`."""
    segments = [{"segment": number, **_decision(number in recorded)} for number in range(last_segment + 1)]
    whole = _decision(bool(recorded))
    body = {
        "number": offered.body["number"],
        "offered_leaf": offered.leaf,
        **whole,
        "reason_class": "" if recorded else REASON_CLASS[Reason.AGENT_FAILED].value,
        "segments": segments,
        "connected": None,
        "duration_ms": None,
        "written_by": "the next start",
    }
    return Entry(kind=Kind.CALL_CLOSED, body=body, call_uid=offered.call_uid)


def _decision(recorded: bool) -> dict[str, str]:  # noqa: FBT001 - said once, right above
    return {
        "decision": "RECORDED" if recorded else "NOT_RECORDED",
        "reason": "" if recorded else Reason.AGENT_FAILED.value,
    }
