"""At start: what an earlier run left in the spool and in the ledger is brought to its end. Repeating it is harmless."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from typing import Final

import structlog

from callrec.agent import leftovers
from callrec.agent.services import Services
from callrec.core.kinds import Kind
from callrec.errors import Unavailable
from callrec.ports import Entry
from callrec.recording.salvage import Outcome, Salvaged, salvage
from callrec.recording.seal import forget_discarded

AGAIN_S: Final = 2.0
"""How soon it is tried again to settle what an earlier run left."""
ReadBack = Callable[[], leftovers.Leftovers]
"""Reads the ledger back to the last start. Blocking."""

log = structlog.get_logger()


async def settle(services: Services, read_back: ReadBack) -> int:
    """Salvage the spool, then write the ends that the ledger is owed; the last number that a call was given.

    `Unavailable` where the ledger, or the spool, cannot be asked: nothing may be recorded until this was repeated.
    """
    left = await asyncio.to_thread(read_back)
    found = await asyncio.to_thread(partial(salvage, services.spool, declined=left.declined))
    for item in found:
        await _settle(services, item, left)
    whole = {item.recording_id for item in found if item.outcome is Outcome.SEALED}
    whole |= set(await asyncio.to_thread(services.spool.ready_ids))
    await _write_lost(services, left, whole)
    with contextlib.suppress(Unavailable, OSError):
        await services.tidy_store()
    with contextlib.suppress(Unavailable):  # a store that is away now is the mover's to try again
        await services.mover.sweep()
    await _write_closed(services, left, whole)
    return left.next_number - 1


async def settle_if_possible(services: Services, read_back: ReadBack) -> int | None:
    """As `settle`; None where the ledger is away. Calls are carried unrecorded then, and counted from 1."""
    try:
        number = await settle(services, read_back)
    except Unavailable as error:
        services.unsettled = f"{error}; {error.next_step}" if error.next_step else str(error)
        return None
    services.unsettled = ""
    return number


async def until_settled(services: Services, read_back: ReadBack) -> None:
    """Try again, for as long as it takes, what could not be settled at the start."""
    while services.unsettled:
        await asyncio.sleep(AGAIN_S)
        await settle_if_possible(services, read_back)


async def _settle(services: Services, item: Salvaged, left: leftovers.Leftovers) -> None:
    if item.outcome is not Outcome.SEALED:
        log.warning("salvage", recording=item.recording_id, outcome=item.outcome.value, why=item.why)
    if item.outcome is not Outcome.DISCARDED or item.header is None:
        return
    place = (item.header.call_uid, item.header.segment)
    if place in left.started:
        body = {"started_leaf": item.header.started_leaf, "reason": item.why}
        entry = Entry(kind=Kind.RECORDING_DISCARDED, body=body, call_uid=place[0], segment=place[1])
        await services.ledger.note(entry)
        del left.started[place]
    await asyncio.to_thread(forget_discarded, services.spool, item.recording_id)


async def _write_lost(services: Services, left: leftovers.Leftovers, whole: set[str]) -> None:
    for (call_uid, segment), started in left.started.items():
        if f"{call_uid}-{segment}" not in whole:
            await services.ledger.note(leftovers.lost(started))


async def _write_closed(services: Services, left: leftovers.Leftovers, whole: set[str]) -> None:
    sealed = left.ended | {(call_uid, int(segment)) for call_uid, _, segment in (n.rpartition("-") for n in whole)}
    for call_uid, offered in left.offered.items():
        recorded = {segment for uid, segment in sealed if uid == call_uid}
        last = max([left.segments.get(call_uid, 0), *recorded])
        await services.ledger.note(leftovers.closed(offered, recorded=recorded, last_segment=last))
