"""Finding entries for those who must believe them: only what a signed checkpoint covers is handed out.

The log is verified as it grows: each entry's bytes are hashed once into a frontier of our own, and the root must be
the one that the newest checkpoint signs. A question about an entry that no checkpoint covers yet has no answer.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from callrec._sql import Database
from callrec.core.kinds import Kind
from callrec.errors import Broken
from callrec.ledger.checkpoint import LogKey, verify
from callrec.ledger.entry import LogEntry, read
from callrec.ledger.merkle import Frontier, leaf_hash
from callrec.ledger.reading import LogReader, open_log
from callrec.ports import Json

_REMEMBERED: Final = 16
"""Calls whose entries are at hand: who keeps a recording asks for several of them, and reading the log costs most."""
_STEP: Final = "keep the ledger as it is, run `callrec ledger verify`, and compare with the newest anchor"


class VerifiedLookup:
    """Looks entries up in the log in `database`, under the key that was registered for it. Safe from any thread.

    The first question costs one pass over the whole log, later ones only what was added since.
    """

    def __init__(self, database: Database, key: LogKey) -> None:
        self._database = database
        self._key = key
        self._lock = threading.Lock()
        self._frontier = Frontier()
        self._of_calls: OrderedDict[str, Mapping[str, bytes]] = OrderedDict()

    async def find(self, kind: Kind, call_uid: str, segment: int) -> str | None:
        """Hex leaf of the newest entry of this kind for this segment of this call, or None."""
        return await asyncio.to_thread(self._find, kind, call_uid, segment)

    async def entry(self, leaf: str, *, call_uid: str) -> Mapping[str, Json] | None:
        """The entry of this call with this hex leaf, as it stands in the log, or None. `Broken` where the log is."""
        return await asyncio.to_thread(lambda: self.look_up(leaf, call_uid=call_uid))

    def _find(self, kind: Kind, call_uid: str, segment: int) -> str | None:
        with open_log(self._database) as log:
            entries = [e for e in log.of_call(call_uid) if (e.kind, e.segment) == (kind.value, segment)]
        return entries[-1].leaf if entries else None

    def look_up(self, leaf: str, *, call_uid: str) -> Mapping[str, Json] | None:
        """As `entry`, blocking."""
        with self._lock:
            if leaf not in self._of_calls.get(call_uid, ()):
                self._read_call(call_uid)
            body = self._of_calls[call_uid].get(leaf)
        if body is None or not self._is_ours(read(body)):
            return None
        found: Mapping[str, Json] = json.loads(body)
        return found

    def _read_call(self, call_uid: str) -> None:
        """The call's entries by their leaves, as bytes that a verified checkpoint covers. What is appended later is
        not among them, and is read when somebody asks for it.
        """
        with open_log(self._database) as log:
            self._catch_up(log)
            bodies = {leaf_hash(body).hex(): body for body in log.bodies_of_call(call_uid)}
        self._of_calls[call_uid] = bodies
        self._of_calls.move_to_end(call_uid)
        while len(self._of_calls) > _REMEMBERED:
            self._of_calls.popitem(last=False)

    def _is_ours(self, entry: LogEntry) -> bool:
        """Covered by the newest checkpoint, and of the log that the key is of, whatever its signer wrote into it."""
        return entry.seq < self._frontier.size and entry.log_id == self._key.log_id

    def _catch_up(self, log: LogReader) -> None:
        """Hash what is new up to the newest checkpoint, and compare roots."""
        checkpoint = verify(log.newest_note(), self._key)
        frontier = self._frontier.copy()
        frontier.extend(leaf_hash(body) for body in log.bodies(frontier.size, checkpoint.size))
        if frontier.size != checkpoint.size or frontier.root() != checkpoint.root:
            raise Broken("the ledger's entries are not those its newest checkpoint signs", next_step=_STEP)
        self._frontier = frontier
