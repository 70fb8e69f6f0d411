"""Check 13: what a call's summary decides of its segments, against what its other entries say of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from callrec.core.fields import text
from callrec.core.kinds import Kind
from callrec.ledger.entry import LogEntry

RECORDED: Final = "RECORDED"


@dataclass(slots=True)
class Decided:
    """The segments of one call, as its entries tell of them, in their order."""

    started: set[int] = field(default_factory=set)
    sealed: set[int] = field(default_factory=set)
    spoken_of: set[int] = field(default_factory=lambda: {0})

    def see(self, kind: Kind, entry: LogEntry) -> None:
        """An entry of the call before its summary, or after it."""
        if kind in (Kind.NOTICE_PROVEN, Kind.NOTICE_REFUSED, Kind.RECORDING_STARTED):
            self.spoken_of.add(entry.segment)
        if kind is Kind.RECORDING_STARTED:
            self.started.add(entry.segment)
        if kind is Kind.RECORDING_SEALED:
            self.sealed.add(entry.segment)

    def wrong(self, closed: LogEntry) -> Iterator[str]:
        """What does not fit in the summary."""
        said = _said(closed.body["segments"])
        if said is None or list(said) != list(range(len(said))) or not said:
            yield "the summary does not decide the segments of its call one after the other, from 0 on"
            return
        whole = text(closed.body["decision"]) == RECORDED
        if whole != any(recorded for recorded in said.values()):
            yield "the summary says another thing of the call than of its segments"
        for segment in sorted(self.spoken_of - said.keys()):
            yield f"the summary decides nothing of segment {segment}"
        for segment, recorded in said.items():
            if recorded and segment not in self.started:
                yield f"segment {segment} is said to be recorded, and no recording of it started"
            if not recorded and segment in self.sealed:
                yield f"segment {segment} is said not to be recorded, and a recording of it was sealed"


def _said(segments: Any) -> dict[Any, bool] | None:
    """Recorded or not, by segment; None where that cannot be read."""
    if not isinstance(segments, list) or not all(isinstance(one, dict) for one in segments):
        return None
    numbers = [one.get("segment") for one in segments]
    if not all(type(number) is int for number in numbers):
        return None
    return {one["segment"]: text(one.get("decision")) == RECORDED for one in segments}
