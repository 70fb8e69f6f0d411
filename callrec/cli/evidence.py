"""Where the evidence lies for a command that only reads: as configured, or the copies that an auditor names."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from callrec import _sql
from callrec._sql import PostgresSchema
from callrec.audit.report import Filters
from callrec.audit.stored import StoredObjects
from callrec.audit.verify import Places
from callrec.cli.desk import Desk
from callrec.errors import Broken, ConfigError
from callrec.ledger.checkpoint import parse_vkey
from callrec.places import disposal_dir, evidence_dir, imported_dir, proven_store
from callrec.store.configured import folder_of, where

Command = TypeVar("Command", bound=Callable[..., Any])

_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d)?Z?)?")
_PATH: Final = click.Path(path_type=Path)
_LONGEST_PAGE: Final = 65_536


# ---------------------------------------------------------------- options


copy_option = click.option(
    "--ledger", "copy", type=_PATH, help="A copy of the ledger; then no configuration is needed."
)
"""--ledger."""


def ledger_options(command: Command) -> Command:
    """--ledger, --log, --vkey and --anchor."""
    for option in (
        click.option("--log", default="", help="Another agent's log in this PostgreSQL database."),
        click.option("--anchor", "anchors", type=_PATH, multiple=True, help="A folder of checkpoints held outside."),
        click.option("--vkey", help="The log's public key: the text, or a file such as the half page of init."),
        copy_option,
    ):
        command = option(command)
    return command


def place_options(command: Command) -> Command:
    """Those of `ledger_options`, and --evidence, --prompts, --store, --imported, --spool, --disposal."""
    for option in (
        click.option("--disposal", type=_PATH, help="A copy of the folder of disposal certificates."),
        click.option("--spool", type=_PATH, help="A copy of the spool."),
        click.option("--imported", type=_PATH, help="A copy of the shelf of what was imported."),
        click.option("--store", type=_PATH, help="A copy of the store."),
        click.option("--prompts", type=_PATH, help="A copy of the prompts' folder."),
        click.option("--evidence", type=_PATH, help="A copy of the folder of notice evidence."),
    ):
        command = option(command)
    return ledger_options(command)


def filter_options(command: Command) -> Command:
    """--from, --to and --line."""
    for option in (
        click.option("--line", default="", help="Only this line."),
        click.option("--to", "until", default="", help="Until before this date or time, UTC."),
        click.option("--from", "since", default="", help="From this date or time on, UTC."),
    ):
        command = option(command)
    return command


json_option = click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
"""--json."""


# ---------------------------------------------------------------- what they mean


def filters(*, since: str, until: str, line: str = "") -> Filters:
    """The period and line asked about. ConfigError where a date is none."""
    return Filters(since=_moment(since, "--from"), until=_moment(until, "--to"), line=line)


def _moment(text: str, option: str) -> str:
    """As it is compared with the ledger's times: without Z, so that an hour stands for its first instant."""
    if text and not _is_moment(text):
        step = "write 2026-03-01, or 2026-03-01T09:30 in UTC"
        raise ConfigError(f"{option}: {text!a:.40} is no date", next_step=step)
    return text.removesuffix("Z")


def _is_moment(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return _MOMENT.fullmatch(text) is not None


def configured(desk: Desk) -> Places:
    """Where everything lies as configured. The log's key is then taken from the log."""
    config = desk.config
    return Places(
        ledger=config.ledger.database,
        anchors=tuple(anchor.path for anchor in config.ledger.anchors),
        evidence=evidence_dir(config),
        prompts=config.notice.register,
        store=folder_of(config),
        keys=config.store.keys,
        objects=StoredObjects(lambda: proven_store(config), where(config)) if folder_of(config) is None else None,
        spool=config.spool.path,
        imported=imported_dir(config),
        disposal=disposal_dir(config),
    )


def named(desk: Desk, given: dict[str, Any]) -> Places:
    """What the options name; what they leave out as configured, unless --ledger names a copy: then nothing else."""
    copy, log = given.pop("copy"), given.pop("log")
    vkey, anchors = given.pop("vkey"), given.pop("anchors")
    places = _chosen(desk, copy, log)
    folders: dict[str, Any] = {name: path for name, path in given.items() if path is not None}
    for option, path in [*folders.items(), *(("anchor", path) for path in anchors)]:
        if not path.is_dir():
            raise ConfigError(f"--{option}: {path} is no folder", next_step="name a folder that is there")
    if anchors:
        folders["anchors"] = tuple(anchors)
    if vkey:
        folders["vkey"] = public_key(vkey)
    if "store" in folders:  # a copy has its keys beside it, or none
        folders |= {"keys": None, "objects": None}
    return replace(places, **folders)


def _chosen(desk: Desk, copy: Path | None, log: str) -> Places:
    """As configured, or a copy, or another agent's log: of that one only what the options name lies beside it."""
    if log and copy is not None:
        raise ConfigError("--log and --ledger do not go together", next_step="leave one of the two out")
    if not log:
        return configured(desk) if copy is None else Places(ledger=copy)
    return Places(ledger=log_named(desk, log, step="name it with --ledger"))


def log_named(desk: Desk, log: str, *, step: str) -> PostgresSchema:
    """The log of this name in our PostgreSQL database. ConfigError where there is none, with the `step` where our own
    is a file.
    """
    known = logs_beside(desk, "--log", step=step)
    if log not in known:
        there = ", ".join(known) or "none"
        what = f"--log: there is no log {log!a:.70} in {desk.config.ledger.database}"
        raise ConfigError(what, next_step=f"those that you may read: {there}")
    return known[log]


def logs_beside(desk: Desk, option: str, *, step: str) -> dict[str, PostgresSchema]:
    """Every log that this user may read where our own is, by name. ConfigError with the `step` where that is a file."""
    own = desk.config.ledger.database
    if isinstance(own, Path):
        raise ConfigError(f"{option}: this ledger is a file, and no other log is in it", next_step=step)
    return {each.schema: each for each in _sql.having(own, "log")}


def public_key(given: str) -> str:
    """The verifier key in this text, or on the page in the file of this name. ConfigError where there is none."""
    text = given if "+" in given and not Path(given).exists() else _page(Path(given))
    keys = [word for word in text.split() if _is_key(word)]
    if len(set(keys)) != 1:
        step = "give the line that begins with callrec/ on the half page of `callrec init`, or a file that holds it"
        raise ConfigError(f"--vkey: {len(set(keys))} public keys of a ledger found there", next_step=step)
    return keys[0]


def _page(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST_PAGE).decode("utf-8", "replace")
    except OSError as error:
        step = "name the file that holds the half page of `callrec init`, or give the key itself"
        raise ConfigError(f"--vkey: {path}: {error.strerror}", next_step=step) from error


def _is_key(word: str) -> bool:
    try:
        parse_vkey(word)
    except Broken:
        return False
    return True
