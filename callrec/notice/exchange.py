"""One register for two sites: a bundle of approved prompts, signed by one who approves, that another site takes in.

A bundle is a zip file: `register.json`, canonical JSON with every record, the approvers' public keys and the hash of
each audio; `signature`, over that; and the audio. What does not verify is refused whole, before anything is written.
What stands in the register already is never overwritten: the same is left, another under the same name is refused; a
retirement is taken over, because it only reduces.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from callrec._canonical import canonical, parse, sha256_hex
from callrec._durable import make_dir, write_file
from callrec.core.kinds import Kind
from callrec.errors import Broken, CallrecError, ConfigError, Refused
from callrec.notice import signing
from callrec.notice.approval import READABLE, Append, write_register
from callrec.notice.audio import pcm_of, wav_of
from callrec.notice.manifest import NAME, Approvers, PromptRecord, Status, parse_approvers, parse_record, plain, slug
from callrec.notice.register import ApprovedPrompt, Register, Unusable, refuse_alike
from callrec.ports import Entry

INDEX: Final = "register.json"
SIGNATURE: Final = "signature"
MOST_FILES: Final = 2000
LARGEST_FILE: Final = 2_000_000
LARGEST_BUNDLE: Final = 200_000_000
_STEP: Final = "have it exported again, and ask whoever sent it by another way than it came"


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What an import did: names added, retired here as they were there, and those that were here already."""

    added: tuple[str, ...]
    retired: tuple[str, ...]
    known: tuple[str, ...]


# ---------------------------------------------------------------- out


def export(register: Register, *, by: str, key_file: Path) -> bytes:
    """The bundle of everything that was approved with a signature, also what is retired since.

    Refused where nothing is, where a file is not what was approved, or the key is not the one of `by`.
    """
    key = signing.load(key_file)
    if signing.public_of(key) != register.approvers.get(slug(by, "--by")):
        step = f"make one with `callrec prompts key {by} -o FILE`, or use the key of that person"
        raise Refused(f"{key_file} is not the key that the register has of {by}", next_step=step)
    records = [each for each in register.records if each.approved and each.approved.signature]
    if not records:
        raise Refused("no prompt was approved with a signature", next_step="approve one with --key first")
    audio = {each.file: wav_of(_whole(register, each).pcm) for each in records}
    index = {
        "approvers": dict(register.approvers),
        "by": by,
        "prompts": [plain(each) for each in records],
        "audio": {name: sha256_hex(data) for name, data in audio.items()},
    }
    return _zipped({INDEX: canonical(index), SIGNATURE: signing.sign(key, signing.BUNDLE, index).encode(), **audio})


def _whole(register: Register, record: PromptRecord) -> ApprovedPrompt:
    found = register.read(record)
    if isinstance(found, Unusable):
        raise Refused(f"{record.name} is not exported: {found.what}", next_step=found.next_step)
    return found


