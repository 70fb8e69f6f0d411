"""The words in which proof is told, and text that is safe to print. Never "delivered", never "informed"."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any, Final

from callrec.core.fields import text, texts
from callrec.core.values import Grade, Tap

REACHED: Final[Mapping[str, str]] = {
    Grade.SENT.value: "sent to",
    Grade.RECEIVED.value: "received by",
    Grade.ACKNOWLEDGED.value: "a key was pressed beyond",
}
"""How far each grade of proof reaches (design: Where proof reaches). It always ends at, or names, the next hop."""

_UNSAFE: Final = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))


def one_line(value: object) -> str:
    """The value as text on one line that can do nothing to a terminal: controls, line ends, marks that turn the
    direction of writing and lone surrogates become escapes.
    """
    return "".join(_shown(char) for char in str(value))


def _shown(char: str) -> str:
    return char if unicodedata.category(char) not in _UNSAFE else ascii(char)[1:-1]


def lines_of(lines: Iterable[str]) -> str:
    """These lines, each safe and kept to itself, as one text: no data can forge a line of its own."""
    return "\n".join(one_line(line) for line in lines) + "\n"


def proven(body: Mapping[str, Any], next_hop: str) -> str:
    """What a `notice.proven` says, as far as it reaches: "proven (sent to the next hop 192.0.2.5)"."""
    hop = next_hop or text(body.get("next_hop")) or "named in its evidence"
    word = ", as unauthenticated RTCP says" if _is_hearsay(body) else ""
    word += ", its tail skipped by the caller" if body.get("tail_skipped") is True else ""
    return f"proven ({REACHED.get(text(body.get('grade')), 'unknown grade at')} the next hop {hop}{word})"


def _is_hearsay(body: Mapping[str, Any]) -> bool:
    """Whoever stands on the path to the next hop could have written it."""
    return body.get("grade") == Grade.RECEIVED.value and body.get("rtcp") == "unauthenticated"


def not_proven(body: Mapping[str, Any]) -> str:
    """What a `notice.refused` says."""
    return f"not proven ({', '.join(texts(body.get('reasons')))})"


def tap_remark(tap: object) -> str:
    """Where it was measured, and what that is worth."""
    if tap == Tap.WIRE.value:
        return "wire: the packets that were handed to the socket"
    if tap == Tap.PLAYER.value:
        return "player, an evaluation grade"
    return "unknown"
