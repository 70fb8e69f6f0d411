"""How long a recording is kept, and by which rule: the rules are data, this is their arithmetic (R44, R47).

A recording's schedule is one due date for each live tag and one for the file. How they combine:

1. each tag's right of use ends on its own date;
2. secondary purposes never lengthen the life of audio that is kept for care: the medico-legal date is the file's;
3. a file without medico-legal lives until its last tag ends;
4. the date for a child, or for a subject nobody knows, is never before the one for an adult;
5. a new trigger moves a date later, never earlier.

Dates are calendar dates of the country of the line. Source: requirements section 3; the default schedule with its
sources and grades is config/retention.yaml. Most periods there were adopted by its author, not set by law.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date
from enum import Enum, unique
from typing import Final

from callrec.core.dates import age_on, birthday, plus
from callrec.core.values import Purpose

CEILING_YEARS: Final = 20
"""Keeping longer than this needs an approval with its reason (Records Management Code)."""
ADULT_AT: Final = 18
"""Age from which the adult rule applies. Scottish law puts it at 16; the later age keeps longer."""


@unique
class Nation(Enum):
    """Whose schedule applies."""

    ENGLAND = "england"
    WALES = "wales"
    SCOTLAND = "scotland"
    NORTHERN_IRELAND = "northern-ireland"


@unique
class Subject(Enum):
    """Who the call is about, who need not be the caller (R35)."""

    ADULT = "adult"
    CHILD = "child"
    CHILD_WITHOUT_BIRTH_DATE = "child, date of birth unknown"
    UNKNOWN = "unknown"


@unique
class LineKind(Enum):
    """What kind of advice a line gives, where that changes how long it is kept."""

    GENERAL = "general"
    MENTAL_HEALTH = "mental-health"
    MATERNITY = "maternity"


@unique
class Item(Enum):
    """What a rule is about."""

    RECORDING = "recording"
    CODED_COPY = "coded copy"
    ANONYMISED_COPY = "anonymised copy"
    AUDIT_PAPERS = "audit papers"
    EVIDENCE = "evidence of a recorded call"
    UNRECORDED_CALL = "row of an unrecorded call"
    NOTICE_VERSION = "notice version"
    ACCESS_LOG = "access log"


@unique
class Trigger(Enum):
    """The date from which a period runs."""

    CALL = "call date"
    CALL_OR_LATER_USE = "call date or later linked use"
    DATE_OF_BIRTH = "date of birth"
    BIRTH = "birth or expected date, else call date"
    LAST_CONTACT = "last contact, else call date"
    CONSENT = "consent date"
    DEATH = "date of death"
    COPY_MADE = "copy made"
    AUDIT_CLOSED = "audit closed"
    DISPOSAL = "disposal of the recording"
    LAST_CITATION = "last evidence citing it destroyed"
    ENTRY = "entry date"


@unique
class Action(Enum):
    """What happens on the due date. Nothing that belongs to a health record is destroyed without review (R45)."""

    REVIEW_DESTROY = "review, then destroy"
    REVIEW = "review"
    TAG_EXPIRES = "tag expires"
    DESTROY = "destroy"
    PRUNE = "prune, keeping the chain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """How long: years and months after the trigger, or until a birthday; neither means that there is no end.

    `birthday_if_17` replaces `birthday` for somebody aged 17 when the call was made. `spoken` means at most as long as
    the caller was told; `not_past_birthday` caps a consent that a parent gave.
    """

    years: int = 0
    months: int = 0
    birthday: int = 0
    birthday_if_17: int = 0
    spoken: bool = False
    not_past_birthday: int = 0
    without_end: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule of the schedule. An empty set means any; None means that it makes no difference."""

    id: str
    version: int
    item: Item
    nation: frozenset[Nation]
    purpose: Purpose | None
    subject: frozenset[Subject]
    lines: frozenset[LineKind]
    health_record: bool | None
    consented: bool | None
    trigger: Trigger
    period: Period
    action: Action
    basis: str
    grade: str
    tasks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known about one recording when its dates are computed. `spoken` is the period the caller was told."""

    nation: Nation
    call: date
    subject: Subject
    line: LineKind = LineKind.GENERAL
    health_record: bool = True
    born: date | None = None
    birth: date | None = None
    last_contact: date | None = None
    later_uses: tuple[date, ...] = ()
    consent: date | None = None
    spoken: Period | None = None
    died: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What becomes of an item, when, and by which rule (R44). `on` is None where the rule sets no end."""

    rule_id: str
    rule_version: int
    trigger: date
    on: date | None
    action: Action
    basis: str
    tasks: tuple[str, ...] = ()

    @property
    def past_ceiling(self) -> bool:
        """True where it is kept so long that somebody must approve it with a reason."""
        return self.on is not None and self.on > plus(self.trigger, years=CEILING_YEARS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The dates of one recording: each tag's, and the file's."""

    tags: Mapping[Purpose, Due]
    file: Due


# ---------------------------------------------------------------- choosing a rule


def _subject(facts: Facts) -> Subject:
    """A child is one by the date of birth where it is known; where it is not, the rule for that applies."""
    if facts.born is not None and facts.subject is not Subject.UNKNOWN:
        return Subject.ADULT if age_on(facts.born, facts.call) >= ADULT_AT else Subject.CHILD
    return Subject.CHILD_WITHOUT_BIRTH_DATE if facts.subject is Subject.CHILD else facts.subject


def _fits(rule: Rule, facts: Facts, purpose: Purpose) -> bool:
    return all(
        (
            rule.item is Item.RECORDING,
            rule.purpose is purpose,
            rule.trigger is not Trigger.DEATH,
            not rule.nation or facts.nation in rule.nation,
            not rule.subject or _subject(facts) in rule.subject,
            not rule.lines or facts.line in rule.lines,
            rule.health_record in (None, facts.health_record),
            rule.consented in (None, facts.consent is not None),
        )
    )


def _only(rules: list[Rule], what: str) -> Rule:
    if len(rules) == 1:
        return rules[0]
    if not rules:
        raise ValueError(f"no retention rule for {what}")
    raise ValueError(f"more than one retention rule for {what}: {', '.join(rule.id for rule in rules)}")


def choose(rules: Collection[Rule], facts: Facts, purpose: Purpose) -> Rule:
    """The one rule for this purpose. ValueError where there is none, or more than one: then nothing is kept (R44)."""
    what = f"{purpose.value}, {_subject(facts).value}, {facts.line.value} line, {facts.nation.value}"
    return _only([rule for rule in rules if _fits(rule, facts, purpose)], what)


# ---------------------------------------------------------------- dates


def _trigger(rule: Rule, facts: Facts) -> date:
    wanted = {
        Trigger.CALL_OR_LATER_USE: max((facts.call, *facts.later_uses)),
        Trigger.DATE_OF_BIRTH: facts.born,
        Trigger.BIRTH: facts.birth,
        Trigger.LAST_CONTACT: facts.last_contact,
        Trigger.CONSENT: facts.consent,
    }.get(rule.trigger)
    return facts.call if wanted is None else wanted


def _end(period: Period, trigger: date, facts: Facts) -> date | None:
    if period.without_end:
        return None
    if period.birthday:
        return _birthday_end(period, facts)
    ends = [plus(trigger, years=period.years, months=period.months)]
    if period.spoken and facts.spoken is not None:
        ends.append(plus(trigger, years=facts.spoken.years, months=facts.spoken.months))
    if period.not_past_birthday and facts.born is not None:
        cap = birthday(facts.born, period.not_past_birthday)
        ends += [cap] if cap > trigger else []
    return min(ends)


def _birthday_end(period: Period, facts: Facts) -> date:
    if facts.born is None:
        raise ValueError("a period that runs to a birthday needs a date of birth")
    seventeen = age_on(facts.born, facts.call) == ADULT_AT - 1
    return birthday(facts.born, period.birthday_if_17 if seventeen and period.birthday_if_17 else period.birthday)


def _due(rule: Rule, trigger: date, on: date | None) -> Due:
    return Due(
        rule_id=rule.id,
        rule_version=rule.version,
        trigger=trigger,
        on=on,
        action=rule.action,
        basis=rule.basis,
        tasks=rule.tasks,
    )


def later(one: Due, other: Due) -> Due:
    """The one of two that comes later; no end comes last. Equal: the first."""
    if one.on is None or other.on is None:
        return one if one.on is None else other
    return other if other.on > one.on else one


def retriggered(held: Due, fresh: Due) -> Due:
    """The due date after a new trigger: the fresh one, but never earlier than what was promised before (rule 5)."""
    return fresh if later(held, fresh) is fresh else replace(fresh, on=held.on)


def due(rules: Collection[Rule], facts: Facts, purpose: Purpose) -> Due:
    """When this tag ends, and by which rule. ValueError where no rule, or more than one, applies.

    The chosen rule is named even where the adult date is the later one, or a death moved it (ML-D).
    """
    rule = choose(rules, facts, purpose)
    trigger = _trigger(rule, facts)
    found = _due(rule, facts.call if rule.period.birthday else trigger, _end(rule.period, trigger, facts))
    if purpose is not Purpose.MEDICO_LEGAL:
        return found
    return _after_death(rules, facts, _not_below_adult(rules, facts, found))


def _not_below_adult(rules: Collection[Rule], facts: Facts, found: Due) -> Due:
    if _subject(facts) is Subject.ADULT:
        return found
    grown = replace(facts, subject=Subject.ADULT, born=None)
    rule = choose(rules, grown, Purpose.MEDICO_LEGAL)
    trigger = _trigger(rule, grown)
    return replace(found, on=later(found, _due(rule, trigger, _end(rule.period, trigger, grown))).on)


def _after_death(rules: Collection[Rule], facts: Facts, found: Due) -> Due:
    """At least so long after death; for an adult on a mental-health line exactly so long (ML-D)."""
    if facts.died is None:
        return found
    applying = [
        rule
        for rule in rules
        if rule.trigger is Trigger.DEATH
        and (not rule.nation or facts.nation in rule.nation)
        and (not rule.lines or facts.line in rule.lines)
    ]
    rule = _only(applying, f"a subject who died, {facts.line.value} line")
    after = _due(rule, facts.died, _end(rule.period, facts.died, facts))
    instead = facts.line is LineKind.MENTAL_HEALTH and _subject(facts) is Subject.ADULT
    return after if instead else replace(found, on=later(found, after).on)


def due_after(rules: Collection[Rule], item: Item, trigger: date) -> Due:
    """When something other than a recording ends: a copy, evidence, a log. ValueError where no one rule is for it."""
    rule = _only([rule for rule in rules if rule.item is item], item.value)
    period = rule.period
    return _due(rule, trigger, None if period.without_end else plus(trigger, years=period.years, months=period.months))


def schedule(rules: Collection[Rule], facts: Facts, tags: Collection[Purpose]) -> Schedule:
    """Every date of one recording, combined as the rules above say. ValueError without a tag or a rule."""
    if not tags:
        raise ValueError("a recording without a purpose has no retention rule and must not be kept")
    each = {purpose: due(rules, facts, purpose) for purpose in sorted(tags, key=lambda tag: tag.value)}
    whole = each.get(Purpose.MEDICO_LEGAL) or _last(list(each.values()))
    return Schedule(
        tags={tag: one if later(one, whole) is whole else replace(one, on=whole.on) for tag, one in each.items()},
        file=whole,
    )


def _last(dues: list[Due]) -> Due:
    last = dues[0]
    for one in dues[1:]:
        last = later(last, one)
    return last


def uncovered(rules: Collection[Rule], facts: Facts, tags: Collection[Purpose]) -> tuple[str, ...]:
    """What `schedule` would refuse for this kind of call, as sentences; empty where every purpose has its rule.

    Also refuses a health record on a line that does not tell callers of a record of the advice: it would have to be
    kept for a purpose that nobody was told (combining rule 3 of the requirements).
    """
    found = []
    if facts.health_record and Purpose.MEDICO_LEGAL not in tags:
        found.append("a health record must be kept, but the purposes do not name medico-legal")
    for purpose in sorted(tags, key=lambda tag: tag.value):
        try:
            due(rules, facts, purpose)
        except ValueError as error:
            found.append(str(error))
    return tuple(found)
