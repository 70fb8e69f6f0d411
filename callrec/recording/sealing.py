"""Sealing in a process of its own: its work takes no turn from the calls that go on, and its faults none of them down.

The agent closes a segment, hands its key over and hears what came of it; everything else stays with the agent. What a
killed or hanging process leaves is sealed by a new one, once; failing that too, the segment stays in the spool, and
salvage seals it at the next start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from typing import Final, Protocol

from callrec._child import Child, LostError, Message
from callrec.errors import Broken, CallrecError, Unavailable
from callrec.ports import Sealed
from callrec.recording.audio import RATE
from callrec.recording.manifest import Ending, sealed
from callrec.recording.seal import seal_again
from callrec.recording.segment import OpenSegment
from callrec.recording.spool import Spool

NAME: Final = "the sealing process"
PATIENCE_S: Final = 60.0
PATIENCE_PART: Final = 0.1
"""How long sealing may take: so many seconds, and such a part of the length of its audio. That is a hundred times what
it takes; others wait meanwhile.
"""
ATTEMPTS: Final = 2
_MODULE: Final = "callrec.recording.sealing_process"
_KINDS: Final = {kind.__name__: kind for kind in (Unavailable, Broken)}


class Sealer(Protocol):
    """Seals what the calls of one agent recorded."""

    tell: Callable[[str], None]
    """Told what a person should hear of. Not to raise."""

    @property
    def trouble(self) -> str:
        """Why nothing can be sealed now, for a person; empty where it can. Costs nothing to ask."""

    async def start(self) -> None:
        """Be ready; harmless where it is. `Unavailable` where it cannot be."""

    async def seal(self, segment: OpenSegment, ending: Ending) -> Sealed | None:
        """As `recording.seal.seal`."""

    async def close(self) -> None:
        """End, for good. Idempotent."""


class SealingProcess:
    """The one that agents have: see the module. One segment at a time."""

    def __init__(self, spool: Spool, *, patience_s: float = PATIENCE_S) -> None:
        self._spool = spool
        self._patience_s = patience_s
        self.tell: Callable[[str], None] = lambda _message: None
        folders = (str(spool.folder.absolute()), str(spool.runtime_dir.absolute()))
        self._child = Child(NAME, _MODULE, *folders, tell=self._say)

    @property
    def trouble(self) -> str:
        """See `Sealer`."""
        return self._child.trouble

    def _say(self, message: str) -> None:
        self.tell(message)

    @property
    def pid(self) -> int | None:
        """Of the process, while it runs."""
        return self._child.pid

    async def start(self) -> None:
        """See `Sealer`."""
        await self._child.start()

    async def close(self) -> None:
        """See `Sealer`."""
        await self._child.close()

    async def seal(self, segment: OpenSegment, ending: Ending) -> Sealed | None:
        """See `Sealer`. `Unavailable` too where two processes were lost over it."""
        await asyncio.to_thread(self._spool.end, segment)
        samples = segment.progress().samples
        job = {
            "recording_id": segment.recording_id,
            "secret": segment.key.secret.hex(),
            "ending": asdict(ending),
            "samples": samples,
        }
        answer = await self._answer(job, within_s=self._patience_s + PATIENCE_PART * samples / RATE)
        if kind := _KINDS.get(answer.get("error", "")):
            raise kind(answer["what"], next_step=answer["next_step"])
        self._spool.let_go(segment.recording_id)
        if answer["manifest"] is None:
            return None
        return sealed(self._spool.ready(segment.recording_id), answer["manifest"], answer["manifest_sha256"])

    async def _answer(self, job: Message, *, within_s: float) -> Message:
        lost = ""
        for _ in range(ATTEMPTS):
            try:
                return await self._child.ask(job, within_s=within_s)
            except LostError as error:
                lost = str(error)
                self.tell(f"{NAME} {lost} over {job['recording_id']}")
        raise Unavailable(f"{NAME} {lost}, {ATTEMPTS} times over", next_step="start the agent again; report this")


def answer_to(spool: Spool, job: Message) -> Message:
    """The other side: do it, and say what came of it. Blocking."""
    try:
        with spool.working_on_tmp():
            found = seal_again(
                spool,
                job["recording_id"],
                bytes.fromhex(job["secret"]),
                Ending(**job["ending"]),
                samples=job["samples"],
            )
    except (Unavailable, Broken) as error:
        return _failed(error)
    if found is None:
        return {"manifest": None}
    return {"manifest": found.manifest, "manifest_sha256": found.manifest_sha256}


def _failed(error: CallrecError) -> Message:
    kind = next(name for name, kind in _KINDS.items() if isinstance(error, kind))
    return {"error": kind, "what": str(error), "next_step": error.next_step}


_: type[Sealer] = SealingProcess
