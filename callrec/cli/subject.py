"""`callrec subject`: what is there of one caller, found by number, reference or hour. The keeper's side only (R50)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import click

from callrec.audit.report import table
from callrec.audit.wording import lines_of, one_line
from callrec.cli.commands import Commands
from callrec.cli.desk import Desk
from callrec.cli.evidence import json_option
from callrec.cli.subject_calls import CallTold, tell_call
from callrec.core.authority import Act
from callrec.core.kinds import Kind
from callrec.core.numbers import normalise
from callrec.errors import ConfigError, Refused, Unavailable
from callrec.ledger.reading import LogReader, open_log
from callrec.places import key_file, opener
from callrec.ports import Entry
from callrec.rights.following import CALL_ID, NUMBER, follow
from callrec.rights.moments import period_around
from callrec.rights.numbers import Blind, NumberIndex, Period, subject_key
from callrec.store.contacts import ContactOpener

PURPOSE: Final = "subject-access"
"""What the ledger says such a search was for."""
HOME: Final = "Europe/London"


@click.group(
    commands=Commands(
        {"pack": "subject_pack:pack", "forget": "subject_forget:forget", "decide": "subject_decide:decide"}
    )
)
def subject() -> None:
    """One caller's own calls: find them, recorded or not, and pack what is there for the caller."""


# ---------------------------------------------------------------- what is asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One question: by a number, by a reference, or by day and hour. Exactly one of the first three is there."""

    number: str = ""
    reference: str = ""
    day: str = ""
    around: str = ""
    tolerance: str = "1h"
    zone: str = HOME
    line: str = ""

    def checked(self) -> Asked:
        """ConfigError where it is not one question."""
        given = [name for name in ("number", "reference", "day") if getattr(self, name)]
        if len(given) != 1 or (self.around and not self.day):
            step = "give one of --number, --ref or --date; --around goes with --date"
            raise ConfigError("say in one way whose calls are meant", next_step=step)
        return self

    def how(self) -> str:
        """By what, for the ledger: no number and no hour."""
        return "number" if self.number else "reference" if self.reference else "time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The calls found, oldest first; and how many calls no number would have found, by why."""

    calls: tuple[CallTold, ...]
    blind: Mapping[Blind, int]
    pseudonym: str = ""

    def exit_code(self) -> int:
        """0, or 20 where nothing was found and something may have been missed: that is never "none"."""
        return 20 if not self.calls and self.blind else 0


def ask_options(command: Any) -> Any:
    """--number, --ref, --date and what goes with them, and --key."""
    for option in (
        click.option("--key", type=click.Path(path_type=Path), help="The keeper's private key; else by keys.wrap_to."),
        click.option("--line", default="", help="With --date: only calls of this line."),
        click.option("--zone", default=HOME, show_default=True, help="With --date: whose clock that is."),
        click.option("--tolerance", default="1h", show_default=True, help="With --around: give or take, as in 1h30m."),
        click.option("--around", default="", metavar="HH:MM", help="With --date: about when, on the caller's clock."),
        click.option("--date", "day", default="", metavar="DAY", help="Calls of this day, as in 2026-03-01."),
        click.option("--ref", "reference", default="", help="A call's id, a recording's id, or a SIP Call-ID."),
        click.option("--number", default="", help="The caller's telephone number, however it is written."),
    ):
        command = option(command)
    return command


# ---------------------------------------------------------------- find


@subject.command()
@ask_options
@json_option
@click.pass_context
def find(ctx: click.Context, /, key: Path | None, as_json: bool, **asked: str) -> None:
    """Show every call of one caller, recorded or not and why not. The ledger is told who looked.

    Exit 20 where nothing was found but some calls can be found by no number: look by --date and --around as well.
    """
    answer = search(ctx.obj, Asked(**asked).checked(), key=key)
    if as_json:
        value = {"calls": [call.value() for call in answer.calls], "blind": _blind(answer), "found": len(answer.calls)}
        click.echo(json.dumps(value, indent=2))
    else:
        click.echo(lines_of([*_text(answer, asked["zone"])]), nl=False)
    ctx.exit(answer.exit_code())


