"""A call as a value: its stages, its plan, and what every rule may look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, unique
from typing import Any, Final

from callrec.core import commands as c
from callrec.core import events as e
from callrec.core.consent import Consent, ConsentKind, GivenBy, Script
from callrec.core.evidence import Observation
from callrec.core.people import About
from callrec.core.permission import Permission
from callrec.core.proof import NoticeProof
from callrec.core.purposes import Protection
from callrec.core.reasons import Reason
from callrec.core.retention import Subject
from callrec.core.values import CallDirection, Grade, Leg, NoticeWhen, Order, Purpose

EMERGENCY: Final = "999"
"""Always means emergency: connected at once, unrecorded."""
STAFF: Final = "staff"
"""Who orders by a code."""


@unique
class Stage(Enum):
    """Where the call as a whole stands."""

    OFFERED = "offered"
    NOTICE = "notice"
    DIALLING = "dialling"
    BRIDGED = "bridged"
    CLOSED = "closed"


@unique
class Notice(Enum):
    """Where the notice to the caller stands."""

    NOT_BEGUN = "not begun"
    PLAYING = "playing"
    WAITING = "waiting for media"
    UNACKNOWLEDGED = "waiting for the caller's key"
    CHOOSING = "being brought in the language chosen"
    JUDGING = "being judged"
    SETTLED = "settled"


@unique
class Capture(Enum):
    """Where the recording of the segment stands."""

    OFF = "off"
    ON = "on"
    SUSPENDED = "suspended"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Keys that the notice names, as digits; None where it names none. `languages` are (key, language) pairs."""

    decline: str | None = None
    decline_training: str | None = None
    repeat: str | None = None
    stop: str | None = None
    acknowledge: str | None = None
    skip: str | None = None
    languages: tuple[tuple[str, str], ...] = ()

    def words(self) -> tuple[str, ...]:
        """Every sequence that callrec uses itself."""
        named = (self.decline, self.decline_training, self.repeat, self.stop, self.acknowledge, self.skip)
        return tuple(word for word in (*named, *(key for key, _ in self.languages), EMERGENCY) if word)

    def language(self, key: str) -> str | None:
        """The language that this key chooses."""
        return dict(self.languages).get(key)


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffCodes:
    """What staff press: one prefix, then one key for each order. Without a prefix there are no codes."""

    prefix: str = ""
    orders: tuple[tuple[str, Order], ...] = ()

    def words(self, *only: Order) -> tuple[str, ...]:
        """Every code, whole; or those of these orders."""
        return (
            tuple(self.prefix + key for key, order in self.orders if not only or order in only) if self.prefix else ()
        )

    def order(self, key: str) -> Order | None:
        """What this key after the prefix means; None where it means nothing."""
        return dict(self.orders).get(key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """A consent that is being asked for, beside a segment that runs: by whom, by which attempt, and how far it is. With
    an oral one the caller has said yes at `said_ns`, and it is the line's notice that plays, for what is recorded next.
    """

    kind: ConsentKind
    script: Script
    attempt: int
    actor: str
    given_by: GivenBy
    said_ns: int
    heard: Observation | None = None
    judging: bool = False

    @property
    def playing(self) -> bool:
        """True until the prompt has ended."""
        return self.heard is None and not self.judging


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPlan:
    """The line's rules for this one call, and what was found wrong before anything was promised. `direction` says which
    leg called us and which one is dialled; the notice is due to the caller leg in both. `script` asks for consent where
    the line has one, `asks_most` times at most; `subject` is whom the line's calls are about.
    """

    obstacle: Reason | None
    destinations: int
    attempts: int
    purposes: frozenset[Purpose]
    keys: Keys
    has_choice_window: bool
    waits_for_staff: bool = False
    reject_without_notice: bool = False
    required_grade: Grade = Grade.SENT
    essential_ms: int = 0
    declined_before: bool = False
    codes: StaffCodes = StaffCodes()
    pause_resumes: bool = False
    uninformed: frozenset[int] = frozenset()
    whispers: bool = False
    direction: CallDirection = CallDirection.INBOUND
    notice_when: NoticeWhen = NoticeWhen.BEFORE_DIALLING
    script: Script | None = None
    asks_most: int = 1
    subject: Subject = Subject.ADULT


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call, as a value. From `permission` on to `digits` most is of the segment that runs; `decided` says what
    became of those before it. `strangers` are outside parties on the advice line's side, who had no notice;
    `somebody_else` says that the notice which is being judged was not heard whole by whoever is there now; `in_talk`
    that it was begun when both legs heard each other; `skipped` is the attempt that the
    caller ended early. `asking` runs beside a segment; `agreed` is a yes on its way into the ledger, `consent` the one
    that is there, both of the segment after it.
    """

    plan: CallPlan
    stage: Stage = Stage.OFFERED
    notice: Notice = Notice.NOT_BEGUN
    attempt: int = 0
    permission: Permission = Permission.NONE
    proof: NoticeProof | None = None
    segment: int = 0
    decided: tuple[c.Decision, ...] = ()
    earlier_attempts: int = 0
    strangers: int = 0
    somebody_else: bool = False
    in_talk: bool = False
    without: frozenset[Purpose] = frozenset()
    window_open: bool = False
    window_closed_ns: int = -1
    held: frozenset[Leg] = frozenset()
    held_behind: frozenset[Leg] = frozenset()
    staff_there: bool = True
    staff_up: bool = False
    informed: bool | None = None
    whispered: bool = False
    target: int = 0
    capture: Capture = Capture.OFF
    recorded: bool = False
    purposes: frozenset[Purpose] = frozenset()
    earlier: tuple[tuple[int, frozenset[Purpose]], ...] = ()
    paused: bool = False
    protections: frozenset[Protection] = frozenset()
    about: About | None = None
    about_by: str = ""
    doubted_by: str = ""
    reason: Reason | None = None
    digits: str = ""
    skipped: int = 0
    unjudged: Observation | None = None
    staff_digits: str = ""
    strange: frozenset[str] = frozenset()
    asking: Asking | None = None
    asked: int = 0
    agreed: Asking | None = None
    consent: Consent | None = None

    @property
    def captures(self) -> bool:
        """True while a segment runs, in a gap or not."""
        return self.capture in (Capture.ON, Capture.SUSPENDED)

    @property
    def staff_uninformed(self) -> bool:
        """True where whoever answers did not acknowledge the recording policy, and must have: by the PBX's word of who
        that is, else by the destination that was called (R53).
        """
        return self.target in self.plan.uninformed if self.informed is None else not self.informed

    @property
    def unasked(self) -> bool:
        """True while nobody outside was given a notice, nor is to be given one before the talk."""
        return self.notice is Notice.NOT_BEGUN and self.segment == 0

    @property
    def attempts_left(self) -> bool:
        """True while this segment's notice may be begun again."""
        return self.attempt - self.earlier_attempts < self.plan.attempts

    @property
    def tagged(self) -> tuple[tuple[int, frozenset[Purpose]], ...]:
        """Every segment that was recorded or is, with the purposes it still has."""
        return (*self.earlier, (self.segment, self.purposes)) if self.purposes else self.earlier

    def less(self, gone: frozenset[Purpose]) -> Call:
        """Without these purposes in any segment."""
        earlier = tuple((segment, tags - gone) for segment, tags in self.earlier)
        return replace(self, purposes=self.purposes - gone, earlier=earlier)


def unfinished(digits: str, words: tuple[str, ...]) -> str:
    """What of these keys can still become one of these words; nothing else of them is kept."""
    ends = (digits[at:] for at in range(len(digits)))
    return next((end for end in ends if any(word != end and word.startswith(end) for word in words)), "")


Step = tuple[Call, tuple[c.Command, ...]]
"""The call after a fact, and what to do now."""

Handler = Callable[[Call, Any], Step]


def and_then(first: tuple[c.Command, ...], step: Step) -> Step:
    """This step, with these orders given before its own."""
    return step[0], (*first, *step[1])


def nothing(call: Call, _event: e.Event) -> Step:
    """A fact that changes nothing in this stage."""
    return call, ()
