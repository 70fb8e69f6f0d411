"""What became of what was acknowledged: looked for in store, ledger and index, opened with the keeper's key."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from callrec import places
from callrec.core.kinds import Kind
from callrec.errors import CallrecError
from callrec.recording.open import open_sealed
from callrec.store.index import Index
from callrec.store.keys import unwrap


@dataclass(slots=True)
class Verdict:
    """Counts, and for a person what each was."""

    acknowledged: int = 0
    lost: int = 0
    damaged: int = 0
    duplicate: int = 0
    what: list[str] = field(default_factory=list)

    def add(self, other):
        for name in ("acknowledged", "lost", "damaged", "duplicate"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.what += other.what

    def clean(self):
        return not (self.lost or self.damaged or self.duplicate or self.what)


def judged(house, acknowledged):
    """The house at rest. `acknowledged` maps recording ids to the SHA-256 of their PCM."""
    verdict = Verdict(acknowledged=len(acknowledged))
    asyncio.run(_each(house, acknowledged, verdict))
    _said_once(house, acknowledged, verdict)
    for place in ("ready", "corrupt", "parked", "tmp"):
        left = house.spool.ids_in(place)
        if place == "parked":  # killed before its key was in memory: never acknowledged, and the keeper can open it
            left = [name for name in left if name in acknowledged]
        if left:
            verdict.what.append(f"left in {place}: {', '.join(left)}")
    verdict.what += [f"audit: {problem}" for problem in house.problems()]
    return verdict


async def _each(house, acknowledged, verdict):
    store = places.reading_store(house.config)
    held = {name async for name in store.ids()}
    for name, pcm_sha256 in acknowledged.items():
        if name not in held:
            verdict.lost += 1
            verdict.what.append(f"lost: {name}")
            continue
        if problem := await _damage(house, store, name, pcm_sha256):
            verdict.damaged += 1
            verdict.what.append(f"damaged: {name}: {problem}")


async def _damage(house, store, name, pcm_sha256):
    """What is wrong with it, or nothing."""
    try:
        if await store.stat(name) is None:
            return "the store no longer has it"
        return "" if await _pcm_sha256(house, store, name) == pcm_sha256 else "it is not what was acknowledged"
    except CallrecError as error:
        return str(error)


async def _pcm_sha256(house, store, name):
    manifest = await store.manifest(name)
    cipher = b"".join([piece async for piece in store.read(name)])
    keeper = places.key_file(house.config, "keeper").with_name("keeper.key")
    key = unwrap(await store.wrapped_key(name), keeper)
    return open_sealed(name, manifest, cipher, key).manifest["pcm_sha256"]


def _said_once(house, acknowledged, verdict):
    """Each recording is sealed and kept once in the ledger, and has one row in the index."""
    kinds = (Kind.RECORDING_SEALED, Kind.RECORDING_KEPT)
    said = Counter((each.kind, f"{each.call_uid}-{each.segment}") for each in house.entries(*kinds))
    index = Index(places.index_database(house.config))
    rows = Counter(row.recording_id for row in index.list(limit=1_000_000))
    index.close()
    for name in acknowledged:
        counts = [said[(kind.value, name)] for kind in kinds] + [rows[name]]
        if max(counts) > 1:
            verdict.duplicate += 1
        if counts != [1, 1, 1]:
            verdict.what.append(f"{name}: sealed {counts[0]}, kept {counts[1]}, in the index {counts[2]} times")
