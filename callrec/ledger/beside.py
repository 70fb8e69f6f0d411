"""Writing anew what is kept beside entries, where only how it is wrapped changes. Entries themselves never change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

from callrec._sql import Database, SqlFailed
from callrec.ledger import tables
from callrec.ledger.reading import open_log

_AT_ONCE = 5_000
"""Entries looked at in one reading, and rows in one transaction at most: an agent that appends waits that long."""
_REPLACE = "UPDATE salts SET salt = :after WHERE seq = :seq AND name = :name AND salt = :before"


def rewritten(database: Database, name: str, change: Callable[[int, str], str | None]) -> int:
    """Put what `change` makes of it in place of what is kept beside each entry under this name; how many changed.

    `change` is told the entry's place, and answers None for what stays as it is. What was erased meanwhile stays so.
    Safe while an agent appends; what was changed by a crash stays, and the same again goes on. Errors as `open_log`,
    and as `change` raises: what was changed by then is whole.
    """
    done = 0
    for held in _beside(database, name):
        changed = [
            {"seq": seq, "name": name, "before": before, "after": after}
            for seq, before in held
            if (after := change(seq, before)) is not None
        ]
        if changed:
            _replace(database, changed)
            done += len(changed)
    return done


def beside(database: Database, name: str) -> Iterator[tuple[int, str]]:
    """What is kept under this name, with the places of its entries, in order. Errors as `open_log`."""
    for held in _beside(database, name):
        yield from held


def _beside(database: Database, name: str) -> Iterator[list[tuple[int, str]]]:
    with open_log(database) as log:
        size = log.size()
    for start in range(0, size, _AT_ONCE):
        with open_log(database) as log:
            yield sorted(log.beside(name, start, min(start + _AT_ONCE, size)).items())


def _replace(database: Database, changed: Sequence[dict[str, object]]) -> None:
    try:
        with closing(tables.open_for_writing(database, holder="callrec keys rotate")) as session:
            session.begin("ledger")
            session.run_many(_REPLACE, changed)
            session.commit()
            session.forget()
    except SqlFailed as error:
        raise tables.unavailable(database, error) from error
