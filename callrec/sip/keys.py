"""Which keys of a caller are passed on. Pure.

A digit waits while it may still begin a sequence that callrec keeps for itself; what cannot any more is passed on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

FLUSH_S: Final = 1.5
"""Seconds without a further key after which what waits is decided."""


Send = Callable[[str], None]
CallLater = Callable[[float, Callable[[], None]], None]


class KeyRelay:
    """The waiting digits of one leg."""

    def __init__(self) -> None:
        self._words: frozenset[str] = frozenset()
        self._waiting = ""
        self._presses = 0

    def swallow(self, words: str) -> None:
        """Keep these keys and sequences from now on: words separated by spaces, such as `2 3 **2 999`."""
        self._words = frozenset(words.split())

    def relay(self, digit: str, send: Send, call_later: CallLater) -> None:
        """Send what can be passed on now, and the rest once no further key came for FLUSH_S."""
        self._presses += 1
        presses = self._presses
        send(self.press(digit))
        if self.waits:
            call_later(FLUSH_S, lambda: send(self.flush()) if self._presses == presses else None)

    def press(self, digit: str) -> str:
        """The digits to pass on now."""
        self._waiting += digit
        return self._decide(final=False)

    def flush(self) -> str:
        """The digits to pass on now that no further key came."""
        return self._decide(final=True)

    @property
    def waits(self) -> bool:
        """True while a digit is undecided."""
        return bool(self._waiting)

    def _decide(self, *, final: bool) -> str:
        passed = ""
        while self._waiting:
            if self._may_grow() and not final:
                break
            if self._waiting in self._words:
                self._waiting = ""
                break
            passed, self._waiting = passed + self._waiting[0], self._waiting[1:]
        return passed

    def _may_grow(self) -> bool:
        return any(len(word) > len(self._waiting) and word.startswith(self._waiting) for word in self._words)
