"""`callrec handover`: everything for whoever takes over, and the check that it is whole (R64)."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import click
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from callrec._canonical import sha256_hex
from callrec._durable import write_file
from callrec.audit.report import verification_text
from callrec.audit.verify import Places, verify
from callrec.audit.wording import lines_of, one_line
from callrec.cli.desk import Desk
from callrec.cli.disposal_bench import bench, read_file
from callrec.cli.evidence import public_key
from callrec.cli.holds import words
from callrec.cli.subject_search import allowed
from callrec.config import Config
from callrec.core.authority import Act
from callrec.core.kinds import Kind
from callrec.disposal.handed_over import drawn_after_handover
from callrec.disposal.lists import proposed
from callrec.errors import Broken, Refused
from callrec.ledger.reading import open_log
from callrec.places import disposal_dir, evidence_dir, imported_dir, imported_shelf, opener, proven_store
from callrec.ports import Entry
from callrec.rights.handover import IMPORTED, KEYS, LEDGER, STORE, SUMS, HandOver, differences
from callrec.store.imported import IMPORTED_KEYS
from callrec.store.keys import load_public, wrap
from callrec.store.openers import Unwrap
from callrec.store.shelf import MARKER

_PATH = click.Path(path_type=Path)


@click.group()
def handover() -> None:
    """Hand everything over to whoever takes over, encrypted as it is, and check that it arrived whole."""


@handover.command()
@click.option("-o", "--output", type=_PATH, required=True, help="The folder to write; a new one.")
@click.option("--wrap-to", type=_PATH, help="The next keeper's public key: keys are wrapped for it, none is shown.")
@click.option("--key", type=_PATH, help="With --wrap-to: our keeper's private key; else beside keys.wrap_to.")
@click.pass_obj
def export(desk: Desk, /, *, output: Path, wrap_to: Path | None, key: Path | None) -> None:
    """Copy ledger, evidence, notices, papers, recordings, keys and schedule. The ledger is told; nothing is removed.

    Recordings stay encrypted. Without --wrap-to the next keeper needs our keeper's private key.
    """
    person = allowed(desk, Act.HAND_OVER, action="handover")
    wrapper = None
    if wrap_to is not None:
        wrapper = partial(_wrapped_anew, opener(desk.config, key), load_public(wrap_to))
    config, ledger = desk.config, desk.config.ledger.database
    if not isinstance(ledger, Path):
        raise Refused("a ledger in PostgreSQL is not handed over by this", next_step="let pg_dump write it out")
    parcel = HandOver(output, wrapper)
    kept = asyncio.run(parcel.add_recordings(proven_store(config))) + _imported(config, parcel)
    for name, folder in {"evidence": evidence_dir(config), "prompts": config.notice.register}.items():
        parcel.add_folder(name, folder)
    parcel.add_folder("disposal", disposal_dir(config))
    parcel.add("retention.yaml", config.retention.rules.read_bytes())
    for name in (STORE, KEYS):  # the same in both, and in a bucket as well
        parcel.add(f"{name}/{MARKER}", (config.store.keys / MARKER).read_bytes())
    body = {"recording_id": "", "person": person, "form": "handover", "sha256": "", "recordings": kept}
    desk.append(
        Entry(kind=Kind.ACCESS_GRANTED, body={**body, "purpose": "handover", "action": "handover"}, actor=person)
    )
    with open_log(config.ledger.database) as log:
        parcel.add("log-key.txt", f"{log.key().vkey()}\n".encode())
    parcel.add_ledger(ledger)
    digest = parcel.finish()
    desk.append(Entry(kind=Kind.EXPORT_MADE, body=body | {"sha256": digest}, actor=person))
    said = [f"Wrote {one_line(output)}: {kept} recordings; SHA256SUMS has sha256 {digest}"]
    said.append(f"Whoever takes over: callrec handover check {one_line(output)}")
    click.echo(lines_of(said), nl=False)


def _imported(config: Config, parcel: HandOver) -> int:
    """What other recorders made, on its own shelf there too."""
    if not imported_dir(config).exists():
        return 0
    shelf, keys = imported_shelf(config), f"{KEYS}{IMPORTED_KEYS}"
    for name in (IMPORTED, keys):
        parcel.add(f"{name}/{MARKER}", (shelf.path / MARKER).read_bytes())
    return asyncio.run(parcel.add_recordings(shelf, folder=IMPORTED, keys=keys))


def _wrapped_anew(unwrap: Unwrap, keeper: X25519PublicKey, wrapped: bytes) -> bytes:
    """The same data key, wrapped for another keeper."""
    key = unwrap(wrapped)
    return wrap(key.secret, key.key_id, keeper)


@handover.command()
@click.argument("folder", type=_PATH)
@click.option("--receipt", required=True, help="The reference under which it was taken over. No names.")
@click.option("-o", "--output", type=_PATH, required=True, help="The list to write; a new file.")
@click.pass_obj
def acknowledged(desk: Desk, /, folder: Path, *, receipt: str, output: Path) -> None:
    """Draw the list of what FOLDER handed over, once it was taken over: to be destroyed here. Touches nothing.

    It goes the way of every disposal: another person says that it arrived (`recordings dispose --approve`), and
    `recordings dispose LIST --execute` destroys keys, then ciphertext, and certifies each recording. Held ones stay.
    """
    person = desk.decides(Act.HAND_OVER)
    words(receipt, "--receipt")
    if output.exists():
        raise Refused(f"{output} exists and is never overwritten", next_step="choose another name")
    if wrong := differences(folder):
        raise Broken(f"the hand-over is not whole: {'; '.join(wrong[:5])}", next_step="look at the copy that arrived")
    sums = read_file(folder / SUMS)
    draft = drawn_after_handover(bench(desk), sums, receipt=receipt)
    write_file(output, draft.to_bytes(), mode=0o640, exclusive=True)
    desk.append(proposed(draft, person, handover_sha256=sha256_hex(sums)))
    said = [f"Proposed: {len(draft.items)} recordings that were handed over, receipt {receipt}."]
    said += [f"left here: {each.recording_id}: {each.why}" for each in draft.taken_out]
    said += [f"Another person, under their own login: callrec recordings dispose --approve {one_line(output)}"]
    click.echo(lines_of(said), nl=False)


@handover.command()
@click.argument("folder", type=_PATH)
@click.option("--vkey", help="The log's public key that you hold; else the one in the folder, which proves less.")
@click.pass_context
def check(ctx: click.Context, /, folder: Path, *, vkey: str | None) -> None:
    """Check a hand-over: every file by its sum, and every numbered check over what is in it. Needs no configuration."""
    wrong = differences(folder)
    if wrong:
        raise Broken(f"the hand-over is not whole: {'; '.join(wrong[:5])}", next_step="let it be copied again")
    places = Places(
        ledger=folder / LEDGER,
        vkey=public_key(vkey) if vkey else None,
        evidence=folder / "evidence",
        prompts=folder / "prompts",
        store=folder / STORE,
        imported=folder / IMPORTED,
        disposal=folder / "disposal",
    )
    found = verify(places)
    click.echo(f"Every file is the one that was handed over.\n{verification_text(found)}", nl=False)
    ctx.exit(found.exit_code)
