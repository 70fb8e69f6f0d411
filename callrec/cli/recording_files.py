"""Finding recordings: in the index, in the spool, and what the ledger says of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from callrec import _sql
from callrec._canonical import canonical, sha256_hex
from callrec.audit.wording import one_line
from callrec.cli.disposal_bench import followed_index
from callrec.config import Config
from callrec.core.kinds import Kind
from callrec.core.recording import RecordingState
from callrec.core.tags import Tags, replayed
from callrec.core.values import Purpose
from callrec.errors import Broken, CallrecError, ConfigError, Unavailable
from callrec.ledger.entry import LogEntry
from callrec.ledger.reading import open_log
from callrec.places import index_database, index_exists, reading_store
from callrec.ports import Json, Store
from callrec.recording.manifest import checked, read_sealed
from callrec.store.index import TABLE, Index, IndexRow, row_from_manifest

CALL_STEP: Final = "keep everything as it is, run `callrec audit verify`, call a person"
ANY: Final = 1_000_000
"""More than there ever are."""
_LIKE: Final = 100
"""Recordings whose ids begin alike, looked at before somebody is asked for more of the id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which recordings are listed. Times in ISO 8601 UTC; empty means any."""

    since: str = ""
    until: str = ""
    line: str = ""
    state: RecordingState | None = None
    prefix: str = ""
    limit: int = ANY

    def takes(self, row: IndexRow) -> bool:
        """True where this recording is among them."""
        in_time = row.started_utc >= self.since and (not self.until or row.started_utc < self.until)
        return (
            in_time
            and row.recording_id.startswith(self.prefix)
            and self.line in ("", row.line)
            and self.state in (None, row.state)
        )


# ---------------------------------------------------------------- find


def rows(config: Config, wanted: Wanted) -> tuple[IndexRow, ...]:
    """Recordings, newest first: from the index, or from the store itself where there is none that can be read; and
    those that are sealed in the spool and wait for the store.
    """
    kept = {row.recording_id: row for row in _kept(config, wanted)}
    waiting = {row.recording_id: row for row in _waiting(config) if wanted.takes(row)}
    found = sorted((waiting | kept).values(), key=lambda row: (row.started_utc, row.recording_id), reverse=True)
    return tuple(found[: wanted.limit])


def rows_of_every_log(config: Config, wanted: Wanted) -> tuple[tuple[str, IndexRow], ...]:
    """Those of every agent that shares this PostgreSQL database, newest first, each with the log that tells of it. Our
    own as `rows`; the others' as their agents last told their index, without what waits in their spools. An index that
    cannot be read here is named and left out. ConfigError where the ledger is a file, which no other agent shares.
    """
    own = index_database(config)
    if isinstance(own, Path):
        step = "ask each agent's own configuration, or give them one PostgreSQL database (ledger.url)"
        raise ConfigError(f"the index {own} is this agent's alone", next_step=step)
    found = [(own.schema, row) for row in rows(config, wanted)]
    for place in _sql.having(own, TABLE):
        if place.schema != own.schema:
            try:
                with closing(Index(place, reads=True)) as index:
                    found += [(place.schema, row) for row in _listed(index, wanted)]
            except (Unavailable, ConfigError) as error:
                click.echo(f"callrec: what {place.schema} recorded is not listed: {error}", err=True)
    found.sort(key=lambda one: (one[1].started_utc, one[1].recording_id), reverse=True)
    return tuple(found[: wanted.limit])


def _listed(index: Index, wanted: Wanted) -> tuple[IndexRow, ...]:
    return index.list(
        since=wanted.since,
        until=wanted.until or "9999",
        line=wanted.line or None,
        state=wanted.state,
        limit=wanted.limit,
    )


def _kept(config: Config, wanted: Wanted) -> tuple[IndexRow, ...]:
    if index_exists(config):
        try:
            with followed_index(config) as index:
                if wanted.prefix:
                    return index.beginning(wanted.prefix, limit=wanted.limit)
                return _listed(index, wanted)
        except Unavailable:
            pass  # nothing depends on the index: what is kept says everything itself
    return tuple(row for row in asyncio.run(_held(reading_store(config))) if wanted.takes(row))


async def _held(store: Store) -> list[IndexRow]:
    found = [await store.manifest(recording_id) async for recording_id in store.ids()]
    return [row_from_manifest(manifest, RecordingState.KEPT) for manifest in found]


def _waiting(config: Config) -> Iterator[IndexRow]:
    for folder in sorted((config.spool.path / "ready").glob("*")):
        try:
            yield row_from_manifest(read_sealed(folder).manifest, RecordingState.SEALED)
        except CallrecError:
            continue  # handed over meanwhile, or damaged: `audit verify` tells which


def find(config: Config, prefix: str) -> IndexRow:
    """The one recording whose id begins so. ConfigError where there is none, or more than one."""
    found = list(rows(config, Wanted(prefix=prefix, limit=_LIKE))) if prefix else []
    exact = [row for row in found if row.recording_id == prefix]
    if len(exact) == 1 or len(found) == 1:
        return (exact or found)[0]
    asked = f"{one_line(prefix):.40}"
    if not found:
        raise ConfigError(f"no recording begins with {asked!r}", next_step="see `callrec recordings list`")
    some = ", ".join(row.recording_id for row in found[:3])
    many = f"{len(found)}{' or more' if len(found) == _LIKE else ''}"
    raise ConfigError(f"{many} recordings begin with {asked!r}: {some}", next_step="give more of the id")


# ---------------------------------------------------------------- what is known of one


def entries_of(config: Config, row: IndexRow) -> list[LogEntry]:
    """The ledger's entries of its call, in order."""
    with open_log(config.ledger.database) as log:
        return log.of_call(row.call_uid)


def sealed_entry(entries: list[LogEntry], row: IndexRow) -> LogEntry:
    """Its `recording.sealed`, or `recording.imported` of what another recorder made. `Broken` where the ledger knows
    neither: nothing may be done with such audio (R62).
    """
    wanted = Kind.RECORDING_IMPORTED if row.standing else Kind.RECORDING_SEALED
    found = [entry for entry in entries if (entry.kind, entry.segment) == (wanted.value, row.segment)]
    if not found:
        raise Broken(f"the ledger holds no recording.sealed of {row.recording_id}", next_step=CALL_STEP)
    return found[-1]


def manifest_of(config: Config, row: IndexRow) -> Mapping[str, Json]:
    """Its manifest, from the store or, while it waits, from the spool. `Unavailable` where it is in neither."""
    if row.state is RecordingState.SEALED:
        return read_sealed(config.spool.path / "ready" / row.recording_id).manifest
    return checked(asyncio.run(reading_store(config).manifest(row.recording_id)))


def tags_of(manifest: Mapping[str, Json], entries: list[LogEntry], row: IndexRow) -> Tags:
    """What it may be used for now: as it was started, less what the ledger says since (R24, R25)."""
    later = ((entry.kind, entry.body) for entry in entries if entry.segment == row.segment)
    return replayed(map(Purpose, manifest["purposes"]), later)


def is_sealed_one(manifest: Mapping[str, Json], sealed: LogEntry) -> bool:
    """Whether this is the manifest that the ledger says was sealed."""
    return sha256_hex(canonical(dict(manifest))) == sealed.body.get("manifest_sha256")


# ---------------------------------------------------------------- open
