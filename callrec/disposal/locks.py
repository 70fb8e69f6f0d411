"""The store's own locks, kept in step with dates and holds: what falls due later is locked for longer, what is held is
held there as well.

The ledger decides; a lock only keeps others from removing what may not go. So a store that is away changes no decision:
what it was not told is told with the next decision, or by the slow scan.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from callrec.disposal.lists import Bench
from callrec.disposal.register import Standing
from callrec.errors import Broken, Unavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """What the store said of each lock that it was asked for, by recording; and of which it could not be had."""

    locks: dict[str, str]
    failed: dict[str, str]


async def locked(bench: Bench, standings: Iterable[Standing]) -> Locked:
    """Bring the locks of these recordings in step. Those that were destroyed, or are about to be, are left alone."""
    done = Locked(locks={}, failed={})
    busy = bench.register.being_disposed()
    for standing in standings:
        name = standing.recording_id
        if not standing.kept or standing.disposed or name in busy:
            continue
        try:
            until = (await bench.dates.known(standing)).due_on()
            done.locks[name] = await bench.store.lock(name, until=until, held=bool(bench.register.holds_on(standing)))
        except (Broken, Unavailable) as error:
            done.failed[name] = f"{error}; {error.next_step}" if error.next_step else str(error)
    return done
