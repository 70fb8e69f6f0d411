"""Facts, past tense, frozen. They are the only way in to the core; `at_ns` is time since boot in nanoseconds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, unique

from callrec.core.consent import Consent
from callrec.core.evidence import Observation
from callrec.core.people import About
from callrec.core.proof import Granted, NoticeProof
from callrec.core.purposes import Widening
from callrec.core.reasons import Reason
from callrec.core.values import DialFailure, KeyMethod, Leg, Order
from callrec.core.wire_records import TakenWindow


@unique
class PartyShown(Enum):
    """By what it shows that another outside party may be at the far end of a leg."""

    MEDIA_ADDRESS = "media address"
    MEDIA_SOURCE = "media source"
    IDENTITY = "asserted identity"
    PBX = "the PBX says so"


@unique
class Timer(Enum):
    """Clocks that the core asks the shell to run."""

    NOTICE_WAIT = "notice wait"
    DECIDE = "decide"
    CHOICE_WINDOW = "choice window"
    PAUSE = "pause"
    CONSENT = "consent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A fact about one call."""

    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerAnswered(Event):
    """The outside party's leg is up: 200 and ACK, whoever called whom, and its media is negotiated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LegHeld(Event):
    """Our audio no longer reaches this leg, or its audio us (RFC 3264 direction, or c=0.0.0.0)."""

    leg: Leg


@dataclass(frozen=True, slots=True, kw_only=True)
class LegResumed(Event):
    """Media flows both ways again on this leg."""

    leg: Leg


@dataclass(frozen=True, slots=True, kw_only=True)
class LegRenegotiated(Event):
    """A re-INVITE or UPDATE changed codec or address without holding the leg."""

    leg: Leg


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeEnded(Event):
    """The player reached the end of the prompt, or was interrupted. Testimony, not yet proof."""

    attempt: int
    observation: Observation


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeGranted(Event):
    """The evidence of this attempt was judged and found enough. Not yet in the ledger: still no proof."""

    attempt: int
    verdict: Granted


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeRefused(Event):
    """The evidence of this attempt was judged and found wanting, or could not be judged at all."""

    attempt: int
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofRecorded(Event):
    """`notice.proven` is durable in the ledger."""

    proof: NoticeProof


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofUnrecorded(Event):
    """The ledger could not make the proof durable in time."""

    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentRecorded(Event):
    """`consent.given` is durable in the ledger."""

    consent: Consent


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentUnrecorded(Event):
    """The ledger could not make the consent to this segment durable in time."""

    segment: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportsHeard(Event):
    """RTCP that came on the caller leg after its notice: not judged yet, and no voice in it."""

    attempt: int
    taken: TakenWindow


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofContradicted(Event):
    """An authentic report that came after the notice says that too much of it was lost."""

    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPressed(Event):
    """One key on one leg."""

    leg: Leg
    digit: str
    method: KeyMethod


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerExpired(Event):
    """A clock that the core had asked for ran out."""

    timer: Timer


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationRinging(Event):
    """The destination alerts; `early_media` says whether it sends audio of its own."""

    early_media: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffAnswered(Event):
    """The advice line's leg is up: 200 and ACK, whoever called whom, and its media is negotiated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DialFailed(Event):
    """This destination could not be reached."""

    failure: DialFailure


@dataclass(frozen=True, slots=True, kw_only=True)
class LegsBridged(Event):
    """Both legs hear each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffJoined(Event):
    """A person is there, where the destination answers before one is (`capture_from: staff_joined`). `informed` says
    whether that person acknowledged the recording policy, where the PBX said who it is (R53).
    """

    informed: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffLeft(Event):
    """Nobody of the advice line is there for now, says the PBX, and will say when somebody is (StaffJoined)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffTransferred(Event):
    """The PBX transfers the call to somebody else of the advice line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartyChanged(Event):
    """Another outside party, or one more, may be at the far end of this leg, and has had no notice."""

    leg: Leg
    shown_by: PartyShown


@dataclass(frozen=True, slots=True, kw_only=True)
class OutsideJoined(Event):
    """The PBX joined an outside party on the advice line's side, where no notice of ours can be proven to reach."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutsideLeft(Event):
    """One outside party on the advice line's side is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldBehind(Event):
    """The PBX holds the conversation behind this leg; the leg itself stays as it is."""

    leg: Leg


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumedBehind(Event):
    """That hold is over."""

    leg: Leg


@dataclass(frozen=True, slots=True, kw_only=True)
class LegEnded(Event):
    """This leg's dialog is over; `cause` is the SIP cause, as data."""

    leg: Leg
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRequested(Event):
    """Somebody other than the caller's keys asked to stop the recording; `actor` is who."""

    reason: Reason
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderGiven(Event):
    """Somebody who is not the caller ordered something about the recording; `actor` is who, as in "uid:1000"."""

    order: Order
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WideningAsked(Event):
    """Somebody who is not the caller wants a purpose added (R22); `actor` is who."""

    wanted: Widening
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectTold(Event):
    """Somebody said who this call is about, and how that person can decide (R35); `actor` is who said it."""

    about: About
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingFailed(Event):
    """Capture, spool or ledger cannot start, or no longer go on with, this segment; `started` says which."""

    reason: Reason
    started: bool
    segment: int = 0
