"""Orders out of the core. The shell performs them in order and reports back with events."""

from __future__ import annotations

from dataclasses import dataclass

from callrec.core.consent import Agreed, Consent
from callrec.core.events import Timer
from callrec.core.evidence import Observation
from callrec.core.people import About
from callrec.core.proof import Granted, NoticeProof
from callrec.core.purposes import TagSource
from callrec.core.reasons import Reason
from callrec.core.values import KeyMethod, Leg, Order, Purpose, Signal, Tone


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerCaller:
    """Send our 200 to whoever called us: the caller, or staff who call somebody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectCaller:
    """Turn the INVITE away, because the line says that a call without notice is not to be carried."""

    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayNotice:
    """Play the prompt to the caller from its first sample, and gather evidence for this segment. Attempts are counted
    over the whole call, so that each has evidence of its own. `script`: it is the one that asks for consent.
    """

    attempt: int
    segment: int = 0
    script: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StopNotice:
    """Stop the prompt now."""

    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SkipNotice:
    """End this attempt as soon as its essential part has been played (R8)."""

    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChooseLanguage:
    """Prepare the line's notice in this language, which the caller chose by this key (R59); `language_chosen` then goes
    on with what was found.
    """

    language: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeNotice:
    """Compare and judge what was observed; answer with NoticeGranted or NoticeRefused, never with silence."""

    attempt: int
    observation: Observation


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordProof:
    """Append `notice.proven`; answer ProofRecorded only when it is durable."""

    attempt: int
    verdict: Granted


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRefusal:
    """Append `notice.refused` with the reasons."""

    attempt: int
    reasons: tuple[Reason, ...]
    segment: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordChoice:
    """Append `choice.made`: what was pressed, how it reached us and what it was taken for. Without a method nothing was
    pressed, where something was asked.
    """

    digit: str
    choice: str
    leg: Leg = Leg.CALLER
    method: KeyMethod | None = KeyMethod.TELEPHONE_EVENT


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordConsent:
    """Append `consent.given` of this segment; answer ConsentRecorded once it is durable, else ConsentUnrecorded."""

    agreed: Agreed
    segment: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordDenial:
    """Append `access.denied`: somebody tried to add this purpose, in their word for it, and why it was not added, nor
    even asked for (R22).
    """

    segment: int
    purpose: str
    actor: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordStop:
    """Append `choice.made`: by this order somebody else than the caller stopped a recording before it began."""

    order: Order
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StartTimer:
    """Run this clock as configured; TimerExpired when it runs out."""

    timer: Timer


@dataclass(frozen=True, slots=True, kw_only=True)
class Dial:
    """Call destination number `target` of the line: 0 is the destination, then the fallbacks. On an outbound call the
    outside party is called there.
    """

    target: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bridge:
    """Connect both legs' audio."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRecording:
    """Order: start capture of one segment. Cannot be written down without a proof, nor, for a purpose that the notice
    did not name, without the consent to this very segment: ValueError.
    """

    proof: NoticeProof
    segment: int
    purposes: frozenset[Purpose]
    about: About | None = None
    """Who the call is about, where that was said before; else as the line says."""
    consent: Consent | None = None

    def __post_init__(self) -> None:
        """See above."""
        if self.consent is not None and self.consent.agreed.proof != self.proof:
            raise ValueError("this consent was given to another segment")
        added = self.consent.purposes if self.consent is not None else frozenset()
        if not self.purposes <= self.proof.granted.purposes | added:
            raise ValueError("a purpose that neither notice nor consent names")


@dataclass(frozen=True, slots=True, kw_only=True)
class SuspendRecording:
    """Capture nothing from now on, keep the time line: a marked gap. Within a gap, one more reason for it."""

    why: str
    actor: str = "agent"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeRecording:
    """End the gap."""

    actor: str = "agent"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeTags:
    """Append `tag.changed` of this segment: these purposes are gone for good, or may not be used until somebody
    looked at it. Never anything that adds.
    """

    segment: int
    suspended: bool
    purposes: frozenset[Purpose]
    source: TagSource
    actor: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordWithdrawal:
    """Append `withdrawn` of this segment: its caller stopped it, and it is quarantined until that is decided (R16)."""

    segment: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifySubject:
    """The running segment is about this person (R35): date it so, and append `tag.changed`."""

    segment: int
    about: About
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalStaff:
    """A few beeps to the staff leg alone."""

    signal: Signal


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRecording:
    """End the segment; seal and keep what was captured."""

    reason: Reason | None
    actor: str
    announce: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscardRecording:
    """End the segment; destroy key and audio."""

    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class EndWithTone:
    """Play the tone to whoever called us, then BYE with Reason (RFC 3326)."""

    tone: Tone
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HangUp:
    """End this leg, whatever state it is in."""

    leg: Leg
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What was decided of one segment: recorded, as far as it was ordered, or why not."""

    segment: int
    recorded: bool
    reason: Reason | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseCall:
    """Write the summary and forget the call. `segments` are the decisions from segment 0 on, without a gap."""

    segments: tuple[Decision, ...]

    @property
    def recorded(self) -> bool:
        """True where any segment was."""
        return any(decision.recorded for decision in self.segments)

    @property
    def reason(self) -> Reason | None:
        """Why nothing was recorded: that of segment 0, which every call has; None where something was."""
        return None if self.recorded else self.segments[0].reason


Command = (
    AnswerCaller
    | RejectCaller
    | PlayNotice
    | StopNotice
    | SkipNotice
    | ChooseLanguage
    | JudgeNotice
    | RecordProof
    | RecordRefusal
    | RecordChoice
    | RecordStop
    | RecordConsent
    | RecordDenial
    | StartTimer
    | Dial
    | Bridge
    | StartRecording
    | SuspendRecording
    | ResumeRecording
    | StopRecording
    | DiscardRecording
    | ChangeTags
    | RecordWithdrawal
    | ClassifySubject
    | SignalStaff
    | EndWithTone
    | HangUp
    | CloseCall
)
