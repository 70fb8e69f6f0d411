"""`callrec audit`: verify everything, ask the auditor's questions, gather one call. Reads only.

Exit status: 0 clean, 1 exceptions, 20 cannot be answered, 30 the evidence contradicts itself.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from callrec.audit.casefile import CaseFile, gather
from callrec.audit.packed import verify_pack
from callrec.audit.queries import QUESTIONS
from callrec.audit.report import anchored_text, trust_lines, verification_json, verification_text
from callrec.audit.testcall import testcalls
from callrec.audit.verify import LIMITS, Verification
from callrec.audit.verify import verify as verify_places
from callrec.audit.wording import lines_of, one_line
from callrec.cli.evidence import json_option, named, place_options, public_key
from callrec.cli.packing import held_checkpoints, pack
from callrec.cli.questions import disposals, evidence, question, reconcile, report, sample, tag_history
from callrec.errors import ConfigError
from callrec.ledger.entry import LogEntry


@click.group()
def audit() -> None:
    """Check every proof, offline. Without the operator: on copies (--ledger and what else there is)."""


@audit.command()
@click.argument("pack", required=False, type=click.Path(path_type=Path))
@click.option("--key", help="With PACK: the log's public key that you hold: the text, or a file with it.")
@click.option("--checkpoint", type=click.Path(path_type=Path), help="With PACK: checkpoints that you hold.")
@place_options
@json_option
@click.pass_context
def verify(
    ctx: click.Context, /, *, pack: Path | None, key: str | None, checkpoint: Path | None, as_json: bool, **given: Any
) -> None:
    """Run every numbered check. Over the ledger and the files beside it; or over one PACK, which needs neither."""
    if pack is None:
        if key or checkpoint:
            raise ConfigError("--key and --checkpoint go with a PACK", next_step="use --vkey and --anchor for a ledger")
        finish(ctx, verify_places(replace(named(ctx.obj, given), reads_objects=True)), as_json=as_json)
    else:
        vkey = key or given["vkey"]
        if not vkey:
            step = "name the half page that you hold with --key; a key from the operator of today proves nothing"
            raise ConfigError("a pack is checked against a key that you bring", next_step=step)
        found = verify_pack(pack, public_key(vkey), held_checkpoints(checkpoint))
        click.echo(json.dumps(found.value(), indent=2) if as_json else lines_of(found.lines()), nl=as_json)
        ctx.exit(found.exit_code)


def finish(ctx: click.Context, verification: Verification, *, as_json: bool) -> None:
    """Print a verification and leave with its exit status."""
    if as_json:
        value = verification_json(verification) | {"exit_code": verification.exit_code, "limits": LIMITS}
        click.echo(json.dumps(value, indent=2))
    else:
        click.echo(verification_text(verification), nl=False)
    ctx.exit(verification.exit_code)


@audit.command()
@click.argument("call_uid", metavar="UID")
@place_options
@json_option
@click.pass_context
def call(ctx: click.Context, /, call_uid: str, as_json: bool, **given: Any) -> None:
    """Gather one call. Every entry, the evidence judged again, where its recordings lie; UID may be shortened."""
    places = named(ctx.obj, given)
    uids = _Uids(call_uid.partition("-")[0])
    verification = verify_places(places, also=(uids.see,))
    case = gather(places, uids.only())
    code = max(verification.exit_code, case.exit_code)
    if as_json:
        value = {"anchored_outside": anchored_text(verification), "verification": verification_json(verification)}
        click.echo(json.dumps(value | case.to_value() | {"exit_code": code}, indent=2))
    else:
        click.echo(_case_text(verification, case, code), nl=False)
    ctx.exit(code)


def _case_text(verification: Verification, case: CaseFile, code: int) -> str:
    head = [
        f"anchored outside: {anchored_text(verification)}",
        f"report:       call {case.call_uid}",
        f"rows:         {len(case.entries)}",
        *trust_lines(verification),
        f"result:       {_RESULT[code]}",
        "",
    ]
    return lines_of(head) + case.to_text()


_RESULT = {
    0: "nothing contradicts itself",
    30: "the evidence contradicts itself; `callrec audit verify` says where",
}


class _Uids:
    """Calls whose id begins as asked, seen on the way."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._found: set[str] = set()

    def see(self, entry: LogEntry) -> None:
        """Take the next entry."""
        if self._prefix and entry.call_uid.startswith(self._prefix):
            self._found.add(entry.call_uid)

    def only(self) -> str:
        """The one that was meant, or what was asked for where none begins so. ConfigError where several do."""
        if len(self._found) > 1:
            what = f"{len(self._found)} calls begin with {one_line(self._prefix):.40}"
            raise ConfigError(what, next_step="give more of the id")
        return next(iter(self._found), self._prefix)


@audit.command()
@click.argument("digits")
@place_options
@json_option
@click.pass_context
def testcall(ctx: click.Context, /, digits: str, as_json: bool, **given: Any) -> None:
    """Find a call of your own by the six DIGITS that you pressed in its notice. Exit 0, or 1 where there is none.

    Press digits that the notice does not name, without 9, and nothing else; write down the time and keep what you
    heard. The ledger holds no digits, only what they open.
    """
    found = testcalls(named(ctx.obj, given).ledger, digits)
    if as_json:
        click.echo(json.dumps([each.to_value() for each in found], indent=2))
    for each in () if as_json else found:
        click.echo(f"{each.utc} call {each.call_uid}, entry {each.seq}: callrec audit call {each.call_uid[:12]}")
    if not found and not as_json:
        click.echo("no call in whose notice just these were pressed")
    ctx.exit(0 if found else 1)


audit.add_command(pack)


for _name in QUESTIONS:
    audit.add_command(question(_name))
for _command in (evidence, tag_history, disposals, reconcile, sample, report):
    audit.add_command(_command)
