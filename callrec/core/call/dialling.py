"""Towards who is to be called: the destination, its fallbacks, and the tone where none can be reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from callrec.core import commands as c
from callrec.core import events as e
from callrec.core.call.state import Call, Stage, Step
from callrec.core.outoforder import OutOfOrder
from callrec.core.reasons import Reason
from callrec.core.values import DialFailure, Leg, Tone


def dial(call: Call) -> Step:
    """Call the destination whose turn it is."""
    return replace(call, stage=Stage.DIALLING), (c.Dial(target=call.target),)


def dial_failed(call: Call, event: e.DialFailed) -> Step:
    """The next fallback; after the last one the tone for the cause."""
    following = call.target + 1
    if following < call.plan.destinations:
        return dial(replace(call, target=following))
    tone, cause = _ENDINGS[event.failure]
    return replace(call, reason=call.reason or Reason.NOT_ANSWERED), (c.EndWithTone(tone=tone, cause=cause),)


_ENDINGS: Final[Mapping[DialFailure, tuple[Tone, str]]] = {
    DialFailure.BUSY: (Tone.BUSY, "User busy"),
    DialFailure.NO_ANSWER: (Tone.UNOBTAINABLE, "No answer"),
    DialFailure.REFUSED: (Tone.CONGESTION, "Call rejected"),
    DialFailure.UNREACHABLE: (Tone.CONGESTION, "No route to destination"),
}


def expect(call: Call, event: e.CallerAnswered | e.StaffAnswered, leg: Leg) -> None:
    """OutOfOrder where it is the other leg that came up."""
    if leg is not (Leg.CALLER if isinstance(event, e.CallerAnswered) else Leg.STAFF):
        raise OutOfOrder(f"{call.plan.direction.value} call {call.stage.value}", type(event).__name__)


def dialled_answered(call: Call, event: e.CallerAnswered | e.StaffAnswered) -> Step:
    """Somebody or something answered: both legs are to hear each other."""
    expect(call, event, call.plan.direction.dialled)
    return replace(call, staff_up=True), (c.Bridge(),)
