"""Audit paths for many leaves of one large log at once. Pure.

The whole tree is hashed once, level by level, the odd one out moving up unhashed: that is the tree of RFC 6962 section
2.1 read from below. A path then costs a look-up per level, where `merkle.inclusion_proof` hashes everything again.
"""

from __future__ import annotations

from collections.abc import Sequence

from callrec.ledger.merkle import EMPTY_ROOT, node_hash


class Tree:
    """The tree over these leaf hashes. About a microsecond and 70 bytes for each leaf."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self.size = len(leaves)
        self._levels: list[Sequence[bytes]] = [leaves]
        while len(self._levels[-1]) > 1:
            self._levels.append(_above(self._levels[-1]))

    def root(self) -> bytes:
        """Its root."""
        return self._levels[-1][0] if self.size else EMPTY_ROOT

    def path(self, index: int) -> tuple[bytes, ...]:
        """Audit path of the leaf at `index`, nearest sibling first. IndexError where there is no such leaf."""
        if not 0 <= index < self.size:
            raise IndexError(f"no leaf {index} in a tree of {self.size}")
        path = []
        for level in self._levels[:-1]:
            if index ^ 1 < len(level):
                path.append(level[index ^ 1])
            index >>= 1
        return tuple(path)


def _above(level: Sequence[bytes]) -> list[bytes]:
    pairs = [node_hash(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
    return pairs + list(level[-1:]) if len(level) % 2 else pairs
