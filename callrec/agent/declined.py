"""Who said no on a line, for as long as the PBX may bring the same call back: its own id of the whole call tells.

In memory alone, and for a working day: a PBX does not use an id again, and a number is never remembered. After a
restart the caller is asked again, whole, as everybody is.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

KEPT_NS: Final = 12 * 3_600 * 10**9
MOST: Final = 10_000
"""Noes remembered; beyond that the oldest is forgotten, and that caller is asked again."""


class Declined:
    """Noes by (the PBX's id, line). Another line asks by its own notice."""

    def __init__(self) -> None:
        self._noes: OrderedDict[tuple[str, str], int] = OrderedDict()

    def remember(self, linked_id: str, line: str, *, now_ns: int) -> None:
        """The caller of this linked call declined, or stopped the recording. Nothing where the PBX gives no id."""
        if not linked_id:
            return
        self._noes[(linked_id, line)] = now_ns
        self._noes.move_to_end((linked_id, line))
        while len(self._noes) > MOST:
            self._noes.popitem(last=False)

    def holds(self, linked_id: str, line: str, *, now_ns: int) -> bool:
        """True where this call comes back to a line that its caller said no to."""
        said_ns = self._noes.get((linked_id, line)) if linked_id else None
        return said_ns is not None and now_ns - said_ns <= KEPT_NS
