"""Another keeper for what is stored: each data key is wrapped anew, and no audio is touched.

Run again after a crash, or for what was stored meanwhile: what is wrapped for the new keeper already is left alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from callrec.errors import Unavailable
from callrec.ports import RecordingStore, WrappedKeys
from callrec.store.keys import fingerprint, keeper_of, wrap
from callrec.store.openers import Unwrap


class KeyedStore(RecordingStore, WrappedKeys, Protocol):
    """A store that has the wrapped keys of what it holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """What became of the keys: how many were wrapped anew, and how many had been. `others` are wrapped for keepers that
    were not asked, by their fingerprints.
    """

    rewrapped: int
    already: int
    others: Mapping[str, int]


async def keepers(store: KeyedStore) -> Mapping[str, int]:
    """For how many recordings each keeper holds the key, by its fingerprint. Raises as the store does."""
    return Counter([keeper_of(await store.wrapped_key(name)) async for name in store.ids()])


async def rotate(store: KeyedStore, unwrap: Unwrap, *, old: str, new: X25519PublicKey) -> Rotation:
    """Wrap for `new` what is wrapped for the keeper with the fingerprint `old`, which `unwrap` opens.

    Raises as store and `unwrap` do, at the first key that fails: what was wrapped anew by then is whole.
    """
    done, found = 0, Counter[str]()
    async for name in store.ids():
        wrapped = await store.wrapped_key(name)
        keeper = keeper_of(wrapped)
        found[keeper] += 1
        if keeper == old:
            key = unwrap(wrapped)
            await store.rewrapped(name, wrap(key.secret, key.key_id, new))
            await _require(store, name, fingerprint(new))
            done += 1
    others = {keeper: count for keeper, count in found.items() if keeper not in (old, fingerprint(new))}
    return Rotation(rewrapped=done, already=found[fingerprint(new)], others=others)


async def _require(store: WrappedKeys, name: str, keeper: str) -> None:
    """Read back: a store that took it and lost it is told before the old keeper's key is given up."""
    if keeper_of(await store.wrapped_key(name)) != keeper:
        raise Unavailable(f"the store did not keep the new wrapping of {name}", next_step="look at it, then run again")
