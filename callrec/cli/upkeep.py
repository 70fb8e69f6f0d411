"""`callrec recordings classify|fixity`: facts that arrive after a call, and the slow scan of everything kept."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click

from callrec.audit.report import table
from callrec.audit.wording import lines_of
from callrec.cli.desk import Desk
from callrec.cli.disposal_bench import after_decision, bench, newer, read_file, relock, verified_register
from callrec.core.authority import Act
from callrec.core.kinds import Kind
from callrec.core.retention import Due
from callrec.disposal.classify import Change, prepare, read_table, worked_out
from callrec.disposal.fixity import scan
from callrec.errors import ConfigError
from callrec.places import reading_store
from callrec.ports import Entry

CONTRADICTED = 30


@click.command()
@click.option("--from", "table_file", type=click.Path(path_type=Path), required=True, help="The table, as CSV.")
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@click.pass_obj
def classify(desk: Desk, /, table_file: Path, dry_run: bool) -> None:
    """Take in facts that arrived after calls, and date the recordings anew. The whole table, or nothing.

    Columns: recording_id (whole), and any of subject (adult, child, unknown), born, birth, last_contact, later_use,
    died; dates as 2026-03-01. A file's date only ever moves later by this; no right of use does.
    """
    person = desk.decides(Act.CLASSIFY)
    rows = read_table(_text(table_file))
    found = bench(desk)
    changes = asyncio.run(worked_out(rows, found.register, found.dates, datetime.now(UTC).date()))
    click.echo(lines_of(table(("recording", "before", "after"), [_cells(change) for change in changes])), nl=False)
    if dry_run:
        click.echo("Nothing was changed.")
        return
    body = {**prepare(changes, found.places), "person": person.person, "login": person.login}
    desk.append(Entry(kind=Kind.TAG_CHANGED, body=body, actor=person.login))
    after_decision(desk.config)
    dated = {change.row.recording_id for change in changes}
    relock(desk, lambda standing: standing.recording_id in dated)
    click.echo(f"Classified {len(changes)} recordings. The table holds dates of birth: destroy it now.")


def _text(path: Path) -> str:
    try:
        return read_file(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is no text in UTF-8", next_step="save the table as CSV in UTF-8") from error


def _cells(change: Change) -> tuple[str, str, str]:
    return (change.row.recording_id, _said(change.before.schedule.file), _said(change.after.file))


def _said(due: Due) -> str:
    return f"{due.rule_id}: {due.on or 'no end'}"


@click.command()
@click.option("--most", type=click.IntRange(min=1), default=1_000_000, show_default=True, help="At most so many now.")
@click.pass_context
def fixity(ctx: click.Context, /, most: int) -> None:
    """Read everything kept again and compare it with the ledger. Goes on where it stopped; exit 30 where damaged."""
    desk: Desk = ctx.obj
    register, store = verified_register(desk.config), reading_store(desk.config)
    done = asyncio.run(scan(register, store, desk.append, newer=partial(newer, desk.config), most=most))
    for recording_id, what in done.damaged:
        click.echo(f"DAMAGED: {recording_id}: {what}")
    read = frozenset(done.names)
    relock(desk, lambda standing: standing.recording_id in read)
    sound = done.items - len(done.damaged)
    click.echo(f"Read {done.items} recordings, {done.size / 1e6:.1f} MB: {sound} are as they were sealed.")
    if done.damaged:
        click.echo("Keep everything as it is, and restore them from the backup by hand.", err=True)
    ctx.exit(CONTRADICTED if done.damaged else 0)
