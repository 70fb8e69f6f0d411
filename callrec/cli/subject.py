"""`callrec subject`: what is there of one caller, found by number, reference or hour. The keeper's side only (R50)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from callrec._sql import Database
from callrec.audit.report import table
from callrec.audit.wording import lines_of
from callrec.cli.commands import Commands
from callrec.cli.desk import Desk
from callrec.cli.evidence import json_option, log_named, logs_beside
from callrec.cli.subject_search import Answer, Asked, ask_options, search
from callrec.errors import ConfigError


@click.group(
    commands=Commands(
        {"pack": "subject_pack:pack", "forget": "subject_forget:forget", "decide": "subject_decide:decide"}
    )
)
def subject() -> None:
    """One caller's own calls: find them, recorded or not, and pack what is there for the caller."""


# ---------------------------------------------------------------- find


@subject.command()
@ask_options
@click.option("--log", default="", help="Of another agent's log in this PostgreSQL database.")
@click.option("--all-logs", is_flag=True, help="Of every agent that shares this PostgreSQL database, with its log.")
@json_option
@click.pass_context
def find(ctx: click.Context, /, key: Path | None, log: str, all_logs: bool, as_json: bool, **asked: str) -> None:
    """Show every call of one caller, recorded or not and why not. The ledger is told who looked.

    Exit 20 where nothing was found but some calls can be found by no number: look by --date and --around as well. What
    another agent's log says is read from its beginning, by our keeper's key, and nothing of it is kept.
    """
    logs = _logs(ctx.obj, log, all_logs=all_logs)
    answer = search(ctx.obj, Asked(**asked).checked(), key=key, logs=logs)
    if as_json:
        value = {"calls": [call.value() for call in answer.calls], "blind": _blind(answer), "found": len(answer.calls)}
        click.echo(json.dumps(value | ({"not_asked": answer.missed} if answer.missed else {}), indent=2))
    else:
        click.echo(lines_of([*_text(answer, asked["zone"])]), nl=False)
    ctx.exit(answer.exit_code())


def _logs(desk: Desk, log: str, *, all_logs: bool) -> Mapping[str, Database]:
    """Whose logs are asked, by name; ours alone, without one, where nothing else was said."""
    if log and all_logs:
        raise ConfigError("--log and --all-logs do not go together", next_step="leave one of the two out")
    step = "ask with each agent's own configuration, or give them one PostgreSQL database (ledger.url)"
    if log:
        return {log: log_named(desk, log, step=step)}
    return logs_beside(desk, "--all-logs", step=step) if all_logs else {"": desk.config.ledger.database}


# ---------------------------------------------------------------- what is said


def _text(answer: Answer, zone: str) -> Iterator[str]:
    if answer.calls:
        several = any(call.log for call in answer.calls)
        logs = [(call.log,) if several else () for call in answer.calls]
        rows = [
            (*log, _local(call.utc, zone), call.call_uid, call.line or "-", *call.cells())
            for log, call in zip(logs, answer.calls, strict=True)
        ]
        columns = ("when", "call", "line", "recorded", "why", "recordings")
        yield from table((*(("log",) if several else ()), *columns), rows)
    else:
        yield "No such call was found."
    for why, count in answer.blind.items():
        yield f"Not searched by number: {count} {'call' if count == 1 else 'calls'}, each of which {why.value}."
    for name, error in answer.missed.items():
        yield f"Not asked: the log {name}: {error}"
    if answer.blind:
        yield "For those look by --date and --around."


def _local(utc: str, zone: str) -> str:
    try:
        return datetime.fromisoformat(utc).astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, KeyError):
        return utc


def _blind(answer: Answer) -> dict[str, int]:
    return {why.name.lower().replace("_", " "): count for why, count in answer.blind.items()}
