"""Question 5: do the PBX's or the carrier's call records equal the ledger? Finds calls that were routed around (R61).

The ledger holds a commitment of each Call-ID. Where a record names the Call-ID, the salt that is kept beside the ledger
shows whether it is that call; where it does not, or the salt was erased, the nearest call in time is taken, and said.
"""

from __future__ import annotations

import csv
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from callrec.audit.asking import Asked, Gathered, count
from callrec.audit.report import Filters, Report
from callrec.audit.verify import Places, verify
from callrec.core.fields import text
from callrec.core.kinds import Kind
from callrec.errors import ConfigError
from callrec.ledger.entry import LogEntry, opens
from callrec.ledger.reading import LogReader, open_log

START: Final = ("start", "calldate", "start_time")
CALL_ID: Final = ("call_id", "sip_call_id", "callid", "call-id")
_STEP: Final = f"give a table with a header line that names a start ({', '.join(START)}) and, best, {CALL_ID[0]}"
_SALT: Final = "sip_call_id"
BY_ID: Final = "by Call-ID"
BY_TIME: Final = "by time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One call as somebody else recorded it. `line` is its place in their file."""

    line: int
    start: datetime
    call_id: str


def read_records(data: str, *, utc_offset_h: float = 0.0) -> tuple[Record, ...]:
    """The records of a CSV file. ConfigError names the line and what is wrong with it."""
    reader = csv.DictReader(data.splitlines(), strict=True)
    names = {name.strip().lower(): name for name in reader.fieldnames or ()}
    start = next((names[name] for name in START if name in names), None)
    call_id = next((names[name] for name in CALL_ID if name in names), None)
    if start is None:
        raise ConfigError("the call records do not say when a call began", next_step=_STEP)
    found = []
    try:
        for row in reader:
            moment = _moment(row[start] or "", reader.line_num, utc_offset_h)
            found.append(Record(line=reader.line_num, start=moment, call_id=(row[call_id] or "") if call_id else ""))
    except csv.Error as error:
        raise ConfigError(f"line {reader.line_num} is no CSV: {error}", next_step=_STEP) from error
    if not found:
        raise ConfigError("there are no call records in it", next_step=_STEP)
    return tuple(found)


def _moment(said: str, line: int, offset_h: float) -> datetime:
    try:
        found = datetime.fromisoformat(said.strip())
    except ValueError:
        step = "write times as 2026-03-01 15:04:05; where they are not UTC, with an offset or by --utc-offset"
        raise ConfigError(f"line {line}: {said!a:.40} is no time", next_step=step) from None
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC) - timedelta(hours=offset_h)
    return found.astimezone(UTC)


def reconcile(places: Places, filters: Filters, records: Sequence[Record], *, tolerance_s: float = 10.0) -> Report:
    """Do these call records equal the ledger: which calls are in one only? Errors as `verify`."""
    margin = timedelta(seconds=tolerance_s)
    covered = Filters(
        since=filters.since or _text(min(each.start for each in records) - margin),
        until=filters.until or _text(max(each.start for each in records) + margin),
        line=filters.line,
    )
    seen = Gathered(covered, Kind.CALL_OFFERED)
    verification = verify(places, also=(seen.see,))
    with open_log(places.ledger) as log:
        matches = _Matcher(log, seen.entries, margin).match(records)
    mine = {entry.seq for entry, _ in matches.values()}
    theirs = [each for each in records if each.line not in matches and covered.takes_time(_text(each.start))]
    ours = [entry for entry in seen.entries if entry.seq not in mine]
    asked = Asked(
        name="reconcile",
        question="do these call records equal the ledger?",
        filters=covered,
        verification=verification,
        answered=seen.spoken,
        columns=("in", "record (line)", "call", "when", "matched"),
    )
    rows = [*_rows(records, matches), *(_ours(entry) for entry in ours)]
    wrong = [f"line {each.line}: a call at {_text(each.start)} never came through here" for each in theirs]
    wrong += [f"call {entry.call_uid} at {entry.utc} is not in the call records" for entry in ours]
    told = (
        f"{count(len(matches), 'call')} in both, {len(theirs)} in the call records only, {len(ours)} in the ledger only"
    )
    return asked.report(told, rows=rows, exceptions=wrong)


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S")


def _rows(records: Sequence[Record], matches: Mapping[int, tuple[LogEntry, str]]) -> Iterator[tuple[Any, ...]]:
    for each in records:
        if each.line in matches:
            entry, how = matches[each.line]
            yield ("both", each.line, entry.call_uid, entry.utc, how)
        else:
            yield ("call records only", each.line, "-", _text(each.start), "-")


def _ours(entry: LogEntry) -> tuple[Any, ...]:
    return ("ledger only", "-", entry.call_uid, entry.utc, "-")


class _Matcher:
    """Finds the call of each record: first those whose Call-ID opens a commitment, then the nearest in time."""

    def __init__(self, log: LogReader, offered: Sequence[LogEntry], margin: timedelta) -> None:
        self._log = log
        self._margin = margin
        self._offered = sorted(offered, key=lambda entry: entry.utc)
        self._times = [entry.utc for entry in self._offered]
        self._taken: set[int] = set()

    def match(self, records: Sequence[Record]) -> dict[int, tuple[LogEntry, str]]:
        """The call of each record that has one, by the record's line, and how it was known."""
        found: dict[int, tuple[LogEntry, str]] = {}
        for how, known in ((BY_ID, self._by_id), (BY_TIME, self._by_time)):
            for each in (record for record in records if record.line not in found):
                if (entry := known(each)) is not None:
                    self._taken.add(entry.seq)
                    found[each.line] = (entry, how)
        return found

    def _near(self, record: Record) -> list[LogEntry]:
        begin = bisect_left(self._times, _text(record.start - self._margin))
        end = bisect_left(self._times, _text(record.start + self._margin + timedelta(seconds=1)))
        near = [entry for entry in self._offered[begin:end] if entry.seq not in self._taken]
        return sorted(near, key=lambda entry: abs(datetime.fromisoformat(entry.utc) - record.start))

    def _by_id(self, record: Record) -> LogEntry | None:
        if not record.call_id:
            return None
        return next((entry for entry in self._near(record) if self._opens(entry, record.call_id)), None)

    def _by_time(self, record: Record) -> LogEntry | None:
        """Where the record has a Call-ID, only a call whose own cannot be told any more."""
        near = self._near(record)
        return next((entry for entry in near if not record.call_id or self._salt(entry) is None), None)

    def _salt(self, entry: LogEntry) -> str | None:
        return self._log.salts(entry.seq).get(_SALT)

    def _opens(self, entry: LogEntry, call_id: str) -> bool:
        committed, salt = entry.body.get("commitments"), self._salt(entry)
        if salt is None or not isinstance(committed, dict):
            return False
        try:
            return opens(text(committed.get(_SALT)), salt, call_id)
        except ValueError:
            return False
