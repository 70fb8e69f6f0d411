"""The root command: which configuration, and every group below it."""

from __future__ import annotations

from pathlib import Path

import click

from callrec import __version__
from callrec.cli.agent import agent_group
from callrec.cli.audit import audit
from callrec.cli.call import call_group
from callrec.cli.config_check import config_group
from callrec.cli.demo import demo
from callrec.cli.desk import Desk
from callrec.cli.disclosure import disclosure
from callrec.cli.handover import handover
from callrec.cli.init import init
from callrec.cli.keys import keys_group
from callrec.cli.ledger import ledger
from callrec.cli.prompts import prompts
from callrec.cli.recordings import recordings
from callrec.cli.selftest import selftest
from callrec.cli.standing import refusals, staff
from callrec.cli.subject import subject
from callrec.cli.subject_decide import decide
from callrec.cli.subject_forget import forget
from callrec.cli.subject_pack import pack as subject_pack


@click.group()
@click.option(
    "-c",
    "--config",
    "config_path",
    envvar="CALLREC_CONFIG",
    type=click.Path(path_type=Path),
    help="The configuration file; or set CALLREC_CONFIG.",
)
@click.version_option(__version__, prog_name="callrec")
@click.pass_context
def root(ctx: click.Context, config_path: Path | None) -> None:
    """Record advice-line calls only when the recording notice was proven to be played."""
    ctx.obj = Desk(config_path)


_GROUPS = (
    *(agent_group, audit, call_group, config_group, disclosure, handover),
    *(keys_group, ledger, prompts, recordings, refusals, staff, subject),
)
for _command in (*_GROUPS, demo, init, selftest):
    root.add_command(_command)
for _of_subject in (subject_pack, forget, decide):
    subject.add_command(_of_subject)
