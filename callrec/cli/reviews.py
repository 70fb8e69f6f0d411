"""`callrec recordings reviews|reviewed`, and on what a doubt about capacity is lifted (R33, R34, R37, R38)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import click

from callrec.audit.report import table
from callrec.audit.wording import lines_of
from callrec.cli import recording_files as files
from callrec.cli.desk import Desk
from callrec.cli.disposal_bench import bench
from callrec.cli.evidence import json_option
from callrec.cli.holds import words
from callrec.cli.subject_search import PURPOSE, allowed, opened_index
from callrec.core.authority import Act
from callrec.core.holds import Person
from callrec.core.kinds import Kind
from callrec.core.people import Basis, Capable, Necessity, Proxy, ProxyRole, basis_json, basis_refused
from callrec.core.retention import Subject
from callrec.core.values import Purpose
from callrec.disposal.lists import Bench
from callrec.errors import ConfigError, Refused
from callrec.ledger.entry import LogEntry, read
from callrec.ledger.reading import open_log
from callrec.ports import Entry
from callrec.rights.reviews import DOUBT, LATER_CALL, OUTCOMES, REVIEWED, Reviews, Task, Watched, said_child

_OF: Final = {"doubt": DOUBT, "16": "16", "18": "18", "later-call": LATER_CALL}
_LATER: Final = "reviews.later-calls"
Later = Callable[[list[Watched]], dict[str, tuple[str, ...]]]
"""When later calls of the same number came, by recording."""


# ---------------------------------------------------------------- what waits


@click.command()
@click.option("--later-calls", is_flag=True, help="Also where the number of such a call has called again since.")
@click.option(
    "--key", type=click.Path(path_type=Path), help="With that: the keeper's private key; else by keys.wrap_to."
)
@json_option
@click.pass_obj
def reviews(desk: Desk, as_json: bool, later_calls: bool, key: Path | None) -> None:
    """Show which recordings somebody must look at again, soonest first, and by when.

    Doubts about capacity, within retention.review_days; and what a parent let be kept, once whom it is about is 16 and
    18. Birthdays are known by the age that was said, or by `recordings classify`. Numbers are the keeper's: whoever
    asks for --later-calls may search by number, and the ledger is told.
    """
    tasks = _waiting(desk, _later(desk, key) if later_calls else lambda _: {})
    if as_json:
        click.echo(json.dumps([{**asdict(task), "due": task.due.isoformat()} for task in tasks], indent=2))
        return
    today = datetime.now(UTC).date()
    cells = [(task.due, "OVERDUE" if task.due < today else "", task.recording_id, task.what) for task in tasks]
    click.echo(lines_of(table(("due", "", "recording", "what"), cells)) if cells else "Nothing waits.\n", nl=False)


def _waiting(desk: Desk, later: Later) -> list[Task]:
    found, seen = bench(desk), Reviews()
    with open_log(desk.config.ledger.database) as log:
        for body in log.bodies(0, found.register.size):
            seen.see(read(body))
    kept = {each.recording_id for each in found.register.kept()}
    seen.recordings = {name: each for name, each in seen.recordings.items() if name in kept}
    by_parents = [each for each in seen.recordings.values() if each.by_parent]
    facts, calls = _facts(found, by_parents), later(by_parents)
    return list(
        seen.waiting(
            review_days=desk.config.retention.review_days,
            is_child=lambda each: said_child(each, by_line=facts[each.recording_id][0]),
            born=lambda each: facts[each.recording_id][1],
            later=lambda each: calls.get(each.recording_id, ()),
        )
    )


def _later(desk: Desk, key: Path | None) -> Later:
    """Look in the keeper's index; whoever looks may search by number, and the ledger is told. `Refused` else."""
    person = allowed(desk, Act.FIND, action=_LATER)

    def look(those: list[Watched]) -> dict[str, tuple[str, ...]]:
        with open_log(desk.config.ledger.database) as log, opened_index(desk, log, key) as index:
            found = {each.recording_id: index.later(each.recording_id.rpartition("-")[0]) for each in those}
        body = {"recording_id": "", "purpose": PURPOSE, "action": _LATER, "by": "number", "found": len(found)}
        desk.append(Entry(kind=Kind.ACCESS_GRANTED, body={**body, "person": person}, actor=person))
        return found

    return look


def _facts(found: Bench, those: list[Watched]) -> dict[str, tuple[Subject, date | None]]:
    """Who each of these is about by its newest facts, and when that person was born."""

    async def ask() -> dict[str, tuple[Subject, date | None]]:
        known = [await found.dates.known(found.register.standings[each.recording_id]) for each in those]
        return {each.standing.recording_id: (each.facts.subject, each.facts.born) for each in known}

    return asyncio.run(ask())


