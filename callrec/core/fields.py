"""Fields of a body that nobody has checked: taken as what they should be, or as nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from callrec.core.holds import Person


def text(value: Any) -> str:
    """The value where it is text, else nothing."""
    return value if isinstance(value, str) else ""


def texts(value: Any) -> tuple[str, ...]:
    """The texts in a list, in order; nothing where it is no list."""
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def leaves(value: Any) -> tuple[str, ...]:
    """Leaf hashes as a list, or by party."""
    return texts(list(value.values()) if isinstance(value, dict) else value)


def person_in(body: Mapping[str, Any]) -> Person:
    """Who decided, as the body of a decision names them: nobody where it names nobody."""
    return Person(text(body.get("person")), text(body.get("login")))
