"""A program that appends to one log until it is stopped, and says what was durable:

`python -m tests.ledger.writing_process FOLDER [SOCKET USER SCHEMA]`. Each line it prints is the leaf of an append that
returned.
"""

from __future__ import annotations

import sys
from pathlib import Path

from callrec._sql import Database, PostgresSchema
from callrec.agent.clock import SystemClock
from callrec.ledger.log import SqlLedger
from tests.ledger.world import entry


def database(folder: Path, words: list[str]) -> Database:
    """Where the log lies."""
    if not words:
        return folder / "ledger.db"
    host, user, schema = words
    return PostgresSchema(options=(("host", host), ("user", user), ("dbname", "callrec")), schema=schema)


def main() -> None:
    """Append until killed."""
    folder = Path(sys.argv[1])
    ledger = SqlLedger(
        database(folder, sys.argv[2:]),
        signing_key=folder / "ledger.key",
        clock=SystemClock(),
        holder="a writing process",
        journal=folder / "ledger.db.pending",
    )
    number = 0
    while True:
        leaf = ledger.append_blocking(entry(call_uid="c", what=str(number))).leaf
        print(leaf, flush=True)  # noqa: T201 - what it is for
        number += 1


if __name__ == "__main__":
    main()
