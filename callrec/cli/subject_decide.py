"""`callrec subject decide`: what was decided about a caller's request, by whom and on which ground (R16, R51)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from callrec.audit.wording import lines_of
from callrec.cli import recording_files as files
from callrec.cli.desk import Desk
from callrec.cli.disposal_bench import verified_register
from callrec.core.authority import Act
from callrec.core.decisions import GRANTED, REFUSED, Request, change_of, why_not
from callrec.core.kinds import Kind
from callrec.core.recording import RecordingState
from callrec.errors import ConfigError, Refused
from callrec.ports import Entry
from callrec.store.index import IndexRow

_GROUNDS: Final = sorted(REFUSED.union(*GRANTED.values()))
_PATH: Final = click.Path(path_type=Path)


@click.command()
@click.argument("recordings", nargs=-1, required=True, metavar="ID...")
@click.option(
    "--request", type=click.Choice([each.value for each in Request]), required=True, help="What was asked for."
)
@click.option("--grant/--refuse", "granted", default=None, required=True, help="What was decided.")
@click.option("--ground", type=click.Choice(_GROUNDS), required=True, help="Why: a ground of the law, or an exception.")
@click.pass_obj
def decide(desk: Desk, /, *, recordings: tuple[str, ...], request: str, granted: bool, ground: str) -> None:
    """Decide on a caller's request about recordings. A grant takes effect at once; a refusal is told to the ledger too.

    Erasure takes every purpose away, objection audit and training, both for good. Restriction suspends every use, and
    lift ends that.
    """
    person = desk.decides(Act.DECIDE)
    asked = Request(request)
    if why := why_not(asked, granted=granted, ground=ground):
        raise ConfigError(why, next_step="choose the ground that the decision rests on")
    rows = [files.find(desk.config, each) for each in recordings]
    for row in rows:
        _require_there(row)
    held = _held(desk, rows) if asked is Request.ERASURE and granted else ()
    if held:
        step = "refuse it for legal-claims, restrict it instead, or let two persons release the hold first"
        raise Refused(f"{held[0]} is held, and what is held is not erased", next_step=step)
    for row in rows:
        desk.append(_entry(row, asked, granted=granted, ground=ground, person=person.person, login=person.login))
    click.echo(lines_of(_said(rows, asked, granted=granted)), nl=False)


def _require_there(row: IndexRow) -> None:
    if row.state is RecordingState.DISPOSED:
        raise Refused(f"{row.recording_id} was disposed of", next_step="tell the caller of its certificate")


def _held(desk: Desk, rows: list[IndexRow]) -> tuple[str, ...]:
    register = verified_register(desk.config)
    those = [register.standings[row.recording_id] for row in rows if row.recording_id in register.standings]
    return tuple(standing.recording_id for standing in those if register.holds_on(standing))


def _entry(row: IndexRow, asked: Request, *, granted: bool, ground: str, person: str, login: str) -> Entry:
    """A refusal changes no purpose: `change` then says that it was decided, and nothing else."""
    change, purposes = change_of(asked) if granted else ("decided", frozenset())
    body = {
        "change": change,
        "purposes": sorted(purpose.value for purpose in purposes),
        "recording_id": row.recording_id,
        "source": "authority",
        "request": asked.value,
        "decision": "granted" if granted else "refused",
        "ground": ground,
        "why": f"{asked.value} {'granted' if granted else 'refused'}: {ground}",
        "person": person,
        "login": login,
    }
    return Entry(kind=Kind.TAG_CHANGED, body=body, call_uid=row.call_uid, segment=row.segment, actor=login)


def _said(rows: list[IndexRow], asked: Request, *, granted: bool) -> list[str]:
    verb = "Granted" if granted else "Refused"
    lines = [f"{verb}: {asked.value} of {len(rows)} {'recording' if len(rows) == 1 else 'recordings'}."]
    if granted and asked is Request.ERASURE:
        lines.append(
            "Nobody uses them any more. To destroy them, two persons: callrec recordings dispose --propose FILE"
        )
    if not granted:
        lines.append("Tell the caller why, and that they can complain to the Information Commissioner or go to court.")
    return lines
