"""make bench-index: a million recordings in the index and a million entries in the ledger, in SQLite and in PostgreSQL.

Prints JSON, and writes it to build/bench-index.json: the median and the slowest of each question asked of the index,
and how long `ledger verify` takes. Rows are made up; their shape, and the order they come in, are those of a busy line.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from callrec._sql import Database
from callrec.audit.verify import Places, verify
from callrec.core.kinds import Kind
from callrec.core.reasons import REASON_CLASS, Reason
from callrec.core.recording import RecordingState
from callrec.core.values import Purpose
from callrec.ledger.init import load_signing_key
from callrec.ledger.logfile import Fact, LogFile
from callrec.store.index import Index, IndexRow
from tests.bench.rows import ROOT
from tests.ledger.world import HandClock, World, entry
from tests.peers.postgres import Postgres

RESULT = ROOT / "build" / "bench-index.json"
LINES = ("advice", "night", "mental-health")
FIRST = datetime(2020, 1, 1, tzinfo=UTC)
ASKED = 15
"""Times that each question is asked, after once to warm up."""
BATCH = 64
"""Entries in one commit: what the writer gathers at most."""


def recordings(count: int, dice: random.Random) -> Iterator[IndexRow]:
    """Seven years of recordings, in the order of their calls; one in four is due, one in fifty held or disposed of."""
    apart = timedelta(days=7 * 365) / count
    for n in range(count):
        started = FIRST + n * apart
        uid = f"{dice.getrandbits(128):032x}"
        state = dice.choices((RecordingState.KEPT, RecordingState.HELD, RecordingState.DISPOSED), (0.96, 0.02, 0.02))[0]
        yield IndexRow(
            recording_id=f"{uid}-0",
            call_uid=uid,
            segment=0,
            line=dice.choices(LINES, (0.9, 0.09, 0.01))[0],
            started_utc=started.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            purposes=frozenset(dice.sample(list(Purpose), dice.randint(1, 3))),
            state=state,
            seconds=dice.uniform(10, 1200),
            due=str((started + timedelta(days=365 * dice.choice((6, 8, 8, 20)))).date()),
            started_leaf=f"{n:064x}",
            sealed_leaf=f"{n:064x}",
            kept_leaf=f"{n:064x}",
        )


def questions(index: Index, some: list[IndexRow]) -> dict[str, Callable[[int], Any]]:
    """What people ask, and each a different one every time."""

    def day(n: int) -> str:
        return some[n % len(some)].started_utc[:10]

    return {
        "list newest": lambda n: index.list(limit=100 + n),
        "list one day": lambda n: index.list(since=day(n), until=f"{day(n)}T99"),
        "list a rare line": lambda n: index.list(line=LINES[-1], limit=1000 - n),
        "list a line that is not there": lambda n: index.list(line=f"none-{n}"),
        "list held": lambda n: index.list(state=RecordingState.HELD, limit=1000 - n),
        "list for training": lambda n: index.list(purpose=Purpose.TRAINING, limit=1000 - n),
        "due": lambda n: index.due(f"2027-06-{1 + n:02d}"),
        "find by id": lambda n: index.get(some[n % len(some)].recording_id),
        "find by the beginning of an id": lambda n: index.beginning(some[n % len(some)].recording_id[:8]),
    }


def measured(ask: Callable[[int], Any]) -> dict[str, float]:
    """Milliseconds: the median and the slowest."""
    ask(ASKED)
    took = []
    for n in range(ASKED):
        began = time.perf_counter()
        ask(n)
        took.append(1000 * (time.perf_counter() - began))
    return {"median_ms": round(statistics.median(took), 2), "slowest_ms": round(max(took), 2)}


def of_index(database: Database, count: int) -> dict[str, Any]:
    """Fill an index and ask it."""
    dice = random.Random(6)
    with closing(Index(database)) as index:
        began = time.perf_counter()
        index.rebuild(recordings(count, dice))
        filled = time.perf_counter() - began
        every = max(1, count // 500)
        some = [row for n, row in enumerate(recordings(count, random.Random(6))) if n % every == 0]
        dice.shuffle(some)
        answers = {what: measured(ask) for what, ask in questions(index, some).items()}
    return {"rows": count, "rebuilt_s": round(filled, 1), "questions": answers}


def offered(number: int) -> Fact:
    """The beginning of a call."""
    commitments = dict.fromkeys(("call_id", "from", "to"), "0" * 64)
    return Fact(entry=entry(Kind.CALL_OFFERED, uid_of(number), number=number, line="advice", commitments=commitments))


def closed(number: int, leaf: str) -> Fact:
    """Its end: refused, so that no file beside the ledger belongs to it."""
    reason = Reason.NOTICE_INTERRUPTED
    decision = {"decision": "NOT_RECORDED", "reason": reason.value}
    body = {**decision, "reason_class": REASON_CLASS[reason].value, "segments": [{"segment": 0, **decision}]}
    return Fact(entry=entry(Kind.CALL_CLOSED, uid_of(number), number=number, offered_leaf=leaf, **body))


def uid_of(number: int) -> str:
    """A call's id."""
    return hashlib.md5(str(number).encode()).hexdigest()


def of_ledger(world: World, count: int) -> dict[str, Any]:
    """Fill a ledger, as its writer does, and verify it."""
    log = LogFile(world.database, load_signing_key(world.key_path), HandClock(), agent_run="bench", holder="bench")
    began = time.perf_counter()
    log.append([Fact(entry=entry(Kind.AGENT_STARTED))])
    for first in range(1, count // 2 + 1, BATCH):
        numbers = range(first, min(first + BATCH, count // 2 + 1))
        places = log.append([offered(number) for number in numbers])
        log.append([closed(number, place.leaf) for number, place in zip(numbers, places, strict=True)])
    log.close()
    filled, began = time.perf_counter() - began, time.perf_counter()
    found = verify(Places(ledger=world.database, vkey=world.key.vkey()))
    took = time.perf_counter() - began
    return {"entries": found.size, "filled_s": round(filled, 1), "verify_s": round(took, 1), "found": found.counts}


def both(folder: Path, server: Postgres | None, *, rows: int, entries: int) -> dict[str, Any]:
    """One database: index and ledger."""
    folder.mkdir()
    world = World(folder, server)
    index = folder / "index.db" if server is None else world.database
    return {"index": of_index(index, rows), "ledger": of_ledger(world, entries)}


def main() -> int:
    """Measure, print and keep. Ends with 1 where an answer took longer than it may, or the ledger did not verify."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--entries", type=int, default=1_000_000)
    given = options.parse_args()
    result: dict[str, Any] = {"utc": datetime.now(UTC).isoformat(timespec="seconds"), "cpus": os.cpu_count()}
    result["python"] = platform.python_version()
    with tempfile.TemporaryDirectory() as folder, closing(Postgres()) as server:
        for name, its in (("sqlite", None), ("postgresql", server)):
            result[name] = both(Path(folder) / name, its, rows=given.rows, entries=given.entries)
    text = json.dumps(result, indent=1)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(text + "\n")
    sys.stdout.write(text + "\n")
    return int(not all(within(result[name]) for name in ("sqlite", "postgresql")))


def within(result: dict[str, Any]) -> bool:
    """True where every median is below 200 ms, and a ledger of this size verified, in 30 s a million entries."""
    slow = [what for what, took in result["index"]["questions"].items() if took["median_ms"] >= 200]
    ledger = result["ledger"]
    return not slow and not ledger["found"] and ledger["verify_s"] <= 30 * max(1.0, ledger["entries"] / 1_000_000)


if __name__ == "__main__":
    raise SystemExit(main())
