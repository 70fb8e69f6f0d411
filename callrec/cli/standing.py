"""`callrec refusals` and `callrec staff`: callers who are never recorded, staff who know that calls are (R39, R53)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from callrec.audit.report import table
from callrec.audit.wording import lines_of
from callrec.cli.desk import Desk
from callrec.cli.evidence import json_option
from callrec.cli.holds import words
from callrec.config.people import account
from callrec.errors import Refused, Unavailable
from callrec.places import standing
from callrec.standing_desk import answer


def asked(desk: Desk, do: str, **args: Any) -> dict[str, Any]:
    """What the agent answers; where none runs, its registers are opened here, by the account that owns them."""
    try:
        return desk.agent.ask("standing", do=do, **args)
    except Unavailable:
        if not owns(desk.config.agent.data_dir):
            step = "start the agent; or run this as its own account"
            raise Unavailable("the agent is not running, and its registers are its own", next_step=step) from None
    said, entry = answer(desk.config, standing(desk.config), {"do": do, **args}, os_user=account(os.getuid()))
    if entry is not None:
        desk.append(entry)
    return said


def owns(folder: Path) -> bool:
    """Whether this account owns the folder, or could make it."""
    return not folder.exists() or folder.stat().st_uid == os.getuid()


# ---------------------------------------------------------------- refusals


@click.group()
def refusals() -> None:
    """Callers who refused to be recorded once and for all: their calls start as declined, on every line."""


@refusals.command("add")
@click.argument("number")
@click.option("--reason", required=True, help="How it reached you: a reference, or words with hyphens. No names.")
@click.pass_obj
def add(desk: Desk, number: str, reason: str) -> None:
    """Enter a refusal. The number is kept as a keyed hash alone; calls without a number cannot be known by it."""
    found = asked(desk, "refuse", number=number, why=words(reason, "--reason"))
    click.echo(f"Entered: {found['id']}. Calls of this number start as declined, from the next one on.")


@refusals.command("remove")
@click.argument("which", metavar="ID|NUMBER")
@click.option("--reason", required=True, help="How it reached you: a reference, or words with hyphens. No names.")
@click.pass_obj
def remove(desk: Desk, which: str, reason: str) -> None:
    """The caller changed their mind: they hear the notice again, and choose."""
    found = asked(desk, "unrefuse", which=which, why=words(reason, "--reason"))
    click.echo(f"Removed: {found['id']}. The caller hears the notice again.")


@refusals.command("list")
@json_option
@click.pass_obj
def list_refusals(desk: Desk, as_json: bool) -> None:
    """Show every refusal that stands: no number, only what it is known by here."""
    _show(asked(desk, "list")["refusals"], ("id", "since", "by", "why"), "No refusal stands.", as_json=as_json)


# ---------------------------------------------------------------- staff


@click.group()
def staff() -> None:
    """Who of the staff acknowledged which version of the recording policy, by their SIP identity."""


@staff.command("add")
@click.argument("identity", metavar="SIP-IDENTITY")
@click.option("--policy", default="", help="The version they acknowledged; else that of staff.policy_version.")
@click.option("--on", default="", metavar="DATE", help="When, as in 2026-03-01; else today.")
@click.pass_obj
def add_staff(desk: Desk, identity: str, policy: str, on: str) -> None:
    """Say that whoever answers as this identity (as the line's destination is written) acknowledged the policy."""
    version = policy or desk.config.staff.policy_version
    if not version:
        raise Refused("no version of the policy is named", next_step="give --policy, or write staff.policy_version")
    asked(desk, "acknowledge", identity=identity, policy=version, on=on)
    click.echo(f"{identity} acknowledged policy {version}.")


@staff.command("remove")
@click.argument("identity", metavar="SIP-IDENTITY")
@click.pass_obj
def remove_staff(desk: Desk, identity: str) -> None:
    """Take somebody out who left."""
    asked(desk, "forget-staff", identity=identity)
    click.echo(f"{identity} is taken out.")


@staff.command("list")
@json_option
@click.pass_obj
def list_staff(desk: Desk, as_json: bool) -> None:
    """Show who acknowledged what and when, and which of the lines' destinations did not."""
    found, wanted = asked(desk, "list")["staff"], desk.config.staff.policy_version
    known = {each["identity"] for each in found if each["policy"] == wanted}
    places = dict.fromkeys(target.written for line in desk.config.lines for target in line.targets)
    found += [
        {"identity": each, "policy": "-", "on": "-"} for each in places if each not in {e["identity"] for e in found}
    ]
    for each in found:
        each["current"] = "yes" if each["identity"] in known else "NO" if wanted else "-"
    _show(found, ("identity", "policy", "on", "current"), "Nobody is known.", as_json=as_json)


def _show(found: list[dict[str, str]], columns: tuple[str, ...], none: str, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(found, indent=2))
    elif found:
        cells = [tuple(each[name] for name in columns) for each in found]
        click.echo(lines_of(table(columns, cells)), nl=False)
    else:
        click.echo(none)
