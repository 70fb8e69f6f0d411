"""Words that every part shares: legs, purposes, keys, tones. Data only."""

from __future__ import annotations

from enum import Enum, unique
from typing import Final

LANGUAGE_CHOICE: Final = "language "
"""With the language behind it: how a caller's choice of one stands in the ledger."""
BEFORE_RECORDING: Final = " before recording"
"""Ending of the `choice` of a `choice.made` by which somebody else than the caller stopped what had not begun."""


@unique
class Leg(Enum):
    """A SIP dialog of one call: towards the outside party, or towards the advice line."""

    CALLER = "caller"
    STAFF = "staff"


@unique
class CallDirection(Enum):
    """Who calls whom. A leg is named by who is at its far end; this says which of them called us, and which we call."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"

    @property
    def offered(self) -> Leg:
        """The leg whose INVITE came to us."""
        return Leg.CALLER if self is CallDirection.INBOUND else Leg.STAFF

    @property
    def dialled(self) -> Leg:
        """The leg that we call."""
        return Leg.STAFF if self is CallDirection.INBOUND else Leg.CALLER


@unique
class NoticeWhen(Enum):
    """When the outside party is given the notice: before the line is called, or in the talk, as soon as they answer or
    once staff order it.
    """

    BEFORE_DIALLING = "before_dialling"
    ANSWER = "answer"
    STAFF_CODE = "staff_code"


@unique
class Purpose(Enum):
    """What a recording may be kept and used for. Any other purpose is rejected at configuration load (R32)."""

    MEDICO_LEGAL = "medico-legal"
    AUDIT = "audit"
    TRAINING = "training"


@unique
class KeyMethod(Enum):
    """How a key reached us."""

    TELEPHONE_EVENT = "rfc4733"
    INFO = "info"
    INBAND = "inband"


@unique
class Order(Enum):
    """What staff order by a code, and operators by a command. Every one of them only takes away, but three: NOTICE
    asks, and a recording needs its proof as ever; TRAINING asks the caller for consent, and AGREED says that the caller
    gave it aloud.
    """

    STOP = "stop"
    PAUSE = "pause"
    RESUME = "resume"
    WITHOUT_TRAINING = "without training"
    WITHOUT_AUDIT = "without audit"
    DISTRESS = "distress"
    CAPACITY_DOUBT = "capacity doubt"
    CHILD = "child"
    OBJECTION = "objection"
    STATUS = "status"
    NOTICE = "notice"
    TRAINING = "training"
    AGREED = "agreed"

    @property
    def word(self) -> str:
        """As it is written on a command line."""
        return self.value.replace(" ", "-")


COMMANDS: Final = (Order.STOP, Order.PAUSE, Order.RESUME, Order.NOTICE)
"""Orders that are commands of their own."""
FROM_STAFF: Final = (Order.STATUS, Order.TRAINING, Order.AGREED)
"""Orders that whoever talks to the caller gives, by a code from their leg: no command has them."""
FLAGS: Final = tuple(order for order in Order if order not in (*COMMANDS, *FROM_STAFF))
"""Orders that say what must be known of a call."""


@unique
class Signal(Enum):
    """What staff alone hear of an order."""

    PAUSED = "paused"
    RESUMED = "resumed"
    STILL_PAUSED = "still paused"
    DONE = "done"
    REFUSED = "refused"
    RECORDED = "recorded"
    NOT_RECORDED = "not recorded"


@unique
class Tone(Enum):
    """UK supervisory tones, for a caller whose call could not be completed after our 200."""

    BUSY = "busy"
    CONGESTION = "congestion"
    UNOBTAINABLE = "unobtainable"


@unique
class DialFailure(Enum):
    """Why one destination could not be reached."""

    BUSY = "busy"
    REFUSED = "refused"
    NO_ANSWER = "no answer"
    UNREACHABLE = "unreachable"


@unique
class Grade(Enum):
    """How far the proof reaches (design: Where proof reaches). Ordered from weakest to strongest."""

    SENT = "sent"
    RECEIVED = "received"
    ACKNOWLEDGED = "acknowledged"

    @property
    def rank(self) -> int:
        """0 for the weakest."""
        return list(Grade).index(self)


@unique
class Tap(Enum):
    """Where what left us was measured. `player` is an evaluation grade and every report says so."""

    PLAYER = "player"
    WIRE = "wire"
