"""Fields of a body that nobody has checked: taken as what they should be, or as nothing."""

from __future__ import annotations

from typing import Any


def text(value: Any) -> str:
    """The value where it is text, else nothing."""
    return value if isinstance(value, str) else ""


def texts(value: Any) -> tuple[str, ...]:
    """The texts in a list, in order; nothing where it is no list."""
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def leaves(value: Any) -> tuple[str, ...]:
    """Leaf hashes as a list, or by party."""
    return texts(list(value.values()) if isinstance(value, dict) else value)
