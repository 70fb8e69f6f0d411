"""`callrec disclosure`: what leaves outside its purpose, asked for by one person and agreed to by another (R28)."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from callrec._canonical import canonical
from callrec._durable import remove, write_file
from callrec.audit.report import table
from callrec.audit.wording import lines_of, one_line
from callrec.cli import recording_access as opening
from callrec.cli import recording_files as files
from callrec.cli.desk import Desk
from callrec.cli.disposal_bench import verified_ledger
from callrec.cli.evidence import json_option
from callrec.core.authority import Act
from callrec.core.kinds import Kind
from callrec.disposal.places import Places
from callrec.errors import Refused
from callrec.ledger.reading import open_log
from callrec.places import disposal_dir
from callrec.rights.disclosure import (
    ROOM,
    WEIGHED,
    Basis,
    Disclosure,
    Disclosures,
    Field,
    Paper,
    approved,
    made,
    read_paper,
    ready,
    requested,
)
from callrec.rights.following import numbers_of
from callrec.store.contacts import NAME, ContactOpener

_PLAIN: Final = 0o600
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_PATH: Final = click.Path(path_type=Path)


@click.group()
def disclosure() -> None:
    """What leaves for a court, by law, by the caller's own word or in the public interest: a record for each."""


def weighed_options(command: Any) -> Any:
    """One option for each thing that public interest is weighed by."""
    for name in reversed(WEIGHED):
        command = click.option(f"--{name}", default="", help=f"Public interest: its {name}, in words.")(command)
    return command


@disclosure.command()
@click.argument("recordings", nargs=-1, required=True, metavar="ID...")
@click.option("--basis", type=click.Choice([each.value for each in Basis]), required=True, help="What allows it.")
@click.option(
    "--field", "fields", type=click.Choice([each.value for each in Field]), multiple=True, help="What leaves."
)
@click.option("--to", "recipient", required=True, help="Who gets it.")
@click.option("--reason", required=True, help="Why: the order's number, the law, the request, the consent.")
@weighed_options
@click.pass_obj
def request(
    desk: Desk, /, *, recordings: tuple[str, ...], basis: str, fields: tuple[str, ...], recipient: str, reason: str,
    **weighed: str,
) -> None:  # fmt: skip
    """Ask for a disclosure of recordings: audio, the record of the call, or who the caller is.

    The ledger gets basis, fields and recordings; names and reasons stay in a paper beside it.
    """
    person = desk.decides(Act.DISCLOSE)
    whole = tuple(files.find(desk.config, each).recording_id for each in recordings)
    chosen = frozenset(map(Field, fields))
    words = {name: said for name, said in weighed.items() if said}
    paper = Paper(
        basis=Basis(basis), recipient=recipient, reason=reason, recordings=whole, fields=chosen, weighed=words
    ).checked()
    sha256 = Places(disposal_dir(desk.config)).keep(ROOM, paper.to_bytes())
    entry = requested(paper, paper_sha256=sha256, person=person)
    desk.append(entry)
    name = entry.body["disclosure_id"]
    click.echo(f"Asked for: disclosure {name}, {len(whole)} recordings, {basis}.")
    click.echo(f"Another person, under their own login: callrec disclosure approve {name}")


@disclosure.command()
@click.argument("name", metavar="ID")
@click.pass_obj
def approve(desk: Desk, /, name: str) -> None:
    """Agree to a disclosure that another person asked for. It shows what, to whom and why first."""
    person = desk.decides(Act.AGREE)
    found = _all(desk).one(name)
    click.echo(lines_of(_shown(found, _paper(desk, found))), nl=False)
    desk.append(approved(found, person))
    click.echo(f"Agreed to. It can be made once: callrec disclosure make {found.disclosure_id} -o FILE.zip")


