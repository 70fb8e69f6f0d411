"""Check 13: what a call's summary decides of its segments, against what its other entries say of them."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Any, Final

from callrec.core.fields import text
from callrec.core.kinds import Kind
from callrec.ledger.entry import LogEntry

RECORDED: Final = "RECORDED"


TELLING: Final = frozenset(
    {Kind.NOTICE_PROVEN, Kind.NOTICE_REFUSED, Kind.RECORDING_STARTED, Kind.RECORDING_SEALED},
)
"""Kinds that tell of a segment what its call's summary must agree with."""
_NONE: Final[frozenset[int]] = frozenset()
_FIRST: Final = frozenset({0})


class Decided:
    """The segments of one call, as its entries tell of them, in their order. Sets are made where there is more to say
    than of a call that was not recorded: most are, and there are very many.
    """

    __slots__ = ("_said", "_sealed", "_spoken_of", "_started", "_whole")

    def __init__(self) -> None:
        self._started: AbstractSet[int] = _NONE
        self._sealed: AbstractSet[int] = _NONE
        self._spoken_of: AbstractSet[int] = _FIRST
        self._said: tuple[bool, ...] = ()
        self._whole = False

    def see(self, kind: Kind, entry: LogEntry) -> None:
        """An entry of one of the kinds in `TELLING`, before the call's summary or after it."""
        if kind is Kind.RECORDING_SEALED:
            self._sealed = _with(entry.segment, self._sealed)
            return
        self._spoken_of = _with(entry.segment, self._spoken_of)
        if kind is Kind.RECORDING_STARTED:
            self._started = _with(entry.segment, self._started)

    def sum_up(self, closed: LogEntry) -> None:
        """The call's summary."""
        self._whole = text(closed.body["decision"]) == RECORDED
        self._said = _said(closed.body["segments"])

    def wrong(self) -> Iterator[str]:
        """What does not fit in the summary."""
        if not self._said:
            yield "the summary does not decide the segments of its call one after the other, from 0 on"
            return
        if self._whole != any(self._said):
            yield "the summary says another thing of the call than of its segments"
        for segment in sorted(self._spoken_of - set(range(len(self._said)))):
            yield f"the summary decides nothing of segment {segment}"
        for segment, recorded in enumerate(self._said):
            if recorded and segment not in self._started:
                yield f"segment {segment} is said to be recorded, and no recording of it started"
            if not recorded and segment in self._sealed:
                yield f"segment {segment} is said not to be recorded, and a recording of it was sealed"


def _with(segment: int, segments: AbstractSet[int]) -> AbstractSet[int]:
    if isinstance(segments, set):
        segments.add(segment)
        return segments
    return segments if segment in segments else {segment, *segments}


def _said(segments: Any) -> tuple[bool, ...]:
    """Recorded or not, segment by segment from 0 on; empty where that is not what it says."""
    recorded: list[bool] = []
    for at, one in enumerate(segments if isinstance(segments, list) else ()):
        if not isinstance(one, dict) or type(one.get("segment")) is not int or one["segment"] != at:
            return ()
        recorded.append(one.get("decision") == RECORDED)
    return tuple(recorded)
