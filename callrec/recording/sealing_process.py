"""The process that seals, as `python -m callrec.recording.sealing_process SPOOL RUNTIME_DIR`. The agent starts it.

It has the spool's folders and one socket to its agent, from which it hears each recording's key; it leaves no core, and
its memory is wiped as the agent's is. It ends with its agent.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Final

from callrec._child import Answer, serve
from callrec.errors import Unavailable
from callrec.recording.memory import forbid_core_dumps, wipe_freed_memory
from callrec.recording.sealing import answer_to
from callrec.recording.spool import Spool

NICE: Final = 5
"""It gives way to calls: against one that hurries it gets a third of its time, and still seals twenty in a second."""


def ready() -> Answer:
    """`Unavailable` where voices could reach a disk from here, or the spool is not there."""
    if not forbid_core_dumps():
        raise Unavailable("core dumps cannot be forbidden", next_step="set LimitCORE=0 for this service")
    wipe_freed_memory()
    folder, runtime_dir = map(Path, sys.argv[1:3])
    return partial(answer_to, Spool(folder, runtime_dir))


if __name__ == "__main__":
    serve(ready, nice=NICE)
