"""What the caller's side reports after the notice, for as long as it may speak of the notice. SIP thread only.

A report that covers the last packet of the notice comes within a few seconds of it (RFC 3550 section 6.2: five on
average); the wire tap holds RTCP alone meanwhile. What it means is not told here.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Final

from callrec.core.events import Event, ReportsHeard
from callrec.errors import CallrecError
from callrec.sip.house import House
from callrec.sip.leg import LegCall
from callrec.sip.wire import WireWindow

WATCH_S: Final = 20.0
"""So long after the notice: the first report that covers it decides, and later ones speak more and more of the talk."""
LOOK_S: Final = 1.0


class ReportWatch:
    """Of one call, from the end of a notice on. Where the engine cannot watch, nothing is told, and no later report can
    contradict. `caller` is the caller leg while it is there.
    """

    def __init__(self, house: House, caller: Callable[[], LegCall | None], tell: Callable[[Event], None]) -> None:
        self._house, self._caller, self._tell = house, caller, tell
        self._attempt = 0
        self._round = 0
        self._until = 0.0
        self._window: WireWindow | None = None

    def begin(self, attempt: int) -> None:
        """Watch what is said of this notice from now on."""
        self.end()
        self._attempt, self._until = attempt, monotonic() + WATCH_S
        self._open()

    def end(self) -> None:
        """Watch no more; what came is told."""
        self._round += 1
        self._take()

    def _open(self) -> None:
        wire, call = self._house.media.wire, self._caller()
        if wire is None or call is None:
            return
        with suppress(CallrecError):
            self._window = wire.open_for_reports(call.getId())
        if self._window is not None:
            this = self._round
            self._house.thread.call_later(LOOK_S, lambda: self._look(this))

    def _look(self, this: int) -> None:
        if this != self._round:
            return
        self._take()
        if monotonic() < self._until:
            self._open()

    def _take(self) -> None:
        window, self._window = self._window, None
        if window is None:
            return
        with suppress(CallrecError):  # what could not be taken contradicts nothing
            taken = window.take()
            if taken.counts.rtcp_received or taken.counts.rtcp_foreign:
                at_ns = self._house.clock.boottime_ns()
                self._tell(ReportsHeard(at_ns=at_ns, attempt=self._attempt, taken=taken))
