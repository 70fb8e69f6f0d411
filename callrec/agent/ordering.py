"""An order from outside the call: it waits its turn among the facts, and whoever gave it hears how the call stands."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final

from callrec.agent.plan import Prepared
from callrec.config import Line
from callrec.core import events as e
from callrec.core.call import Call, Notice
from callrec.core.people import About
from callrec.core.purposes import Widening
from callrec.core.values import Order
from callrec.errors import Refused

Given = Order | About | Widening
"""What somebody outside the call may order, say of it, or try."""
Said = e.OrderGiven | e.SubjectTold | e.WideningAsked
"""The same, as a fact."""
WAIT_S: Final = 2.0
"""How long whoever orders waits for a call that may just be ending."""


@dataclass(frozen=True, slots=True)
class Ordered:
    """An order on its way. Make it on the event loop."""

    event: Said
    done: asyncio.Future[dict[str, Any]] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def carried_out(self, standing: dict[str, Any]) -> None:
        """Tell whoever still waits how the call stands now."""
        if not self.done.done():
            self.done.set_result(standing)

    async def outcome(self, call_uid: str) -> dict[str, Any]:
        """How the call stands after it. `Refused` where the call is over."""
        try:
            return await asyncio.wait_for(self.done, WAIT_S)
        except TimeoutError:
            raise Refused(f"the call {call_uid} is over", next_step="see `callrec call list`") from None


@dataclass(frozen=True, slots=True)
class Moved:
    """The PBX transferred the call to this line, whose rules hold from now on."""

    line: Line
    prepared: Prepared


@dataclass(frozen=True, slots=True)
class InLanguage:
    """The notice of this line in the language that the caller chose, or why there is none."""

    line: Line
    prepared: Prepared


@dataclass(frozen=True, slots=True)
class Ended:
    """Telephony's last word on the call."""


def said(order: Given, actor: str, at_ns: int) -> Said:
    """The fact that this is, said now by whoever it is."""
    if isinstance(order, Widening):
        return e.WideningAsked(at_ns=at_ns, wanted=order, actor=actor)
    if isinstance(order, About):
        return e.SubjectTold(at_ns=at_ns, about=order, actor=actor)
    return e.OrderGiven(at_ns=at_ns, order=order, actor=actor)


def standing(call_uid: str, line: str, call: Call | None, *, seconds: int) -> dict[str, Any]:
    """For `callrec call list`: states, no number of anybody."""
    return {
        "call": call_uid,
        "line": line,
        "stage": call.stage.value if call else "offered",
        "recording": call.capture.value if call else "off",
        "paused": call.paused if call else False,
        "asking": call is not None and call.notice in (Notice.PLAYING, Notice.WAITING),
        "seconds": seconds,
    }
