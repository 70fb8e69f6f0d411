"""The slow scan: everything that is kept is read again, from time to time, and compared with the ledger.

It goes on where the last `fixity.ok` stopped and begins again at the end, so that runs which are cut off still come
round. Each damage is one `recording.damaged`, told once; nothing is mended or removed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from callrec._canonical import canonical, sha256_hex
from callrec.core.kinds import Kind
from callrec.disposal.register import Register, Standing
from callrec.errors import Broken, Unavailable
from callrec.ports import Entry, Store
from callrec.store.objects import key_id_of

GONE: Final = "gone from the store"
KEY_GONE: Final = "its wrapped key is gone"
KEY_OTHER: Final = "its wrapped key is another's"
AUDIO_CHANGED: Final = "its audio was changed"
MANIFEST_CHANGED: Final = "its manifest was changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanned:
    """One run. `damaged` are recordings with what is wrong, those that were told before included."""

    names: tuple[str, ...]
    size: int
    damaged: tuple[tuple[str, str], ...]

    @property
    def items(self) -> int:
        """How many were read."""
        return len(self.names)


async def scan(
    register: Register,
    store: Store,
    append: Callable[[Entry], str],
    *,
    newer: Callable[[Register], None],
    most: int,
) -> Scanned:
    """Read up to `most` recordings. `newer` shows the register what was appended since it was filled.

    `Unavailable` where the store or the ledger went away: the next run begins where this one did.
    """
    held = frozenset([name async for name in store.ids()])
    chosen = _chosen(register, most)
    damaged: list[tuple[str, str]] = []
    size = 0
    for standing in chosen:
        what, read = await _looked_at(standing, store, held)
        size += read
        if what:
            newer(register)
        if what and not standing.disposed and standing.recording_id not in register.being_disposed():
            damaged.append((standing.recording_id, what))
            if standing.damaged != what:
                append(_damaged(standing, what))
    if chosen:
        append(_told(chosen, size, len(damaged)))
    return Scanned(names=tuple(each.recording_id for each in chosen), size=size, damaged=tuple(damaged))


def _chosen(register: Register, most: int) -> list[Standing]:
    busy = register.being_disposed()
    alive = [each for each in register.kept() if each.recording_id not in busy]
    after = [each for each in alive if each.recording_id > register.scanned_to]
    return (after or alive)[:most]


async def _looked_at(standing: Standing, store: Store, held: frozenset[str]) -> tuple[str, int]:
    """What is wrong with it, or nothing; and how many bytes were read."""
    name = standing.recording_id
    if name not in held:
        return GONE, 0
    try:
        manifest = await store.manifest(name)
        digest, size = hashlib.sha256(), 0
        async for piece in store.read(name):
            digest.update(piece)
            size += len(piece)
    except Broken:
        return MANIFEST_CHANGED, 0
    except Unavailable:
        return await _if_store_is_there(store, GONE), 0
    if digest.hexdigest() != standing.cipher_sha256:
        return AUDIO_CHANGED, size
    if sha256_hex(canonical(dict(manifest))) != standing.manifest_sha256:
        return MANIFEST_CHANGED, size
    return await _key(name, manifest["header"].get("key_id"), store), size


async def _key(name: str, key_id: object, store: Store) -> str:
    try:
        return "" if key_id_of(await store.wrapped_key(name)) == key_id else KEY_OTHER
    except Broken:
        return KEY_OTHER
    except Unavailable:
        return await _if_keys_are_there(name, store)


async def _if_keys_are_there(name: str, store: Store) -> str:
    """The damage; `Unavailable` where it is the disk of keys that is away."""
    try:
        await store.stat(name)
    except Broken:
        return KEY_GONE
    return ""


async def _if_store_is_there(store: Store, what: str) -> str:
    """The damage; `Unavailable` where it is the store that is away."""
    _ = [name async for name in store.ids()]
    return what


def _damaged(standing: Standing, what: str) -> Entry:
    body = {"recording_id": standing.recording_id, "what": what, "found_by": "fixity"}
    return Entry(
        kind=Kind.RECORDING_DAMAGED,
        body=body,
        call_uid=standing.call_uid,
        segment=standing.segment,
        actor="fixity",
    )


def _told(chosen: list[Standing], size: int, damaged: int) -> Entry:
    body = {
        "first": chosen[0].recording_id,
        "last": chosen[-1].recording_id,
        "items": len(chosen),
        "bytes": size,
        "damaged": damaged,
    }
    return Entry(kind=Kind.FIXITY_OK, body=body, actor="fixity")
