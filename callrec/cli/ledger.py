"""`callrec ledger verify|checkpoint|export`. Reads only. Exit status 0, or 30 where the log contradicts itself."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click

from callrec._canonical import canonical, parse
from callrec._durable import DurableFile, remove
from callrec.audit.verify import verify as verify_places
from callrec.audit.wording import one_line
from callrec.cli.audit import finish
from callrec.cli.desk import Desk
from callrec.cli.evidence import copy_option, json_option, ledger_options, named
from callrec.errors import Broken, Refused
from callrec.ledger.checkpoint import verify as verify_note
from callrec.ledger.reading import LogReader, open_log

FORMAT: Final = "callrec/ledger-export/1"
_TOGETHER: Final = 1 << 20
"""Bytes that are written at once."""


@click.group()
def ledger() -> None:
    """The append-only log of every call."""


@ledger.command()
@ledger_options
@json_option
@click.pass_context
def verify(ctx: click.Context, /, as_json: bool, **given: Any) -> None:
    """Check the log alone: links, roots, signatures, anchors, order. `audit verify` adds the files beside it."""
    places = replace(named(ctx.obj, given), evidence=None, store=None, spool=None)
    finish(ctx, verify_places(places), as_json=as_json)


@ledger.command()
@copy_option
@click.pass_obj
def checkpoint(desk: Desk, /, copy: Path | None) -> None:
    """Print the newest signed checkpoint, for somebody else to keep."""
    with open_log(copy or desk.config.ledger.database) as log:
        note = log.newest_note()
        verify_note(note, log.key())
    text = note.decode("utf-8")
    if any(one_line(line) != line for line in text.splitlines()):
        raise Broken("the newest checkpoint holds control characters", next_step="run `callrec ledger verify`")
    click.echo(text, nl=False)


@ledger.command()
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The file to write; a new one.")
@copy_option
@click.pass_obj
def export(desk: Desk, /, output: Path, copy: Path | None) -> None:
    """Write every entry and checkpoint as JSON lines. The salts that open commitments stay here."""
    if output.exists():
        raise Refused(f"{output} exists and is never overwritten", next_step="choose another name")
    with open_log(copy or desk.config.ledger.database) as log:
        size, notes = log.size(), log.checkpoints()
        _write(output, _lines(log))
    click.echo(f"Wrote {size} entries and {notes} checkpoints to {one_line(output)}.")


def _write(output: Path, lines: Iterator[bytes]) -> None:
    file = DurableFile(output, exclusive=True)
    try:
        held = bytearray()
        for line in lines:
            held += line + b"\n"
            if len(held) >= _TOGETHER:
                file.append(bytes(held))
                held.clear()
        file.append(bytes(held))
        file.sync()
    except BaseException:
        remove(output)
        raise
    finally:
        file.close()


def _lines(log: LogReader) -> Iterator[bytes]:
    key = log.key()
    yield _line({"format": FORMAT, "log": key.name, "vkey": key.vkey(), "entries": log.size()})
    for seq, leaf, _, body in log.rows():
        yield _line({"seq": seq, "leaf": leaf.hex(), **_entry(body)})
    for size, note in log.notes():
        yield _line({"checkpoint": size, "note": note.decode("utf-8", "backslashreplace")})


def _entry(body: bytes) -> dict[str, Any]:
    """As JSON where its canonical form gives its bytes back, so that leaves can be computed from the export."""
    try:
        value = parse(body)
        if canonical(value) == body:
            return {"entry": value}
    except (Broken, ValueError):
        pass
    return {"entry_base64": base64.b64encode(body).decode()}


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
