"""How a prompt comes into force and out of it: add, check, approve, retire, and the samples of a new installation.

Approval is a ledger entry first and a line in the manifest second: where the power fails between the two, the prompt
is still a draft and approving it again is harmless. What was approved is never changed (R58).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from callrec._canonical import canonical, sha256_hex
from callrec._durable import make_dir, write_file
from callrec.core.kinds import Kind
from callrec.core.values import Purpose
from callrec.errors import ConfigError, Refused
from callrec.notice import quality
from callrec.notice.audio import RATE, read_audio, wav_of
from callrec.notice.manifest import (
    NAME,
    Approval,
    PromptKind,
    PromptRecord,
    Status,
    dump_manifest,
    language,
    parse_manifest,
    slug,
)
from callrec.notice.mask import mask_to_hex
from callrec.notice.register import ApprovedPrompt, Register, alike
from callrec.notice.wording import lint_notice
from callrec.ports import Entry

Append = Callable[[Entry], str]
"""Appends one entry to the ledger and returns its leaf hash when it is durable; raises Unavailable where it cannot."""

SAMPLE_APPROVER: Final = "sample"
"""Stands as the approver of our samples: nobody approved them for you."""
_READABLE: Final = 0o644
_BOUNDS: Final = {PromptKind.NOTICE: quality.NOTICE, PromptKind.ANNOUNCEMENT: quality.ANNOUNCEMENT}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPrompt:
    """What a person brings: an audio file, the words spoken in it, and what those words say."""

    id: str
    language: str
    file: Path
    text: str
    kind: PromptKind = PromptKind.NOTICE
    purposes: Mapping[Purpose, str] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    explains: Mapping[str, str] = field(default_factory=dict)
    effective_from: datetime | None = None
    effective_to: datetime | None = None
    note: str = ""


def add(folder: Path, new: NewPrompt, *, status: Status = Status.DRAFT) -> PromptRecord:
    """Convert, check and register it as a draft, the next version of its id and language.

    ConfigError for a file or an argument that is no good; Refused, with every finding, where the gate or the text is
    not in order. Nothing is written then. `status` is SAMPLE for the prompts that come with callrec.
    """
    slug(new.id, "id")
    language(new.language, "language")
    audio = read_audio(new.file)
    faults = _faults(new, audio.pcm, audio.clipped_pairs)
    if faults:
        raise Refused(f"{new.file} was not added:\n" + "\n".join(f"  - {fault}" for fault in faults), next_step=_MEND)
    held = _records(folder)
    record = _draft(new, audio.pcm, _next_version(held, new), status)
    _refuse_same_audio(held, record)
    make_dir(folder, mode=0o755)
    write_file(folder / record.file, wav_of(audio.pcm), mode=_READABLE)
    _write(folder, (*held, record))
    return record


_MEND: Final = "mend these and add it again; prompts/README.md says how to record and what a notice must say"


def approve(folder: Path, name: str, *, by: str, now: datetime, append: Append) -> PromptRecord:
    """Approve a draft: the entry is appended, then the manifest carries its leaf. `by` is an id from `people`.

    ConfigError where no one draft is meant; Refused where its file is not what was added; what `append` raises.
    """
    register = Register.load(folder)
    record = register.find(name, Status.DRAFT)
    slug(by, "--by")
    found = register.read(_sealed(record, by=by, at=now, leaf="0"))
    if not isinstance(found, ApprovedPrompt):
        raise Refused(f"{record.name} cannot be approved: {found.what}", next_step=found.next_step)
    approved = _approved(record, by=by, now=now, append=append)
    _write(folder, tuple(approved if each is record else each for each in register.records))
    return approved


def retire(folder: Path, name: str, *, by: str, why: str, append: Append) -> PromptRecord:
    """Take a prompt out of use. Its audio and words stay, because proofs cite them (R49). As `approve` otherwise."""
    register = Register.load(folder)
    record = register.find(name, Status.DRAFT, Status.APPROVED)
    body = {"prompt_id": record.id, "version": record.version, "language": record.language, "by": by, "why": why}
    slug(by, "--by")
    slug(why, "--why")
    append(Entry(kind=Kind.PROMPT_RETIRED, body=body, actor=by))
    retired = replace(record, status=Status.RETIRED)
    _write(folder, tuple(retired if each is record else each for each in register.records))
    return retired


def check(folder: Path) -> tuple[str, ...]:
    """Everything that is wrong in the register now, as sentences: files, hashes, words, the gate. Empty where all is
    well. ConfigError where the manifest itself cannot be read.
    """
    register = Register.load(folder)
    return tuple(
        line for record in register.records if record.status is not Status.RETIRED for line in _check(register, record)
    )


def install_samples(src: Path, data_dir: Path, append: Append, now: datetime) -> Register:
    """Put the sample prompts into `data_dir/prompts`, approved there by "sample", once: an existing register stays.

    ConfigError where `src` is not whole; Unavailable where it cannot be written or the ledger does not take it.
    """
    folder = data_dir / "prompts"
    if (folder / NAME).exists():
        return Register.load(folder)
    shipped = Register.load(src)
    samples = [record for record in shipped.records if record.status is Status.SAMPLE]
    found = [shipped.read(_sealed(record, by=SAMPLE_APPROVER, at=now, leaf="0")) for record in samples]
    make_dir(folder)
    for each in found:
        if not isinstance(each, ApprovedPrompt):
            raise ConfigError(each.what, next_step=f"{src} is damaged; install callrec again")
        write_file(folder / each.record.file, wav_of(each.pcm), mode=_READABLE)
    _write(folder, tuple(_approved(record, by=SAMPLE_APPROVER, now=now, append=append) for record in samples))
    return Register.load(folder)


# ---------------------------------------------------------------- steps


def _records(folder: Path) -> tuple[PromptRecord, ...]:
    return Register.load(folder).records if (folder / NAME).exists() else ()


def _write(folder: Path, records: tuple[PromptRecord, ...]) -> None:
    """Written only where it reads back as the same: a register that cannot be read would stop every recording."""
    data = dump_manifest(records)
    if parse_manifest(data, at=NAME) != records:
        raise ConfigError("these words cannot be written into the register", next_step="use plain text in one line")
    write_file(folder / NAME, data, mode=_READABLE)


def _faults(new: NewPrompt, pcm: bytes, clipped_pairs: int) -> list[str]:
    found = quality.findings(pcm, bounds=_BOUNDS[new.kind], clipped_pairs=clipped_pairs)
    faults = [f"{finding.what}: {finding.mend}" for finding in found]
    if new.kind is PromptKind.NOTICE:
        faults += lint_notice(new.text, purposes=new.purposes, keys=new.keys, explains=new.explains)
    elif not new.text.strip():
        faults.append("there is no text: write down, word for word, what is spoken")
    return faults


def _next_version(held: tuple[PromptRecord, ...], new: NewPrompt) -> int:
    return 1 + max((each.version for each in held if (each.id, each.language) == (new.id, new.language)), default=0)


def _refuse_same_audio(held: tuple[PromptRecord, ...], record: PromptRecord) -> None:
    for other in held:
        if alike(record, other):
            what = f"this is the very audio of {other.name}: two languages cannot sound alike"
            raise Refused(what, next_step=f"bring the recording in {record.language}")


def _draft(new: NewPrompt, pcm: bytes, version: int, status: Status) -> PromptRecord:
    return PromptRecord(
        id=new.id,
        version=version,
        language=new.language,
        kind=new.kind,
        file=f"{new.id}.{new.language}.{version}.wav",
        text=" ".join(new.text.split()),
        pcm_sha256=sha256_hex(pcm),
        samples=len(pcm) // 2,
        speech=mask_to_hex(quality.speech_mask(pcm)),
        essential_ms=len(pcm) // 2 * 1000 // RATE,
        status=status,
        sample=status is Status.SAMPLE,
        purposes=dict(new.purposes),
        keys=dict(new.keys),
        explains=dict(new.explains),
        effective_from=new.effective_from,
        effective_to=new.effective_to,
        note=new.note,
    )


def _sealed(record: PromptRecord, *, by: str, at: datetime, leaf: str) -> PromptRecord:
    digest = sha256_hex(canonical(record.approval_body(by)))
    approval = Approval(by=by, at=at.replace(microsecond=0), leaf=leaf, body_sha256=digest)
    return replace(record, status=Status.APPROVED, approved=approval)


def _approved(record: PromptRecord, *, by: str, now: datetime, append: Append) -> PromptRecord:
    leaf = append(Entry(kind=Kind.PROMPT_APPROVED, body=record.approval_body(by), actor=by))
    return _sealed(record, by=by, at=now, leaf=leaf)


def _check(register: Register, record: PromptRecord) -> list[str]:
    sealed = record if record.approved else _sealed(record, by="nobody", at=datetime.min.replace(tzinfo=UTC), leaf="0")
    found = register.read(sealed)
    if not isinstance(found, ApprovedPrompt):
        return [f"{found.what}: {found.next_step}" if found.next_step else found.what]
    new = NewPrompt(
        id=record.id,
        language=record.language,
        file=register.folder / record.file,
        text=record.text,
        kind=record.kind,
        purposes=record.purposes,
        keys=record.keys,
        explains=record.explains,
    )
    return [f"{record.name}: {fault}" for fault in _faults(new, found.pcm, 0)]
