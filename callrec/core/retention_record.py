"""Dates and the facts behind them as plain values: what a manifest and a classification hold, and how they combine.

A manifest's `retention` holds the file's rule, version, trigger and due as they stood when the recording was kept, the
same for each tag, and the facts they were computed from. Facts that arrive later come as classifications; the date of
the file only ever moves later by them, and the right of use for a secondary purpose never does (rules 2 and 5).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import date
from typing import Any, Final

from callrec.core.retention import (
    Action,
    Due,
    Facts,
    LineKind,
    Nation,
    Rule,
    Schedule,
    Subject,
    later,
    retriggered,
    schedule,
)
from callrec.core.values import Purpose

DATES: Final = ("born", "birth", "last_contact", "consent", "died")
"""Facts that are one date each. They arrive later than the call, if ever."""


def due_json(due: Due) -> dict[str, Any]:
    """One due date."""
    return {
        "rule": due.rule_id,
        "version": due.rule_version,
        "trigger": due.trigger.isoformat(),
        "due": None if due.on is None else due.on.isoformat(),
        "action": due.action.value,
        "basis": due.basis,
        "tasks": list(due.tasks),
    }


def facts_json(facts: Facts) -> dict[str, Any]:
    """The facts. `spoken` is not among them: it belongs to a consent."""
    return {
        "nation": facts.nation.value,
        "call": facts.call.isoformat(),
        "subject": facts.subject.value,
        "line": facts.line.value,
        "health_record": facts.health_record,
        "later_uses": [day.isoformat() for day in facts.later_uses],
        **{name: None if (day := getattr(facts, name)) is None else day.isoformat() for name in DATES},
    }


def schedule_json(facts: Facts, whole: Schedule) -> dict[str, Any]:
    """What stands in a manifest: the file's date, each tag's, and the facts."""
    tags = {purpose.value: due_json(due) for purpose, due in whole.tags.items()}
    return {**due_json(whole.file), "tags": tags, "facts": facts_json(facts)}


def parse_due(raw: Mapping[str, Any], rules: Collection[Rule] = ()) -> Due:
    """A due date as it was written. ValueError where it is none.

    One that names no action has that of its rule in the schedule; where the schedule does not know the rule any more,
    it is only ever reviewed.
    """
    rule = next((each for each in rules if each.id == raw.get("rule")), None)
    action = raw.get("action") or (rule.action if rule else Action.REVIEW).value
    try:
        return Due(
            rule_id=str(raw["rule"]),
            rule_version=int(raw["version"]),
            trigger=date.fromisoformat(raw["trigger"]),
            on=None if raw.get("due") is None else date.fromisoformat(raw["due"]),
            action=Action(action),
            basis=str(raw.get("basis") or (rule.basis if rule else "")),
            tasks=tuple(raw.get("tasks") or ()),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"a due date lacks {error}") from error


def parse_facts(raw: Mapping[str, Any]) -> Facts:
    """Facts as they were written. ValueError where they are none."""
    try:
        days: dict[str, Any] = {name: None if raw[name] is None else date.fromisoformat(raw[name]) for name in DATES}
        return Facts(
            nation=Nation(raw["nation"]),
            call=date.fromisoformat(raw["call"]),
            subject=Subject(raw["subject"]),
            line=LineKind(raw["line"]),
            health_record=bool(raw["health_record"]),
            later_uses=tuple(date.fromisoformat(day) for day in raw["later_uses"]),
            **days,
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"the facts lack {error}") from error


def parse_schedule(raw: Mapping[str, Any], tags: Collection[Purpose], rules: Collection[Rule] = ()) -> Schedule:
    """The dates as they were written; a tag without its own has the file's. ValueError where there is none."""
    whole = parse_due(raw, rules)
    written = raw.get("tags") or {}
    each = {tag: parse_due(written[tag.value], rules) if tag.value in written else whole for tag in tags}
    return Schedule(tags=each, file=whole)


def learned(old: Facts, new: Mapping[str, Any]) -> Facts:
    """The facts after a classification: `new` holds a `subject`, dates by name and `later_uses`. Nothing is forgotten:
    what is not said again stays.
    """
    said = {name: value for name, value in new.items() if value is not None and name != "later_uses"}
    uses = tuple(sorted({*old.later_uses, *(new.get("later_uses") or ())}))
    return replace(old, **said, later_uses=uses)


def reclassified(rules: Collection[Rule], held: Schedule, facts: Facts) -> Schedule:
    """The dates after new facts: the file's and medico-legal's never earlier than they were held, the right of use
    for a secondary purpose never later. ValueError where no rule fits.
    """
    fresh = schedule(rules, facts, held.tags.keys())
    tags = {
        tag: retriggered(held.tags[tag], due) if tag is Purpose.MEDICO_LEGAL else _sooner(held.tags[tag], due)
        for tag, due in fresh.tags.items()
    }
    return Schedule(tags=tags, file=retriggered(held.file, fresh.file))


def _sooner(held: Due, fresh: Due) -> Due:
    return replace(fresh, on=held.on) if later(held, fresh) is fresh else fresh


def live_on(whole: Schedule, day: date) -> frozenset[Purpose]:
    """The purposes for which it may still be used on this day: each tag's right of use ends on its own date (rule 1).
    A legal hold keeps what is past its date, and gives no new right of use (R46).
    """
    return frozenset(tag for tag, due in whole.tags.items() if due.on is None or day < due.on)
