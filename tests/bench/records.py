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
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from callrec import _sql
from callrec._sql import Database
from callrec.audit.verify import Places, verify
from callrec.core.kinds import Kind
from callrec.core.reasons import REASON_CLASS, Reason
from callrec.core.recording import RecordingState
from callrec.core.values import Purpose
from callrec.ledger.init import create_log, load_signing_key
from callrec.ledger.logfile import Fact, LogFile
from callrec.store.index import Index, IndexRow
from tests.bench.rows import ROOT
from tests.ledger.world import START, HandClock, World, entry
from tests.peers.postgres import Postgres

RESULT = ROOT / "build" / "bench-index.json"
LINES = ("advice", "night", "mental-health")
FIRST = datetime(2020, 1, 1, tzinfo=UTC)
ASKED = 15
"""Times that each question is asked, after once to warm up."""
BATCH = 64
"""Entries in one commit: what the writer gathers at most."""
Tell = Callable[[str, str, dict[str, Any]], None]
"""Which database, index or ledger, and what was measured."""


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
        every = max(1, count // 500)
        some: list[IndexRow] = []

        def made() -> Iterator[IndexRow]:
            for n, row in enumerate(recordings(count, dice)):
                if n % every == 0:
                    some.append(row)
                yield row

        began = time.perf_counter()
        index.rebuild(made())
        filled = time.perf_counter() - began
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


def fill(world: World, count: int) -> None:
    """So many entries in a ledger, as its writer appends them."""
    log = LogFile(world.database, load_signing_key(world.key_path), HandClock(), agent_run="bench", holder="bench")
    log.append([Fact(entry=entry(Kind.AGENT_STARTED))])
    for first in range(1, count // 2 + 1, BATCH):
        numbers = range(first, min(first + BATCH, count // 2 + 1))
        places = log.append([offered(number) for number in numbers])
        log.append([closed(number, place.leaf) for number, place in zip(numbers, places, strict=True)])
    log.close()


def copied(world: World, server: Postgres) -> Database:
    """The same log in PostgreSQL, by COPY: what is measured is how it is read, and no byte of it depends on where it
    lies. Appending it there entry by entry took longer than all questions together.
    """
    place = server.schema()
    create_log(place, world.key_path, created=START)
    with closing(sqlite3.connect(world.path)) as source:
        for table, statement in _COPIED.items():
            server.copy(table, source.execute(statement), schema=place.schema)
        (tip,) = source.execute("SELECT size, prev, frontier FROM tip")
    with closing(_sql.writing(place)) as session:
        values = dict(zip(("size", "prev", "frontier"), tip, strict=True))
        session.run("UPDATE tip SET size = :size, prev = :prev, frontier = :frontier", values)
    return place


_COPIED = {
    "entries (seq, leaf, call_uid, body)": "SELECT seq, leaf, call_uid, body FROM entries ORDER BY seq",
    "checkpoints (size, note)": "SELECT size, note FROM checkpoints WHERE size > 0 ORDER BY size",
}


def of_ledger(database: Database, vkey: str, began: float) -> dict[str, Any]:
    """Verify this ledger, whose making began then."""
    filled, began = time.perf_counter() - began, time.perf_counter()
    found = verify(Places(ledger=database, vkey=vkey))
    took = time.perf_counter() - began
    return {"entries": found.size, "filled_s": round(filled, 1), "verify_s": round(took, 1), "found": found.counts}


def measure(folder: Path, server: Postgres, *, rows: int, entries: int, tell: Tell) -> None:
    """The index in both databases, then one ledger in both: each answer is told as it comes."""
    world = World(folder)
    shared = server.schema()
    tell("sqlite", "index", of_index(folder / "index.db", rows))
    tell("postgresql", "index", of_index(shared, rows))
    began = time.perf_counter()
    fill(world, entries)
    tell("sqlite", "ledger", of_ledger(world.database, world.key.vkey(), began))
    began = time.perf_counter()
    tell("postgresql", "ledger", of_ledger(copied(world, server), world.key.vkey(), began))


def main() -> int:
    """Measure, print and keep. Ends with 1 where an answer took longer than it may, or the ledger did not verify."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--entries", type=int, default=1_000_000)
    given = options.parse_args()
    result: dict[str, Any] = {"utc": datetime.now(UTC).isoformat(timespec="seconds"), "cpus": os.cpu_count()}
    result["python"] = platform.python_version()
    result |= {"sqlite": {}, "postgresql": {}}

    def tell(database: str, what: str, found: dict[str, Any]) -> None:
        result[database][what] = found
        sys.stderr.write(f"{database} {what}: {json.dumps(found)}\n")
        sys.stderr.flush()

    with tempfile.TemporaryDirectory() as folder, closing(Postgres()) as server:
        measure(Path(folder), server, rows=given.rows, entries=given.entries, tell=tell)
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
