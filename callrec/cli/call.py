"""`callrec call list|stop`."""

from __future__ import annotations

import json

import click

from callrec.cli.desk import Desk


@click.group("call")
def call_group() -> None:
    """Calls that are up now."""


@call_group.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.pass_obj
def list_(desk: Desk, as_json: bool) -> None:
    """Every call, its stage and whether it is being recorded."""
    calls = desk.agent.ask("calls")["calls"]
    if as_json:
        click.echo(json.dumps(calls, indent=2))
        return
    for call in calls:
        click.echo(
            f"{call['call']}  {call['line']}  {call['stage']}  recording {call['recording']}  {call['seconds']} s"
        )
    if not calls:
        click.echo("No calls are up.")


@call_group.command()
@click.argument("call_id")
@click.pass_obj
def stop(desk: Desk, call_id: str) -> None:
    """Stop recording this call; what was recorded so far is kept. It does not start again."""
    desk.agent.ask("stop", call=call_id)
    click.echo("Recording is being stopped; both parties hear that it has.")
