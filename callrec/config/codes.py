"""Words that are pressed in an answered call: callrec's own, those of an Asterisk, and which of them clash.

An Asterisk takes the keys of its in-call features off the line (features.conf: `featuremap`, `applicationmap`, and in
`general` those of an attended transfer that has begun). Two words clash where one begins with the other: whoever
listens for the shorter one has taken the call's keys before the longer one is whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from callrec.config.models import Config

DEFAULTS: Final[Mapping[str, tuple[str, str]]] = {
    "blindxfer": ("#", "where Dial or Queue has t or T"),
    "disconnect": ("*", "where Dial or Queue has h or H"),
    "atxferabort": ("*1", "once an attended transfer has begun"),
    "atxfercomplete": ("*2", "once an attended transfer has begun"),
    "atxferthreeway": ("*3", "once an attended transfer has begun"),
    "atxferswap": ("*4", "once an attended transfer has begun"),
}
"""What Asterisk takes for a feature that the file does not name, and when."""
_MAPS: Final = ("featuremap", "applicationmap")
_SECTION: Final = re.compile(r"\[([^\]]+)\]")
_KEYS: Final = re.compile(r"[0-9A-D*#]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One word, who listens for it, what it means, and, of a default, when it is in force at all."""

    keys: str
    what: str
    when: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clash:
    """Two words of which one begins with the other."""

    ours: Word
    theirs: Word

    @property
    def written(self) -> bool:
        """True where the PBX's word stands in its file; a default need not be in force."""
        return not self.theirs.when


def our_words(config: Config) -> tuple[Word, ...]:
    """Every code of staff, and what callers press to stop a recording."""
    prefix = config.staff_codes.prefix
    codes = config.staff_codes.by_name() if prefix else {}
    words = [Word(keys=f"{prefix}{key}", what=f"staff_codes.{name}") for name, key in codes.items()]
    stops = ((line.name, line.keys.stop) for line in config.lines)
    return (*words, *(Word(keys=stop, what=f"lines.{name}.keys.stop") for name, stop in stops if stop))


def pbx_words(features: str) -> tuple[Word, ...]:
    """The in-call words of an Asterisk with this features.conf, defaults included. What is no word is left out."""
    written = dict(_written(features))
    words = [Word(keys=keys, what=name) for name, keys in written.items()]
    missing = {name: default for name, default in DEFAULTS.items() if name not in written}
    return (*words, *(Word(keys=keys, what=name, when=when) for name, (keys, when) in missing.items()))


def _written(features: str) -> Iterator[tuple[str, str]]:
    section = ""
    for line in _without_comments(features):
        if found := _SECTION.match(line):
            section = found[1].strip().lower()
            continue
        name, equals, value = line.partition("=")
        keys = value.removeprefix(">").partition(",")[0].strip().strip('"')
        name = name.strip()
        in_force = section in _MAPS or (section == "general" and name.lower() in DEFAULTS)
        if equals and in_force and _KEYS.fullmatch(keys):
            yield (name.lower() if section != "applicationmap" else name), keys


def _without_comments(features: str) -> Iterator[str]:
    """Its lines without what follows a semicolon, and without blocks between `;--` and `--;`."""
    text = re.sub(r";--(?!-).*?--;", "", features, flags=re.DOTALL)
    yield from (line.partition(";")[0].strip() for line in text.splitlines())


def clashes(ours: tuple[Word, ...], theirs: tuple[Word, ...]) -> tuple[Clash, ...]:
    """Every pair of which one begins with the other, ours in their order."""
    return tuple(
        Clash(ours=one, theirs=other)
        for one in ours
        for other in theirs
        if one.keys.startswith(other.keys) or other.keys.startswith(one.keys)
    )