@disclosure.command()
@click.argument("name", metavar="ID")
@click.option("-o", "--output", type=_PATH, required=True, help="The zip to write; a new one.")
@click.option("--key", type=_PATH, help="The keeper's private key; else beside keys.wrap_to.")
@click.pass_obj
def make(desk: Desk, /, name: str, *, output: Path, key: Path | None) -> None:
    """Make a disclosure that two persons agreed to, once. Each recording that is opened for it stands in the ledger."""
    person = desk.decides(Act.DISCLOSE)
    found = _all(desk).one(name)
    ready(found)
    if output.exists():
        raise Refused(f"{output} exists and is never overwritten", next_step="choose another name")
    contents = {place: data for each in found.recordings for place, data in _of_one(desk, found, each, key)}
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {place}\n" for place, data in sorted(contents.items()))
    data = _zipped(contents | {"SHA256SUMS": sums.encode()})
    digest = hashlib.sha256(data).hexdigest()
    write_file(output, data, mode=_PLAIN, exclusive=True)
    try:
        desk.append(made(found, person, sha256=digest))
    except BaseException:
        remove(output)  # nothing leaves that the ledger does not know
        raise
    click.echo(lines_of([f"Wrote {one_line(output)}: {len(found.recordings)} recordings, sha256 {digest}"]), nl=False)


@disclosure.command("list")
@json_option
@click.pass_obj
def list_(desk: Desk, /, *, as_json: bool) -> None:
    """Show every disclosure: basis, fields, who asked, who agreed, whether it was made."""
    found = [*_all(desk).found.values()]
    if as_json:
        click.echo(json.dumps([_value(each) for each in found], indent=2))
    elif found:
        cells = [tuple(str(cell) for cell in _value(each).values()) for each in found]
        click.echo(lines_of(table(tuple(_value(found[0])), cells)), nl=False)
    else:
        click.echo("There are no disclosures.")


def _value(found: Disclosure) -> dict[str, Any]:
    return {
        "disclosure": found.disclosure_id,
        "asked": found.requested_utc,
        "basis": found.basis,
        "fields": ", ".join(sorted(found.fields)),
        "recordings": len(found.recordings),
        "state": found.state(),
        "asked_by": found.requester.person,
        "agreed_by": found.approver.person or None,
    }


# ---------------------------------------------------------------- pieces


def _all(desk: Desk) -> Disclosures:
    """Every disclosure of a ledger that verifies. `Broken` where it does not."""
    found = Disclosures()
    verified_ledger(desk.config, found.see)
    return found


def _paper(desk: Desk, found: Disclosure) -> Paper:
    return read_paper(Places(disposal_dir(desk.config)).read(ROOM, found.paper_sha256))


def _shown(found: Disclosure, paper: Paper) -> Iterator[str]:
    yield f"disclosure:    {found.disclosure_id}, asked for by {found.requester.person} on {found.requested_utc}"
    yield f"basis:         {paper.basis.value}"
    yield f"to:            {paper.recipient}"
    yield f"why:           {paper.reason}"
    yield f"what:          {', '.join(sorted(each.value for each in paper.fields))}"
    yield f"recordings:    {', '.join(paper.recordings)}"
    for name, words in sorted(paper.weighed.items()):
        yield f"{name + ':':<15}{words}"


def _of_one(desk: Desk, found: Disclosure, recording_id: str, key: Path | None) -> Iterator[tuple[str, bytes]]:
    """What leaves of one recording, each opening told to the ledger first."""
    access = opening.ask_by(desk, recording_id, disclosure=found, key=key)
    opened = opening.opened(desk, access, disclosure_leaf=found.approved_leaf)
    if Field.AUDIO.value in found.fields:
        yield f"{recording_id}.flac", opened.flac
    if Field.RECORD.value in found.fields:
        yield f"{recording_id}.manifest.json", canonical(dict(opened.manifest))
    if Field.IDENTITY.value in found.fields:
        yield f"{recording_id}.identity.json", canonical({"numbers": _numbers(desk, access)})


def _numbers(desk: Desk, access: opening.Access) -> list[str]:
    """Who called, as the far end said; nothing where that was not kept."""
    uid = access.row.call_uid
    with open_log(desk.config.ledger.database) as log:
        offers = [entry.seq for entry in log.of_call(uid) if entry.kind == Kind.CALL_OFFERED.value]
        sealed = [log.salts(seq).get(NAME) for seq in offers]
    opener = ContactOpener(access.unwrap)
    contacts = [opener.opened(uid, each) for each in sealed if each is not None]
    country = desk.config.sip.country_code
    return [number for each in contacts for number in numbers_of(each, country=country) or each.numbers]


def _zipped(contents: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name in sorted(contents):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), contents[name])
    return target.getvalue()
