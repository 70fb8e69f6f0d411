"""`callrec prompts key|find|export|import`: what the register gives away, takes in, and is looked for with."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any, Final, Protocol

import click

from callrec._durable import write_file
from callrec.audit.wording import one_line
from callrec.config import Config
from callrec.errors import ConfigError, Refused
from callrec.notice import approval, exchange
from callrec.notice.finding import find as places_of
from callrec.notice.manifest import PromptKind, Status
from callrec.notice.register import ApprovedPrompt, Register
from callrec.notice.verify import Template
from callrec.ports import Entry

NOT_IN_SOME: Final = 1
"""Exit status of `prompts find` where some file holds no whole notice, or cannot be read."""


class Desk(Protocol):
    """What these commands work on."""

    @property
    def prompts_dir(self) -> Path:
        """The folder of the register."""

    @property
    def config(self) -> Config:
        """The configuration: its retention schedule."""

    def append(self, entry: Entry) -> str:
        """Append to the ledger; the leaf hash when it is durable."""


@click.command()
@click.argument("person", metavar="PERSON")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The new key file.")
@click.pass_obj
def key(desk: Desk, /, person: str, output: Path) -> None:
    """Make the key that PERSON signs approvals with. The file is theirs; its public part goes into the register."""
    public = approval.add_approver(desk.prompts_dir, person, output)
    click.echo(f"Wrote {one_line(output)}: keep it where nobody but {person} can read it.")
    click.echo(f"Public key of {person}, for other sites: {public}")
    click.echo(f"From now on nothing is approved by {person} without this key.")


# ---------------------------------------------------------------- find


@click.command("find")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_obj
def find(desk: Desk, /, files: tuple[Path, ...], as_json: bool) -> None:
    """Tell for any recordings whether and where each approved notice is in them. Exit 1 where some hold none, whole."""
    templates = templates_of(Register.load(desk.prompts_dir))
    found = [_searched(path, templates) for path in files]
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        for one in found:
            _tell(one)
    if not all(one["found"] for one in found):
        sys.exit(NOT_IN_SOME)


def templates_of(register: Register) -> list[tuple[str, Template]]:
    """Every notice that was ever approved, also one that is retired: recordings are older than registers."""
    approved = [
        register.read(each)
        for each in register.records
        if each.kind is PromptKind.NOTICE and each.status in (Status.APPROVED, Status.RETIRED) and each.approved
    ]
    usable = [(each.record.name, each.template()) for each in approved if isinstance(each, ApprovedPrompt)]
    if not usable:
        raise Refused("there is no approved notice to look for", next_step="see `callrec prompts check`")
    return usable


def _searched(path: Path, templates: list[tuple[str, Template]]) -> dict[str, Any]:
    try:
        places = places_of(path, templates)
    except ConfigError as error:
        return {"file": str(path), "found": False, "error": error.diagnosis(), "places": []}
    shown = [place.to_value() for place in places]
    return {"file": str(path), "found": any(place.whole for place in places), "error": "", "places": shown}


def _tell(one: dict[str, Any]) -> None:
    name = one_line(one["file"])
    if one["error"]:
        click.echo(f"{name}: cannot be searched: {one['error']}", err=True)
    elif not one["places"]:
        click.echo(f"{name}: none of the approved notices is in it")
    for place in one["places"]:
        click.echo(f"{name}: {_place(place)}")


def _place(place: dict[str, Any]) -> str:
    minutes, seconds = divmod(place["at_s"], 60)
    where = f"{place['prompt']} at {minutes:.0f}:{seconds:06.3f}, channel {place['channel']}"
    if place["whole"]:
        lossy = "" if "-a/" in place["verifier"] else ", after a lossy codec"
        return f"{where}: whole, {place['score']:.1%} of its speech{lossy}"
    return f"{where}: NOT whole: {'; '.join(place['reasons'])}"


# ---------------------------------------------------------------- two sites, one register


@click.command("export")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--by", required=True, help="Who exports: an id with a key in the register.")
@click.option("--key", "key_file", type=click.Path(path_type=Path), required=True, help="That person's key file.")
@click.pass_obj
def export(desk: Desk, /, file: Path, by: str, key_file: Path) -> None:
    """Write every signed prompt and its approval to FILE, signed, for another site."""
    data = exchange.export(Register.load(desk.prompts_dir), by=by, key_file=key_file)
    write_file(file, data, mode=0o644, exclusive=True)
    click.echo(f"Wrote {one_line(file)}. The other site takes it in with `callrec prompts import`, and needs your")
    click.echo("public key, which you tell them by another way than you send the file.")


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--by", required=True, help="Who takes it in: an id from `people` in the configuration.")
@click.option("--trust", required=True, help="Public key of whoever exported it, or their id in this register.")
@click.pass_obj
def take_in(desk: Desk, /, file: Path, by: str, trust: str) -> None:
    """Take in what another site exported. What does not verify is refused; nothing that is here is overwritten."""
    data = _bundle(file)
    trusted = _trusted(desk, trust)
    taken = exchange.take_in(desk.prompts_dir, data, trusted=trusted, actor=by, append=desk.append)
    click.echo(f"Added {', '.join(taken.added) or 'nothing'}; retired {', '.join(taken.retired) or 'nothing'}.")
    click.echo("A running agent takes it up with `callrec agent reload`.")


def _bundle(file: Path) -> bytes:
    try:
        if file.stat().st_size > exchange.LARGEST_BUNDLE:
            raise ConfigError(
                f"{file} is far too large for a bundle of prompts", next_step="see that it is the right one"
            )
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}", next_step="name the file that was exported") from error


def _trusted(desk: Desk, trust: str) -> str:
    """The public key that is meant. ConfigError where there is none."""
    if re.fullmatch(r"[0-9a-f]{64}", trust):
        return trust
    known = Register.load(desk.prompts_dir).approvers
    if trust not in known:
        step = "give the public key as `callrec prompts key` printed it there"
        raise ConfigError(f"this register has no key of {one_line(trust):.60}", next_step=step)
    return known[trust]
