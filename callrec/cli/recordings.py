"""`callrec recordings`: list, show, play, export. Whoever opens audio says for what, and the ledger is told first."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import click

from callrec._canonical import canonical
from callrec.audit.report import table
from callrec.audit.wording import lines_of, one_line
from callrec.cli import recording_access as opening
from callrec.cli import recording_files as files
from callrec.cli.commands import Commands
from callrec.cli.desk import Desk
from callrec.cli.evidence import filter_options, filters, json_option
from callrec.cli.heard import that_heard
from callrec.cli.imported_story import tell_imported
from callrec.cli.leaving import access_options, beside, leave, refuse_existing, use_of
from callrec.cli.recording_story import tell
from callrec.core.recording import RecordingState
from callrec.errors import ConfigError, Unavailable
from callrec.recording.audio import to_wav
from callrec.recording.copies import FORMS, encoded, mixed, samples_of
from callrec.recording.imported import wav_from
from callrec.recording.open import Opened
from callrec.store.index import IndexRow

PLAYERS: Final = (("aplay", "-q", "-"), ("play", "-q", "-t", "wav", "-"))
"""Programs that play a WAV from their standard input, so that no file of it ever exists."""


ORIGINAL: Final = "original"
"""What was imported, as it came; of our own recordings that is FLAC."""


COMMANDS = Commands(
    {
        "classify": "upkeep:classify",
        "copy": "copies:copy",
        "dispose": "disposal:dispose",
        "due": "disposal:due",
        "fixity": "upkeep:fixity",
        "hold": "holds:hold",
        "import": "imports:import_",
        "holds": "holds:holds",
        "release": "holds:release",
        "reviewed": "reviews:reviewed",
        "reviews": "reviews:reviews",
        "tag": "tags:tag",
        "withdraw": "tags:withdraw",
    }
)


@click.group(commands=COMMANDS)
def recordings() -> None:
    """What was recorded: list, show, play, export; how long it is kept, held, and how it is disposed of."""


# ---------------------------------------------------------------- look


@recordings.command("list")
@filter_options
@click.option("--state", type=click.Choice([state.value for state in RecordingState]), help="Only in this state.")
@click.option("--notice", default="", metavar="ID/VERSION", help="Only those whose proof was made with this notice.")
@click.option("--limit", type=click.IntRange(min=1), default=1000, show_default=True, help="At most so many.")
@click.option("--all-logs", is_flag=True, help="Of every agent that shares this PostgreSQL database, with its log.")
@json_option
@click.pass_obj
def list_(
    desk: Desk, /, *, since: str, until: str, line: str, state: str | None, notice: str, limit: int, **given: bool
) -> None:
    """Show every recording, newest first. The ones kept, and the ones that wait for the store."""
    period = filters(since=since, until=until, line=line)
    wanted = files.Wanted(
        since=period.since,
        until=period.until,
        line=line,
        state=RecordingState(state) if state else None,
        limit=files.ANY if notice else limit + 1,
    )
    found = _found(desk, wanted, notice, all_logs=given["all_logs"])
    if given["as_json"]:
        click.echo(json.dumps([{**log, **as_value(row)} for log, row in found[:limit]], indent=2))
    elif found:
        columns = (*(("log",) if given["all_logs"] else ()), *_COLUMNS)
        cells = [(*log.values(), *_cells(row)) for log, row in found[:limit]]
        click.echo(lines_of(table(columns, cells)), nl=False)
    else:
        click.echo("There are no such recordings.")
    if len(found) > limit:
        click.echo(f"These are the newest {limit}; there are more: --limit, --from and --to choose.", err=True)


def _found(desk: Desk, wanted: files.Wanted, notice: str, *, all_logs: bool) -> list[tuple[dict[str, str], IndexRow]]:
    """Each with what is told of its log, where several were asked."""
    if not all_logs:
        found = files.rows(desk.config, wanted)
        return [({}, row) for row in (that_heard(desk.config, found, notice) if notice else found)]
    if notice:
        step = "leave one of the two out: proofs are looked up in this agent's own ledger"
        raise ConfigError("--notice and --all-logs do not go together", next_step=step)
    return [({"log": log}, row) for log, row in files.rows_of_every_log(desk.config, wanted)]


_COLUMNS: Final = ("recording", "started", "seconds", "line", "state", "purposes", "due")


def _cells(row: IndexRow) -> tuple[str, ...]:
    seconds = f"{row.seconds:.1f}" + (" cut short" if row.truncated else "")
    purposes = row.standing or ", ".join(sorted(purpose.value for purpose in row.purposes))
    return (row.recording_id, row.started_utc, seconds, row.line, row.state.value, purposes, row.due or "-")


def as_value(row: IndexRow) -> dict[str, Any]:
    """A row as plain values."""
    return {
        "recording_id": row.recording_id,
        "call_uid": row.call_uid,
        "segment": row.segment,
        "line": row.line,
        "started_utc": row.started_utc,
        "seconds": row.seconds,
        "truncated": row.truncated,
        "state": row.state.value,
        "purposes": sorted(purpose.value for purpose in row.purposes),
        "standing": row.standing or "PROVEN",
        "due": row.due or None,
        "started_leaf": row.started_leaf,
        "sealed_leaf": row.sealed_leaf,
        "kept_leaf": row.kept_leaf,
    }


@recordings.command()
@click.argument("prefix", metavar="ID")
@json_option
@click.pass_context
def show(ctx: click.Context, /, prefix: str, as_json: bool) -> None:
    """Show one recording. What was proven, how far that reaches, gaps, retention, and the entries of its call.

    ID may be shortened to any beginning that no other has. Exit 30 where ledger, evidence and manifest disagree.
    """
    row = files.find(ctx.obj.config, prefix)
    if row.standing:
        ctx.exit(tell_imported(ctx.obj.config, row, as_json=as_json))
    story = tell(ctx.obj.config, row)
    if as_json:
        click.echo(json.dumps({**as_value(story.row), **story.to_value()}, indent=2))
    else:
        click.echo(lines_of(story.lines()), nl=False)
    ctx.exit(story.exit_code)


# ---------------------------------------------------------------- open


REVIEW: Final = "To listen for names before a copy is made: medico-legal and guardian, for training or audit."


@recordings.command()
@access_options
@click.option("--review", is_flag=True, help=REVIEW)
@click.pass_obj
def play(desk: Desk, /, *, prefix: str, purpose: str, key: Path | None, review: bool) -> None:
    """Play one recording on this machine. Left the caller, right the staff; the ledger is told first."""
    access = opening.ask(desk, prefix, purpose=use_of(purpose), action="review" if review else "play", key=key)
    player = next((words for words in PLAYERS if shutil.which(words[0])), None)
    if player is None:
        step = f"callrec recordings export {access.row.recording_id} -o FILE --format wav --purpose {purpose}"
        raise Unavailable(f"no player is installed here ({', '.join(words[0] for words in PLAYERS)})", next_step=step)
    wav = (
        wav_from(opening.opened_foreign(desk, access))
        if access.row.standing
        else to_wav(opening.opened(desk, access).pcm)
    )
    done = subprocess.run(player, input=wav, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        said = one_line(done.stderr.decode("utf-8", "replace").strip().partition("\n")[0])
        raise Unavailable(f"{player[0]} could not play it: {said:.200}", next_step="see that this machine has sound")


@recordings.command()
@access_options
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The file to write; a new one.")
@click.option(
    "--format",
    "form",
    type=click.Choice([*FORMS, ORIGINAL]),
    default="flac",
    show_default=True,
    help="As what. What was imported leaves in its original form.",
)
@click.option("--mixed", is_flag=True, help="Both legs on one channel.")
@click.option("--review", is_flag=True, help=REVIEW)
@click.pass_obj
def export(desk: Desk, /, *, prefix: str, purpose: str, key: Path | None, output: Path, **given: Any) -> None:
    """Write one recording to FILE, its manifest and checksums beside it. The ledger is told before and after.

    FLAC is the recording itself, to the bit, unless it is mixed; every other form is made from it.
    """
    form, mono = given["form"], given["mixed"]
    action = "review" if given["review"] else "export"
    access = opening.ask(desk, prefix, purpose=use_of(purpose), action=action, key=key)
    refuse_existing(output)
    if form == ORIGINAL and access.row.standing:
        audio = opening.opened_foreign(desk, access)
    else:
        audio = _ours(opening.opened(desk, access), "flac" if form == ORIGINAL else form, mono=mono)
    digest = leave(desk, access, output, {"audio": audio, "manifest": canonical(dict(access.manifest))}, form=form)
    _, manifest, sums = beside(output)
    click.echo(f"Wrote {one_line(output)}: {form}{', both legs mixed' if mono else ''}, sha256 {digest}")
    click.echo(f"Wrote {one_line(manifest)}: the manifest as it was sealed")
    click.echo(f"Wrote {one_line(sums)}: for `sha256sum -c`")


def _ours(found: Opened, form: str, *, mono: bool) -> bytes:
    return found.flac if form == "flac" and not mono else _copied(found.pcm, form, mono=mono)


def _copied(pcm: bytes, form: str, *, mono: bool) -> bytes:
    samples = samples_of(pcm)
    return encoded(mixed(samples) if mono else samples, form)
