"""Legal holds: what they cover, how long until somebody looks again, and who ends them (R46).

One person places a hold, because it only protects. Two end it: each by an entry of their own. A hold stops disposal;
it gives no right of use. A hold on a query also catches what is recorded later.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date
from enum import Enum, unique
from typing import Final

from callrec.core.dates import plus

REVIEW_MONTHS: Final = 6
"""A hold is looked at again within so many months."""


@unique
class HoldKind(Enum):
    """Why something must not be destroyed."""

    CLAIM = "claim"
    COMPLAINT = "complaint"
    INQUEST = "inquest"
    SUBJECT_ACCESS = "subject-access"
    POLICE_COURT = "police-court"
    INQUIRY = "inquiry"
    SAFEGUARDING = "safeguarding"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a hold covers: one recording, or all of a line and time, now and later. Times are ISO 8601 UTC, [since,
    until); empty means any. An empty scope covers nothing.
    """

    recording_id: str = ""
    line: str = ""
    since: str = ""
    until: str = ""

    def covers(self, recording_id: str, *, line: str, started_utc: str) -> bool:
        """True where this recording is among them. One whose line or start is not known is, in doubt."""
        if self.recording_id:
            return self.recording_id == recording_id
        if not (self.line or self.since or self.until):
            return False
        on_line = self.line in ("", line) or not line
        late_enough = not self.since or not started_utc or started_utc >= self.since
        return on_line and late_enough and (not self.until or not started_utc or started_utc < self.until)

    def __str__(self) -> str:
        if self.recording_id:
            return self.recording_id
        said = (("line", self.line), ("from", self.since), ("to", self.until))
        return ", ".join(f"{name} {value}" for name, value in said if value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """One hold. `asked` is who asked for its release, with the leaf of that entry, until another person agrees."""

    hold_id: str
    kind: str
    scope: Scope
    reason: str
    review_by: str
    placed_by: str
    asked: Person | None = None
    asked_leaf: str = ""

    def asked_by(self, person: Person, leaf: str) -> Hold:
        """After the first of the two who end it."""
        return replace(self, asked=person, asked_leaf=leaf)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody as the ledger knows them: the id in `people`, and the account on the machine."""

    person: str
    login: str = field(default="")

    def other_than(self, other: Person) -> bool:
        """True where these are surely two: neither id nor account is shared."""
        known = bool(self.person and self.login and other.person and other.login)
        return known and self.person != other.person and self.login != other.login


def latest_review(placed: date) -> date:
    """The last day to which the next look at a hold may be put off."""
    return plus(placed, months=REVIEW_MONTHS)
