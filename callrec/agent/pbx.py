"""What a PBX tells of the conversation behind it, read and turned into facts of the core.

An event names who or what it is about by `party` (staff, outside) and by `side`: `staff` is what lies behind our leg to
the advice line, `caller` what lies behind the caller's. Whoever tells may only take away: no event starts a recording
that has no proof.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, unique
from typing import Any, Final

from callrec.core import events as e
from callrec.core.values import Leg
from callrec.errors import ConfigError


@unique
class PbxEvent(Enum):
    """The closed list of what a PBX can tell."""

    JOINED = "joined"
    LEFT = "left"
    HELD = "held"
    TRANSFERRED = "transferred"
    OUTSIDE_PARTY = "outside_party"


_LONGEST: Final = 200


@unique
class Who(Enum):
    """Somebody of the advice line, or somebody outside it."""

    STAFF = "staff"
    OUTSIDE = "outside"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One event. `line` is the line that a call was transferred to, where that is another; `identity` the SIP identity
    of whoever of the line joined.
    """

    event: PbxEvent
    side: Leg
    who: Who
    line: str = ""
    identity: str = ""


def read(args: Mapping[str, Any]) -> Told:
    """What was told. ConfigError names the argument that is wrong, and what may stand there."""
    event = _one_of(PbxEvent, args, "event", None)
    outside = event is PbxEvent.OUTSIDE_PARTY
    line = str(args.get("line", ""))
    if line and event is not PbxEvent.TRANSFERRED:
        raise ConfigError(f"line: goes with transferred, not with {event.value}", next_step="leave it out")
    return Told(
        event=event,
        side=_one_of(Leg, args, "side", Leg.STAFF),
        who=_one_of(Who, args, "party", Who.OUTSIDE if outside else Who.STAFF),
        line=line,
        identity=_identity(args, event),
    )


def _identity(args: Mapping[str, Any], event: PbxEvent) -> str:
    given = str(args.get("identity", ""))
    if given and event is not PbxEvent.JOINED:
        raise ConfigError(f"identity: goes with joined, not with {event.value}", next_step="leave it out")
    if len(given) > _LONGEST or not (given.isprintable() or not given):
        raise ConfigError("identity: is none", next_step="write it as sip:6000@pbx")
    return given


def _one_of(kind: Any, args: Mapping[str, Any], name: str, default: Any) -> Any:
    given = args.get(name)
    if given is None and default is not None:
        return default
    known = {member.value: member for member in kind}
    if not isinstance(given, str) or given not in known:
        raise ConfigError(f"{name}: {given!r} is none", next_step=f"write one of {', '.join(known)}")
    return known[given]


def fact(told: Told, at_ns: int) -> e.Event | None:
    """What the core is to know of it; None where it changes nothing for a recording, and only the ledger is told."""
    made = _FACTS.get((told.event, told.side, told.who))
    return made(at_ns) if made is not None else None


def _another_caller(at_ns: int) -> e.Event:
    return e.PartyChanged(at_ns=at_ns, leg=Leg.CALLER, shown_by=e.PartyShown.PBX)


_E, _W = PbxEvent, Who

_FACTS: Final[Mapping[tuple[PbxEvent, Leg, Who], Callable[[int], e.Event]]] = {
    (_E.JOINED, Leg.STAFF, _W.STAFF): lambda at_ns: e.StaffJoined(at_ns=at_ns),
    (_E.JOINED, Leg.STAFF, _W.OUTSIDE): lambda at_ns: e.OutsideJoined(at_ns=at_ns),
    (_E.JOINED, Leg.CALLER, _W.STAFF): lambda at_ns: e.ResumedBehind(at_ns=at_ns, leg=Leg.CALLER),
    (_E.JOINED, Leg.CALLER, _W.OUTSIDE): _another_caller,
    (_E.LEFT, Leg.STAFF, _W.STAFF): lambda at_ns: e.StaffLeft(at_ns=at_ns),
    (_E.LEFT, Leg.STAFF, _W.OUTSIDE): lambda at_ns: e.OutsideLeft(at_ns=at_ns),
    (_E.HELD, Leg.STAFF, _W.STAFF): lambda at_ns: e.HeldBehind(at_ns=at_ns, leg=Leg.STAFF),
    (_E.HELD, Leg.STAFF, _W.OUTSIDE): lambda at_ns: e.HeldBehind(at_ns=at_ns, leg=Leg.STAFF),
    (_E.HELD, Leg.CALLER, _W.STAFF): lambda at_ns: e.HeldBehind(at_ns=at_ns, leg=Leg.CALLER),
    (_E.HELD, Leg.CALLER, _W.OUTSIDE): lambda at_ns: e.HeldBehind(at_ns=at_ns, leg=Leg.CALLER),
    (_E.TRANSFERRED, Leg.STAFF, _W.STAFF): lambda at_ns: e.StaffTransferred(at_ns=at_ns),
    (_E.TRANSFERRED, Leg.STAFF, _W.OUTSIDE): lambda at_ns: e.OutsideJoined(at_ns=at_ns),
    (_E.TRANSFERRED, Leg.CALLER, _W.STAFF): _another_caller,
    (_E.TRANSFERRED, Leg.CALLER, _W.OUTSIDE): _another_caller,
    (_E.OUTSIDE_PARTY, Leg.STAFF, _W.OUTSIDE): lambda at_ns: e.OutsideJoined(at_ns=at_ns),
    (_E.OUTSIDE_PARTY, Leg.STAFF, _W.STAFF): lambda at_ns: e.OutsideJoined(at_ns=at_ns),
    (_E.OUTSIDE_PARTY, Leg.CALLER, _W.OUTSIDE): _another_caller,
    (_E.OUTSIDE_PARTY, Leg.CALLER, _W.STAFF): _another_caller,
}
"""Who leaves the caller's side takes nothing away: whoever stays there has had the notice."""
