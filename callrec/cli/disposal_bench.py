"""From the configuration to what holds and disposals work with: a register of a log that was verified just now."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path

import click

from callrec._durable import fsync_dir, remove
from callrec.agent.clock import SystemClock
from callrec.audit.verify import Places as Evidence
from callrec.audit.verify import verify
from callrec.cli.desk import Desk
from callrec.config import Config, facts_of
from callrec.core.recording import RecordingState
from callrec.core.retention import Facts
from callrec.disposal.dates import Dates
from callrec.disposal.follow import follow
from callrec.disposal.lists import Bench
from callrec.disposal.locks import locked
from callrec.disposal.places import Places
from callrec.disposal.register import Register, Standing
from callrec.errors import Broken, CallrecError, Unavailable
from callrec.ledger.entry import LogEntry, read
from callrec.ledger.reading import open_log
from callrec.places import disposal_dir, index_database, index_exists, reading_store, rules
from callrec.ports import KEY_FILE
from callrec.store.index import Index, IndexRow, row_from_manifest

_STEP = "keep everything as it is, run `callrec audit verify`, and call a person"


def verified_register(config: Config) -> Register:
    """The ledger verified from its first entry, and replayed on the way. `Broken` where it does not hold. What one
    person decided alone, where two are needed, has no effect in the register.
    """
    register = Register()
    verified_ledger(config, register.see)
    return register


def verified_ledger(config: Config, *watchers: Callable[[LogEntry], None]) -> None:
    """Show every entry to these, of a ledger that verifies. `Broken` where it does not."""
    places = Evidence(ledger=config.ledger.database, anchors=tuple(anchor.path for anchor in config.ledger.anchors))
    found = verify(places, also=watchers)
    if not found.sound:
        raise Broken(f"the ledger does not verify, so nothing is decided by it: {found.summary()}", next_step=_STEP)


def newer(config: Config, register: Register) -> None:
    """Show the register what was appended since it was filled."""
    with open_log(config.ledger.database) as log:
        for body in log.bodies(register.size, log.size()):
            register.see(read(body))


def bench(desk: Desk) -> Bench:
    """Everything that disposal works with. Errors as `verified_register` and `reading_store`."""
    config = desk.config
    register = verified_register(config)
    store, places = reading_store(config), Places(disposal_dir(config))
    with open_log(config.ledger.database) as log:
        log_id = log.key().log_id
    return Bench(
        log_id=log_id,
        register=register,
        dates=Dates(register, store, places, rules(config), partial(defaults, config)),
        store=store,
        places=places,
        clock=SystemClock(),
        append=desk.append,
        newer=partial(newer, config),
        leftovers=partial(remove_leftovers, config),
        backup_max_days=config.retention.backup_max_days,
    )


def defaults(config: Config, line: str, day: date) -> Facts:
    """The facts of a call as the configuration has them now, for manifests that hold none. A line that is not there
    any more was one for adults: its date, which was fixed when it was kept, stays in any case.
    """
    found = next((each for each in config.lines if each.name == line), None)
    facts = Facts(nation=config.retention.nation, call=day, subject=config.lines[0].subject)
    if found is None:
        return facts
    return facts_of(found, day)


def remove_leftovers(config: Config, recording_id: str) -> None:
    """Copies that a crash left in the spool: the wrapped key first, then the rest."""
    for folder in config.spool.path.glob(f"*/{recording_id}"):
        if folder.is_dir():
            remove(folder / KEY_FILE)
            shutil.rmtree(folder)
        else:
            remove(folder)
        fsync_dir(folder.parent)


# ---------------------------------------------------------------- index


@contextmanager
def followed_index(config: Config) -> Iterator[Index]:
    """The index, brought up to the ledger as far as this user may write it."""
    with closing(Index(index_database(config))) as index:
        bring_up(config, index)
        yield index


def bring_up(config: Config, index: Index) -> None:
    """Let the index follow the ledger; where it cannot be written, say so and go on."""
    try:
        with open_log(config.ledger.database) as log:
            follow(index, log, reading_store(config), Places(disposal_dir(config)))
    except Unavailable as error:
        click.echo(f"callrec: the index may be behind the ledger: {error}", err=True)


def after_decision(config: Config) -> None:
    """Bring the index up where there is one; nothing depends on it."""
    try:
        if index_exists(config):
            with followed_index(config):
                pass
    except CallrecError as error:
        print(f"callrec: the index may be behind the ledger: {error}", file=sys.stderr)


def relock(desk: Desk, chosen: Callable[[Standing], bool]) -> None:
    """Bring the locks of a store that has any in step with what was decided just now. What it could not be told is
    said, and told again by `recordings fixity`: the decision stands in any case.
    """
    if desk.config.store.s3 is None:
        return
    found = bench(desk)
    done = asyncio.run(locked(found, filter(chosen, found.register.kept())))
    for name, why in done.failed.items():
        click.echo(f"callrec: the store's lock of {name} is not in step: {why}", err=True)
    if done.locks:
        click.echo(f"The store has the locks of {len(done.locks)} recordings in step with dates and holds.")


def due_rows(desk: Desk, day: date, *, limit: int) -> tuple[IndexRow, ...]:
    """What is due by this day: by the index, or slowly by ledger and manifests where it cannot be used."""
    try:
        with followed_index(desk.config) as index:
            return index.due(day.isoformat(), limit=limit)
    except Unavailable:
        return asyncio.run(_due_without_index(bench(desk), day))[:limit]


async def _due_without_index(found: Bench, day: date) -> tuple[IndexRow, ...]:
    rows = []
    for standing in found.register.kept():
        known = await found.dates.known(standing)
        if known.not_yet(day):
            continue
        manifest = await found.store.manifest(standing.recording_id)
        held = bool(found.register.holds_on(standing))
        row = row_from_manifest(manifest, RecordingState.HELD if held else RecordingState.KEPT)
        rows.append(replace(row, due=str(known.due_on())))
    return tuple(sorted(rows, key=lambda row: (row.due, row.recording_id)))


def read_file(path: Path) -> bytes:
    """A file that somebody named. `Unavailable` where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise Unavailable(f"{path}: {error.strerror}", next_step="name a file that can be read") from error
