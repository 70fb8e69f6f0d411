"""What every call of one agent shares. Built by `wiring`, handed down, never global."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from callrec.agent.judging import Judge
from callrec.config import Config
from callrec.core.proof import judge
from callrec.core.reasons import Reason
from callrec.core.retention import Rule
from callrec.core.values import Signal
from callrec.ledger.entry import utc_text
from callrec.notice.register import ApprovedPrompt, Unusable
from callrec.ports import Clock, KeyRing, Ledger, Telephony
from callrec.recording.mover import Mover
from callrec.recording.sealing import Sealer
from callrec.recording.spool import Spool
from callrec.rights.standing import Standing
from callrec.store.contacts import ContactSealer

SEALS_AT_ONCE: Final = 1
ChoosePrompt = Callable[[str, str], ApprovedPrompt | Unusable]
"""(prompt id, language) -> the prompt to play now, read and hashed now. Blocking."""


def _no_script(name: str, language: str) -> Unusable:
    """For an agent that asks nobody for consent."""
    return Unusable(reason=Reason.NOTICE_MISSING, what=f"{name} in {language} was not looked for", next_step="")


async def _nothing() -> None:
    """For a store that leaves nothing."""


@dataclass(slots=True, kw_only=True)
class Services:
    """Collaborators of a call. `mishap` is told of faults that cost a recording; it never raises."""

    config: Config
    clock: Clock
    telephony: Telephony
    ledger: Ledger
    log_id: str
    keys: KeyRing
    spool: Spool
    sealer: Sealer
    mover: Mover
    choose_prompt: ChoosePrompt
    rules: tuple[Rule, ...]
    standing: Standing
    evidence_dir: Path
    mishap: Callable[[str, str], None]
    standing_obstacle: Callable[[], tuple[Reason, str] | None] = field(default=lambda: None)
    announcements: Mapping[str, bytes] = field(default_factory=dict)
    staff_words: Mapping[Signal, Mapping[str, bytes]] = field(default_factory=dict)
    judge_by: Judge = judge
    choose_script: ChoosePrompt = _no_script
    """As `choose_prompt`, for prompts that ask for consent."""
    purpose_secret: bytes | None = field(default=None, repr=False)
    sealing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(SEALS_AT_ONCE))
    """Held by whoever seals: where many calls end together, those that go on come first."""
    unsettled: str = ""
    """Why what an earlier run left is not settled yet: nothing is recorded until it is, for it is found in the same
    spool.
    """
    contacts: ContactSealer = field(init=False)
    tidy_store: Callable[[], Awaitable[None]] = _nothing
    """Removes what a crash left of writes to the store. At the start only, while nobody writes."""

    def __post_init__(self) -> None:
        """One sealer for all calls."""
        self.contacts = ContactSealer(self.keys)

    def utc_text(self) -> str:
        """Now, ISO 8601 with Z."""
        return utc_text(self.clock.utc())