@click.command()
@click.argument("prefix", metavar="ID")
@click.option("--of", "what", type=click.Choice(list(_OF)), required=True, help="The doubt, or the birthday.")
@click.option("--outcome", type=click.Choice(OUTCOMES), required=True, help="What came of it.")
@click.option("--reason", required=True, help="Where it is written down: a reference, or words with hyphens. No names.")
@click.pass_obj
def reviewed(desk: Desk, /, prefix: str, what: str, outcome: str, reason: str) -> None:
    """Say that somebody looked: what they found, or what a child who grew up answered.

    It changes no purpose: `recordings tag` and `withdraw` do that, and are what an answer asks for.
    """
    person, why = desk.decides(Act.REVIEW), words(reason, "--reason")
    row = files.find(desk.config, prefix)
    said = {"recording_id": row.recording_id, "person": person.person, "login": person.login}
    body = {**said, "change": REVIEWED, "of": _OF[what], "outcome": outcome, "why": why}
    uid, segment = row.call_uid, row.segment
    desk.append(Entry(kind=Kind.TAG_CHANGED, body=body, call_uid=uid, segment=segment, actor=person.login))
    click.echo(f"Noted: {what} reviewed, {outcome}.")


# ---------------------------------------------------------------- lifting a doubt


def basis_options(command: Any) -> Any:
    """On what a purpose rests again that a doubt about capacity had suspended."""
    for option in (
        click.option("--agree", is_flag=True, help="Agree to what another person found necessary."),
        click.option("--less-restrictive", default="", help="And why no less restrictive way will do: a reference."),
        click.option("--benefit", default="", help="And of what benefit to them: a reference."),
        click.option(
            "--necessity", default="", help="Nobody may decide: why it is necessary, a reference. Two persons."
        ),
        click.option("--seen", default="", help="With --proxy: the paper that shows it, a reference."),
        click.option(
            "--proxy", type=click.Choice([each.value for each in ProxyRole]), help="Whoever decides for them."
        ),
        click.option("--finding", default="", help="They could decide: where that is written down, a reference."),
    ):
        command = option(command)
    return command


def basis_of(given: dict[str, Any]) -> Basis | None:
    """What was said, None where nothing was. ConfigError where it is two things at once."""
    texts = {
        name: words(value, f"--{name.replace('_', '-')}") for name, value in given.items() if value and name in _TEXTS
    }
    grounds = {name: texts.get(name, "") for name in ("necessity", "benefit", "less_restrictive")}
    said: list[Basis] = [Capable(finding=texts["finding"])] if "finding" in texts else []
    said += [Proxy(role=ProxyRole(given["proxy"]), seen=texts.get("seen", ""))] if given["proxy"] else []
    said += [Necessity(**grounds)] if any(grounds.values()) else []
    if len(said) > 1:
        raise ConfigError("say one of --finding, --proxy, --necessity", next_step="see `callrec recordings tag --help`")
    return said[0] if said else None


_TEXTS: Final = ("finding", "seen", "necessity", "benefit", "less_restrictive")


def watched(entries: tuple[LogEntry, ...], recording_id: str) -> Watched | None:
    """What is to be known of this recording's people, by its own entries."""
    seen = Reviews()
    for entry in entries:
        seen.see(entry)
    return seen.recordings.get(recording_id)


def rests_on(
    desk: Desk, found: Watched, purpose: Purpose, basis: Basis | None, *, agree: bool, person: Person
) -> tuple[dict[str, Any], bool]:
    """The basis as the ledger will hold it, and whether it counts already: what one person finds necessary waits for
    another to agree. `Refused` where it lifts nothing.
    """
    if agree:
        asked = found.asked.get(purpose)
        if asked is None or not person.other_than(asked.person):
            step = "somebody else must have asked: --necessity, --benefit and --less-restrictive"
            raise Refused(f"there is nothing of another person's to agree to for {purpose.value}", next_step=step)
        return dict(asked.basis), True
    line = next((each for each in desk.config.lines if each.name == found.line), None)
    nation = line.nation if line is not None else desk.config.retention.nation
    by_line = line.subject if line is not None else Subject.UNKNOWN
    subject = Subject.CHILD if said_child(found, by_line=by_line) else Subject.ADULT
    why = basis_refused(basis, nation=nation, subject=subject)
    if why or basis is None:
        step = "give --finding REF; or --proxy ROLE --seen REF; or --necessity, --benefit and --less-restrictive"
        raise Refused(f"{found.recording_id}: {why}", next_step=step)
    return basis_json(basis), not isinstance(basis, Necessity)
