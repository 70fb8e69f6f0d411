"""Which recordings heard which notice: what a wrong wording touched is found by the proof of each recording (R58)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from callrec.audit.objects import evidence_file, read_judged
from callrec.config import Config
from callrec.core.fields import leaves
from callrec.core.kinds import Kind
from callrec.errors import CallrecError, ConfigError
from callrec.ledger.entry import LogEntry
from callrec.ledger.reading import open_log
from callrec.places import evidence_dir
from callrec.store.index import IndexRow

_NAMED: Final = re.compile(r"([a-z0-9-]+)(?:\.([a-z]{2,3}(?:-[A-Z]{2})?))?(?:[./](\d+))?")


def that_heard(config: Config, rows: Iterable[IndexRow], notice: str) -> tuple[IndexRow, ...]:
    """Those whose own proofs were made with this notice: `id`, `id/version`, `id.language` or `id.language.version`.

    ConfigError where it names none of these. Evidence that is gone or damaged names no notice: `audit verify` tells.
    """
    match = _NAMED.fullmatch(notice)
    if match is None:
        raise ConfigError(f"--notice: {notice!r:.60} is no notice", next_step="write it as advice-line/2")
    wanted = match.groups()
    return tuple(row for row in rows if any(_is(wanted, found) for found in _notices(config, row)))


def _is(wanted: tuple[str | None, ...], found: tuple[str, str, str]) -> bool:
    return all(asked in (None, is_) for asked, is_ in zip(wanted, found, strict=True))


def _notices(config: Config, row: IndexRow) -> Iterator[tuple[str, str, str]]:
    """Id, language and version of each prompt that was proven for this recording."""
    with open_log(config.ledger.database) as log:
        entries = log.of_call(row.call_uid)
    for proof in _proofs(entries, row.segment):
        attempt = proof.body.get("attempt")
        if isinstance(attempt, int):
            try:
                judged = read_judged(evidence_file(evidence_dir(config), row.call_uid, attempt))
            except (CallrecError, OSError, ValueError):
                continue
            prompt = judged.evidence.prompt
            yield prompt.prompt_id, prompt.language, str(prompt.version)


def _proofs(entries: list[LogEntry], segment: int) -> list[LogEntry]:
    started = [each for each in entries if (each.kind, each.segment) == (Kind.RECORDING_STARTED.value, segment)]
    named = {leaf for each in started for leaf in leaves(each.body.get("proven_leaves"))}
    return [each for each in entries if each.kind == Kind.NOTICE_PROVEN.value and each.leaf in named]
