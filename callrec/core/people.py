"""Who a call is about, and who may decide in their place: facts of one call, never of a number (R33-R39). Pure.

Whoever the call is about need not be who speaks, so both are said. What is not known is said to be unknown: nothing is
guessed from a voice, and nothing is carried to another call. Sources: GMC recordings guidance paragraphs 18-21 and
28-35; requirements section 1 E. The ages 16 and 18 are a design choice, and so is the day that is taken where only an
age in years is known: the earliest on which it can be.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum, unique
from typing import Any, Final

from callrec.core.dates import birthday, plus
from callrec.core.retention import ADULT_AT, Nation, Subject

REVIEW_AGES: Final = (16, 18)
"""Birthdays on which somebody is asked again about what a parent let be kept (R37)."""
OLDEST: Final = 120


@unique
class Answer(Enum):
    """A judgement that somebody made, or did not make."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@unique
class Speaker(Enum):
    """Who the caller is to whom the call is about."""

    SUBJECT = "subject"
    PARENT = "parent"
    OTHER = "other"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """Who one call is about (R35). `age` in completed years, where it was said. ValueError where it contradicts itself.

    A date of birth is personal data: it is classified after the call, beside the store, and stands in no ledger.
    """

    subject: Subject
    age: int | None = None
    competent: Answer = Answer.UNKNOWN
    parents_encouraged: Answer = Answer.UNKNOWN
    caller: Speaker = Speaker.UNKNOWN

    def __post_init__(self) -> None:
        """See above."""
        if self.age is not None and not 0 <= self.age <= OLDEST:
            raise ValueError(f"age: {self.age} is no age in years")
        if self.age is not None and (self.age < ADULT_AT) != (self.subject is Subject.CHILD):
            raise ValueError(f"age: somebody of {self.age} is no {self.subject.value}")
        judged = Answer.UNKNOWN is not self.competent or Answer.UNKNOWN is not self.parents_encouraged
        if judged and self.subject is not Subject.CHILD:
            raise ValueError("competent and parents_encouraged are said of a child")


A_CHILD: Final = About(subject=Subject.CHILD)
"""What is known where staff only say that it is about a child."""
SUBJECTS: Final = {each.value: each for each in (Subject.ADULT, Subject.CHILD, Subject.UNKNOWN)}
_ANSWERS: Final = {each.value: each for each in Answer}
_SPEAKERS: Final = {each.value: each for each in Speaker}


def about_json(about: About) -> dict[str, Any]:
    """What is known of it, as manifest and ledger hold it; what is unknown is left out."""
    said = {
        "competent": about.competent.value,
        "parents_encouraged": about.parents_encouraged.value,
        "caller": about.caller.value,
    }
    known = {name: value for name, value in said.items() if value != Answer.UNKNOWN.value}
    return {"subject": about.subject.value, **({} if about.age is None else {"age": about.age}), **known}


def parse_about(said: Mapping[str, Any]) -> About:
    """Who it is about, from words. ValueError names the field that is wrong and what may stand there."""
    return About(
        subject=_one_of(SUBJECTS, said, "subject"),
        age=_years(said.get("age")),
        competent=_one_of(_ANSWERS, said, "competent", Answer.UNKNOWN),
        parents_encouraged=_one_of(_ANSWERS, said, "parents_encouraged", Answer.UNKNOWN),
        caller=_one_of(_SPEAKERS, said, "caller", Speaker.UNKNOWN),
    )


def _years(given: object) -> int | None:
    if given in (None, ""):
        return None
    if not re.fullmatch(r"[0-9]{1,3}", str(given)):
        raise ValueError("age: write completed years, as in 9")
    return int(str(given))


def _one_of(known: Mapping[str, Any], said: Mapping[str, Any], name: str, default: Any = None) -> Any:
    given = said.get(name)
    if given in (None, "") and default is not None:
        return default
    if not isinstance(given, str) or given not in known:
        raise ValueError(f"{name}: write one of {', '.join(known)}")
    return known[given]


