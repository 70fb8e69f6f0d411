"""Facts that arrive after the call: a table of them becomes new dates, whole or not at all.

Columns: recording_id, and any of subject, born, birth, last_contact, later_use, died. A row says what became known;
an empty cell says nothing. The first wrong row stops nothing from being checked: every one is named by its line.
"""

from __future__ import annotations

import csv
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from callrec.core.dates import plus
from callrec.core.retention import Schedule, Subject
from callrec.core.retention_record import learned, reclassified
from callrec.disposal.dates import Dates, Known, batch_paper, facts_paper
from callrec.disposal.places import Places
from callrec.disposal.register import RETENTION, Register, Standing
from callrec.errors import ConfigError

ID: Final = "recording_id"
DATES: Final = ("born", "birth", "last_contact", "later_use", "died")
COLUMNS: Final = (ID, "subject", *DATES)
MOST_ROWS: Final = 10_000
_SUBJECTS: Final = {each.value: each for each in (Subject.ADULT, Subject.CHILD, Subject.UNKNOWN)}
_STEP: Final = "mend these lines and give the whole table again; nothing was changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one line says of one recording."""

    line: int
    recording_id: str
    said: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One recording before and after."""

    row: Row
    before: Known
    after: Schedule
    paper: bytes


def read_table(text: str) -> tuple[Row, ...]:
    """The rows. ConfigError names every bad line and what is wrong with it."""
    reader = csv.DictReader(text.splitlines(), strict=True)
    wrong: list[str] = []
    rows: list[Row] = []
    good = 0
    try:
        _check_header(reader.fieldnames or ())
        for raw in reader:
            good = reader.line_num
            try:
                rows.append(_row(reader.line_num, raw))
            except ValueError as error:
                wrong.append(f"line {reader.line_num}: {error}")
    except csv.Error as error:
        wrong.append(f"line {good + 1}: {error}")
    wrong += list(_twice(rows))
    if wrong:
        raise ConfigError("the table is wrong: " + "; ".join(wrong), next_step=_STEP)
    if not rows or len(rows) > MOST_ROWS:
        raise ConfigError(f"the table has {len(rows)} rows", next_step=f"give 1 to {MOST_ROWS}")
    return tuple(rows)


def _check_header(names: Any) -> None:
    unknown = [name for name in names if name not in COLUMNS]
    if unknown or ID not in names or len(set(names)) != len(list(names)) or len(list(names)) == 1:
        what = f"line 1: unknown column {unknown[0]!a:.40}" if unknown else "line 1 must name recording_id and a fact"
        raise ConfigError(what, next_step=f"name the columns {', '.join(COLUMNS)}, each at most once")


def _row(line: int, raw: Mapping[str | None, Any]) -> Row:
    if None in raw or None in raw.values():
        raise ValueError("more or fewer cells than columns")
    cells = {str(name): str(value).strip() for name, value in raw.items()}
    said: dict[str, Any] = {name: _date(name, cells[name]) for name in DATES if cells.get(name)}
    if subject := cells.get("subject"):
        if subject not in _SUBJECTS:
            raise ValueError(f"subject {subject!a:.30} is none of {', '.join(_SUBJECTS)}")
        said["subject"] = _SUBJECTS[subject]
    if not said:
        raise ValueError("it says nothing")
    if "later_use" in said:
        said["later_uses"] = (said.pop("later_use"),)
    return Row(line=line, recording_id=cells[ID], said=said)


def _date(name: str, text: str) -> date:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{name} {text!a:.30} is no date, as in 2026-03-01") from None
    if found.isoformat() != text:
        raise ValueError(f"{name} {text!a:.30} is no date, as in 2026-03-01")
    return found


def _twice(rows: list[Row]) -> Iterator[str]:
    seen: dict[str, int] = {}
    for row in rows:
        if row.recording_id in seen:
            yield f"line {row.line}: {row.recording_id!a:.40} stands on line {seen[row.recording_id]} already"
        seen.setdefault(row.recording_id, row.line)


async def worked_out(rows: tuple[Row, ...], register: Register, dates: Dates, today: date) -> tuple[Change, ...]:
    """The new dates of every recording; nothing is written. ConfigError names each line that cannot be applied."""
    wrong: list[str] = []
    changes: list[Change] = []
    for row in rows:
        try:
            changes.append(await _change(row, register, dates, today))
        except ValueError as error:
            wrong.append(f"line {row.line}: {error}")
    if wrong:
        raise ConfigError("the table does not fit: " + "; ".join(wrong), next_step=_STEP)
    return tuple(changes)


async def _change(row: Row, register: Register, dates: Dates, today: date) -> Change:
    standing = _standing(row, register)
    for name, value in row.said.items():
        latest = max(value) if name == "later_uses" else value
        if isinstance(latest, date) and latest > (plus(today, years=1) if name == "birth" else today):
            raise ValueError(f"{name.replace('uses', 'use')} lies in the future")
    before = await dates.known(standing)
    facts = learned(before.facts, row.said)
    if facts.died and facts.born and facts.died < facts.born:
        raise ValueError("died lies before the date of birth")
    after = reclassified(dates.rules, before.schedule, facts)
    return Change(
        row=row, before=before, after=after, paper=facts_paper(row.recording_id, facts, after, secrets.token_hex(32))
    )


def _standing(row: Row, register: Register) -> Standing:
    standing = register.standings.get(row.recording_id)
    if standing is None or not standing.kept:
        raise ValueError(f"{row.recording_id!a:.40} is no recording that is kept; give the whole id")
    if standing.disposed:
        raise ValueError(f"{row.recording_id} was disposed of")
    return standing


def prepare(changes: tuple[Change, ...], places: Places) -> dict[str, Any]:
    """Put the papers in their places, durably; the body of the one `tag.changed` that makes them count, all at once.

    Papers that no entry names count for nothing: a crash before the entry changed nothing.
    """
    facts = {change.row.recording_id: places.keep("facts", change.paper) for change in changes}
    sha256 = places.keep("batches", batch_paper(facts))
    return {"change": RETENTION, "batch_sha256": sha256, "recordings": len(facts)}
