"""`callrec recordings due|dispose`: what is due, a list of it, another person's approval, and only then destruction."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import click

from callrec._canonical import sha256_hex
from callrec._durable import write_file
from callrec.audit.report import table
from callrec.audit.wording import lines_of, one_line
from callrec.cli.desk import Desk
from callrec.cli.disposal_bench import after_decision, bench, due_rows, read_file
from callrec.cli.evidence import json_option
from callrec.cli.holds import words
from callrec.core.authority import Act
from callrec.disposal.carry_out import Outcome, carry_out
from callrec.disposal.lists import approved, draw, proposed, proposed_list
from callrec.disposal.papers import Draft, Item, Left, parse_list
from callrec.errors import ConfigError, Refused

_PATH: Final = click.Path(path_type=Path)
_CANDIDATES: Final = 20_000


@click.command()
@click.option("--within", type=click.IntRange(min=0), default=30, show_default=True, help="Days to look ahead.")
@click.option("--limit", type=click.IntRange(min=1), default=1000, show_default=True, help="At most so many.")
@json_option
@click.pass_obj
def due(desk: Desk, /, within: int, limit: int, as_json: bool) -> None:
    """Show what falls due, longest due first. Held ones are shown as held: they are never disposed of."""
    today = datetime.now(UTC).date()
    rows = due_rows(desk, today + timedelta(days=within), limit=limit + 1)
    if as_json:
        plain = [{"recording_id": row.recording_id, "due": row.due, "state": row.state.value} for row in rows[:limit]]
        click.echo(json.dumps(plain, indent=2))
    elif rows:
        cells = [(row.recording_id, row.due, row.state.value, row.line, row.started_utc) for row in rows[:limit]]
        click.echo(lines_of(table(("recording", "due", "state", "line", "started"), cells)), nl=False)
    else:
        click.echo(f"Nothing falls due within {within} days.")
    if len(rows) > limit:
        click.echo(f"These are the first {limit}; there are more: --limit.", err=True)


# ---------------------------------------------------------------- lists


@click.command()
@click.argument("file", metavar="[FILE]", required=False, type=_PATH)
@click.option("--propose", type=_PATH, metavar="FILE", help="Draw a list of what is due today into this new file.")
@click.option("--approve", type=_PATH, metavar="FILE", help="Agree to this list: another person than who drew it.")
@click.option("--except", "exceptions", multiple=True, metavar="ID=WHY", help="Take one out: it is kept longer.")
@click.option("--reviewed", multiple=True, metavar="ID=WHY", help="Reviewed, where its rule asks for a review.")
@click.option("--execute", is_flag=True, help="Destroy what stands on FILE. Without it nothing is touched.")
@click.pass_obj
def dispose(
    desk: Desk,
    /,
    *,
    file: Path | None,
    propose: Path | None,
    approve: Path | None,
    exceptions: tuple[str, ...],
    reviewed: tuple[str, ...],
    execute: bool,
) -> None:
    """Destroy recordings by a list that two persons agreed to, and certify it. Tries it out unless told --execute.

    First: --propose FILE. Then another person, under their own login: --approve FILE. Then: FILE, and FILE --execute,
    by the account that owns the store. Cut off anywhere, run it again.
    """
    given = [path for path in (file, propose, approve) if path is not None]
    if len(given) != 1 or (execute and file is None) or ((exceptions or reviewed) and propose is None):
        step = "one of: --propose FILE [--except, --reviewed]; --approve FILE; FILE; FILE --execute"
        raise ConfigError("say one thing at a time", next_step=step)
    if propose is not None:
        _propose(desk, propose, exceptions, reviewed)
    elif approve is not None:
        _approve(desk, approve)
    else:
        _carry_out(desk, given[0], really=execute)


def _propose(desk: Desk, file: Path, exceptions: tuple[str, ...], reviewed: tuple[str, ...]) -> None:
    person = desk.decides(Act.PROPOSE)
    if file.exists():
        raise Refused(f"{file} exists and is never overwritten", next_step="choose another name")
    excepted, seen = _pairs("--except", exceptions), _pairs("--reviewed", reviewed)
    today = datetime.now(UTC).date()
    candidates = [row.recording_id for row in due_rows(desk, today, limit=_CANDIDATES)]
    found = bench(desk)
    candidates += [each.recording_id for each in found.register.kept() if not each.tags.live]
    candidates = list(dict.fromkeys(candidates))
    if unknown := sorted((excepted.keys() | seen.keys()) - set(candidates)):
        raise ConfigError(f"{unknown[0]} is not due", next_step="give whole ids from `callrec recordings due`")
    draft = asyncio.run(draw(found, candidates, exceptions=excepted, reviewed=seen))
    write_file(file, draft.to_bytes(), mode=0o640, exclusive=True)
    desk.append(proposed(draft, person))
    click.echo(_draft_text(draft), nl=False)
    click.echo(f"Proposed: {len(draft.items)} recordings, sha256 {sha256_hex(draft.to_bytes())}.")
    click.echo(f"Another person, under their own login: callrec recordings dispose --approve {one_line(file)}")


def _pairs(option: str, given: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in given:
        name, equals, why = each.partition("=")
        if not equals or name in found:
            raise ConfigError(f"{option}: {each!a:.60}: expected ID=WHY, each ID once", next_step="see --help")
        found[name] = words(why, option)
    return found


def _approve(desk: Desk, file: Path) -> None:
    person = desk.decides(Act.APPROVE)
    found, data = bench(desk), read_file(file)
    draft = parse_list(data)
    click.echo(_draft_text(draft), nl=False)
    desk.append(approved(found, data, person))
    click.echo(f"Approved: {len(draft.items)} recordings, proposed by {proposed_list(found, data).proposer.person}.")
    click.echo(f"To see what would be done: callrec recordings dispose {one_line(file)}")


def _carry_out(desk: Desk, file: Path, *, really: bool) -> None:
    found, data = bench(desk), read_file(file)
    outcome = asyncio.run(carry_out(found, data, really=really))
    if really:
        after_decision(desk.config)
    click.echo(_outcome_text(outcome), nl=False)
    if outcome.certificate_sha256:
        path = found.places.certificate(outcome.list_sha256)
        click.echo(f"Destroyed and certified: {len(outcome.items)} recordings.")
        click.echo(f"The certificate: {one_line(path)}, sha256 {outcome.certificate_sha256}")
        return
    agreed = found.register.lists[outcome.list_sha256]
    click.echo(f"Nothing was touched. {len(outcome.items)} recordings would be destroyed.")
    if agreed.approved_leaf:
        click.echo(f"To destroy them: callrec recordings dispose {one_line(file)} --execute")
    else:
        click.echo(f"First another person: callrec recordings dispose --approve {one_line(file)}")


def _draft_text(draft: Draft) -> str:
    return _rows(draft.items) + _left("taken out", draft.taken_out)


def _outcome_text(outcome: Outcome) -> str:
    return _rows(outcome.items) + _left("left out", outcome.left_out)


def _rows(items: tuple[Item, ...]) -> str:
    cells = [
        (item.recording_id, item.due, f"{item.rule} version {item.version}", item.reviewed or "-") for item in items
    ]
    return lines_of(table(("recording", "due", "rule", "reviewed"), cells)) if cells else ""


def _left(word: str, left: tuple[Left, ...]) -> str:
    lines = [f"{word}: {one['recording_id']}: {one['why']}" for one in map(asdict, left)]
    return lines_of(lines) if lines else ""
