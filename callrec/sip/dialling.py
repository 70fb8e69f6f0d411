"""Calls whoever is to be called, one attempt at a time. SIP thread only.

Each attempt has a number, and what belongs to an earlier one (its time-out, a free slot it waited for) does nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import pjsua2 as pj

from callrec.core import events as e
from callrec.core.values import DialFailure, Leg
from callrec.ports import Destination, Invite
from callrec.sip import parameters
from callrec.sip.house import House, Side
from callrec.sip.leg import LegCall, LegListener
from callrec.sip.translate import dialled_uri

_TOO_MANY: Final = 70010
_RETRY_S: Final = 0.2
_RETRIES: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialler:
    """Whose call it is: `may_dial` while whoever called us is there, `release` lets go of a leg, `tell` hears facts."""

    legs: LegListener
    may_dial: Callable[[], bool]
    release: Callable[[Leg], None]
    tell: Callable[[e.Event], None]


class Dialling:
    """The attempts to reach `leg`, whose side is among `sides`."""

    def __init__(self, house: House, invite: Invite, dialler: Dialler, leg: Leg, sides: Mapping[Leg, Side]) -> None:
        self._house, self._invite, self._dialler = house, invite, dialler
        self._leg, self._sides = leg, sides
        self._newest = 0

    @property
    def newest(self) -> int:
        """The number of the attempt that counts."""
        return self._newest

    def forget(self) -> None:
        """What belongs to this attempt does nothing from now on."""
        self._newest += 1

    def begin(self, destination: Destination, tries: int = _RETRIES) -> None:
        """Call it; nothing where one is under way."""
        side = self._sides[self._leg]
        if not self._dialler.may_dial() or side.call is not None:
            return
        self._newest += 1
        number = self._newest
        side.begin_again()
        try:
            self._place(destination)
        except pj.Error as error:
            if number == self._newest:  # else the library has told already
                self._not_placed(destination, number, tries if error.status == _TOO_MANY else 0)
            return
        self._house.thread.call_later(destination.timeout_s, lambda: self._timed_out(number))

    def _place(self, destination: Destination) -> None:
        """An INVITE with the From of whoever called us, or without where the library cannot parse it."""
        house = self._house
        uri = dialled_uri(destination.uri, house.settings.trunks)
        call = LegCall(house.account_for(destination.uri), self._dialler.legs, self._leg, house.settings)
        self._sides[self._leg].call = call
        try:
            call.makeCall(uri, parameters.dialling(self._invite, destination))
        except pj.Error as error:
            if error.status == _TOO_MANY:
                raise
            call.makeCall(uri, parameters.dialling(self._invite, destination, with_from=False))

    def _not_placed(self, destination: Destination, number: int, tries: int) -> None:
        """No free slot: the one of an attempt just given up is on its way back. Anything else is a failure."""
        self._dialler.release(self._leg)
        if tries <= 0:
            self._failed(DialFailure.UNREACHABLE)
            return
        again = lambda: self.begin(destination, tries - 1) if number == self._newest else None  # noqa: E731
        self._house.thread.call_later(_RETRY_S, again)

    def _timed_out(self, number: int) -> None:
        side = self._sides[self._leg]
        if number != self._newest or side.up or side.call is None:
            return
        failure = DialFailure.NO_ANSWER if side.call.alerted else DialFailure.UNREACHABLE
        self.cancel()
        self._failed(failure)

    def cancel(self) -> None:
        """Give the attempt up, silently."""
        self.forget()
        side = self._sides[self._leg]
        if side.up or side.call is None:
            return
        call = side.call
        self._dialler.release(self._leg)
        call.hangup(parameters.ending(0, "normal"))

    def _failed(self, failure: DialFailure) -> None:
        self._dialler.tell(e.DialFailed(at_ns=self._house.clock.boottime_ns(), failure=failure))
