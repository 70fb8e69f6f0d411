"""`callrec recordings copy`: a coded or anonymised copy, made by the keeper and signed by who listened (R27-R30).

Training and audit are served by copies in which nobody is known. Before one leaves for training, and before any is
called anonymised, a person has listened to the whole (`play --review`, which the ledger knows) and signs: which spans
are bleeped, or that no name, place or rare detail is heard. Taking names out of a file's tags makes nothing anonymous.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from callrec._canonical import canonical
from callrec.audit.wording import lines_of, one_line
from callrec.cli import recording_access as opening
from callrec.cli.desk import Desk
from callrec.cli.leaving import access_options, leave, refuse_existing
from callrec.core.dates import plus
from callrec.core.kinds import Kind
from callrec.core.values import Purpose
from callrec.errors import Broken, ConfigError, Refused
from callrec.ledger.entry import LogEntry
from callrec.ledger.reading import open_log
from callrec.recording import copies
from callrec.recording.audio import RATE
from callrec.rights.coding import FOLDER, Project, begin_project, open_project
from callrec.rights.following import numbers_of
from callrec.store.contacts import NAME, ContactOpener

FORMAT: Final = "callrec/copy/1"
CODED, ANONYMISED = "coded", "anonymised"
_MONTHS: Final = 24
"""How long a coded copy may be used (rule TR-K)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What copy is asked for. `bleeps` is None where nobody signed anything."""

    kind: str
    purpose: Purpose
    project: str
    bleeps: tuple[copies.Span, ...] | None
    keep_voice: bool
    mono: bool
    form: str


@click.command()
@access_options
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The file to write; a new one.")
@click.option(
    "--kind", type=click.Choice([CODED, ANONYMISED]), default=CODED, show_default=True, help="What it becomes."
)
@click.option("--project", default="", help="For a coded copy: whose pseudonym the caller gets.")
@click.option("--new-project", is_flag=True, help="Make the key of this project first.")
@click.option(
    "--bleep", "bleeps", multiple=True, metavar="S-E", help="Signed: these seconds are bleeped, the rest names nobody."
)
@click.option("--nothing-heard", is_flag=True, help="Signed: I listened to the whole, and nothing in it names anybody.")
@click.option("--keep-voice", is_flag=True, help="Leave the voices of an anonymised copy as they are.")
@click.option("--mixed", is_flag=True, help="Both legs on one channel.")
@click.option(
    "--format", "form", type=click.Choice([*copies.FORMS]), default="flac", show_default=True, help="As what."
)
@click.pass_obj
def copy(desk: Desk, /, *, prefix: str, purpose: str, key: Path | None, output: Path, **given: Any) -> None:
    """Make a copy in which nobody is known, for training or audit. The ledger is told who made it and from what.

    Medico-legal and guardian make copies; trainers and auditors get them. First listen: `recordings play --review`.
    """
    wanted = _wanted(Purpose(purpose), given)
    access = opening.ask(desk, prefix, purpose=Purpose(purpose), action="copy", key=key)
    _signed(desk, access.row.recording_id, access.row.call_uid, wanted)
    refuse_existing(output)
    project = _project(opening.keeper_folder(desk.config, key) / FOLDER, given["project"], new=given["new_project"])
    found = opening.opened(desk, access)
    samples = _made(copies.samples_of(found.pcm), wanted)
    audio = copies.encoded(samples, wanted.form)
    manifest = _manifest(wanted, samples, _code(desk, access, project))
    told = {"copy": wanted.kind, **{name: manifest[name] for name in ("copy_id", "project", "use_until")}}
    signed = {"signed": wanted.bleeps is not None, "bleeps": len(wanted.bleeps or ())}
    leave(desk, access, output, {"audio": audio, "manifest": canonical(manifest)}, form=wanted.form, **told, **signed)
    click.echo(lines_of(_said(output, manifest)), nl=False)


def _wanted(purpose: Purpose, given: dict[str, Any]) -> Wanted:
    """ConfigError where the options contradict each other."""
    kind, spans = given["kind"], tuple(sorted(copies.parse_span(each) for each in given["bleeps"]))
    if spans and given["nothing_heard"]:
        raise ConfigError("--bleep and --nothing-heard contradict each other", next_step="sign one of them")
    if (kind == CODED) != bool(given["project"]):
        step = "name its project with --project, or make an anonymised copy, which belongs to none"
        raise ConfigError("a coded copy belongs to a project, an anonymised one to none", next_step=step)
    return Wanted(
        kind=kind,
        purpose=purpose,
        project=given["project"],
        bleeps=spans if spans or given["nothing_heard"] else None,
        keep_voice=given["keep_voice"] or kind == CODED,
        mono=given["mixed"],
        form=given["form"],
    )


def _signed(desk: Desk, recording_id: str, call_uid: str, wanted: Wanted) -> None:
    """`Refused` unless whoever signs has listened, where it must be signed: for training, and for what is to be called
    anonymised.
    """
    if wanted.bleeps is None:
        if wanted.purpose is Purpose.TRAINING or wanted.kind == ANONYMISED:
            step = "listen to it (`recordings play --review`), then sign with --bleep S-E or --nothing-heard"
            raise Refused("nobody signed that no name is heard in it, so it does not leave", next_step=step)
        return
    with open_log(desk.config.ledger.database) as log:
        heard = any(_is_review(entry, recording_id, desk.person()) for entry in log.of_call(call_uid))
    if not heard:
        step = f"callrec recordings play {recording_id} --purpose {wanted.purpose.value} --review"
        raise Refused("whoever signs must have listened, and the ledger knows of no review of yours", next_step=step)


def _is_review(entry: LogEntry, recording_id: str, person: str) -> bool:
    wanted = {"recording_id": recording_id, "person": person, "action": "review"}
    return entry.kind == Kind.ACCESS_GRANTED.value and all(
        entry.body.get(name) == value for name, value in wanted.items()
    )


def _project(folder: Path, name: str, *, new: bool) -> Project | None:
    if not name:
        return None
    return begin_project(folder, name) if new else open_project(folder, name)


def _code(desk: Desk, access: opening.Access, project: Project | None) -> tuple[str, bool] | None:
    """The caller's pseudonym in this project, and whether it is the caller's or of this call alone."""
    if project is None:
        return None
    with open_log(desk.config.ledger.database) as log:
        offer = next((e for e in log.of_call(access.row.call_uid) if e.kind == Kind.CALL_OFFERED.value), None)
        sealed = None if offer is None else log.salts(offer.seq).get(NAME)
    number = None
    if sealed is not None:
        try:
            contact = ContactOpener(access.unwrap).opened(access.row.call_uid, sealed)
            number = next(iter(numbers_of(contact, country=desk.config.sip.country_code)), None)
        except (Broken, Refused):
            number = None  # the copy then says that its code is of this call alone
    return project.code(number=number, call_uid=access.row.call_uid), number is not None


def _made(samples: copies.Samples, wanted: Wanted) -> copies.Samples:
    found = samples if wanted.keep_voice else copies.altered(samples)
    found = copies.bleeped(found, wanted.bleeps or ())
    return copies.mixed(found) if wanted.mono else found


def _manifest(wanted: Wanted, samples: copies.Samples, code: tuple[str, bool] | None) -> dict[str, Any]:
    """What goes along: nothing that leads back to call, caller, line or time but by the project's key."""
    until = plus(datetime.now(UTC).date(), months=_MONTHS).isoformat() if wanted.kind == CODED else ""
    return {
        "format": FORMAT,
        "copy_id": secrets.token_hex(16),
        "kind": wanted.kind,
        "purpose": wanted.purpose.value,
        "project": wanted.project,
        "code": code[0] if code else "",
        "code_is_of": "" if code is None else "caller" if code[1] else "call",
        "use_until": until,
        "samples": len(samples),
        "rate": RATE,
        "channels": ["both"] if wanted.mono else ["caller", "staff"],
        "bleeps": [[span.begin, span.end] for span in wanted.bleeps or ()],
        "voices": "as spoken" if wanted.keep_voice else "altered",
    }


def _said(output: Path, manifest: dict[str, Any]) -> list[str]:
    who = f", {manifest['code_is_of']} {manifest['code']} of project {manifest['project']}" if manifest["code"] else ""
    lines = [f"Wrote {one_line(output)}: {manifest['kind']} copy{who}, with its manifest and checksum"]
    if manifest["kind"] == ANONYMISED and manifest["voices"] == "as spoken":
        lines.append("Its voices are as spoken: whoever knows one of them knows who speaks.")
    return lines
