"""The recordings of one call, one for each segment; each begins when the one before it has ended."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

from callrec.agent.segment import Outcome, SegmentRecorder
from callrec.agent.services import Services
from callrec.core import commands as c
from callrec.core.reasons import REASON_CLASS, Reason


class Failed(Protocol):
    """Told of a failure: the reason, whether capture had begun, and of which segment."""

    def __call__(self, reason: Reason, *, started: bool, segment: int) -> None:
        """Not to raise."""


class Segments:
    """Holds the recorder of every segment that the core ordered; the first is there from the beginning."""

    def __init__(self, services: Services, call_uid: str, *, line: str, failed: Failed) -> None:
        self._services, self._call_uid, self._failed = services, call_uid, failed
        self._recorders = {0: self._made(0, line, None)}

    def _made(self, segment: int, line: str, after: SegmentRecorder | None) -> SegmentRecorder:
        failed = partial(self._failed, segment=segment)
        return SegmentRecorder(self._services, self._call_uid, line=line, failed=failed, after=after)

    @property
    def newest(self) -> SegmentRecorder:
        """The recorder that orders are for now."""
        return self._recorders[max(self._recorders)]

    def at(self, segment: int, *, line: str) -> SegmentRecorder:
        """The recorder of this segment, made where there is none. Segments only ever go on."""
        if segment not in self._recorders:
            self._recorders[segment] = self._made(segment, line, self.newest)
        return self._recorders[segment]

    def offset_ms(self, segment: int, at_ns: int) -> int | None:
        """How far into the recording of this segment that moment is; None where none of it ran by then."""
        recorder = self._recorders.get(segment)
        began_ns = recorder.began_ns if recorder is not None else 0
        return (at_ns - began_ns) // 1_000_000 if 0 < began_ns <= at_ns else None

    async def finished(self) -> None:
        """Return when every order given so far was carried out."""
        for recorder in self._recorders.values():
            await recorder.finished()

    def outcomes(self, decided: Sequence[c.Decision]) -> tuple[c.Decision, ...]:
        """What became of each segment: what was ordered, as far as it could be carried out."""
        return tuple(self._outcome(decision) for decision in decided)

    def _outcome(self, decision: c.Decision) -> c.Decision:
        recorder = self._recorders.get(decision.segment)
        outcome = recorder.outcome if recorder is not None else Outcome.NOT_STARTED
        if outcome in (Outcome.SEALED, Outcome.LEFT):
            return c.Decision(segment=decision.segment, recorded=True, reason=None)
        gone = Reason.ENDED_BEFORE_CAPTURE if outcome is Outcome.DISCARDED else Reason.CAPTURE_FAILED
        return c.Decision(segment=decision.segment, recorded=False, reason=decision.reason or gone)


def decided(outcomes: Sequence[c.Decision]) -> dict[str, Any]:
    """The decision on the whole call and on each segment, as they stand in `call.closed`."""
    whole = summed_up(outcomes)
    return {
        **_decision(whole),
        "reason_class": REASON_CLASS[whole.reason].value if whole.reason else "",
        "segments": [{"segment": outcome.segment, **_decision(outcome)} for outcome in outcomes],
    }


def _decision(decision: c.Decision) -> dict[str, str]:
    """Decision and reason, as they stand in `call.closed`."""
    reason = decision.reason.value if decision.reason else ""
    return {"decision": "RECORDED" if decision.recorded else "NOT_RECORDED", "reason": reason}


def summed_up(outcomes: Sequence[c.Decision]) -> c.Decision:
    """The call as a whole: recorded where any segment was, else not, for the reason of segment 0."""
    return next((one for one in outcomes if one.recorded), outcomes[0])