def _zipped(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, data in files.items():
            bundle.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return out.getvalue()


# ---------------------------------------------------------------- in


def take_in(folder: Path, data: bytes, *, trusted: str, actor: str, append: Append) -> Taken:
    """Add what is new to the register of this folder. `trusted` is the public key, in hexadecimal, of whoever exported
    it, known from elsewhere: it never comes from the bundle itself.

    `Broken` where the bundle does not verify, Refused where it would change what is here; nothing is written then.
    What `append` raises leaves what was entered before it, and taking the bundle in again goes on from there.
    """
    files = _unzipped(data)
    records, approvers = _verified(files, trusted)
    here = Register.load(folder) if (folder / NAME).exists() else Register(folder=folder, records=())
    keys = _joined(here.approvers, approvers)
    held = {each.name: each for each in here.records}
    new = [each for each in records if each.name not in held]
    for each in records:
        if each.name in held:
            _refuse_another(held[each.name], each)
    refuse_alike((*here.records, *new), at="the bundle")
    return _write(here, files, new=new, gone=_gone(held, records), keys=keys, actor=actor, append=append)


def _gone(held: Mapping[str, PromptRecord], records: tuple[PromptRecord, ...]) -> list[PromptRecord]:
    """Those that are retired there and still approved here."""
    retired = {each.name for each in records if each.status is Status.RETIRED}
    return [each for name, each in held.items() if name in retired and each.status is Status.APPROVED]


def _write(
    here: Register,
    files: Mapping[str, bytes],
    *,
    new: list[PromptRecord],
    gone: list[PromptRecord],
    keys: Approvers,
    actor: str,
    append: Append,
) -> Taken:
    make_dir(here.folder, mode=0o755)
    for each in new:
        write_file(here.folder / each.file, files[each.file], mode=READABLE)
    known = tuple(each.name for each in here.records if each not in gone)
    after = list(here.records)
    for each in gone:
        append(Entry(kind=Kind.PROMPT_RETIRED, body=_retired_body(each, actor), actor=actor))
        after[after.index(each)] = replace(each, status=Status.RETIRED)
    after += [_entered(each, actor, append) for each in new]
    write_register(here.folder, tuple(after), keys)
    return Taken(added=tuple(each.name for each in new), retired=tuple(each.name for each in gone), known=known)


def _retired_body(record: PromptRecord, actor: str) -> dict[str, Any]:
    named = {"prompt_id": record.id, "version": record.version, "language": record.language}
    return {**named, "by": actor, "why": "retired-at-another-site"}


def _entered(record: PromptRecord, actor: str, append: Append) -> PromptRecord:
    """The record with this ledger's own entry; the approval and its signature are those of the other site."""
    approval = record.approved
    if approval is None:
        raise Broken(f"{record.name} has no approval", next_step=_STEP)
    body = {**record.approval_body(approval.by), "signature": approval.signature, "imported_by": actor}
    leaf = append(Entry(kind=Kind.PROMPT_APPROVED, body=body, actor=actor))
    return replace(record, approved=replace(approval, leaf=leaf))


def _joined(here: Approvers, there: Approvers) -> Approvers:
    for name, key in there.items():
        if here.get(name, key) != key:
            step = "find out which key is theirs; one person, one id, one key on every site"
            raise Refused(f"the bundle has another key of {name} than this register", next_step=step)
    return {**here, **there}


def _refuse_another(held: PromptRecord, other: PromptRecord) -> None:
    """What is approved here stays as it is; only its ledger entry may differ, and whether it is retired."""
    if _content(held) != _content(other):
        step = "add it there as the next version, have that approved and export again"
        raise Refused(f"{other.name} stands in this register with other words, audio or approval", next_step=step)


def _content(record: PromptRecord) -> dict[str, Any]:
    shown = plain(record)
    approved = {key: value for key, value in shown.get("approved", {}).items() if key != "leaf"}
    return {**shown, "approved": approved, "status": ""}


# ---------------------------------------------------------------- what arrives


def _unzipped(data: bytes) -> dict[str, bytes]:
    """Every file of the bundle, each of a bounded size, none under a name that is a path."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as bundle:
            return _listed(bundle)
    except CallrecError:
        raise
    except Exception as error:  # zipfile raises whatever struct, zlib and its own checks raise
        what = f"this is no bundle of prompts: {' '.join(str(error).split())[:200]}"
        raise Broken(what, next_step=_STEP) from error


def _listed(bundle: zipfile.ZipFile) -> dict[str, bytes]:
    listed = bundle.infolist()
    if len(listed) > MOST_FILES or len({each.filename for each in listed}) != len(listed):
        raise Broken("this is no bundle of prompts: too many files, or two of one name", next_step=_STEP)
    if sum(each.file_size for each in listed) > LARGEST_BUNDLE:
        raise Broken("this is no bundle of prompts: it is too large", next_step=_STEP)
    return {each.filename: _bounded(bundle, each) for each in listed}


def _bounded(bundle: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    with bundle.open(entry, mode="r") as file:
        data = file.read(LARGEST_FILE + 1)
    if len(data) > LARGEST_FILE:
        raise Broken(f"{entry.filename!r:.80} in the bundle is too large", next_step=_STEP)
    return data


def _verified(files: Mapping[str, bytes], trusted: str) -> tuple[tuple[PromptRecord, ...], Approvers]:
    """The records and keys that the trusted key signed, each approval and each audio checked. `Broken` else."""
    if INDEX not in files or SIGNATURE not in files:
        raise Broken("this is no bundle of prompts: its register or its signature is missing", next_step=_STEP)
    try:
        index = parse(files[INDEX])
    except Broken as error:
        raise Broken(f"the bundle's register is {error}", next_step=_STEP) from error
    signature = files[SIGNATURE].decode("ascii", "replace")
    if not isinstance(index, dict) or not signing.signed(trusted, signature, signing.BUNDLE, index):
        raise Broken("the bundle was not signed by the key that is trusted, or was changed since", next_step=_STEP)
    try:
        approvers = parse_approvers(index.get("approvers"), "the bundle: approvers")
        listed = index.get("prompts")
        records = [parse_record(each, f"the bundle: prompts[{n}]") for n, each in enumerate(listed or ())]
    except (ConfigError, TypeError) as error:
        raise Broken(f"the bundle is signed and wrong all the same: {error}", next_step=_STEP) from error
    there = Register(folder=Path(), records=tuple(records), approvers=approvers)
    for record in records:
        _refuse_unproven(there, record, files.get(record.file, b""))
    if set(files) != {INDEX, SIGNATURE} | {record.file for record in records}:
        raise Broken("the bundle holds files that its register does not name", next_step=_STEP)
    return there.records, approvers


def _refuse_unproven(there: Register, record: PromptRecord, data: bytes) -> None:
    if record.approved is None or record.status not in (Status.APPROVED, Status.RETIRED):
        raise Broken(f"{record.name} in the bundle was never approved", next_step=_STEP)
    why = there.unproven(record) if record.approved.signature else "its approval is not signed"
    if why:
        raise Broken(f"{record.name} in the bundle: {why}", next_step=_STEP)
    try:
        pcm = pcm_of(data, record.file)
    except ConfigError as error:
        raise Broken(f"{record.name} in the bundle: {error}", next_step=_STEP) from error
    if sha256_hex(pcm) != record.pcm_sha256 or len(pcm) != 2 * record.samples:
        raise Broken(f"{record.name} in the bundle: its audio is not what was approved", next_step=_STEP)
