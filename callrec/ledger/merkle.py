"""The Merkle tree of RFC 6962 section 2.1; verification as in RFC 9162 sections 2.1.3.2 and 2.1.4.2. Pure.

Leaves are known here by their hash. Indices count from 0; a tree of size n holds leaves 0 .. n-1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final

EMPTY_ROOT: Final = sha256(b"").digest()
"""Root of the tree without leaves."""


def leaf_hash(data: bytes) -> bytes:
    """Hash of one leaf: SHA-256 over 0x00 and the data."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node: SHA-256 over 0x01, left and right."""
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """The compact range of a growing tree: one hash per full subtree, largest first. Append is O(1) amortised.

    ValueError where the number of hashes is not the number of one-bits in the size.
    """

    __slots__ = ("_hashes", "size")

    def __init__(self, size: int = 0, hashes: Iterable[bytes] = ()) -> None:
        self.size = size
        self._hashes = list(hashes)
        if size < 0 or len(self._hashes) != size.bit_count() or any(len(h) != 32 for h in self._hashes):  # noqa: PLR2004
            raise ValueError("this is no frontier of a tree of that size")

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """What must be kept to go on later."""
        return tuple(self._hashes)

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash at the end."""
        self.extend((leaf,))

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Add these leaf hashes at the end, in their order: millions, when a ledger is verified."""
        hashes = self._hashes
        for node in leaves:
            left = self.size
            while left & 1:
                node = sha256(b"\x01" + hashes.pop() + node).digest()  # noqa: PLW2901 - it grows into its parent
                left >>= 1
            hashes.append(node)
            self.size += 1

    def root(self) -> bytes:
        """Root of the tree as it stands."""
        if not self._hashes:
            return EMPTY_ROOT
        result = self._hashes[-1]
        for left in reversed(self._hashes[:-1]):
            result = node_hash(left, result)
        return result

    def copy(self) -> Frontier:
        """Another one that grows on its own."""
        return Frontier(self.size, self._hashes)


def root(leaves: Iterable[bytes]) -> bytes:
    """Root over these leaf hashes."""
    frontier = Frontier()
    frontier.extend(leaves)
    return frontier.root()


def _split(size: int) -> int:
    return 1 << (size - 1).bit_length() - 1


def inclusion_proof(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """Audit path of the leaf at `index`, nearest sibling first. IndexError where there is no such leaf."""
    if not 0 <= index < len(leaves):
        raise IndexError(f"no leaf {index} in a tree of {len(leaves)}")
    path: list[bytes] = []
    start, end = 0, len(leaves)
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(root(leaves[middle:end]))
            end = middle
        else:
            path.append(root(leaves[start:middle]))
            start = middle
    return tuple(reversed(path))


def consistency_proof(leaves: Sequence[bytes], old_size: int) -> tuple[bytes, ...]:
    """Proof that the tree of `old_size` is a prefix of this one. IndexError where it is larger or empty."""
    if not 0 < old_size <= len(leaves):
        raise IndexError(f"no tree of {old_size} inside a tree of {len(leaves)}")
    return () if old_size == len(leaves) else _subproof(leaves, old_size, whole=True)


def _subproof(leaves: Sequence[bytes], old_size: int, *, whole: bool) -> tuple[bytes, ...]:
    if old_size == len(leaves):
        return () if whole else (root(leaves),)
    middle = _split(len(leaves))
    if old_size <= middle:
        return (*_subproof(leaves[:middle], old_size, whole=whole), root(leaves[middle:]))
    return (*_subproof(leaves[middle:], old_size - middle, whole=False), root(leaves[:middle]))


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], expected_root: bytes) -> bool:
    """True where `path` leads from this leaf to that root (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    node, last, result = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return False
        if node & 1 or node == last:
            result = node_hash(sibling, result)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            result = node_hash(result, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and result == expected_root


def verify_consistency(old_size: int, new_size: int, path: Sequence[bytes], old_root: bytes, new_root: bytes) -> bool:
    """True where the old tree is proven to be a prefix of the new one (RFC 9162, 2.1.4.2)."""
    if not 0 < old_size <= new_size:
        return False
    if old_size == new_size:
        return not path and old_root == new_root
    steps = [old_root, *path] if old_size & (old_size - 1) == 0 else list(path)
    return bool(steps) and _replay(old_size - 1, new_size - 1, steps) == (old_root, new_root)


def _replay(node: int, last: int, steps: Sequence[bytes]) -> tuple[bytes, bytes] | None:
    while node & 1:
        node, last = node >> 1, last >> 1
    old = new = steps[0]
    for step in steps[1:]:
        if last == 0:
            return None
        if node & 1 or node == last:
            old, new = node_hash(step, old), node_hash(step, new)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new = node_hash(new, step)
        node, last = node >> 1, last >> 1
    return (old, new) if last == 0 else None