def search(desk: Desk, asked: Asked, *, key: Path | None, action: str = "subject.find") -> Answer:
    """Find these calls, and tell the ledger who looked before anything is shown. `Refused` where the role does not
    fit, ConfigError where a number cannot be normalised, else errors of index and ledger.
    """
    person = allowed(desk, Act.FIND, action=action)
    whole_number(desk, asked)
    with open_log(desk.config.ledger.database) as log, opened_index(desk, log, key) as index:
        seqs, blind, tag = places_of(desk, log, index, asked)
        calls = tuple(tell_call(desk.config, log, seq) for seq in seqs)
    body = {"recording_id": "", "purpose": PURPOSE, "action": action, "by": asked.how(), "found": len(calls)}
    desk.append(Entry(kind=Kind.ACCESS_GRANTED, body={**body, "person": person, "subject": tag}, actor=person))
    return Answer(calls=calls, blind=blind, pseudonym=tag)


@contextmanager
def opened_index(desk: Desk, log: LogReader, key: Path | None) -> Iterator[NumberIndex]:
    """The keeper's index, brought up to the ledger."""
    contacts = ContactOpener(opener(desk.config, key))
    folder = (key or key_file(desk.config, "keeper")).parent
    with closing(NumberIndex(folder, subject_key(folder), log_id=log.key().log_id)) as index:
        follow(index, log, contacts, country=desk.config.sip.country_code)
        yield index


def places_of(
    desk: Desk, log: LogReader, index: NumberIndex, asked: Asked
) -> tuple[tuple[int, ...], Mapping[Blind, int], str]:
    """Where the calls stand in the ledger, what no number finds, and the caller's pseudonym where one is known."""
    if number := whole_number(desk, asked):
        tag = index.tag(NUMBER, number)
        return index.tagged(tag), index.blind(Period()), tag.hex()
    if asked.reference:
        return _by_reference(log, index, asked.reference), {}, ""
    period = period_around(asked.day, asked.around, asked.tolerance, zone=asked.zone, line=asked.line)
    return index.between(period), {}, ""


def whole_number(desk: Desk, asked: Asked) -> str:
    """The number asked about in E.164; empty where none is. ConfigError where it cannot be normalised: that is never an
    answer.
    """
    found = normalise(asked.number, country=desk.config.sip.country_code) if asked.number else ""
    if found is None:
        step = "give the whole number with its area code, as in 01632 960001 or +441632960001"
        raise ConfigError(f"{asked.number!a:.30} is no full telephone number, so nothing was searched", next_step=step)
    return found


def _by_reference(log: LogReader, index: NumberIndex, reference: str) -> tuple[int, ...]:
    found = log.calls_beginning(reference.partition("-")[0]) if _is_id(reference) else set()
    if len(found) > 1:
        raise ConfigError(f"several calls begin with {one_line(reference):.40}", next_step="give more of the id")
    offers = [e.seq for uid in found for e in log.of_call(uid) if e.kind == Kind.CALL_OFFERED.value]
    places = tuple(offers) or index.tagged(index.tag(CALL_ID, reference))
    if not places:
        step = "see that it is a call's id, a recording's id or a SIP Call-ID; or look by --date and --around"
        raise Unavailable(f"no call is known by the reference {one_line(reference):.60}", next_step=step)
    return places


def _is_id(reference: str) -> bool:
    return len(reference) >= 8 and set(reference) <= set("0123456789abcdef-")  # noqa: PLR2004 - shorter is a guess


def allowed(desk: Desk, act: Act, *, action: str, recording_id: str = "") -> str:
    """The login of who asks, who may do this. `Refused` where not, once the ledger was told."""
    try:
        return desk.decides(act).login
    except Refused as refusal:
        person = desk.person()
        body = {"recording_id": recording_id, "purpose": PURPOSE, "action": action, "why": str(refusal)}
        desk.append(Entry(kind=Kind.ACCESS_DENIED, body={**body, "person": person}, actor=person))
        raise


# ---------------------------------------------------------------- what is said


def _text(answer: Answer, zone: str) -> Iterator[str]:
    if answer.calls:
        rows = [(_local(call.utc, zone), call.call_uid, call.line or "-", *call.cells()) for call in answer.calls]
        yield from table(("when", "call", "line", "recorded", "why", "recordings"), rows)
    else:
        yield "No such call was found."
    for why, count in answer.blind.items():
        yield f"Not searched by number: {count} {'call' if count == 1 else 'calls'}, each of which {why.value}."
    if answer.blind:
        yield "For those look by --date and --around."


def _local(utc: str, zone: str) -> str:
    try:
        return datetime.fromisoformat(utc).astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, KeyError):
        return utc


def _blind(answer: Answer) -> dict[str, int]:
    return {why.name.lower().replace("_", " "): count for why, count in answer.blind.items()}
