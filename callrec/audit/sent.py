"""What was tapped while a notice played, kept beside its evidence: the attachment, and the notice as it was sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from callrec.audit.casefile import CaseEvidence

SUFFIX: Final = ".tap"


def files(item: CaseEvidence, *, limit: int) -> Iterator[tuple[str, bytes]]:
    """The attachment of this evidence as it goes into a pack, where there is one of at most `limit` bytes."""
    path = item.path.with_suffix(SUFFIX)
    if path.is_file() and path.stat().st_size <= limit:
        yield f"evidence/{path.name}", path.read_bytes()
