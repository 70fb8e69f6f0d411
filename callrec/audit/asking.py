"""What a question gathers of a ledger while it is verified, and how its answer is put together."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from callrec.audit.report import Filters, Report
from callrec.audit.verify import Verification
from callrec.core.fields import text
from callrec.core.kinds import Kind
from callrec.ledger.entry import LogEntry


class Gathered:
    """Entries of these kinds, of the period and line asked about, in order. Give it every entry by `see`."""

    def __init__(self, filters: Filters, *kinds: Kind) -> None:
        self._filters = filters
        self._kinds = {kind.value for kind in kinds}
        self._lines: dict[str, str] = {}
        self.entries: list[LogEntry] = []
        self.spoken = False

    def see(self, entry: LogEntry) -> None:
        """Take the next entry."""
        in_time = self._filters.takes_time(entry.utc)
        self.spoken = self.spoken or in_time
        if entry.kind == Kind.CALL_OFFERED.value:
            self._lines[entry.call_uid] = text(entry.body.get("line"))
        if entry.kind in self._kinds and in_time and self._filters.line in ("", self.line(entry)):
            self.entries.append(entry)

    def line(self, entry: LogEntry) -> str:
        """The line of its call; empty for what belongs to no call."""
        return self._lines.get(entry.call_uid, "")

    def of(self, *kinds: Kind) -> list[LogEntry]:
        """Those of these kinds."""
        wanted = {kind.value for kind in kinds}
        return [entry for entry in self.entries if entry.kind in wanted]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One question and how far it was answered: `Report` without what was found."""

    name: str
    question: str
    filters: Filters
    verification: Verification
    answered: bool
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    exceptions: list[str] = field(default_factory=list)

    def report(self, summary: str, *, rows: Sequence[tuple[Any, ...]] = (), exceptions: Collection[str] = ()) -> Report:
        """The answer."""
        return Report(
            name=self.name,
            question=self.question,
            filters=self.filters,
            columns=self.columns,
            rows=(*self.rows, *rows),
            summary=summary,
            exceptions=(*self.exceptions, *exceptions),
            answered=self.answered,
            verification=self.verification,
        )


def recording_of(entry: LogEntry) -> str:
    """Which recording an entry is about: the one it names, else that of its call and segment."""
    return text(entry.body.get("recording_id")) or (f"{entry.call_uid}-{entry.segment}" if entry.call_uid else "")


def today() -> date:
    """The day on which this is asked, UTC."""
    return datetime.now(UTC).date()


def count(number: int, what: str) -> str:
    """`1 recording`, `2 recordings`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
