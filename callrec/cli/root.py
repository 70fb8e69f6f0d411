"""The root command: which configuration, and every group below it."""

from __future__ import annotations

from pathlib import Path

import click

from callrec import __version__
from callrec.cli.commands import Commands
from callrec.cli.desk import Desk

COMMANDS = Commands(
    {
        "agent": "agent:agent_group",
        "audit": "audit:audit",
        "call": "call:call_group",
        "config": "config_check:config_group",
        "demo": "demo:demo",
        "disclosure": "disclosure:disclosure",
        "handover": "handover:handover",
        "init": "init:init",
        "keys": "keys:keys_group",
        "ledger": "ledger:ledger",
        "prompts": "prompts:prompts",
        "recordings": "recordings:recordings",
        "refusals": "standing:refusals",
        "selftest": "selftest:selftest",
        "staff": "standing:staff",
        "subject": "subject:subject",
    }
)


@click.group(commands=COMMANDS)
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
