"""Canonical JSON (RFC 8785), so that a hash means the same everywhere; and a reader that accepts no second meaning."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from typing import Any, Final, NoReturn

import rfc8785

from callrec.errors import Broken

_ENCODE: Final = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, check_circular=False, sort_keys=True, separators=(",", ":")
).encode
_LARGEST: Final = 2**53 - 1
"""The largest whole number that every reader of JSON takes for what it is (RFC 8785 section 3.2.2.3)."""
_SMALL: Final = 1e-4
_LARGE: Final = 1e15
"""Between these both encoders write a number that is not whole in the same way: the shortest that means it, without an
exponent (ECMA-262, Number::toString; Python's repr).
"""
_ALIKE: Final = frozenset({str, bool, type(None)})
"""Types of which both encoders make the same, as far as the text is ASCII."""


def canonical(value: Any) -> bytes:
    """The one byte form of `value`. ValueError where there is none: NaN, infinity, other types.

    Integers beyond 2**53 have none either: nanoseconds since boot pass that after 104 days, so they go in as strings.
    """
    plain = _plain(value)
    return _slowly(value) if plain is None else plain


def _plain(value: Any) -> bytes | None:
    """What the standard library's quick encoder makes of it, where that is surely the same; None elsewhere.

    The two agree on ASCII, on numbers that are neither too large nor too small, and where all names are text. Entries
    and evidence are nearly always so.
    """
    try:
        if not _is_plain(value):
            return None
        text = _ENCODE(value)
    except (TypeError, ValueError, RecursionError):
        return None
    return text.encode() if text.isascii() else None


def _is_plain(value: Any) -> bool:
    """Nothing in it that the quick encoder writes in its own way, or makes text of."""
    kind: type = type(value)
    if kind in _ALIKE:
        return True
    if kind is int:
        return bool(-_LARGEST <= value <= _LARGEST)
    if kind is float:
        return _SMALL <= abs(value) < _LARGE and not value.is_integer()
    if kind is dict:
        return all(type(name) is str for name in value) and all(map(_is_plain, value.values()))
    return kind in (list, tuple) and all(map(_is_plain, value))


def _slowly(value: Any) -> bytes:
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, RecursionError) as error:
        raise ValueError(f"no canonical JSON form: {error}") from error


def sha256_hex(data: bytes) -> str:
    """SHA-256 in lower-case hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is beyond every number")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return names


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_constant, parse_float=_number)
value_at: Final[Callable[[str, int], tuple[Any, int]]] = json.scanner.make_scanner(_DECODER)  # type: ignore[attr-defined]
"""The value that begins right there in a text, read as strictly as by `parse`, and where it ends. StopIteration where
none does, ValueError where it is no strict JSON, RecursionError where it is nested too deep.
"""


def _decoded(text: str) -> Any:
    """The value of the text: looked for blanks around it, which costs a fifth more, only where it is not the whole."""
    if text[:1] == "{":
        value, end = _DECODER.raw_decode(text)
        if end == len(text):
            return value
    return _DECODER.decode(text)


def parse(data: bytes) -> Any:
    """Read JSON strictly: UTF-8, no name twice, no NaN or infinity. `Broken` where it is anything else."""
    try:
        return _decoded(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise Broken(
            f"not strict JSON: {error}", next_step="keep the file as it is and compare it with a copy held elsewhere"
        ) from error
