"""`callrec subject forget`: a caller's number goes: at their request, or because its time is over (R51, EV-0, EV-1).

What goes are the salts of the call's entries and the number that was sealed for the keeper; the entries stay and prove
that a call was. At a request the keyed hash goes as well, and nothing finds these calls by a number again. By the
schedule it stays, so that a caller who asks is told. A call whose recording is kept is not forgotten: nobody could
tell the caller of it any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from callrec.audit.wording import lines_of
from callrec.cli.desk import Desk
from callrec.cli.subject_search import Asked, allowed, ask_options, opened_index, places_of, require_known
from callrec.core.authority import Act
from callrec.core.dates import plus
from callrec.core.kinds import Kind
from callrec.errors import ConfigError
from callrec.ledger.entry import LogEntry
from callrec.ledger.reading import LogReader, open_log
from callrec.ports import Entry
from callrec.rights.following import BY_SCHEDULE
from callrec.rights.numbers import NumberIndex, Period

GROUNDS: Final = ("consent-withdrawn", "no-longer-needed", "objection-upheld", "unlawful", "court-order")
"""Why a request is granted (UK GDPR 17(1))."""
BY_REQUEST: Final = "erasure"
_MONTHS: Final = 12
"""For how long the number of an unrecorded call is kept (rule EV-0)."""
_AT_ONCE: Final = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Calls whose numbers may go: how many, and the places of their salts; and how many are left, by why."""

    calls: int
    seqs: tuple[int, ...]
    left: dict[str, int]


@click.command()
@ask_options
@click.option("--schedule", is_flag=True, help="Every call whose number's time is over, in place of one caller's.")
@click.option("--ground", type=click.Choice(GROUNDS), help="At a request: why it is granted.")
@click.option("--execute", is_flag=True, help="Do it. Without it nothing is touched.")
@click.pass_obj
def forget(desk: Desk, /, *, schedule: bool, ground: str | None, execute: bool, key: Path | None, **asked: str) -> None:
    """Destroy a caller's numbers and what opens the commitments of their calls. Tries it out unless told --execute.

    At a request: --number or --ref, and --ground. Else: --schedule. Calls whose recordings are kept are left.
    """
    if schedule == bool(ground):
        step = "give --ground with --number or --ref; or --schedule alone"
        raise ConfigError("say whether this is at a request or by the schedule", next_step=step)
    allowed(desk, Act.FORGET, action="subject.forget")
    person = desk.decides(Act.FORGET)
    with open_log(desk.config.ledger.database) as log, opened_index(desk, log, key) as index:
        found = _gathered(log, _those(desk, log, index, schedule=schedule, asked=asked))
    click.echo(lines_of(_said(found, done=execute and bool(found.seqs))), nl=False)
    if execute:
        for batch in _batches(found.seqs):
            body = {"seqs": batch, "by": person.person, "person": person.person, "login": person.login}
            why = {"why": BY_SCHEDULE} if schedule else {"why": BY_REQUEST, "ground": ground}
            desk.append(Entry(kind=Kind.SALT_ERASED, body=body | why, actor=person.login))
        with open_log(desk.config.ledger.database) as log, opened_index(desk, log, key):
            pass  # the hashes go now, and not when somebody asks next


def _those(desk: Desk, log: LogReader, index: NumberIndex, *, schedule: bool, asked: dict[str, str]) -> tuple[int, ...]:
    if schedule:
        if any(asked[name] for name in ("number", "reference", "day")):
            raise ConfigError("--schedule is for every call", next_step="leave out --number, --ref and --date")
        year_ago = plus(datetime.now(UTC).date(), months=-_MONTHS).isoformat()
        return index.between(Period(until=year_ago)) + _disposed_since(log, index, year_ago)
    if asked["day"]:
        raise ConfigError("a request is of one caller", next_step="give --number or --ref")
    one = Asked(**asked).checked()
    found = places_of(desk, log, index, one)[0]
    require_known(one, found)
    return found


def _disposed_since(log: LogReader, index: NumberIndex, day: str) -> tuple[int, ...]:
    """Younger calls whose recordings were disposed of: their number's time ends with them (EV-1)."""
    young = index.between(Period(since=day))
    return tuple(seq for seq in young if _has(_call_at(log, seq), Kind.DISPOSAL_DONE))


def _call_at(log: LogReader, seq: int) -> list[LogEntry]:
    offered = log.entry(seq)
    return [] if offered is None else log.of_call(offered.call_uid)


def _has(entries: list[LogEntry], kind: Kind) -> bool:
    return any(entry.kind == kind.value for entry in entries)


def _gathered(log: LogReader, places: tuple[int, ...]) -> Found:
    calls, seqs, left = 0, [], dict[str, int]()
    for place in dict.fromkeys(places):
        entries = _call_at(log, place)
        salted = [entry.seq for entry in entries if log.salts(entry.seq)]
        if why := _why_kept(entries, salted):
            left[why] = left.get(why, 0) + 1
        else:
            calls += 1
            seqs += salted
    return Found(calls=calls, seqs=tuple(seqs), left=left)


def _why_kept(entries: list[LogEntry], salted: list[int]) -> str:
    """Why the number of this call does not go; empty where it may."""
    if not salted:
        return "forgotten before"
    if not _has(entries, Kind.CALL_CLOSED):
        return "not over"
    started = {entry.segment for entry in entries if entry.kind == Kind.RECORDING_STARTED.value}
    ended = {entry.segment for entry in entries if entry.kind in _GONE}
    return "with a recording that is kept: dispose of it first" if started - ended else ""


_GONE: Final = (Kind.DISPOSAL_DONE.value, Kind.RECORDING_DISCARDED.value, Kind.RECORDING_LOST.value)


def _batches(seqs: tuple[int, ...]) -> Iterator[list[int]]:
    for at in range(0, len(seqs), _AT_ONCE):
        yield list(seqs[at : at + _AT_ONCE])


def _said(found: Found, *, done: bool) -> Iterator[str]:
    verb = "Forgotten" if done else "Would be forgotten"
    yield f"{verb}: the numbers of {found.calls} {'call' if found.calls == 1 else 'calls'}."
    for why, number in sorted(found.left.items()):
        yield f"Left: {number} {why}."
    if not done and found.seqs:
        yield "Nothing was touched. To do it: --execute."
    if done:
        yield "Backups of the ledger still hold them until they age out."
