"""A report: what was asked, how far the answer can be trusted, then the answer. Text for people, JSON for programs.

Exit codes: 0 clean, 1 exceptions, 20 cannot be answered, 30 the evidence contradicts itself. "No exceptions" is never
said where data were missing or the ledger is not sound.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from callrec.audit.findings import CHECKS
from callrec.audit.standalone import pbx_events_text
from callrec.audit.verify import LIMITS, Verification
from callrec.audit.wording import lines_of, one_line

_SHOWN: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which calls are asked about: from (included) to (excluded), ISO 8601 dates or times in UTC; and one line."""

    since: str = ""
    until: str = ""
    line: str = ""

    def takes_time(self, utc: str) -> bool:
        """True where this time lies in the period."""
        return (not self.since or utc >= self.since) and (not self.until or utc < self.until)

    def text(self) -> str:
        """The period and line for a header."""
        period = f"{self.since or 'the beginning'} to {self.until or 'the end'}"
        return f"{period}, {'line ' + self.line if self.line else 'all lines'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One answer. `answered` is False where the log says nothing at all about the period."""

    name: str
    question: str
    filters: Filters
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    summary: str
    exceptions: tuple[str, ...]
    answered: bool
    verification: Verification

    @property
    def exit_code(self) -> int:
        """0, 1, 20 or 30."""
        if not self.verification.sound:
            return 30
        if not self.answered:
            return 20
        return 1 if self.exceptions else 0

    def to_json(self) -> str:
        """One JSON object, indented."""
        value = {
            "report": self.name,
            "question": self.question,
            "anchored_outside": anchored_text(self.verification),
            "period": {"from": self.filters.since, "to": self.filters.until},
            "line": self.filters.line,
            "row_count": len(self.rows),
            "verification": verification_json(self.verification),
            "clock": self.verification.clock,
            "software": self.verification.software,
            "config_sha256": self.verification.config_sha256,
            "pbx_events": self.verification.pbx_events,
            "summary": self.summary,
            "exceptions": list(self.exceptions),
            "rows": [dict(zip(self.columns, row, strict=True)) for row in self.rows],
            "exit_code": self.exit_code,
            "limits": LIMITS,
        }
        return json.dumps(value, indent=2)

    def to_csv(self) -> str:
        """The rows as CSV. Lines before it that begin with # say what they are and how far they can be trusted."""
        target = io.StringIO()
        writer = csv.writer(target, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows([_cell(cell) for cell in row] for row in self.rows)
        return "".join(f"# {line}\n" for line in lines_of(self._head()).splitlines()) + target.getvalue()

    def _head(self) -> list[str]:
        return [
            f"anchored outside: {anchored_text(self.verification)}",
            f"report:       {self.name} - {self.question}",
            f"asked about:  {self.filters.text()}",
            f"rows:         {len(self.rows)}",
            *trust_lines(self.verification),
            f"result:       {self._result()}",
        ]

    def to_text(self) -> str:
        """Header, table, exceptions, limits."""
        rows = table(self.columns, self.rows)
        told = [f"exception: {sentence}" for sentence in self.exceptions]
        found = finding_lines(self.verification)
        return lines_of([*self._head(), "", *rows, "", *told, *found, LIMITS])

    def _result(self) -> str:
        if self.exit_code == 30:  # noqa: PLR2004
            return f"the evidence contradicts itself; nothing below can be relied on. {self.summary}"
        if not self.answered:
            return "cannot be answered: the ledger says nothing about this period"
        return f"{self.summary}; {len(self.exceptions)} exceptions"


def _cell(value: Any) -> str:
    """What a spreadsheet would take for a formula is text here (a call's own fields may hold anything)."""
    said = one_line(value)
    return f"'{said}" if said.startswith(("=", "+", "-", "@")) and said != "-" else said


def trust_lines(verification: Verification) -> list[str]:
    """How far an answer can be trusted: what was verified, by which clock, and what wrote the ledger."""
    config = verification.config_sha256 or "unknown"
    return [
        f"verification: {verification.summary()}{_key_remark(verification)}",
        f"clock:        {verification.clock}",
        f"software:     {verification.software or 'unknown'}, configuration {config}",
        f"pbx events:   {pbx_events_text(verification.pbx_events)}",
    ]


def anchored_text(verification: Verification) -> str:
    """`never`, or up to which entry and when."""
    if verification.anchored_size is None:
        return "never"
    return f"{verification.anchored_utc} ({verification.anchored_size} of {verification.size} entries)"


def verification_json(verification: Verification) -> dict[str, Any]:
    """A verification as plain values."""
    return {
        "log": verification.log,
        "size": verification.size,
        "root": verification.root,
        "sound": verification.sound,
        "summary": verification.summary(),
        "key": "given" if verification.key_was_given else "taken from the ledger itself",
        "anchored_outside": anchored_text(verification),
        "clock": verification.clock,
        "software": verification.software,
        "config_sha256": verification.config_sha256,
        "pbx_events": verification.pbx_events,
        "signatures_checked": verification.signatures,
        "skipped": list(verification.skipped),
        "open": list(verification.open),
        "findings": [
            {"check": finding.check, "what": finding.sentence, "seq": finding.seq} for finding in verification.findings
        ],
        "counts": {str(check): count for check, count in sorted(verification.counts.items())},
    }


def verification_text(verification: Verification) -> str:
    """A verification for people: each check with its outcome, then what was found, what is open, and the limits."""
    lines = [
        f"anchored outside: {anchored_text(verification)}",
        f"log:          {verification.log}, {verification.size} entries, root {verification.root}",
        *trust_lines(verification),
        "",
    ]
    for number, sentence in CHECKS.items():
        lines.append(f"{_outcome(verification, number):>12}  {number:2}. {sentence}")
    lines += ["", *finding_lines(verification), *(f"open: {sentence}" for sentence in verification.open[:_SHOWN])]
    return lines_of([*lines, LIMITS])


def finding_lines(verification: Verification) -> list[str]:
    """The first findings, one line each, and how many more there are."""
    lines = [
        f"check {finding.check}: {finding.sentence}" + ("" if finding.seq is None else f" (entry {finding.seq})")
        for finding in verification.findings[:_SHOWN]
    ]
    more = sum(verification.counts.values()) - len(lines)
    return [*lines, f"and {more} more"] if more > 0 else lines


def _outcome(verification: Verification, number: int) -> str:
    if number in verification.skipped:
        return "not looked at"
    found = verification.counts.get(number, 0)
    return f"{found} found" if found else "holds"


def _key_remark(verification: Verification) -> str:
    if verification.key_was_given:
        return ""
    return "; the key was taken from the ledger itself, which proves nothing against whoever made both"


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Columns under their names, one line a row; nothing in a cell can leave it."""
    cells = [[one_line(cell) for cell in row] for row in (columns, *rows)]
    widths = [max(len(row[n]) for row in cells) for n in range(len(columns))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
