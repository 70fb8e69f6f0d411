"""What was tapped while a notice played, kept beside its evidence: the attachment, and the notice as it was sent."""

from __future__ import annotations

from collections.abc import Iterator

from callrec.audit.casefile import CaseEvidence
from callrec.errors import Broken
from callrec.notice.audio import wav_of
from callrec.notice.g711 import LAWS
from callrec.notice.wire_window import SUFFIX, read


def files(item: CaseEvidence, *, limit: int) -> Iterator[tuple[str, bytes]]:
    """The attachment of this evidence as it goes into a pack, where there is one of at most `limit` bytes; and what can
    be heard of it.
    """
    path = item.path.with_suffix(SUFFIX)
    if not path.is_file() or path.stat().st_size > limit:
        return
    kept = path.read_bytes()
    yield f"evidence/{path.name}", kept
    if item.judged is not None and (pcm := heard(kept)):
        yield f"notice/sent-{item.judged.evidence.binding.attempt}.wav", wav_of(pcm)


def heard(kept: bytes) -> bytes:
    """The samples that left, decoded from the packets of a kept window; nothing where they are no stream of G.711."""
    try:
        window, payloads = read(kept)
    except Broken:
        return b""
    laws = {run.payload_type for run in window.runs}
    law = LAWS.get(min(laws)) if len(laws) == 1 else None
    return law.decoded(payloads) if law else b""
