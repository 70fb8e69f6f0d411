"""Watches who may be at the far end of the caller's leg, from its answer on. SIP thread only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from callrec.core.events import PartyChanged, PartyShown
from callrec.core.values import CallDirection, Leg
from callrec.ports import Invite
from callrec.sip.house import House
from callrec.sip.leg import LegCall
from callrec.sip.message import SipMessage
from callrec.sip.party import FarEnd, stated

LOOK_S: Final = 0.5
"""Between two looks at the stream that the caller's sound comes in."""


def identity_of_caller(invite: Invite, direction: CallDirection) -> str:
    """Who the outside party says to be, as far as that is known before they are there: who is called said nothing."""
    outside_called_us = direction.offered is Leg.CALLER
    return stated(invite.asserted_identity, f"<{invite.from_uri}>") if outside_called_us else ""


class CallerWatch:
    """`tell` hears that somebody else may be there, and what shows it. Without the wire tap streams are not seen."""

    def __init__(self, house: House, identity: str, tell: Callable[[PartyChanged], None]) -> None:
        self._house, self._tell = house, tell
        self._moved_at_packet = 0
        self._far = FarEnd(identity=identity)

    def begin(self, caller: Callable[[], LegCall | None]) -> None:
        """The leg is up; `caller` gives it for as long as it is there. What came before it was up (early media of
        somebody who is called) is of nobody who has answered.
        """
        if (call := caller()) is not None:
            self._far.at(call.counters().sdp_address)
            self._moved_at_packet = self._packets(call)
            self._look(caller)

    def _look(self, caller: Callable[[], LegCall | None]) -> None:
        call, wire = caller(), self._house.media.wire
        if call is None or wire is None:
            return
        heard = wire.heard_from(call.getId())
        if heard is not None and heard[0] > self._moved_at_packet:
            self._said(self._far.streams(heard[1]))
        self._house.thread.call_later(LOOK_S, lambda: self._look(caller))

    def renegotiated(self, call: LegCall) -> None:
        """The stream from another address is another one in any case, which is told once: until a packet comes from
        there, the newest is of the stream before.
        """
        shown = self._far.at(call.counters().sdp_address)
        if shown is not None:
            self._far.ssrc = None
            self._moved_at_packet = self._packets(call)
        self._said(shown)

    def _packets(self, call: LegCall) -> int:
        """How many came from the address in force."""
        heard = self._house.media.wire.heard_from(call.getId()) if self._house.media.wire is not None else None
        return heard[0] if heard is not None else 0

    def asked(self, message: SipMessage) -> None:
        """The far end sent an INVITE or UPDATE within the dialog."""
        self._said(self._far.says(message))

    def _said(self, shown: PartyShown | None) -> None:
        if shown is not None:
            now = self._house.clock.boottime_ns()
            self._tell(PartyChanged(at_ns=now, leg=Leg.CALLER, shown_by=shown))
