"""What of a call's facts is told as `leg.changed`: which leg, what became of it, and why."""

from __future__ import annotations

from typing import Final

from callrec.core import events as e
from callrec.core.values import CallDirection, Leg

_CHANGES: Final = {e.LegHeld: "held", e.LegResumed: "resumed", e.LegRenegotiated: "renegotiated"}


def change_of(event: e.Event, direction: CallDirection) -> tuple[Leg, str, str] | None:
    """Leg, what and cause; None for a fact that is told otherwise or not at all."""
    match event:
        case e.LegHeld(leg=leg) | e.LegResumed(leg=leg) | e.LegRenegotiated(leg=leg):
            return leg, _CHANGES[type(event)], ""
        case e.PartyChanged(leg=leg, shown_by=shown_by):
            return leg, "another party", shown_by.value
        case e.StaffAnswered():
            return Leg.STAFF, "answered", ""
        case e.DialFailed(failure=failure):
            return direction.dialled, "failed", failure.value
        case e.LegEnded(leg=leg, cause=cause):
            return leg, "ended", cause
        case _:
            return None
