"""Whether this machine's clock may be believed when it says that something is due."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from callrec.disposal.register import Newest
from callrec.errors import Refused
from callrec.ports import Clock

MOST_OFF: Final = timedelta(seconds=60)
"""How far UTC may drift from boot time since the newest entry of this boot."""
_STEP: Final = "set the clock right (timedatectl), let an entry be written, then run this again"


def believed(clock: Clock, newest: Newest | None) -> datetime:
    """Now, UTC. `Refused` where the clock is not synchronised, stands behind the ledger, or jumped since its newest
    entry: a clock that runs ahead makes everything due.
    """
    now = clock.utc()
    if clock.state() != "synchronised":
        _refuse(f"the clock is {clock.state()}")
    if newest is None:
        return now
    told = datetime.fromisoformat(newest.utc)
    if now < told:
        _refuse(f"the clock stands {told - now} behind the newest entry of the ledger")
    if clock.boot_id() == newest.boot_id:
        passed = timedelta(microseconds=(clock.boottime_ns() - newest.boottime_ns) // 1000)
        if abs((now - told) - passed) > MOST_OFF:
            _refuse(f"the clock jumped: {now - told} by its time since the newest entry, {passed} by the machine's own")
    return now


def _refuse(why: str) -> None:
    raise Refused(f"{why}; nothing was destroyed", next_step=_STEP)
