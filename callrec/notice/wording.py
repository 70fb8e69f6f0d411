"""Does the text say what a notice must say? (R12) Each thing is shown by the phrase of the text that says it.

No program can tell whether the words are kind or clear: a person reads them before they approve. This finds what was
left out: who records, that calls are recorded, each purpose, how to decline, that the help is the same, where to learn
more; and a key that is spoken but not declared, or declared but not spoken.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from callrec.core.purposes import SECONDARY
from callrec.core.retention import Item, Nation, Rule
from callrec.core.values import Purpose

EXPLAINS: Final[Mapping[str, str]] = {
    "who": "who is recording",
    "recorded": "that the call is recorded",
    "decline": "how to say no",
    "same_help": "that the caller gets the same help",
    "more": "where to learn more",
}
"""What every notice says besides its purposes, and its name in the manifest."""

CONSENT_EXPLAINS: Final[Mapping[str, str]] = {
    "purpose": "what it is for",
    "use": "how it is used",
    "period": "how long it is kept",
    "storage": "how it is stored",
    "refuse": "that the caller may say no",
    "withdraw": "that the caller may change their mind, during the call and after it",
    "same_care": "that the caller's care does not change",
}
"""What every prompt that asks for consent says (R20), and its name in the manifest."""

MEANINGS: Final[Mapping[str, str]] = {
    "decline": "do not record this call",
    "decline_training": "record it, but not for training",
    "repeat": "play the notice again",
    "acknowledge": "the caller heard it",
    "shorten": "end the notice now; what must be heard was said",
    "agree": "yes to what a consent is asked for",
    "refuse": "no to it",
}
"""What a key that the notice names may mean, besides LANGUAGE_KEY and a language: the notice in that language."""
LANGUAGE_KEY: Final = "language:"
_LANGUAGE: Final = re.compile(LANGUAGE_KEY + "[a-z]{2,3}(-[A-Z]{2})?")

KEYS: Final = "012345678*#"
"""Keys a notice may name. 9 is never a choice: somebody frightened presses it for 999, which always means emergency."""

_NUMBER_WORDS: Final = {
    "zero": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7",
    "eight": "8", "nine": "9", "star": "*", "hash": "#",
    "sero": "0", "un": "1", "dau": "2", "tri": "3", "pedwar": "4", "pump": "5", "chwech": "6", "saith": "7",
    "wyth": "8", "naw": "9", "seren": "*",
}  # fmt: skip
_AFTER_PRESS: Final = re.compile(r"\b(?:press|pwyswch)\s+(?:the\s+|key\s+)*(\w+)", re.IGNORECASE)
_LONE_KEY: Final = re.compile(r"(?<![\w.,:/*#])([0-9*#])(?!\w|[.,:/]\w)")
MOST_WORDS: Final = 60
MOST_CONSENT_WORDS: Final = 110
_ANSWERS: Final = ("agree", "refuse")


def is_meaning(meaning: str) -> bool:
    """True for what a key may mean."""
    return meaning in MEANINGS or _LANGUAGE.fullmatch(meaning) is not None


def spoken_keys(text: str) -> frozenset[str]:
    """The keys this text names: lone digits, star or hash, and number words right after "press" (or its Welsh)."""
    words = (word.lower() for word in _AFTER_PRESS.findall(text))
    return frozenset(_LONE_KEY.findall(text)) | {_NUMBER_WORDS[word] for word in words if word in _NUMBER_WORDS}


def names(text: str, phrase: str) -> bool:
    """True where the text holds this phrase, whatever the case and the spacing."""
    return bool(phrase.strip()) and " ".join(phrase.lower().split()) in " ".join(text.lower().split())


def lint_notice(
    text: str, *, purposes: Mapping[Purpose, str], keys: Mapping[str, str], explains: Mapping[str, str]
) -> tuple[str, ...]:
    """Everything that this notice fails to say, as sentences; empty where it says it all."""
    return (
        *_length(text, MOST_WORDS, f"about 45 fit into 20 seconds, {MOST_WORDS} never do"),
        *_purposes(text, purposes),
        *_explains(text, explains, EXPLAINS),
        *_keys(text, purposes, keys, explains),
        *(
            f"key {key} answers a question ({means}), and a notice asks none"
            for key, means in keys.items()
            if means in _ANSWERS
        ),
    )


def lint_consent(
    text: str,
    *,
    purposes: Mapping[Purpose, str],
    asks: Mapping[Purpose, str],
    keys: Mapping[str, str],
    explains: Mapping[str, str],
) -> tuple[str, ...]:
    """Everything that a prompt which asks for consent fails to say: the seven explanations of R20, the keys for yes and
    no, what it asks for, and for what the call is recorded in any case.
    """
    return (
        *_length(text, MOST_CONSENT_WORDS, "nobody listens to more"),
        *_purposes(text, purposes),
        *_asks(text, purposes, asks),
        *_explains(text, explains, CONSENT_EXPLAINS),
        *_answers(text, keys),
        *_its_period(explains.get("period", "")),
    )


def _asks(text: str, purposes: Mapping[Purpose, str], asks: Mapping[Purpose, str]) -> Iterator[str]:
    if not asks:
        yield "it asks for no purpose"
    for purpose, phrase in asks.items():
        if not names(text, phrase):
            yield f"the phrase that asks for {purpose.value}, {phrase!r}, is not in the text"
        if purpose not in SECONDARY:
            yield f"{purpose.value} is not asked for: a notice names it, and the caller may decline"
        if purpose in purposes:
            yield f"{purpose.value} is asked for, and named as if the answer made no difference"


def _answers(text: str, keys: Mapping[str, str]) -> Iterator[str]:
    for meaning in _ANSWERS:
        if list(keys.values()).count(meaning) != 1:
            yield f"one key must mean {meaning} ({MEANINGS[meaning]})"
    for key, meaning in sorted(keys.items()):
        if meaning not in _ANSWERS:
            yield f"key {key} ({meaning}) answers nothing: only agree and refuse do"
    yield from _spoken(text, keys)


def _its_period(phrase: str) -> Iterator[str]:
    if phrase.strip() and not _PERIOD.search(phrase):
        yield f"the phrase that says how long it is kept, {phrase!r}, names no period (period)"


def _length(text: str, most: int, why: str) -> Iterator[str]:
    count = len(text.split())
    if not count:
        yield "there is no text: write down, word for word, what is spoken"
    if count > most:
        yield f"the text has {count} words; {why}"


def _purposes(text: str, purposes: Mapping[Purpose, str]) -> Iterator[str]:
    if not purposes:
        yield "it names no purpose: nothing could be recorded under it"
    for purpose, phrase in purposes.items():
        if not names(text, phrase):
            yield f"the phrase for {purpose.value}, {phrase!r}, is not in the text"


def _explains(text: str, explains: Mapping[str, str], wanted: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(explains.keys() - wanted.keys()):
        yield f"{name} is nothing that such a prompt explains: {', '.join(wanted)} are"
    for name, meaning in wanted.items():
        if not explains.get(name, "").strip():
            yield f"no phrase says {meaning} ({name})"
        elif not names(text, explains[name]):
            yield f"the phrase that says {meaning}, {explains[name]!r}, is not in the text ({name})"


def _keys(
    text: str, purposes: Mapping[Purpose, str], keys: Mapping[str, str], explains: Mapping[str, str]
) -> Iterator[str]:
    spoken = spoken_keys(text)
    yield from _spoken(text, keys)
    if "decline_training" in keys.values() and Purpose.TRAINING not in purposes:
        yield "a key leaves out training, which this notice does not name as a purpose"
    declining = [key for key, meaning in keys.items() if meaning == "decline"]
    if keys and not declining:
        yield "keys are offered, but none to say no"
    for key in declining:
        if key in spoken and key not in spoken_keys(explains.get("decline", "")):
            yield f"the phrase that says how to say no does not name its key {key} (decline)"


def _spoken(text: str, keys: Mapping[str, str]) -> Iterator[str]:
    spoken = spoken_keys(text)
    for key in sorted(keys.keys() - set(KEYS)):
        yield f"{key} cannot be a key; use one of {' '.join(KEYS)} (9 is for 999, which always means emergency)"
    for key in sorted(spoken - keys.keys()):
        yield f"the text names {key}, which is not declared as a key; where it is no key, write the number as a word"
    for key in sorted(keys.keys() - spoken):
        yield f"key {key} ({keys[key]}) is declared, but the text does not name it"


# ---------------------------------------------------------------- what may be skipped

_MUST_COME_FIRST: Final = ("who", "recorded", "decline", "same_help")


def lint_essential(
    text: str,
    essential: str,
    *,
    purposes: Mapping[Purpose, str],
    keys: Mapping[str, str],
    explains: Mapping[str, str],
) -> Iterator[str]:
    """What the part that no caller can skip fails to say (R8): who records, that calls are, at least one purpose, how
    to decline and that the help is the same, with every key but those to hear it again. `essential` is empty where the
    whole is to be heard.
    """
    if not essential.strip():
        if "shorten" in keys.values():
            yield "a key skips the rest, and all of it is essential: say which words are, or take the key out"
        return
    if "shorten" not in keys.values():
        yield "only a part of it is essential, and no key skips the rest"
    if not _begins_with(text, essential):
        yield "the text does not begin with its essential words"
        return
    yield from _said_in(essential, purposes, keys, explains)


def _said_in(
    essential: str, purposes: Mapping[Purpose, str], keys: Mapping[str, str], explains: Mapping[str, str]
) -> Iterator[str]:
    if not any(names(essential, phrase) for phrase in purposes.values()):
        yield "its essential part names no purpose"
    for name in _MUST_COME_FIRST:
        if not names(essential, explains.get(name, "")):
            yield f"its essential part does not say {EXPLAINS[name]} ({name})"
    for key in sorted(keys.keys() - spoken_keys(essential)):
        if keys[key] != "repeat":
            yield f"its essential part does not name key {key} ({keys[key]})"


def _begins_with(text: str, words: str) -> bool:
    whole, part = text.split(), words.split()
    return whole[: len(part)] == part and len(part) < len(whole)


# ---------------------------------------------------------------- how long

Schedule = Mapping[Purpose, frozenset[int]]
"""For each purpose the periods, in months, for which the retention schedule keeps recordings."""

_TO_TWENTY: Final = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
_WELSH: Final = {"un": 1, "dwy": 2, "dau": 2, "tair": 3, "tri": 3, "pum": 5, "chwe": 6, "saith": 7, "wyth": 8, "naw": 9}
_TENS: Final = {"thirty": 30, "sixty": 60, "ninety": 90}
_COUNTS: Final = {word: number for number, word in enumerate(_TO_TWENTY.split(), 1)} | _TENS | _WELSH
_MONTHS: Final = (
    {"year": 12.0, "month": 1.0, "week": 12 / 52, "day": 12 / 365} | {"blynedd": 12.0, "blwyddyn": 12.0} | {"mis": 1.0}
)
_KEEPING: Final = re.compile(r"\b(?:keep|kept|stor|hold|held|delet|destroy|eras|cadw|gadw|storio|dileu)", re.IGNORECASE)
_PERIOD: Final = re.compile(
    r"\b(\d+|[a-z]+)\s+(?:calendar\s+)?(year|month|week|day|[bfm]lynedd|[bf]lwyddyn|mis)s?\b", re.IGNORECASE
)


def kept_for(rules: Iterable[Rule], nation: Nation, *, consented: bool = False) -> Schedule:
    """What a schedule says of recordings here, whose callers consented or did not. Birthdays have no period."""
    found: dict[Purpose, set[int]] = {}
    for rule in rules:
        months = rule.period.years * 12 + rule.period.months
        ours = (
            rule.item is Item.RECORDING
            and (not rule.nation or nation in rule.nation)
            and rule.consented in (None, consented)
        )
        if ours and rule.purpose is not None and months:
            found.setdefault(rule.purpose, set()).add(months)
    return {purpose: frozenset(months) for purpose, months in found.items()}


def spoken_periods(text: str) -> tuple[tuple[str, float], ...]:
    """Each period, as it is said and in months, in a sentence that speaks of keeping or deleting."""
    sentences = [each for each in re.split(r"[.!?]\s", text) if _KEEPING.search(each)]
    found = [match for each in sentences for match in _PERIOD.finditer(each)]
    return tuple((match[0], _in_months(match)) for match in found if match[1].isdigit() or match[1].lower() in _COUNTS)


def _in_months(match: re.Match[str]) -> float:
    count = int(match[1]) if match[1].isdigit() else _COUNTS[match[1].lower()]
    unit = re.sub(r"^[fm](?=lynedd|lwyddyn)", "b", match[2].lower())
    return count * _MONTHS[unit]


def lint_periods(text: str, purposes: Iterable[Purpose], schedule: Schedule) -> tuple[str, ...]:
    """Each spoken period that the schedule does not keep any of these purposes for (R20); empty where all agree."""
    kept = {purpose: schedule.get(purpose, frozenset()) for purpose in purposes}
    allowed = frozenset().union(*kept.values())
    terms = "; ".join(f"{purpose.value} {_terms(months)}" for purpose, months in kept.items() if months)
    return tuple(
        f"the text says {said!r} of keeping, and the retention schedule does not: it keeps {terms or 'none of this'}"
        for said, months in spoken_periods(text)
        if months not in allowed
    )


def _terms(months: Iterable[int]) -> str:
    return " or ".join(f"{m // 12} years" if m % 12 == 0 else f"{m} months" for m in sorted(months))
