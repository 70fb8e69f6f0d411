"""An INVITE that never becomes a call: answered with a final status, then forgotten. SIP thread only.

The library sends the answer when its media sockets are open, so that the dialog's object must outlive the callback.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from callrec.core.values import KeyMethod, Leg
from callrec.sip import parameters
from callrec.sip.counters import Counters
from callrec.sip.leg import LegCall
from callrec.sip.message import SipMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a refused INVITE is told. `key` is the part of the configuration that would change it."""

    status: int
    phrase: str
    retry_after_s: int | None = None
    key: str = ""


class Refusal:
    """The listener of one refused dialog; `gone` is called once it is over."""

    def __init__(self, gone: Callable[[Refusal], None]) -> None:
        self._gone = gone
        self._call: LegCall | None = None

    def refuse(self, call: LegCall, answer: Answer) -> None:
        """Answer, and hold the call until its end."""
        self._call = call
        call.answer(parameters.rejecting(answer.status, answer.phrase, answer.retry_after_s))

    def leg_ended(self, leg: Leg, status: int, cause: str) -> None:  # noqa: ARG002 - the contract's arguments
        """Let go."""
        call, self._call = self._call, None
        if call is not None:
            call.detach()
        self._gone(self)

    def leg_alerted(self, leg: Leg) -> None:
        """Never happens to a refused dialog; nor does what follows."""

    def leg_confirmed(self, leg: Leg) -> None:
        """See above."""

    def leg_media_changed(self, leg: Leg) -> None:
        """See above."""

    def leg_stream_ending(self, leg: Leg, last: Counters) -> None:
        """See above."""

    def leg_key(self, leg: Leg, digit: str, method: KeyMethod) -> None:
        """See above."""

    def leg_asked(self, leg: Leg, message: SipMessage) -> None:
        """See above."""
