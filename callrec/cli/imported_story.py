"""What `recordings show` says of a recording that another recorder made."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Final

import click

from callrec.audit.wording import lines_of
from callrec.cli import recording_files as files
from callrec.config import Config
from callrec.core.imported import WORDS, Standing
from callrec.ports import Json
from callrec.store.index import IndexRow

_CONTRADICTED: Final = 30
HONEST: Final = (
    "Not shown: that the caller was told, heard or understood; who else was on the call; when it was, but by what was "
    "said of it when it came."
)


def tell_imported(config: Config, row: IndexRow, *, as_json: bool) -> int:
    """Print it; the exit status. Errors as `manifest_of` and `entries_of`."""
    manifest, entries = files.manifest_of(config, row), files.entries_of(config, row)
    same = files.is_sealed_one(manifest, files.sealed_entry(entries, row))
    wrong = [] if same else ["its manifest is not the one in the ledger"]
    if as_json:
        told = {"recording_id": row.recording_id, "standing": row.standing, "state": row.state.value}
        value = {**told, "manifest": dict(manifest), "entries": [entry.kind for entry in entries]}
        click.echo(json.dumps({**value, "contradictions": wrong}, indent=2))
    else:
        click.echo(lines_of([*_lines(row, manifest), *(f"CONTRADICTION: {each}" for each in wrong)]), nl=False)
    return 0 if same else _CONTRADICTED


def _lines(row: IndexRow, manifest: Mapping[str, Json]) -> Iterator[str]:
    rule = manifest["retention"]
    yield f"recording:     {row.recording_id}, imported from another recorder"
    yield f"line:          {row.line}"
    yield f"state:         {row.state.value} on the shelf of what was imported"
    yield f"audio:         {row.started_utc}, as was said of it, {row.seconds:.1f} s, {manifest['container']}"
    yield f"standing:      {row.standing}: {WORDS[Standing(row.standing)]}"
    for each in manifest["found"]:
        where = f"{each['prompt']} at {each['at_s']:.3f} s, channel {each['channel']}"
        yield f"notice:        {where}: found in the audio, not proven on the wire; names {', '.join(each['purposes'])}"
    yield f"retention:     rule {rule['rule']} version {rule['version']}, due {row.due or 'no end set'}"
    yield f"file:          sha256 {manifest['source_sha256']}"
    yield HONEST
