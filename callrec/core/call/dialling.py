"""Towards the advice line: the destination, its fallbacks, and the tone where none can be reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from callrec.core import commands as c
from callrec.core import events as e
from callrec.core.call.state import Call, Stage, Step
from callrec.core.reasons import Reason
from callrec.core.values import DialFailure, Tone


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


def staff_answered(call: Call, _event: e.StaffAnswered) -> Step:
    """Somebody or something answered: both legs are to hear each other."""
    return replace(call, staff_up=True), (c.Bridge(),)
