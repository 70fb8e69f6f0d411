"""Finding recordings, and opening one: the ledger says who and why before any audio is decrypted (R23, R48)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

import click

from callrec import _sql
from callrec._canonical import canonical, sha256_hex
from callrec.audit.wording import one_line
from callrec.cli.desk import Desk
from callrec.cli.disposal_bench import followed_index, verified_register
from callrec.config import Config
from callrec.config.people import whose
from callrec.core import authority, consent, imported
from callrec.core.imported import LastUse
from callrec.core.kinds import CONTRADICTED, Kind
from callrec.core.purposes import why_not
from callrec.core.recording import RecordingState
from callrec.core.retention_record import parse_schedule
from callrec.core.tags import Tags, replayed
from callrec.core.values import Purpose
from callrec.errors import Broken, CallrecError, ConfigError, Refused, Unavailable
from callrec.ledger.entry import LogEntry
from callrec.ledger.reading import open_log
from callrec.places import index_database, index_exists, key_file, opener, reading_store, rules, verified_lookup
from callrec.ports import Entry, Json, Store
from callrec.recording.access import grant_from
from callrec.recording.imported import open_foreign
from callrec.recording.manifest import checked, read_sealed
from callrec.recording.open import Opened, open_recording
from callrec.rights.disclosure import Disclosure, ready
from callrec.store.index import TABLE, Index, IndexRow, row_from_manifest
from callrec.store.openers import Unwrap

_CALL_STEP: Final = "keep everything as it is, run `callrec audit verify`, call a person"
CODING: Final = frozenset({"review", "copy"})
"""What is done to make a copy in which nobody is known: no trainer or auditor hears the voices."""
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
        raise Broken(f"the ledger holds no recording.sealed of {row.recording_id}", next_step=_CALL_STEP)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Somebody's wish to hear one recording. `action`: play, export, review, copy. `unwrap` opens its key."""

    row: IndexRow
    manifest: Mapping[str, Json]
    purpose: str
    action: str
    unwrap: Unwrap


def ask(desk: Desk, prefix: str, *, purpose: Purpose | LastUse, action: str, key: Path | None) -> Access:
    """Check that this may be done at all; nothing is opened yet.

    `Refused`, with `access.denied` in the ledger, where purpose, date or person do not fit. `Unavailable` where
    it waits for the store, `Broken` where it is not what was sealed, ConfigError where the keeper's key is not usable.
    """
    row, manifest = _as_sealed(desk, prefix)
    entries = entries_of(desk.config, row)
    if why := _quarantined(entries) or _denied(desk, row, manifest, entries, purpose=purpose, action=action):
        _deny(desk, row, manifest, purpose=purpose, action=action, why=why)
    _require_kept(row)
    return Access(row=row, manifest=manifest, purpose=purpose.value, action=action, unwrap=opener(desk.config, key))


def ask_by(desk: Desk, recording_id: str, *, disclosure: Disclosure, key: Path | None) -> Access:
    """The same for a disclosure that two persons agreed to, whatever the recording's purposes: its basis stands for
    them. Errors as `ask`, but for those of purpose, date and role.
    """
    ready(disclosure)
    row, manifest = _as_sealed(desk, recording_id)
    _require_kept(row)
    return Access(
        row=row, manifest=manifest, purpose=disclosure.basis, action="disclosure", unwrap=opener(desk.config, key)
    )


def _as_sealed(desk: Desk, prefix: str) -> tuple[IndexRow, Mapping[str, Json]]:
    """The one meant, and its manifest, which is the one in the ledger. `Unavailable` where it was disposed of."""
    row = find(desk.config, prefix)
    manifest = manifest_of(desk.config, row)
    if not is_sealed_one(manifest, sealed_entry(entries_of(desk.config, row), row)):
        raise Broken(f"{row.recording_id}: its manifest is not the one in the ledger", next_step=_CALL_STEP)
    if row.state is RecordingState.DISPOSED:
        step = f"its certificate is named by `callrec recordings show {row.recording_id}`"
        raise Unavailable(f"{row.recording_id} was disposed of", next_step=step)
    return row, manifest


def _require_kept(row: IndexRow) -> None:
    if row.state is RecordingState.SEALED:
        step = "look at `callrec agent status`: the agent hands it over when the store takes it"
        raise Unavailable(f"{row.recording_id} waits in the spool for the store", next_step=step)


def _quarantined(entries: list[LogEntry]) -> str:
    """Why nobody may use it, whatever for: its proof was contradicted (R62)."""
    said = (Kind.INCIDENT.value, CONTRADICTED)
    against = any((entry.kind, entry.body.get("what")) == said for entry in entries)
    return "quarantined: a later report speaks against the proof that its notice was received" if against else ""


def _denied(
    desk: Desk,
    row: IndexRow,
    manifest: Mapping[str, Json],
    entries: list[LogEntry],
    *,
    purpose: Purpose | LastUse,
    action: str,
) -> str:
    """Why this use is denied: the one place where that is decided, for what was proven and for what was imported."""
    if row.standing:
        return _denied_imported(desk, row, manifest, purpose, action) or (
            "" if isinstance(purpose, LastUse) else tags_of(manifest, entries, row).why_not(Purpose.MEDICO_LEGAL)
        )
    if isinstance(purpose, LastUse):
        return f"{purpose.value} is for what was imported without evidence: name one of its own purposes"
    return tags_of(manifest, entries, row).why_not(purpose) or _why_not(desk, row, manifest, purpose, action)


