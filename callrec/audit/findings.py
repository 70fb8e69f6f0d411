"""What a verification found: numbered checks, and a sentence for each thing that does not hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

CHECKS: Final[Mapping[int, str]] = {
    1: "entries are contiguous, their leaves and links to the one before are right",
    2: "every checkpoint has the right root, and its signature is the log's",
    3: "every kind is known and every body complete",
    4: "every checkpoint held outside is a beginning of this log",
    5: "offered, answered, proven, started, sealed, kept: in this order, by position and boot time",
    6: "every recording refers to its own notice.proven, and each proof was used once",
    7: "every recording that started ended once: sealed, discarded or lost",
    8: "every call offered was closed once, and the running numbers have no gap",
    9: "every evidence file is the one in the log, and judged again it gives the same verdict",
    10: "every recording's purposes are among those its notice named, or its caller agreed to",
    11: "every stored object is the one that was sealed",
    12: "no audio lies in store or spool without its entries",
    13: "every summary decides every segment of its call, from 0 on, as its other entries have it",
    14: "no recording rests on a notice in another language than its caller had chosen by then",
    15: "every consent was given to one segment alone, to a script that had been approved as asking for that",
}
"""The checks by number. A number is never used again for another check."""

KEPT_PER_CHECK: Final = 1_000
"""Sentences kept for one check; more are counted, not kept."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not hold. `seq` is the entry it was found at, where there is one."""

    check: int
    sentence: str
    seq: int | None = None


@dataclass(slots=True)
class Findings:
    """Gathers findings and what is merely open; never stops."""

    found: list[Finding] = field(default_factory=list)
    counts: Counter[int] = field(default_factory=Counter)
    open: list[str] = field(default_factory=list)

    def add(self, check: int, sentence: str, seq: int | None = None) -> None:
        """This does not hold."""
        self.counts[check] += 1
        if self.counts[check] <= KEPT_PER_CHECK:
            self.found.append(Finding(check, sentence, seq))

    def still_open(self, sentence: str) -> None:
        """This is not finished, and need not be: the agent runs."""
        if len(self.open) < KEPT_PER_CHECK:
            self.open.append(sentence)
