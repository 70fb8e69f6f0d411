"""Who of the line is in one call, as far as it is known, and what they are told of its recording (R53)."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from callrec.agent.plan import is_informed
from callrec.agent.services import Services
from callrec.agent.signals import sound_of
from callrec.core import events as e
from callrec.core.call import STAFF
from callrec.core.values import Signal


class Staff:
    """Of one call. Until the PBX says who joined, whoever answers is known by the destination that was called."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._identity = ""

    async def joined(self, event: e.Event, identity: str) -> e.Event:
        """This fact, with whether recording goes on with whoever joined, where it says that somebody did."""
        if not isinstance(event, e.StaffJoined) or not identity:
            return event
        self._identity = identity
        return replace(event, informed=await asyncio.to_thread(is_informed, self._services, identity))

    def named(self, actor: str, destination: str) -> str:
        """Who did it, for the ledger: staff by their identity, anybody else as they are."""
        return f"{STAFF} {self._identity or destination}" if actor == STAFF else actor

    def words(self, signal: Signal, language: str) -> bytes:
        """What they hear: words where there are some in this language, else beeps."""
        return self._services.staff_words.get(signal, {}).get(language) or sound_of(signal)
