"""`callrec keys create|list|rotate`: the keeper's pairs, and for whom the stored recordings' keys are wrapped."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Final

import click
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from callrec.cli.desk import Desk
from callrec.cli.evidence import json_option
from callrec.config import Config
from callrec.core.authority import Act
from callrec.core.kinds import Kind
from callrec.errors import ConfigError, Unavailable
from callrec.ledger.beside import beside, rewritten
from callrec.places import key_file, reading_store
from callrec.ports import Entry
from callrec.recording.waiting import waiting_keys
from callrec.store.contacts import NAME, rewrapped, wrapped_in
from callrec.store.keys import create_keeper_keys, fingerprint, keeper_of, load_private, load_public, wrap
from callrec.store.openers import Unwrap, by_file, by_program
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
    """Show for whom keys are wrapped. Those of stored recordings, of what waits in the spool, of callers' numbers."""
    found = {
        "keepers": asyncio.run(keepers(reading_store(desk.config))),
        "waiting": Counter(keeper_of(key) for _, key in waiting_keys(desk.config.spool.path)),
        "contacts": _contacts(desk.config),
    }
    now = fingerprint(load_public(key_file(desk.config, "keeper")))
    if as_json:
        click.echo(json.dumps({"wrap_to": now, **found}, indent=2))
        return
    for keeper in sorted({keeper for counted in found.values() for keeper in counted}):
        mark = "keys.wrap_to" if keeper == now else "not keys.wrap_to: `callrec keys rotate` wraps them anew"
        counts = (f"{found[what].get(keeper, 0)} {name}" for what, name in _NAMED.items())
        click.echo(f"{keeper}  {', '.join(counts)}  ({mark})")
    if not any(found.values()):
        click.echo("No recording is stored.")


_NAMED: Final = {"keepers": "recordings", "waiting": "waiting in the spool", "contacts": "callers' numbers"}


def _contacts(config: Config) -> Mapping[str, int]:
    """For whom callers' numbers are sealed, and how many."""
    once = cache(keeper_of)
    return Counter(once(wrapped_in(sealed)) for _, sealed in beside(config.ledger.database, NAME))


@keys_group.command(name="rotate")
@click.option("--key", type=_FILE, help="The old keeper's private key.")
@click.option("--from", "old", type=_FILE, help="In place of --key: the old public key; keys.open_with opens.")
@click.option("--to", "new", type=_FILE, help="The new keeper's public key; default the one in keys.wrap_to.")
@click.pass_obj
def rotate_(desk: Desk, /, key: Path | None, old: Path | None, new: Path | None) -> None:
    """Wrap keys for another keeper: those of stored recordings and of callers' numbers. No audio is touched.

    Run again after a crash. Exit 20 where something still needs the old key: what waits in the spool is wrapped anew
    only once the store has it.
    """
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

    def tell(step: str, **counts: int) -> None:
        body = {"key_id": fingerprint(target), "from_key_id": before, "use": _USE, "step": step, **counts}
        who = {"person": person.person, "login": person.login}
        desk.append(Entry(kind=Kind.KEY_ROTATED, body=body | who, actor=person.login))

    tell("begun", rewrapped=0)
    waiting = _waiting(desk.config, before)  # before and after: what is handed over between the two is in neither list
    done = asyncio.run(rotate(reading_store(desk.config), unwrap, old=before, new=target))
    contacts = rewritten(desk.config.ledger.database, NAME, _contact_for(target, unwrap, before))
    waiting |= _waiting(desk.config, before)
    tell("unfinished" if waiting else "done", rewrapped=done.rewrapped, contacts=contacts, waiting=len(waiting))
    _say(desk, done, before, contacts)
    if waiting:
        what = f"the old key is still needed: {len(waiting)} recordings in the spool are wrapped for it"
        step = "restart the agent if it was started before keys.wrap_to was changed; once the store has them, run again"
        raise Unavailable(what, next_step=step)


def _waiting(config: Config, keeper: str) -> set[str]:
    """What in the spool only this keeper opens."""
    return {name for name, wrapped in waiting_keys(config.spool.path) if keeper_of(wrapped) == keeper}


def _contact_for(new: X25519PublicKey, unwrap: Unwrap, old: str) -> Callable[[int, str], str | None]:
    """How a contact that was sealed for `old` is kept for the new keeper; each of the few keys is opened once."""

    @cache
    def anew(wrapped: bytes) -> bytes | None:
        if keeper_of(wrapped) != old:
            return None
        key = unwrap(wrapped)
        return wrap(key.secret, key.key_id, new)

    def change(_seq: int, sealed: str) -> str | None:
        wrapped = anew(wrapped_in(sealed))
        return None if wrapped is None else rewrapped(sealed, wrapped)

    return change


def _program(desk: Desk) -> tuple[str, ...]:
    if desk.config.keys.open_with is None:
        raise ConfigError("--from needs a program that opens", next_step="name it in keys.open_with, or give --key")
    return desk.config.keys.open_with


def _named(path: Path | None) -> Path:
    if path is None:
        raise ConfigError("no key is named", next_step="give --key or --from")
    return path


def _say(desk: Desk, done: Rotation, before: str, contacts: int) -> None:
    click.echo(f"{done.rewrapped} keys wrapped anew; {done.already} had been. No audio was touched.")
    click.echo(f"{contacts} callers' numbers are sealed for the new keeper as well.")
    for keeper, count in sorted(done.others.items()):
        click.echo(f"{count} are wrapped for another keeper, {keeper}: rotate with that one's key.")
    days = desk.config.retention.backup_max_days
    click.echo(f"Keep the old key ({before[:16]}) for {days} days: backups of wrapped keys and of the ledger need it.")
