"""Find one caller's calls: what may be asked, of whose logs, who may ask, and what the ledger is told of it (R50)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import click

from callrec._sql import Database
from callrec.audit.wording import one_line
from callrec.cli.desk import Desk
from callrec.cli.subject_calls import CallTold, tell_call
from callrec.core.authority import Act
from callrec.core.kinds import Kind
from callrec.core.numbers import normalise
from callrec.errors import Broken, ConfigError, Refused, Unavailable
from callrec.ledger.reading import LogReader, open_log
from callrec.places import key_file, opener
from callrec.ports import Entry, Json
from callrec.rights.following import CALL_ID, NUMBER, follow
from callrec.rights.moments import period_around
from callrec.rights.numbers import Blind, NumberIndex, Period, subject_key
from callrec.store.contacts import ContactOpener

PURPOSE: Final = "subject-access"
"""What the ledger says such a search was for."""
HOME: Final = "Europe/London"


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
    missed: Mapping[str, str] = field(default_factory=dict)
    """Logs that could not be asked, each with why."""

    def exit_code(self) -> int:
        """0, or 20 where nothing was found and something may have been missed: that is never "none"."""
        return 20 if not self.calls and (self.blind or self.missed) else 0


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


# ---------------------------------------------------------------- who asks, and where


def search(
    desk: Desk,
    asked: Asked,
    *,
    key: Path | None,
    action: str = "subject.find",
    logs: Mapping[str, Database] | None = None,
) -> Answer:
    """Find these calls, and tell the ledger who looked before anything is shown. `Refused` where the role does not
    fit, ConfigError where a number cannot be normalised, else errors of index and ledger; where one of several logs
    cannot be asked, the answer says which.
    """
    person = allowed(desk, Act.FIND, action=action)
    whole_number(desk, asked)
    logs = {"": desk.config.ledger.database} if logs is None else logs
    answer = _together([_asked_of(desk, asked, key, *each, alone=len(logs) == 1) for each in logs.items()])
    if not answer.missed:
        require_known(asked, answer.calls)
    body: dict[str, Json] = {"recording_id": "", "purpose": PURPOSE, "action": action, "by": asked.how()}
    body |= {"found": len(answer.calls), "person": person, "subject": answer.pseudonym}
    body |= {"logs": sorted(logs)} if any(logs) else {}
    desk.append(Entry(kind=Kind.ACCESS_GRANTED, body=body, actor=person))
    return answer


def _asked_of(desk: Desk, asked: Asked, key: Path | None, name: str, place: Database, *, alone: bool) -> Answer:
    """What this log knows; where it is not the only one that is asked, it may be missed."""
    own = place == desk.config.ledger.database
    try:
        with open_log(place) as log, opened_index(desk, log, key, kept=own) as index:
            seqs, blind, tag = places_of(desk, log, index, asked)
            calls = (tell_call(desk.config if own else None, log, seq) for seq in seqs)
            return Answer(calls=tuple(replace(call, log=name) for call in calls), blind=blind, pseudonym=tag)
    except (Unavailable, ConfigError, Broken) as error:
        if alone or own:
            raise
        return Answer(calls=(), blind={}, missed={name: str(error)})


def _together(answers: Sequence[Answer]) -> Answer:
    """One answer, its calls oldest first."""
    blind: Counter[Blind] = Counter()
    for each in answers:
        blind.update(each.blind)
    return Answer(
        calls=tuple(sorted((call for each in answers for call in each.calls), key=lambda call: call.utc)),
        blind=dict(blind),
        pseudonym=next((each.pseudonym for each in answers if each.pseudonym), ""),
        missed={name: why for each in answers for name, why in each.missed.items()},
    )


@contextmanager
def opened_index(desk: Desk, log: LogReader, key: Path | None, *, kept: bool = True) -> Iterator[NumberIndex]:
    """The keeper's index, brought up to the ledger; of another agent's log one that is not kept."""
    contacts = ContactOpener(opener(desk.config, key))
    folder = (key or key_file(desk.config, "keeper")).parent
    made_in = folder if kept else None
    with closing(NumberIndex(made_in, subject_key(folder), log_id=log.key().log_id)) as index:
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
    return tuple(offers) or index.tagged(index.tag(CALL_ID, reference))


def require_known(asked: Asked, found: Sequence[object]) -> None:
    """`Unavailable` where a reference led to nothing: it is a mistake, and no answer."""
    if asked.reference and not found:
        step = "see that it is a call's id, a recording's id or a SIP Call-ID; or look by --date and --around"
        raise Unavailable(f"no call is known by the reference {one_line(asked.reference):.60}", next_step=step)


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
