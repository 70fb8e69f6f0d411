"""Telephone numbers as callers dial them and carriers write them (ITU-T E.164, E.123). Pure text in, text out.

A number that can be normalised is compared in its international form; anything else (an extension, a short code, a
name) is compared as the text it is. National numbers are those with the trunk prefix 0, which is dropped.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

COUNTRY: Final = "44"
"""Country code of a national number where nothing else is configured."""

_SEPARATORS: Final = re.compile(r"[ .\-()/]")
_INTERNATIONAL: Final = re.compile(r"(?:\+|00)([1-9][0-9]{6,14})")
_NATIONAL: Final = re.compile(r"0([1-9][0-9]{6,12})")
_BARE_TRUNK_PREFIX: Final = re.compile(r"\(0\)")
_IN_URI: Final = re.compile(r"sips?:([^@>,\s]+)@|tel:([^>,\s]+)", re.IGNORECASE)
_LONGEST: Final = 15
"""Digits of an E.164 number, country code included."""


def normalise(written: str, *, country: str = COUNTRY) -> str | None:
    """The number as `+` and digits, or None where it is no full telephone number.

    `+44 (0)1632 960001`, `00441632960001` and `01632 960001` are all `+441632960001` when `country` is "44".
    """
    text = written.strip()
    if text.startswith(("+", "00")):
        text = _BARE_TRUNK_PREFIX.sub("", text, count=1)
    digits = _SEPARATORS.sub("", text)
    if found := _INTERNATIONAL.fullmatch(digits):
        return f"+{found[1]}"
    if (found := _NATIONAL.fullmatch(digits)) and len(country + found[1]) <= _LONGEST:
        return f"+{country}{found[1]}"
    return None


def comparable(written: str, *, country: str = COUNTRY) -> str:
    """What stands for this number in a comparison: its E.164 form, else the text itself without outer blanks."""
    return normalise(written, country=country) or written.strip()


def same(one: str, other: str, *, country: str = COUNTRY) -> bool:
    """True where both are the same number, however each is written."""
    return comparable(one, country=country) == comparable(other, country=country)


def users_of(header: str) -> tuple[str, ...]:
    """What may be a number in each SIP or tel URI of this text, as it is written there (RFC 3261 19.1, RFC 3966)."""
    found = (match[1] or match[2] for match in _IN_URI.finditer(header))
    return tuple(unquote(each.partition(";")[0].partition(":")[0]) for each in found)
