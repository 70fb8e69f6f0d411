"""`callrec config check`: is the configuration right, does this machine fit it, and what will happen to calls."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

import click

from callrec.cli.codes import codes
from callrec.cli.surroundings import Remark, look_around
from callrec.config import Config, Line, OnNoNotice, Record, load
from callrec.config.outside import NUMBER
from callrec.core.retention import Nation
from callrec.core.values import CallDirection, NoticeWhen
from callrec.errors import CallrecError, ConfigError
from callrec.sip.options import answers
from callrec.store.configured import require_fit_place, where

ASK_S: Final = 2.0
"""Seconds that a destination may take to answer OPTIONS."""


class Setup(Protocol):
    """What these commands need of the command line."""

    @property
    def config_path(self) -> Path | None:
        """The file of -c or CALLREC_CONFIG."""


@click.group("config")
def config_group() -> None:
    """The configuration."""


@config_group.command("check")
@click.option("--live", is_flag=True, help="Ask each destination with OPTIONS whether it is there.")
@click.pass_obj
def check(setup: Setup, live: bool) -> None:
    """Say what is wrong, or what will happen. Exit 2 where something must be mended; starts nothing."""
    if setup.config_path is None:
        raise ConfigError("no configuration is named", next_step="name one with -c FILE or CALLREC_CONFIG")
    config = load(setup.config_path)
    for line in summary(config):
        click.echo(line)
    remarks = [*look_around(config), *(_live(config) if live else ())]
    for remark in remarks:
        if not remark.grave:
            click.echo(f"note: {remark}")
    if grave := [remark for remark in remarks if remark.grave]:
        sentences = "\n".join(f"{config.place(remark.key)}: {remark}" for remark in grave)
        raise ConfigError(sentences, next_step="mend this, then run `callrec config check` again")
    click.echo("The configuration is in order.")


config_group.add_command(codes)


def _live(config: Config) -> Iterator[Remark]:
    yield from _store(config)
    for line in config.lines:
        for i, target in enumerate(line.targets):
            key = f"lines.{line.name}.destination" if i == 0 else f"lines.{line.name}.fallback[{i - 1}]"
            yield from _asked(key, target.written, _address(target.uri))


def _address(uri: str) -> str:
    """Where no number stands for anybody yet, the place alone is asked."""
    scheme, _, rest = uri.partition(":")
    return f"{scheme}:{rest.partition('@')[2]}" if NUMBER in uri else uri


def _store(config: Config) -> Iterator[Remark]:
    """What keeps it from keeping anything; files are looked at in any case."""
    if config.store.s3 is None:
        return
    try:
        require_fit_place(config)
    except CallrecError as error:
        yield Remark(key="store", what=str(error), next_step=error.next_step)
    else:
        click.echo(f"{where(config)} answers.")


def _asked(key: str, written: str, uri: str) -> Iterator[Remark]:
    if uri.startswith("sips:") or "transport=tls" in uri.lower():
        yield Remark(key=key, what=f"{written} was not asked: it speaks TLS", next_step="place a call", grave=False)
    elif answers(uri, timeout_s=ASK_S):
        click.echo(f"{written} answers.")
    else:
        what = f"{written} ({uri}) does not answer OPTIONS within {ASK_S:g} s"
        yield Remark(key=key, what=what, next_step="see that it runs and lets this machine in")


# ---------------------------------------------------------------- what will happen


def summary(config: Config) -> Iterator[str]:
    """What this configuration means for calls, in sentences for whoever is responsible."""
    listens = ", ".join(str(listen) for listen in config.sip.listen)
    most = f"at most {config.agent.max_calls} calls, {config.agent.max_setups_per_s} new ones a second"
    yield f"Agent {config.agent.name}: {most}; SIP on {listens}."
    for line in config.lines:
        yield from _line(line, config.retention.nation)
    held = ", ".join(str(anchor.path) for anchor in config.ledger.anchors) or "nowhere"
    yield f"Kept in {where(config)}, by the schedule for {config.retention.nation.value}."
    yield f"Checkpoints go to: {held}."
    yield f"Configuration {config.sha256[:16]}; {config.responsible.controller} is responsible."


def _line(line: Line, default: Nation) -> Iterator[str]:
    places = ", then ".join(target.written for target in line.targets)
    yield f"Line {line.name}: {_taken(line)}; connects to {places}."
    if line.record is Record.NEVER:
        yield "  Never recorded; every call has its entry in the ledger."
        return
    if line.nation is not default:
        yield f"  Kept by the schedule for {line.nation.value}."
    purposes = ", ".join(sorted(purpose.value for purpose in line.purposes))
    languages = ", ".join(line.languages)
    notice = f"{line.notice} ({languages})"
    yield f"  Recorded only where the notice {notice} is proven ({line.require.value}), for {purposes}."
    yield f"  {_keys(line)}"
    connected = line.on_no_notice is OnNoNotice.CONNECT
    yield f"  Without proof: {'connected, unrecorded' if connected else 'rejected'}."


def _taken(line: Line) -> str:
    if line.direction is CallDirection.INBOUND:
        return f"takes {', '.join(line.dialled)}"
    when = "once staff order it" if line.notice_when is NoticeWhen.STAFF_CODE else "when it is answered"
    peers = ", ".join(map(str, line.peers))
    return f"calls outside what {peers} dials with {line.prefix} before the number; the notice plays {when}"


def _keys(line: Line) -> str:
    offers = (
        (line.keys.decline, "not recorded"),
        (line.keys.decline_training, "not for training"),
        (line.keys.repeat, "the notice again"),
        (line.keys.acknowledge, "heard"),
        (line.keys.stop, "stops recording during the call"),
    )
    return "Keys: " + ("; ".join(f"{key} {meaning}" for key, meaning in offers if key) or "none") + "."
