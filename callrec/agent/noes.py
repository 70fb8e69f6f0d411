"""The noes of one agent's calls: remembered when they are said, so that they outlive the process however it ends."""

from __future__ import annotations

import asyncio
from typing import Any

import structlog

from callrec.agent.declined import Declined
from callrec.agent.services import Services
from callrec.core import commands as c
from callrec.core.call import SAY_NO
from callrec.errors import CallrecError
from callrec.ports import Invite

log = structlog.get_logger()


class Noes:
    """A call that the PBX brings back to the line is one with the call that was there before, or still is."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._declined = Declined(services.config.agent.data_dir / "declined.json")
        self._saving: set[asyncio.Task[None]] = set()

    def linked_id(self, invite: Invite) -> str:
        """The PBX's own id of the whole call, or nothing."""
        header = self._services.config.sip.linked_header
        return invite.headers.get(header, "") if header else ""

    def hold(self, invite: Invite, line: str) -> bool:
        """True where this caller has said no to this line."""
        return self._declined.holds(self.linked_id(invite), line, now_s=self._now_s())

    def heard(self, what: Any, invite: Invite, line: str) -> None:
        """An order of the core: remember where the caller has just said no."""
        if isinstance(what, c.RecordChoice) and what.choice in SAY_NO:
            self.remember(invite, line)

    def remember(self, invite: Invite, line: str) -> None:
        """This caller said no to this line. Written behind the call's back: it waits for no disk."""
        if self._declined.remember(self.linked_id(invite), line, now_s=self._now_s()):
            task = asyncio.create_task(self._save())
            self._saving.add(task)
            task.add_done_callback(self._saving.discard)

    async def _save(self) -> None:
        try:
            await asyncio.to_thread(self._declined.save, now_s=self._now_s())
        except CallrecError as error:
            log.warning("declined", problem=str(error), next=error.next_step)

    def _now_s(self) -> float:
        return self._services.clock.utc().timestamp()