# ---------------------------------------------------------------- R37: growing up


def asked_again_on(call: date, *, born: date | None, age: int | None) -> dict[int, date]:
    """By age, the day from which somebody who was a child on the day of the call is asked again; nothing where neither
    birth nor age is known. With an age alone it is the day after the call, so many years on: the earliest there is.
    """
    if born is None and age is None:
        return {}
    earliest = born if born is not None else plus(call, years=-((age or 0) + 1)) + timedelta(days=1)
    days = {at: birthday(earliest, at) for at in REVIEW_AGES}
    return {at: day for at, day in days.items() if day > call}


# ---------------------------------------------------------------- R34, R38: in their place


@unique
class ProxyRole(Enum):
    """Who may decide for somebody else, by law of some nation."""

    ATTORNEY = "attorney-health-welfare"
    DEPUTY = "deputy"
    WELFARE_ATTORNEY = "welfare-attorney"
    WELFARE_GUARDIAN = "welfare-guardian"
    PARENT = "parental-responsibility"


_ENGLAND: Final = frozenset({ProxyRole.ATTORNEY, ProxyRole.DEPUTY, ProxyRole.PARENT})
PROXIES: Final[Mapping[Nation, frozenset[ProxyRole]]] = {
    Nation.ENGLAND: _ENGLAND,
    Nation.WALES: _ENGLAND,
    Nation.SCOTLAND: frozenset({ProxyRole.WELFARE_ATTORNEY, ProxyRole.WELFARE_GUARDIAN, ProxyRole.PARENT}),
    Nation.NORTHERN_IRELAND: frozenset({ProxyRole.PARENT}),
}
"""By nation (R34, R47). For Northern Ireland no role for adults was confirmed, so none is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """Somebody decided for whom the call is about: in what role, shown by which paper. References, no names."""

    role: ProxyRole
    seen: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Necessity:
    """Why a secondary use of a call is right though whoever it is about cannot decide, and nobody can in their place:
    references to what was written down of each. Counts once another person agreed (R38).
    """

    necessity: str
    benefit: str
    less_restrictive: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Capable:
    """Somebody looked at the doubt and found that whoever the call is about could decide: the reference."""

    finding: str


Basis = Proxy | Necessity | Capable
"""On what a secondary use may rest again that was suspended for a doubt about capacity (R33)."""


def basis_refused(basis: Basis | None, *, nation: Nation, subject: Subject) -> str:
    """Why this basis lifts nothing, as a sentence; empty where it may."""
    match basis:
        case None:
            return "a doubt about capacity is lifted by a finding, by whoever may decide for them, or by necessity"
        case Proxy(role=role) if role not in PROXIES[nation]:
            able = ", ".join(sorted(each.value for each in PROXIES[nation]))
            return f"{role.value} decides for nobody by the law of {nation.value}: {able} may"
        case Proxy(role=ProxyRole.PARENT) if subject is not Subject.CHILD:
            return "parental responsibility is for a child, and the call is not known to be about one"
        case Proxy(role=role) if role is not ProxyRole.PARENT and subject is Subject.CHILD:
            return f"{role.value} decides for an adult, and the call is about a child"
        case Proxy() | Necessity() | Capable():
            return _incomplete(basis)


def _incomplete(basis: Basis) -> str:
    said = {name: getattr(basis, name) for name in basis.__slots__ if name != "role"}
    missing = sorted(name.replace("_", "-") for name, value in said.items() if not value)
    return f"{', '.join(missing)} must be said" if missing else ""


def basis_json(basis: Basis) -> dict[str, str]:
    """As the ledger holds it."""
    match basis:
        case Proxy(role=role, seen=seen):
            return {"kind": "proxy", "role": role.value, "seen": seen}
        case Necessity(necessity=necessity, benefit=benefit, less_restrictive=less):
            return {"kind": "necessity", "necessity": necessity, "benefit": benefit, "less_restrictive": less}
        case Capable(finding=finding):
            return {"kind": "capable", "finding": finding}