def _denied_imported(
    desk: Desk, row: IndexRow, manifest: Mapping[str, Json], purpose: Purpose | LastUse, action: str
) -> str:
    """As `_why_not`, for what another recorder made. What the index says of standing and holds is not believed."""
    if action in CODING:
        return "no copy is made of what was imported"
    named = frozenset(Purpose(name) for each in manifest["found"] for name in each["purposes"])
    standing = imported.Standing(manifest["standing"])
    try:
        role = whose(desk.config.people, desk.person().removeprefix("os:")).role
    except Refused as refusal:
        return str(refusal)
    held = purpose is LastUse.LEGAL_HOLD and _is_held(desk.config, row)
    why = imported.why_not(standing, named, purpose, role=role, held=held)
    if why or isinstance(purpose, LastUse):
        return why
    ended = _ended(desk, row, manifest, purpose)
    over = ended is not None and ended <= datetime.now(UTC).date()
    return f"the right to use it for {purpose.value} ended on {ended}" if over else ""


def _is_held(config: Config, row: IndexRow) -> bool:
    register = verified_register(config)
    standing = register.standings.get(row.recording_id)
    return standing is not None and bool(register.holds_on(standing))


def _why_not(desk: Desk, row: IndexRow, manifest: Mapping[str, Json], purpose: Purpose, action: str) -> str:
    """Why this use is denied, as a sentence; empty where it may be. Each right of use ends on its own date, held or
    not (R46); who asks must be known, and trusted with that purpose (R23).
    """
    ended = _ended(desk, row, manifest, purpose)
    if ended is not None and ended <= datetime.now(UTC).date():
        return f"the right to use it for {purpose.value} ended on {ended}"
    try:
        role = whose(desk.config.people, desk.person().removeprefix("os:")).role
    except Refused as refusal:
        return str(refusal)
    if action in CODING:
        return authority.why_not(authority.Act.CODE, role)
    return why_not(purpose, role=role, live={purpose}, consented=consent.agreed_in(manifest))


def _ended(desk: Desk, row: IndexRow, manifest: Mapping[str, Json], purpose: Purpose) -> date | None:
    """The day on which this use ends; medico-legal as late as the file, which facts may have moved."""
    try:
        dates = parse_schedule(manifest["retention"], {purpose}, rules(desk.config))
        moved = date.fromisoformat(row.due) if row.due else None
    except ValueError as error:
        raise Broken(f"{row.recording_id}: its retention cannot be read: {error}", next_step=_CALL_STEP) from error
    until = dates.tags[purpose].on
    if purpose is Purpose.MEDICO_LEGAL and until is not None and moved is not None:
        return max(until, moved)
    return until


def _deny(
    desk: Desk, row: IndexRow, manifest: Mapping[str, Json], *, purpose: Purpose | LastUse, action: str, why: str
) -> None:
    desk.append(_entry(desk, Kind.ACCESS_DENIED, row, purpose=purpose.value, action=action, why=why))
    if row.standing:
        uses = " or ".join(each.value for each in LastUse)
        raise Refused(f"{row.recording_id}: denied: {why}", next_step=f"to decide what becomes of it: --purpose {uses}")
    its = ", ".join(one_line(name) for name in manifest["purposes"])
    step = f"its purposes are {its}; another use needs a consent or a disclosure record, another person their own login"
    raise Refused(f"{row.recording_id}: denied: {why}", next_step=step)


def keeper_folder(config: Config, key: Path | None) -> Path:
    """Where the keeper's other keys lie: beside the one that is named, else beside keys.wrap_to."""
    return (key or key_file(config, "keeper")).parent


def opened(desk: Desk, access: Access, **more: Json) -> Opened:
    """Say in the ledger who opens it and why; once that is durable, decrypt it and check every hash. `Refused` for what
    another recorder made, which has no legs of ours: `opened_foreign`.
    """
    if access.row.standing:
        step = f"callrec recordings export {access.row.recording_id} -o FILE --format original --purpose ..."
        raise Refused(f"{access.row.recording_id} was imported: it leaves as it came only", next_step=step)
    body = {"purpose": access.purpose, "action": access.action, **more}
    leaf = desk.append(_entry(desk, Kind.ACCESS_GRANTED, access.row, **body))
    return asyncio.run(_opened(desk.config, access, leaf))


def opened_foreign(desk: Desk, access: Access) -> bytes:
    """The same for what another recorder made: its file, as it came."""
    body = {"purpose": access.purpose, "action": access.action, "standing": access.row.standing}
    leaf = desk.append(_entry(desk, Kind.ACCESS_GRANTED, access.row, **body))
    return asyncio.run(_opened_foreign(desk.config, access, leaf))


async def _opened_foreign(config: Config, access: Access, leaf: str) -> bytes:
    grant = await grant_from(verified_lookup(config), leaf, recording_id=access.row.recording_id)
    store, name = reading_store(config), grant.recording_id
    cipher = b"".join([piece async for piece in store.read(name)])
    key = await asyncio.to_thread(access.unwrap, await store.wrapped_key(name))
    return open_foreign(grant, access.manifest, cipher, key)


async def _opened(config: Config, access: Access, leaf: str) -> Opened:
    grant = await grant_from(verified_lookup(config), leaf, recording_id=access.row.recording_id)
    store = reading_store(config)
    expected = sha256_hex(canonical(dict(access.manifest)))
    return await open_recording(grant, store, store, access.unwrap, manifest_sha256=expected)


def told_export(desk: Desk, access: Access, *, form: str, sha256: str, **more: Json) -> None:
    """Say in the ledger what left."""
    left = {"form": form, "sha256": sha256, "purpose": access.purpose, **more}
    desk.append(_entry(desk, Kind.EXPORT_MADE, access.row, **left))


def _entry(desk: Desk, kind: Kind, row: IndexRow, **body: Json) -> Entry:
    person = desk.person()
    return Entry(
        kind=kind,
        call_uid=row.call_uid,
        segment=row.segment,
        body={"recording_id": row.recording_id, "person": person, **body},
        actor=person,
    )
