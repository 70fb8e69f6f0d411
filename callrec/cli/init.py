"""`callrec init`: keys, ledger and directories, once."""

from __future__ import annotations

import click

from callrec.cli.desk import Desk
from callrec.initial import initialise


@click.command()
@click.pass_obj
def init(desk: Desk) -> None:
    """Make keys, ledger, directories and the sample prompts, once. Prints the half page for your auditor."""
    click.echo(initialise(desk.config))
