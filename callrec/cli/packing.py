"""`callrec audit pack`: one call, with everything that a stranger needs to judge it, in one file."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any, Final

import click

from callrec._durable import remove, write_file
from callrec.audit.pack import Wanted, contents, zipped
from callrec.audit.packed import verify_pack
from callrec.audit.verify import Places
from callrec.audit.wording import lines_of, one_line
from callrec.cli import recording_access as opening
from callrec.cli.desk import Desk
from callrec.cli.evidence import named, place_options
from callrec.core.values import Purpose
from callrec.errors import ConfigError, Refused, Unavailable
from callrec.ledger.reading import open_log

_ID: Final = re.compile(r"([0-9a-f]{1,32})(-[0-9]+)?")
_LONGEST_NOTE: Final = 70_000
_PLAIN: Final = 0o600
_PATH: Final = click.Path(path_type=Path)


@click.command()
@click.argument("which", metavar="REC|CALL")
@click.option("-o", "--output", type=_PATH, required=True, help="The zip to write; a new one.")
@click.option("--with-recording", is_flag=True, help="The recording REC goes along. Needs --purpose.")
@click.option("--purpose", type=click.Choice([each.value for each in Purpose]), help="What the recording leaves for.")
@click.option("--keeper", type=_PATH, help="The keeper's private key; else beside keys.wrap_to.")
@click.option("--checkpoint", type=_PATH, help="Prove against this checkpoint, which the auditor holds.")
@place_options
@click.pass_context
def pack(ctx: click.Context, /, *, which: str, output: Path, checkpoint: Path | None, **given: Any) -> None:
    """Gather one call for a stranger. Evidence, notice, entries with their proofs, a page, and the checks themselves.

    Reads only, unless --with-recording lets audio out: then the ledger is told who, what for, and which file.
    """
    audio = {name: given.pop(name) for name in ("with_recording", "purpose", "keeper")}
    if output.exists():
        raise Refused(f"{output} exists and is never overwritten", next_step="choose another name")
    places = named(ctx.obj, given)
    wanted: dict[str, Any] = {"places": places, "checkpoint": _note(checkpoint)}
    if audio["with_recording"]:
        _with_recording(ctx.obj, which, output, wanted, audio)
    else:
        _write(output, Wanted(call_uid=_call_uid(places, which), **wanted))
    _finish(ctx, output, places)


def held_checkpoints(place: Path | None) -> dict[str, bytes]:
    """Checkpoints that an auditor holds: a file, or all `*.checkpoint` of a folder. ConfigError where unreadable."""
    if place is None:
        return {}
    named_files = sorted(place.glob("*.checkpoint")) if place.is_dir() else [place]
    return {path.name: _note(path) or b"" for path in named_files}


def _note(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST_NOTE)
    except OSError as error:
        raise ConfigError(f"--checkpoint: {path}: {error.strerror}", next_step="name a checkpoint's file") from error


def _call_uid(places: Places, which: str) -> str:
    """The one call whose id, or whose recording's id, begins so."""
    asked = _ID.fullmatch(which)
    found: set[str] = set()
    if asked is not None:
        with open_log(places.ledger) as log:
            found = log.calls_beginning(asked[1])
    if not found:
        what = f"the ledger knows no call {one_line(which):.40}"
        raise Unavailable(what, next_step="see `callrec recordings list` and `callrec audit refusals`")
    if len(found) > 1:
        raise ConfigError(f"{len(found)} calls begin with {one_line(which):.40}", next_step="give more of the id")
    return found.pop()


def _with_recording(desk: Desk, which: str, output: Path, wanted: dict[str, Any], audio: dict[str, Any]) -> None:
    """As `recordings export`: the ledger is told before it is opened, and what left."""
    if audio["purpose"] is None:
        step = "say what for with --purpose, one of the recording's own purposes"
        raise ConfigError("a recording leaves for a purpose only", next_step=step)
    access = opening.ask(desk, which, purpose=Purpose(audio["purpose"]), action="export", key=audio["keeper"])
    flac = {access.row.recording_id: opening.opened(desk, access).flac}
    digest = _write(output, Wanted(call_uid=access.row.call_uid, audio=flac, **wanted))
    try:
        opening.told_export(desk, access, form="pack", sha256=digest)
    except BaseException:
        remove(output)  # no copy leaves that the ledger does not know
        raise


def _write(output: Path, wanted: Wanted) -> str:
    data = zipped(contents(wanted))
    write_file(output, data, mode=_PLAIN, exclusive=True)
    return hashlib.sha256(data).hexdigest()


def _finish(ctx: click.Context, output: Path, places: Places) -> None:
    """Check what was made, as whoever gets it will; with the log's own key where none was given."""
    with open_log(places.ledger) as log:
        vkey = places.vkey or log.key().vkey()
    found = verify_pack(output, vkey)
    said = [f"Wrote {output}: {found.result()}."]
    said += [f"check {wrong.check}: {wrong.sentence}" for wrong in found.found]
    said += [*(f"open: {sentence}" for sentence in found.open), *found.told]
    said.append(f"Whoever gets it: python3 verify.py {output.name} --key HALF-PAGE.txt")
    click.echo(lines_of(said), nl=False)
    ctx.exit(found.exit_code)
