"""Passes a hold by staff on to the caller's far end, so that the PBX there plays its own music. SIP thread only.

We ask it to send nothing (a=sendonly, RFC 3264 section 8.4) and go on sending ourselves. One re-INVITE at a time: what
is refused, or crosses another one, is asked again. A caller stays parked no longer than staff hold.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from callrec.core.values import Leg
from callrec.sip.house import Side
from callrec.sip.leg import LegCall
from callrec.sip.thread import SipThread

_AGAIN_S: Final = 1.5
"""RFC 3261 section 14.1 asks for a wait of up to two seconds, or up to four, after a crossing."""
_TRIES: Final = {True: 3, False: 10}
"""To park, and to bring back: a far end that will not be parked is left alone, one that is parked is not left so."""


class Parking:
    """Whether the caller's far end is to be parked, and the asking for it. Nothing is passed on until `passes`."""

    def __init__(self, thread: SipThread, caller: Callable[[], LegCall | None]) -> None:
        self._thread, self._caller = thread, caller
        self.passes = self._wanted = False
        self._tries = self._asked = 0
        self._waiting = False

    def follow(self, leg: Leg, staff: Side, *, bridged: bool) -> None:
        """The media of this leg was negotiated: staff hold or do so no more, or the caller's far end has answered."""
        parked = self.passes and bridged and staff.up and staff.held
        if parked is not self._wanted:
            self._wanted, self._tries = parked, _TRIES[parked]
        if leg is Leg.CALLER:
            self._waiting = False
        self._settle()

    def _settle(self) -> None:
        call = self._caller()
        if call is None or self._waiting or self._tries <= 0 or call.media.parked is self._wanted:
            return
        self._tries -= 1
        self._asked += 1
        self._waiting = True
        call.park(parked=self._wanted)
        number = self._asked
        self._thread.call_later(_AGAIN_S, lambda: self._again(number))

    def _again(self, number: int) -> None:
        if self._waiting and number == self._asked:
            self._waiting = False
            self._settle()
