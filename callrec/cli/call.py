"""`callrec call list|notice|stop|pause|resume|flag|subject|tag`."""

from __future__ import annotations

import json

import click

from callrec.cli.desk import Desk
from callrec.core.people import OLDEST, SUBJECTS, Answer, Speaker
from callrec.core.purposes import WIDENINGS
from callrec.core.values import FLAGS

_ANSWER = click.Choice([each.value for each in Answer])
_AN = {"adult": "an", "child": "a"}


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
@click.pass_obj
def notice(desk: Desk, call_id: str) -> None:
    """Play the recording notice in this call, to the person outside; recording begins once it is proven."""
    standing = desk.agent.ask("notice", call=call_id)
    click.echo(
        "The notice plays." if standing["asking"] else "No notice is to be played in this call, or it plays already."
    )


@call_group.command()
@click.argument("call_id")
@click.argument("what", type=click.Choice([order.word for order in FLAGS]))
@click.pass_obj
def flag(desk: Desk, call_id: str, what: str) -> None:
    """Say what must be known of this call: it only ever takes uses away."""
    desk.agent.ask("flag", call=call_id, what=what)
    click.echo(f"Noted: {what}.")


@call_group.command()
@click.argument("call_id")
@click.option(
    "--add", type=click.Choice(WIDENINGS), required=True, help="Refused, and in the ledger: only the caller widens."
)
@click.pass_obj
def tag(desk: Desk, call_id: str, add: str) -> None:
    """Ask that this call may be used for more. It never is: that needs the caller's consent, which whoever talks to
    them asks for by a code. `call flag` takes a purpose away.
    """
    desk.agent.ask("tag", call=call_id, add=add)


@call_group.command()
@click.argument("call_id")
@click.argument("who", metavar="adult|child|unknown", type=click.Choice(list(SUBJECTS)))
@click.option("--age", type=click.IntRange(0, OLDEST), help="In completed years, where it was said.")
@click.option("--competent", type=_ANSWER, help="Of a child: judged able to decide about the recording.")
@click.option("--parents-encouraged", type=_ANSWER, help="Of a child: encouraged to involve their parents.")
@click.option("--caller", type=click.Choice([each.value for each in Speaker]), help="Who speaks: themselves, or whom.")
@click.pass_obj
def subject(desk: Desk, /, call_id: str, who: str, **said: object) -> None:
    """Say who this call is about, who need not be who speaks. It dates the recording, and says nothing of other calls.

    A date of birth is not said here: `callrec recordings classify` takes it, after the call.
    """
    known = {name: value for name, value in said.items() if value is not None}
    desk.agent.ask("subject", call=call_id, subject=who, **known)
    click.echo(f"Noted: the call is about {'somebody unknown' if who == 'unknown' else f'{_AN[who]} {who}'}.")
