"""An auditor's own call, found again in the ledger by six digits that only they knew (R57).

They call the line from any telephone and press six digits of their own choice while the notice plays. The agent does
not know which calls are such ones: every call in which just six keys were pressed in the notice leaves an entry that
commits to them. Whoever names the digits afterwards finds the call, and compares its time and its notice with what
they wrote down and recorded themselves.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from callrec._sql import Database
from callrec.core.fields import text
from callrec.core.kinds import Kind
from callrec.errors import ConfigError
from callrec.ledger.entry import opens
from callrec.ledger.reading import open_log

DIGITS: Final = re.compile(r"[0-9]{6}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TestCall:
    """One call in which these digits were pressed: its entry, and the evidence of the notice they were pressed in."""

    call_uid: str
    seq: int
    utc: str
    attempt: int
    evidence_sha256: str

    def to_value(self) -> dict[str, Any]:
        """As plain values."""
        return {name: getattr(self, name) for name in ("call_uid", "seq", "utc", "attempt", "evidence_sha256")}


def testcalls(ledger: Database, digits: str) -> tuple[TestCall, ...]:
    """Every call in which just these were pressed in the notice, oldest first; those whose salt was erased are not
    found. ConfigError where they are no six digits; errors as `open_log`.
    """
    if not DIGITS.fullmatch(digits):
        raise ConfigError(f"{digits!r:.20} are no six digits", next_step="give the six that were pressed")
    with open_log(ledger) as log:
        found = [
            TestCall(
                call_uid=entry.call_uid,
                seq=entry.seq,
                utc=entry.utc,
                attempt=int(entry.body.get("attempt", 0)),
                evidence_sha256=text(entry.body.get("evidence_sha256")),
            )
            for entry in log.entries()
            if entry.kind == Kind.TESTCALL_MATCHED.value
            and opens(_committed(entry.body), log.salts(entry.seq).get("digits", ""), digits)
        ]
    return tuple(found)


def _committed(body: Any) -> str:
    commitments = body.get("commitments")
    return text(commitments.get("digits")) if isinstance(commitments, dict) else ""
