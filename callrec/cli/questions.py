"""The auditor's questions as commands: those of a period, and those of one recording, a file of records, a sample."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from callrec.audit import call_questions, keeping_questions, use_questions
from callrec.audit.queries import QUESTIONS
from callrec.audit.reconcile import read_records
from callrec.audit.reconcile import reconcile as reconciled
from callrec.audit.report import Filters, Report, anchored_text, table, trust_lines
from callrec.audit.wording import lines_of
from callrec.cli.evidence import filter_options, filters, json_option, named, place_options
from callrec.errors import ConfigError

_WORST: Final = (30, 20, 1, 0)
"""Exit codes, what must be looked at first."""
_MEANING: Final = {0: "clean", 1: "exceptions", 20: "cannot be answered", 30: "the evidence contradicts itself"}


def told(ctx: click.Context, report: Report, *, form: str) -> None:
    """Print a report in this form and leave with its exit status."""
    said = {"json": report.to_json, "csv": report.to_csv, "text": report.to_text}[form]()
    click.echo(said, nl=form == "json")
    ctx.exit(report.exit_code)


def question_options(command: Any) -> Any:
    """Those that every question takes: period, line, places, --json and --csv."""
    for option in (
        click.option("--csv", "form", flag_value="csv", help="Print the rows as CSV."),
        click.option("--json", "form", flag_value="json", help="Print as JSON."),
        place_options,
        filter_options,
    ):
        command = option(command)
    return command


def question(name: str) -> click.Command:
    """The command of a question that needs nothing besides the period."""
    ask = QUESTIONS[name]

    @question_options
    @click.pass_context
    def command(ctx: click.Context, /, **given: Any) -> None:
        _asked(ctx, ask, given)

    said = (ask.__doc__ or "").partition(" Errors as")[0]
    return click.command(name, help=f"{said} Exit 0, 1, 20 or 30.")(command)


def _asked(ctx: click.Context, ask: Callable[..., Report], given: dict[str, Any], **more: Any) -> None:
    form = given.pop("form") or "text"
    period = filters(**{name: given.pop(name) for name in ("since", "until", "line")})
    told(ctx, ask(named(ctx.obj, given), period, **more), form=form)


@click.command()
@click.argument("which", metavar="REC|CALL")
@question_options
@click.pass_context
def evidence(ctx: click.Context, /, which: str, **given: Any) -> None:
    """Which exact words were played, in what language, when, on which leg? Exit 0, 1, 20 or 30."""
    _asked(ctx, call_questions.evidence, given, which=which)


@click.command("tag-history")
@click.argument("which", metavar="REC")
@question_options
@click.pass_context
def tag_history(ctx: click.Context, /, which: str, **given: Any) -> None:
    """Where did each purpose of a recording come from, and who changed it? Exit 0, 1, 20 or 30."""
    _asked(ctx, use_questions.tag_history, given, which=which)


@click.command()
@click.option("--prove", is_flag=True, help="Look for what is left of each: audio in store and spool, wrapped keys.")
@question_options
@click.pass_context
def disposals(ctx: click.Context, /, *, prove: bool, **given: Any) -> None:
    """What was destroyed, under which rule, by whom, and can it still be opened? Exit 0, 1, 20 or 30."""
    _asked(ctx, keeping_questions.disposals, given, prove=prove)


@click.command()
@click.option("--n", type=click.IntRange(min=1, max=10_000), default=25, show_default=True, help="How many.")
@click.option("--seed", default="", help="Draw this sample again; without it a new seed is made, and printed.")
@question_options
@click.pass_context
def sample(ctx: click.Context, /, n: int, seed: str, **given: Any) -> None:
    """Draw recordings by chance, so that anybody with the seed can draw them again. Exit 0, 20 or 30."""
    _asked(ctx, call_questions.sample, given, n=n, seed=seed or secrets.token_hex(8))


@click.command()
@click.option("--cdr", type=click.Path(path_type=Path), required=True, help="CSV of call records: start, call_id.")
@click.option("--tolerance", type=click.FloatRange(0, 3600), default=10.0, show_default=True, help="Seconds apart.")
@click.option(
    "--utc-offset", type=click.FloatRange(-14, 14), default=0.0, help="Hours that their clock is ahead of UTC."
)
@question_options
@click.pass_context
def reconcile(ctx: click.Context, /, cdr: Path, tolerance: float, utc_offset: float, **given: Any) -> None:
    """Do call records of the PBX or carrier equal the ledger? Finds calls routed around. Exit 0, 1, 20 or 30."""
    try:
        data = cdr.read_text("utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"--cdr: {cdr}: {error}", next_step="name a CSV file in UTF-8") from error
    _asked(ctx, reconciled, given, records=read_records(data, utc_offset_h=utc_offset), tolerance_s=tolerance)


@click.command()
@filter_options
@place_options
@json_option
@click.pass_context
def report(ctx: click.Context, /, *, as_json: bool, **given: Any) -> None:
    """Ask every question that needs nothing but the period, and tell each outcome. Exit: the worst of them."""
    period = filters(**{name: given.pop(name) for name in ("since", "until", "line")})
    found = [ask(places, period) for places in (named(ctx.obj, given),) for ask in QUESTIONS.values()]
    code = next(code for code in _WORST if any(each.exit_code == code for each in found))
    if as_json:
        click.echo(json.dumps([json.loads(each.to_json()) for each in found], indent=2))
    else:
        click.echo(_overview(found, period), nl=False)
    ctx.exit(code)


def _overview(found: list[Report], period: Filters) -> str:
    first = found[0].verification
    head = [f"anchored outside: {anchored_text(first)}", f"asked about:  {period.text()}", *trust_lines(first), ""]
    rows = [(each.name, _MEANING[each.exit_code], len(each.exceptions), each.summary) for each in found]
    told_ = [f"{each.name}: {sentence}" for each in found for sentence in each.exceptions[:20]]
    return lines_of([*head, *table(("question", "outcome", "exceptions", "answer"), rows), "", *told_])
