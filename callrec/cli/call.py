"""`callrec call list|stop|pause|resume|flag`."""

from __future__ import annotations

import json

import click

from callrec.cli.desk import Desk
from callrec.core.values import FLAGS


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
        recording = "paused" if call["paused"] else call["recording"]
        click.echo(f"{call['call']}  {call['line']}  {call['stage']}  recording {recording}  {call['seconds']} s")
    if not calls:
        click.echo("No calls are up.")


@call_group.command()
@click.argument("call_id")
@click.pass_obj
def stop(desk: Desk, call_id: str) -> None:
    """Stop recording this call; what was recorded so far is kept. It does not start again."""
    desk.agent.ask("stop", call=call_id)
    click.echo("Recording is being stopped; both parties hear that it has.")


@call_group.command()
@click.argument("call_id")
@click.pass_obj
def pause(desk: Desk, call_id: str) -> None:
    """Record nothing of this call until `resume`, as for a card number. It does not go on by itself."""
    desk.agent.ask("pause", call=call_id)
    click.echo("Paused: nothing is recorded until `callrec call resume`. Staff hear two falling beeps.")


@call_group.command()
@click.argument("call_id")
@click.pass_obj
def resume(desk: Desk, call_id: str) -> None:
    """Go on recording after a pause."""
    standing = desk.agent.ask("resume", call=call_id)
    click.echo(f"The pause is over; recording is {standing['recording']}.")


@call_group.command()
@click.argument("call_id")
@click.argument("what", type=click.Choice([order.word for order in FLAGS]))
@click.pass_obj
def flag(desk: Desk, call_id: str, what: str) -> None:
    """Say what must be known of this call: it only ever takes uses away."""
    desk.agent.ask("flag", call=call_id, what=what)
    click.echo(f"Noted: {what}.")
