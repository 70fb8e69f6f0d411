"""The schedule as it is written down: a plain mapping in, frozen rules out. Nothing is guessed or left out silently.

Every mistake is a ValueError, of type as of value: what was written is wrong, and its place is named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final, TypeVar

from callrec.core.purposes import parse_purposes
from callrec.core.retention import Action, Item, LineKind, Nation, Period, Rule, Subject, Trigger
from callrec.core.values import Purpose

E = TypeVar("E", bound=Enum)

GRADES: Final = ("S", "A", "B", "K", "D")
"""How a period is founded: the guidance, a primary source, a secondary one, unconfirmed, chosen by its author."""
_MOST: Final = 100
"""No period is longer, in years, or in months for the months."""
_PERIOD_NUMBERS: Final = ("years", "months", "birthday", "birthday_if_17", "not_past_birthday")
_PERIOD_FLAGS: Final = ("spoken", "without_end")


def _known(raw: object, known: tuple[str, ...], at: str) -> Mapping[str, Any]:
    if not isinstance(raw, Mapping):
        raise ValueError(f"{at}: expected keys and values, found {raw!r:.60}")  # noqa: TRY004 - see above
    for key in raw:
        if key not in known:
            raise ValueError(f"{at}: unknown key {key!r}; known keys are {', '.join(sorted(known))}")
    return raw


def _one(raw: object, choices: type[E], at: str) -> E:
    for choice in choices:
        if raw == choice.value:
            return choice
    raise ValueError(f"{at}: {raw!r:.60} is none of: {'; '.join(choice.value for choice in choices)}")


def _any_of(choices: type[E]) -> Callable[[object, str], frozenset[E]]:
    def parse(raw: object, at: str) -> frozenset[E]:
        if raw == "any":
            return frozenset()
        if not isinstance(raw, list) or not raw:
            raise ValueError(f"{at}: expected 'any' or a list, found {raw!r:.60}")
        return frozenset(_one(each, choices, at) for each in raw)

    return parse


def _whole(raw: object, at: str, *, least: int = 1) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int) or not least <= raw <= _MOST:
        raise ValueError(f"{at}: expected a whole number from {least} to {_MOST}, found {raw!r:.60}")
    return raw


def _flag(raw: object, at: str) -> bool:
    if not isinstance(raw, bool):
        raise ValueError(f"{at}: expected true or false, found {raw!r:.60}")  # noqa: TRY004 - see above
    return raw


def _text(raw: object, at: str) -> str:
    if not isinstance(raw, str) or not raw.strip():
        raise ValueError(f"{at}: expected words, found {raw!r:.60}")
    return raw


def _tasks(raw: object, at: str) -> tuple[str, ...]:
    if not isinstance(raw, list):
        raise ValueError(f"{at}: expected a list, found {raw!r:.60}")  # noqa: TRY004 - see above
    return tuple(_text(each, at) for each in raw)


def _purpose(raw: object, at: str) -> Purpose:
    return next(iter(parse_purposes([raw], at=at)))


def _grade(raw: object, at: str) -> str:
    if raw not in GRADES:
        raise ValueError(f"{at}: {raw!r:.60} is none of {', '.join(GRADES)}")
    return str(raw)


def _period(raw: object, at: str) -> Period:
    given = _known(raw, _PERIOD_NUMBERS + _PERIOD_FLAGS, at)
    found: dict[str, Any] = {
        **{key: _whole(given[key], f"{at}.{key}", least=0) for key in _PERIOD_NUMBERS if key in given},
        **{key: _flag(given[key], f"{at}.{key}") for key in _PERIOD_FLAGS if key in given},
    }
    period = Period(**found)
    ways = [not found.keys().isdisjoint({"years", "months"}), bool(period.birthday), period.without_end]
    if sum(ways) != 1:
        raise ValueError(f"{at}: say one of: years and months; birthday; without_end: true")
    return period


_FIELDS: Final[Mapping[str, Callable[[object, str], Any]]] = {
    "id": _text,
    "version": _whole,
    "item": lambda raw, at: _one(raw, Item, at),
    "nation": _any_of(Nation),
    "purpose": _purpose,
    "subject": _any_of(Subject),
    "lines": _any_of(LineKind),
    "health_record": _flag,
    "consented": _flag,
    "trigger": lambda raw, at: _one(raw, Trigger, at),
    "period": _period,
    "action": lambda raw, at: _one(raw, Action, at),
    "basis": _text,
    "grade": _grade,
    "tasks": _tasks,
}
_OPTIONAL: Final[Mapping[str, Any]] = {
    "item": Item.RECORDING,
    "purpose": None,
    "subject": frozenset(),
    "lines": frozenset(),
    "health_record": None,
    "consented": None,
    "tasks": (),
}


def _rule(raw: object, at: str) -> Rule:
    given = _known(raw, tuple(_FIELDS), at)
    for key in _FIELDS:
        if key not in given and key not in _OPTIONAL:
            raise ValueError(f"{at}: {key} is missing")
    found = {key: parse(given[key], f"{at}.{key}") for key, parse in _FIELDS.items() if key in given}
    return Rule(**{**_OPTIONAL, **found})


def parse_rules(raw: object, *, at: str = "retention") -> tuple[Rule, ...]:
    """The rules of a schedule `{rules: [...]}`, in order. ValueError names the place and what may stand there."""
    given = _known(raw, ("rules",), at)
    if not isinstance(given.get("rules"), list):
        raise ValueError(f"{at}.rules: expected a list of rules")  # noqa: TRY004 - see above
    rules = tuple(_rule(each, f"{at}.rules[{number}]") for number, each in enumerate(given["rules"]))
    ids = [rule.id for rule in rules]
    for number, name in enumerate(ids):
        if name in ids[:number]:
            raise ValueError(f"{at}.rules[{number}].id: {name} is already in use")
    return rules
