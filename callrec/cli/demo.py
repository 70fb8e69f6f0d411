"""`callrec demo`: two calls on loopback, nothing to configure."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from pathlib import Path

import click
import structlog

from callrec.demo.house import built_house, fresh_folder
from callrec.demo.phone import Phone
from callrec.demo.show import LINE_HZ, RINGS_S, Show
from callrec.demo.speech import voice
from callrec.demo.telling import broken_promises, told
from callrec.errors import Broken
from callrec.initial import initialise


@click.command(short_help="Two whole calls on this machine, nothing to configure.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    help="A new folder for everything; callrec-demo here, or the next free number, where left out.",
)
def demo(folder: Path | None) -> None:
    """Show two whole calls on this machine, with nothing to configure: one recorded, one declined.

    Agent, callers and advice line run on loopback; the voices are tones. It takes about a minute, and leaves a folder
    that every other command can look at.
    """
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    place = fresh_folder(folder)
    with Phone("6000", says=voice(LINE_HZ), rings_s=RINGS_S) as line, built_house(place, line_port=line.port) as house:
        click.echo(f"Everything of this demonstration lies in {place}, made just now:")
        click.echo("configuration, keys, ledger, store. The notice is our sample. Loopback only.\n")
        initialise(house.config)
        shown = asyncio.run(Show(house, line, click.echo).run())
        click.echo()
        for sentence in told(shown, house, _command()):
            click.echo(sentence)
    if broken := list(broken_promises(shown)):
        raise Broken("\n".join(broken), next_step="run it again on a quiet machine; report it if it happens again")


def _command() -> str:
    """How to call us again from here."""
    ours = Path(sys.argv[0])
    if shutil.which("callrec") == str(ours):
        return "callrec"
    return os.path.relpath(ours) if ours.name == "callrec" else "callrec"
