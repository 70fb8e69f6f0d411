"""Orders of the core that telephony alone carries out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from callrec.core import commands as c
from callrec.ports import Destination, Telephony

Switched = c.AnswerCaller | c.RejectCaller | c.Dial | c.Bridge | c.EndWithTone | c.HangUp

_REJECTION: Final = (503, "Recording notice unavailable", 30)


def switch(
    telephony: Telephony, uid: str, order: Switched, destination: Callable[[int], Destination], *, pass_holds: bool
) -> None:
    """Hand one order to telephony; `destination` says where the line's target of this number is, `pass_holds` whether
    a hold by staff is passed on to the caller's side.
    """
    match order:
        case c.AnswerCaller():
            telephony.answer(uid)
        case c.RejectCaller():
            status, phrase, retry = _REJECTION
            telephony.reject(uid, status, phrase, retry_after_s=retry)
        case c.Dial(target=target):
            telephony.dial(uid, destination(target))
        case c.Bridge():
            telephony.bridge(uid, pass_holds=pass_holds)
        case c.EndWithTone(tone=tone, cause=cause):
            telephony.end_with_tone(uid, tone, cause)
        case c.HangUp(leg=leg, cause=cause):
            telephony.hang_up(uid, leg, cause)
