"""What the operating system must let the process have, asked for before anything starts."""

from __future__ import annotations

import resource
from typing import Final

from callrec.errors import ConfigError

FILES_PER_CALL: Final = 16
"""Two legs with RTP and RTCP each, two recorders, two readers behind them, the spool's file and a player: ten were
counted on a recorded call. The rest is for SIP connections of its own and for sealing.
"""
FILES_BESIDE: Final = 512
"""Ledger, index, store, listening sockets, threads, and INVITEs on their way to a refusal."""


def files_needed(max_calls: int) -> int:
    """Open files (RLIMIT_NOFILE) that an agent for so many calls may come to need."""
    return FILES_BESIDE + FILES_PER_CALL * max_calls


def raise_open_files(max_calls: int) -> int:
    """Have room for so many open files, and say for how many. ConfigError where the system grants fewer."""
    needed = files_needed(max_calls)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _enough(soft, needed):
        return needed
    if not _enough(hard, needed):
        raise ConfigError(
            f"agent.max_calls: {max_calls} calls need {needed} open files, and this process may have {hard}",
            next_step=f"write LimitNOFILE={needed} into the service's unit (by hand: ulimit -n {needed}), or lower"
            " agent.max_calls",
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    return needed


def _enough(limit: int, needed: int) -> bool:
    return limit == resource.RLIM_INFINITY or limit >= needed
