"""`callrec keys create|list|rotate`: the keeper's pairs, and for whom the stored recordings' keys are wrapped."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Final

import click

from callrec.cli.desk import Desk
from callrec.cli.evidence import json_option
from callrec.core.authority import Act
from callrec.core.kinds import Kind
from callrec.errors import ConfigError
from callrec.places import key_file, reading_store
from callrec.ports import Entry
from callrec.store.keys import create_keeper_keys, fingerprint, load_private, load_public
from callrec.store.openers import by_file, by_program
from callrec.store.rotation import Rotation, keepers, rotate

_FILE: Final = click.Path(path_type=Path, dir_okay=False)
_FOLDER: Final = click.Path(path_type=Path, file_okay=False)
_USE: Final = "recordings"


@click.group(name="keys")
def keys_group() -> None:
    """The keeper's keys, which open recordings."""


@keys_group.command()
@click.argument("folder", type=_FOLDER)
@click.pass_obj
def create(desk: Desk, /, folder: Path) -> None:
    """Make a new pair of keeper's keys in FOLDER, best on the keeper's own machine."""
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no folder", next_step="make it, readable by the keeper alone")
    made = create_keeper_keys(folder)
    desk.append(Entry(kind=Kind.KEY_CREATED, body={"key_id": made.fingerprint, "use": _USE}, actor=desk.person()))
    click.echo(f"Made {made.public} (keeper {made.fingerprint[:16]}) and {made.private}, which opens recordings.")
    click.echo("Next: name the public one in keys.wrap_to, restart the agent, then `callrec keys rotate --key OLD`.")


@keys_group.command(name="list")
@json_option
@click.pass_obj
def list_(desk: Desk, /, *, as_json: bool) -> None:
    """Show for whom the keys of stored recordings are wrapped."""
    found = asyncio.run(_keepers(desk))
    now = fingerprint(load_public(key_file(desk.config, "keeper")))
    if as_json:
        click.echo(json.dumps({"wrap_to": now, "keepers": found}, indent=2))
        return
    for keeper, count in sorted(found.items()):
        mark = "keys.wrap_to" if keeper == now else "not keys.wrap_to: `callrec keys rotate` wraps them anew"
        click.echo(f"{keeper}  {count} recordings  ({mark})")
    if not found:
        click.echo("No recording is stored.")


async def _keepers(desk: Desk) -> dict[str, int]:
    return dict(await keepers(reading_store(desk.config)))


@keys_group.command(name="rotate")
@click.option("--key", type=_FILE, help="The old keeper's private key.")
@click.option("--from", "old", type=_FILE, help="In place of --key: the old public key; keys.open_with opens.")
@click.option("--to", "new", type=_FILE, help="The new keeper's public key; default the one in keys.wrap_to.")
@click.pass_obj
def rotate_(desk: Desk, /, key: Path | None, old: Path | None, new: Path | None) -> None:
    """Wrap the keys of stored recordings for another keeper. No audio is touched. Run again after a crash."""
    person = desk.decides(Act.ROTATE)
    target = load_public(new or key_file(desk.config, "keeper"))
    if (key is None) == (old is None):
        raise ConfigError("name the old keeper's key", next_step="give --key FILE, or --from FILE with keys.open_with")
    if key is not None:
        unwrap, before = by_file(key), fingerprint(load_private(key).public_key())
    else:
        unwrap, before = by_program(_program(desk)), fingerprint(load_public(_named(old)))
    if before == fingerprint(target):
        raise ConfigError("old and new keeper are the same", next_step="name the new public key in keys.wrap_to")

    def tell(step: str, count: int) -> None:
        body = {"key_id": fingerprint(target), "from_key_id": before, "use": _USE, "step": step, "rewrapped": count}
        desk.append(
            Entry(
                kind=Kind.KEY_ROTATED, body={**body, "person": person.person, "login": person.login}, actor=person.login
            )
        )

    tell("begun", 0)
    done = asyncio.run(rotate(reading_store(desk.config), unwrap, old=before, new=target))
    tell("done", done.rewrapped)
    _say(desk, done, before)


def _program(desk: Desk) -> tuple[str, ...]:
    if desk.config.keys.open_with is None:
        raise ConfigError("--from needs a program that opens", next_step="name it in keys.open_with, or give --key")
    return desk.config.keys.open_with


def _named(path: Path | None) -> Path:
    if path is None:
        raise ConfigError("no key is named", next_step="give --key or --from")
    return path


def _say(desk: Desk, done: Rotation, before: str) -> None:
    click.echo(f"{done.rewrapped} keys wrapped anew; {done.already} had been. No audio was touched.")
    for keeper, count in sorted(done.others.items()):
        click.echo(f"{count} are wrapped for another keeper, {keeper}: rotate with that one's key.")
    days = desk.config.retention.backup_max_days
    click.echo(f"Keep the old key ({before[:16]}): backups of wrapped keys need it for {days} days, what waits in")
    click.echo("the spool until it is stored and rotated too, callers' numbers sealed before until these are erased.")
