"""A store as an auditor sees it, by its contract alone: what it holds, and checks 11 and 12 over what has no folder."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from typing import Any

from callrec._canonical import canonical, sha256_hex
from callrec.audit.findings import Findings
from callrec.disposal.register import Standing
from callrec.errors import Broken, Unavailable
from callrec.ports import Store


class StoredObjects:
    """The store that `opened` answers, which is asked once something of it is wanted; `place` says where it is.

    Every method raises `Unavailable` where the store is away: that is no finding, and no clean bill.
    """

    def __init__(self, opened: Callable[[], Store], place: str) -> None:
        self._opened = opened
        self.place = place
        self._held: frozenset[str] | None = None

    @cached_property
    def _store(self) -> Store:
        return self._opened()

    def look(self) -> None:
        """List what is held, before any entry is read: what an agent adds meanwhile is no finding of `check`."""
        self._held = asyncio.run(self._listed())

    async def _listed(self) -> frozenset[str]:
        return frozenset([name async for name in self._store.ids()])

    def holds(self, recording_id: str) -> bool:
        """Whether its audio is there now."""
        return asyncio.run(self._holds(recording_id))

    async def _holds(self, recording_id: str) -> bool:
        try:
            async for _ in self._store.read(recording_id):
                break  # the rest is not asked for: the run that ends here closes it
        except Unavailable:
            self._store.require_fit()  # what is not there is an answer, a store that is away is none
            return False
        return True

    def manifest(self, recording_id: str) -> bytes:
        """Its manifest, to the byte. `Broken` where it contradicts itself."""
        return canonical(dict(asyncio.run(self._store.manifest(recording_id))))

    def manifests(self, names: Iterable[str]) -> dict[str, Mapping[str, Any]]:
        """Manifests by recording id. One that contradicts itself is left out: check 11 names it."""
        found = {}
        for name in names:
            try:
                found[name] = asyncio.run(self._store.manifest(name))
            except (Broken, ValueError):
                continue
            except Unavailable:
                self._store.require_fit()
        return found

    def left_of(self, recording_id: str) -> Iterator[str]:
        """What is still there of a recording that was destroyed."""
        if self.holds(recording_id):
            yield "its audio is still in the store"
        if asyncio.run(self._has_key(recording_id)):
            yield "its wrapped key is still there"

    async def _has_key(self, recording_id: str) -> bool:
        try:
            await self._store.wrapped_key(recording_id)
        except Unavailable:
            with suppress(Broken):
                await self._store.stat(recording_id)  # keys that are away must not look like keys that were destroyed
            return False
        return True

    def check(self, findings: Findings, standings: Mapping[str, Standing], under_way: frozenset[str]) -> int:
        """Every object that was held at the last `look`, and every one that should be; how many were read. `under_way`
        are being disposed of.
        """
        looked = self._held or frozenset()
        for name in sorted(looked):
            standing = standings.get(name)
            if standing is None:
                findings.add(12, f"{name} is stored, and no entry sealed it")
            elif not standing.disposed:
                for sentence in asyncio.run(self._differences(standing)):
                    findings.add(11, sentence, standing.kept_seq)
        self._missing(findings, standings, under_way)
        return len(looked)

    def _missing(self, findings: Findings, standings: Mapping[str, Standing], under_way: frozenset[str]) -> None:
        held = asyncio.run(self._listed())
        for name, standing in standings.items():
            if standing.disposed and name in held:
                findings.add(11, f"{name} was certified as destroyed, and its audio is there", standing.kept_seq)
            if not standing.kept or standing.disposed or name in held:
                continue
            if name in under_way:
                findings.still_open(f"the disposal of {name} was begun and is not finished: carry it out again")
            else:
                findings.add(11, f"the object {name} is gone from the store without a certificate", standing.kept_seq)

    async def _differences(self, standing: Standing) -> list[str]:
        try:
            manifest = sha256_hex(canonical(dict(await self._store.manifest(standing.recording_id))))
            digest = hashlib.sha256()
            async for piece in self._store.read(standing.recording_id):
                digest.update(piece)
        except Broken as error:
            return [f"a stored object contradicts itself: {error}"]
        except Unavailable:
            if standing.recording_id in await self._listed():
                raise
            return []  # disposed of while we looked: what is gone is told by what is gone
        wrong = []
        if digest.hexdigest() != standing.cipher_sha256:
            wrong.append(f"the audio of {standing.recording_id} is not the one that was sealed")
        if manifest != standing.manifest_sha256:
            wrong.append(f"the manifest of {standing.recording_id} is not the one that was sealed")
        return wrong
