"""Opening a recording: the ledger says who and why before any audio is decrypted (R23, R48)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from callrec._canonical import canonical, sha256_hex
from callrec.audit.wording import one_line
from callrec.cli.desk import Desk
from callrec.cli.disposal_bench import verified_register
from callrec.cli.recording_files import CALL_STEP, entries_of, find, is_sealed_one, manifest_of, sealed_entry, tags_of
from callrec.config import Config
from callrec.config.people import whose
from callrec.core import authority, consent, imported
from callrec.core.imported import LastUse
from callrec.core.kinds import CONTRADICTED, Kind
from callrec.core.purposes import why_not
from callrec.core.recording import RecordingState
from callrec.core.retention_record import parse_schedule
from callrec.core.values import Purpose
from callrec.errors import Broken, Refused, Unavailable
from callrec.ledger.entry import LogEntry
from callrec.places import key_file, opener, reading_store, rules, verified_lookup
from callrec.ports import Entry, Json
from callrec.recording.access import grant_from
from callrec.recording.imported import open_foreign
from callrec.recording.open import Opened, open_recording
from callrec.rights.disclosure import Disclosure, ready
from callrec.store.index import IndexRow
from callrec.store.openers import Unwrap

CODING: Final = frozenset({"review", "copy"})
"""What is done to make a copy in which nobody is known: no trainer or auditor hears the voices."""


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
        raise Broken(f"{row.recording_id}: its manifest is not the one in the ledger", next_step=CALL_STEP)
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
        raise Broken(f"{row.recording_id}: its retention cannot be read: {error}", next_step=CALL_STEP) from error
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
