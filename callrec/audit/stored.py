"""Checks 11 and 12 over a store that has no folder: what it holds, asked of the store itself, against the entries."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping

from callrec._canonical import canonical, sha256_hex
from callrec.audit.findings import Findings
from callrec.disposal.register import Standing
from callrec.errors import Broken, Unavailable
from callrec.ports import RecordingStore


class StoredObjects:
    """A store as an auditor sees it. What it holds is listed at once, before any entry is read: what an agent adds
    meanwhile is no finding. `Unavailable` where it is away: that is no finding either, and no clean bill.
    """

    def __init__(self, store: RecordingStore) -> None:
        self._store = store
        self._held = asyncio.run(self._listed())

    async def _listed(self) -> frozenset[str]:
        return frozenset([name async for name in self._store.ids()])

    def check(self, findings: Findings, standings: Mapping[str, Standing], under_way: frozenset[str]) -> int:
        """Every object held, and every one that should be; how many were read. `under_way` are being disposed of."""
        for name in sorted(self._held):
            standing = standings.get(name)
            if standing is None:
                findings.add(12, f"{name} is stored, and no entry sealed it")
            elif not standing.disposed:
                for sentence in asyncio.run(self._differences(standing)):
                    findings.add(11, sentence, standing.kept_seq)
        self._missing(findings, standings, under_way)
        return len(self._held)

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
