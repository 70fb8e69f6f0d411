"""The table that comes with another recorder's archive: which file is which call.

Columns: file, started (ISO 8601 with its zone), line, and where known number (of the outside party) and subject (adult,
child, unknown). The whole table is read, and every wrong line is named, before anything is imported.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from callrec.core.numbers import normalise
from callrec.core.retention import Subject
from callrec.errors import ConfigError

NEEDED: Final = ("file", "started", "line")
COLUMNS: Final = (*NEEDED, "number", "subject")
MOST_ROWS: Final = 100_000
_NAMED: Final = 20
_SUBJECTS: Final = {each.value: each for each in (Subject.ADULT, Subject.CHILD, Subject.UNKNOWN)}
_STEP: Final = "mend these lines and give the whole table again; nothing was imported"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One file of the archive and what the table says of it. `subject` None: as its line is."""

    at: int
    path: Path
    started: datetime
    line: str
    number: str = field(repr=False)
    subject: Subject | None


def files_in(places: Iterable[Path]) -> dict[str, Path]:
    """Files by the name that the table knows them by: below a folder from there on, else the file's own. ConfigError
    where a place is missing, or two files have one name.
    """
    found: dict[str, Path] = {}
    for place in places:
        if not place.exists():
            raise ConfigError(f"{place} does not exist", next_step="name the archive's folder or its files")
        inside = sorted(path for path in place.rglob("*") if path.is_file()) if place.is_dir() else [place]
        for path in inside:
            name = str(path.relative_to(place)) if place.is_dir() else path.name
            if found.setdefault(name, path) != path:
                raise ConfigError(f"two files are called {name!a:.80}", next_step="import one folder at a time")
    return found


def read_items(text: str, files: Mapping[str, Path], *, lines: Iterable[str], country: str) -> tuple[Item, ...]:
    """The table's items, in its order. ConfigError names every bad line and what is wrong with it."""
    reader = csv.DictReader(text.splitlines(), strict=True)
    known, wrong, items = frozenset(lines), [], []
    seen: dict[str, int] = {}
    try:
        _check_header(reader.fieldnames or ())
        for raw in reader:
            try:
                item = _item(reader.line_num, raw, files, known, country)
                if (first := seen.setdefault(str(item.path), item.at)) != item.at:
                    raise ValueError(f"its file stands on line {first} already")  # noqa: TRY301 - told with the others
                items.append(item)
            except ValueError as error:
                wrong.append(f"line {reader.line_num}: {error}")
    except csv.Error as error:
        wrong.append(f"line {reader.line_num}: {error}")
    if wrong:
        more = f"; and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        raise ConfigError(f"the table is wrong: {'; '.join(wrong[:_NAMED])}{more}", next_step=_STEP)
    if not items or len(items) > MOST_ROWS:
        raise ConfigError(f"the table has {len(items)} rows", next_step=f"give 1 to {MOST_ROWS}")
    return tuple(items)


def _check_header(names: Any) -> None:
    unknown = [name for name in names if name not in COLUMNS]
    if unknown or not set(NEEDED) <= set(names) or len(set(names)) != len(names):
        what = f"line 1: unknown column {unknown[0]!a:.40}" if unknown else "line 1 must name file, started and line"
        raise ConfigError(what, next_step=f"name the columns {', '.join(COLUMNS)}, each at most once")


def _item(
    at: int, raw: Mapping[str | None, Any], files: Mapping[str, Path], lines: frozenset[str], country: str
) -> Item:
    if None in raw or None in raw.values():
        raise ValueError("more or fewer cells than columns")
    cells = {str(name): str(value).strip() for name, value in raw.items()}
    if cells["file"] not in files:
        raise ValueError(f"there is no file {cells['file']!a:.80} in what was named")
    if cells["line"] not in lines:
        raise ValueError(f"the configuration has no line {cells['line']!a:.40}: its rules say how long it is kept")
    number, subject = cells.get("number", ""), cells.get("subject", "")
    if number and normalise(number, country=country) is None:
        raise ValueError("its number is no whole telephone number")
    if subject and subject not in _SUBJECTS:
        raise ValueError(f"subject {subject!a:.30} is none of {', '.join(_SUBJECTS)}")
    return Item(
        at=at,
        path=files[cells["file"]],
        started=_moment(cells["started"]),
        line=cells["line"],
        number=number,
        subject=_SUBJECTS.get(subject),
    )


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise ValueError(f"started {text!a:.40} is no time with its zone, as in 2019-03-01T09:30:00+00:00")
    if found > datetime.now(UTC):
        raise ValueError("started lies in the future")
    return found.astimezone(UTC)
