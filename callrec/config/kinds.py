"""The kinds of value a key may take. `read` answers the value or raises ValueError saying what must be written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from callrec.config.nodes import Scalar


class Kind(Protocol):
    """How one plain value is read."""

    def read(self, scalar: Scalar) -> Any:
        """The value, or ValueError with the rest of a sentence that begins with the key."""


@dataclass(frozen=True, slots=True)
class Text:
    """Text, read further by `parse`. What YAML takes for something else must stand in quotes. `secret`: never shown."""

    parse: Callable[[str], Any]
    secret: bool = False

    def read(self, scalar: Scalar) -> Any:
        """See Kind."""
        if not scalar.is_text:
            shown = "this value" if self.secret else scalar.text
            raise ValueError(f"must be text; put {shown} in quotes, as YAML reads it as {scalar.says} here")
        return self.parse(scalar.text)


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number within bounds, both included. `why` explains a bound that protects something."""

    low: int
    high: int
    why: str = ""

    def read(self, scalar: Scalar) -> int:
        """See Kind."""
        if not (scalar.is_number and re.fullmatch(r"0|-?[1-9][0-9]{0,11}", scalar.text)):
            raise ValueError(f"must be a whole number from {self.low} to {self.high}, not {scalar.text!r}")
        value = int(scalar.text)
        if not self.low <= value <= self.high:
            raise ValueError(_outside(value, self.low, self.high, self.why))
        return value


@dataclass(frozen=True, slots=True)
class Share:
    """A share of one: above `low`, at most `high`."""

    low: float
    high: float

    def read(self, scalar: Scalar) -> float:
        """See Kind."""
        if not (scalar.is_number and re.fullmatch(r"[0-9](\.[0-9]{1,9})?", scalar.text)):
            raise ValueError(f"must be a share such as 0.05, not {scalar.text!r}")
        value = float(scalar.text)
        if not self.low < value <= self.high:
            raise ValueError(f"is {value}; it must be above {self.low} and at most {self.high}")
        return value


@dataclass(frozen=True, slots=True)
class Flag:
    """true or false."""

    def read(self, scalar: Scalar) -> bool:
        """See Kind."""
        if scalar.text not in ("true", "false") or scalar.is_text:
            raise ValueError(f"must be true or false, not {scalar.text!r}")
        return scalar.text == "true"


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a closed list of words; those of an Enum answer its members. `why` explains why the list is closed."""

    of: Iterable[Enum | str]
    why: str = ""

    @property
    def words(self) -> tuple[str, ...]:
        """What may be written."""
        return tuple(self._members())

    def _members(self) -> dict[str, Enum | str]:
        return {str(each.value) if isinstance(each, Enum) else each: each for each in self.of}

    def read(self, scalar: Scalar) -> Any:
        """See Kind. A bare `off` is the word, whatever YAML makes of it: the list is closed."""
        if scalar.text not in self.words:
            why = f"; {self.why}" if self.why else ""
            raise ValueError(f"must be {_or(self.words)}, not {scalar.text!r}{why}")
        return self._members()[scalar.text]


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list of plain values, none twice, at least `least`."""

    each: Kind
    least: int = 0


def _outside(value: int, low: int, high: int, why: str) -> str:
    reason = f": {why}" if why else ""
    return f"is {value}; it must be from {low} to {high}{reason}"


def _or(words: tuple[str, ...]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
