"""How a prompt comes into force and out of it: add, check, approve, retire, and the samples of a new installation.

Approval is a ledger entry first and a line in the manifest second: where the power fails between the two, the prompt
is still a draft and approving it again is harmless. What was approved is never changed (R58).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from callrec._canonical import canonical, sha256_hex
from callrec._durable import make_dir, write_file
from callrec.core.kinds import Kind
from callrec.core.values import Purpose
from callrec.errors import ConfigError, Refused
from callrec.notice import quality, signing
from callrec.notice.audio import RATE, read_audio, wav_of
from callrec.notice.manifest import (
    NAME,
    Approval,
    Approvers,
    PromptKind,
    PromptRecord,
    Status,
    dump_manifest,
    language,
    parse_register,
    slug,
)
from callrec.notice.mask import mask_to_hex
from callrec.notice.register import ApprovedPrompt, Register, Unusable, alike
from callrec.notice.wording import LANGUAGE_KEY, Schedule, lint_consent, lint_essential, lint_notice, lint_periods
from callrec.ports import Entry

Append = Callable[[Entry], str]
"""Appends one entry to the ledger and returns its leaf hash when it is durable; raises Unavailable where it cannot."""

SAMPLE_APPROVER: Final = "sample"
"""Stands as the approver of our samples: nobody approved them for you."""
READABLE: Final = 0o644
"""Mode of the register's files: they hold what everybody may hear."""
_BOUNDS: Final = {
    PromptKind.NOTICE: quality.NOTICE,
    PromptKind.CONSENT: quality.CONSENT,
    PromptKind.ANNOUNCEMENT: quality.ANNOUNCEMENT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Periods:
    """What the retention schedule says, for those who did not consent and for those who did (R20)."""

    noticed: Schedule
    consented: Schedule


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
    essential_text: str = ""
    essential_s: float = 0.0
    """Seconds by which those words, with which the text begins, were spoken. Neither: all of it is essential."""
    asks: Mapping[Purpose, str] = field(default_factory=dict)


def add(
    folder: Path, new: NewPrompt, *, status: Status = Status.DRAFT, schedule: Periods | None = None
) -> PromptRecord:
    """Convert, check and register it as a draft, the next version of its id and language.

    ConfigError for a file or an argument that is no good; Refused, with every finding, where the gate or the text is
    not in order. Nothing is written then. `status` is SAMPLE for the prompts that come with callrec.
    Periods in the text are held against `schedule`, where there is one.
    """
    slug(new.id, "id")
    language(new.language, "language")
    audio = read_audio(new.file)
    faults = [*_faults(new, audio.pcm, audio.clipped_pairs), *_periods(new, schedule)]
    if faults:
        raise Refused(f"{new.file} was not added:\n" + "\n".join(f"  - {fault}" for fault in faults), next_step=_MEND)
    held = Register.load(folder) if (folder / NAME).exists() else Register(folder=folder, records=())
    record = _draft(new, audio.pcm, _next_version(held.records, new), status)
    _refuse_same_audio(held.records, record)
    make_dir(folder, mode=0o755)
    write_file(folder / record.file, wav_of(audio.pcm), mode=READABLE)
    write_register(folder, (*held.records, record), held.approvers)
    return record


_MEND: Final = "mend these and add it again; prompts/README.md says how to record and what a notice must say"


def approve(
    folder: Path,
    name: str,
    *,
    by: str,
    now: datetime,
    append: Append,
    key: Path | None = None,
    begins: datetime | None = None,
) -> PromptRecord:
    """Approve a draft: the entry is appended, then the manifest carries its leaf. `by` is an id from `people`, `key`
    that person's private key, `begins` the first moment it may be played (else as it was added).

    ConfigError where no one draft is meant or the key is no key; Refused where its file is not what was added, or the
    key is not the one that the register has of this person; what `append` raises.
    """
    register = Register.load(folder)
    draft = register.find(name, Status.DRAFT)
    slug(by, "--by")
    record = replace(draft, effective_from=begins.replace(microsecond=0)) if begins else draft
    if record.effective_from and record.effective_to and record.effective_from >= record.effective_to:
        raise ConfigError(f"{record.name} would end before it begins", next_step="name an earlier --from")
    found = register.intact(record)
    if isinstance(found, Unusable):
        raise Refused(f"{record.name} cannot be approved: {found.what}", next_step=found.next_step)
    approved = _approved(record, by=by, now=now, append=append, signature=_signature(register, record, by, key))
    _replaced(register, draft, approved)
    return approved


def add_approver(folder: Path, by: str, key_file: Path) -> str:
    """Make a key for this person and put its public part into the register; the public part in hexadecimal.

    Refused where this person has one, or approved something without one: that would stand unsigned from now on.
    """
    slug(by, "the person")
    register = Register.load(folder) if (folder / NAME).exists() else Register(folder=folder, records=())
    if by in register.approvers:
        step = "use that key; for a new one give the person a new id in `people`"
        raise Refused(f"{by} has a key in the register", next_step=step)
    if unsigned := [each.name for each in register.records if _live_by(each, by)]:
        step = "retire these after adding and approving them anew under another id, or take another id for the key"
        raise Refused(f"{by} approved {', '.join(unsigned)} without a key", next_step=step)
    make_dir(folder, mode=0o755)
    public = signing.create(key_file)
    write_register(folder, register.records, {**register.approvers, by: public})
    return public


def retire(
    folder: Path, name: str, *, by: str, why: str, append: Append, now: datetime | None = None, back_to: str = ""
) -> PromptRecord:
    """Take a prompt out of use. Its audio and words stay, because proofs cite them (R49). As `approve` otherwise.

    `back_to` names the version that is to be played instead from `now` on: Refused where another one would be, or none.
    """
    register = Register.load(folder)
    record = register.find(name, Status.DRAFT, Status.APPROVED)
    body = {"prompt_id": record.id, "version": record.version, "language": record.language, "by": by, "why": why}
    slug(by, "--by")
    slug(why, "--reason")
    retired = replace(record, status=Status.RETIRED)
    if back_to:
        after = replace(register, records=tuple(retired if each is record else each for each in register.records))
        body["back_to"] = _heir(after, record, back_to, now or datetime.now(UTC)).name
    append(Entry(kind=Kind.PROMPT_RETIRED, body=body, actor=by))
    _replaced(register, record, retired)
    return retired


def _heir(register: Register, record: PromptRecord, back_to: str, now: datetime) -> PromptRecord:
    """The version that takes over. Refused where it is not the one that was named."""
    wanted = register.find(back_to)
    found = register.choose(record.id, record.language, now)
    if isinstance(found, Unusable):
        raise Refused(f"{wanted.name} cannot take over: {found.what}", next_step=found.next_step)
    if found.record is not wanted:
        what = f"not {wanted.name} but {found.record.name} would be played once {record.name} is retired"
        raise Refused(what, next_step="name that one, or retire it first; what is retired never comes back")
    return wanted


def check(folder: Path, schedule: Periods | None = None) -> tuple[str, ...]:
    """Everything that is wrong in the register now, as sentences: files, hashes, words, the gate. Empty where all is
    well. ConfigError where the manifest itself cannot be read.
    """
    register = Register.load(folder)
    return tuple(
        line
        for record in register.records
        if record.status is not Status.RETIRED
        for line in _check(register, record, schedule)
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
    found = [shipped.intact(record) for record in samples]
    make_dir(folder)
    for each in found:
        if not isinstance(each, ApprovedPrompt):
            raise ConfigError(each.what, next_step=f"{src} is damaged; install callrec again")
        write_file(folder / each.record.file, wav_of(each.pcm), mode=READABLE)
    write_register(
        folder, tuple(_approved(record, by=SAMPLE_APPROVER, now=now, append=append) for record in samples), {}
    )
    return Register.load(folder)


# ---------------------------------------------------------------- steps


def _replaced(register: Register, old: PromptRecord, new: PromptRecord) -> None:
    write_register(
        register.folder, tuple(new if each is old else each for each in register.records), register.approvers
    )


def _live_by(record: PromptRecord, by: str) -> bool:
    return record.status is Status.APPROVED and record.approved is not None and record.approved.by == by


def _signature(register: Register, record: PromptRecord, by: str, key_file: Path | None) -> str:
    """This person's signature; empty where they have no key and bring none."""
    public = register.approvers.get(by)
    if key_file is None and public is None:
        return ""
    if key_file is None:
        step = "name it with --key FILE; nobody approves in that name without it"
        raise Refused(f"{by} has a key in the register", next_step=step)
    key = signing.load(key_file)
    if signing.public_of(key) != public:
        step = f"make one with `callrec prompts key {by} -o FILE`" if public is None else "use the key of that person"
        raise Refused(f"{key_file} is not the key that the register has of {by}", next_step=step)
    return signing.sign(key, signing.APPROVAL, record.approval_body(by))


def write_register(folder: Path, records: tuple[PromptRecord, ...], approvers: Approvers) -> None:
    """Written only where it reads back as the same: a register that cannot be read would stop every recording."""
    data = dump_manifest(records, approvers)
    if parse_register(data, at=NAME) != (records, approvers):
        raise ConfigError("these words cannot be written into the register", next_step="use plain text in one line")
    write_file(folder / NAME, data, mode=READABLE)


def _faults(new: NewPrompt, pcm: bytes, clipped_pairs: int) -> list[str]:
    found = quality.findings(pcm, bounds=_BOUNDS[new.kind], clipped_pairs=clipped_pairs)
    faults = [f"{finding.what}: {finding.mend}" for finding in found]
    if new.kind is PromptKind.NOTICE:
        said: dict[str, Any] = {"purposes": new.purposes, "keys": new.keys, "explains": new.explains}
        faults += [*lint_notice(new.text, **said), *lint_essential(new.text, new.essential_text, **said)]
        faults += _own_language(new)
        if bool(new.essential_text.strip()) != (new.essential_s > 0):
            faults.append("essential words and the second by which they were spoken go together")
        elif new.essential_s > 0:
            faults += quality.cut_findings(pcm, new.essential_s, bounds=_BOUNDS[new.kind])
    elif new.kind is PromptKind.CONSENT:
        said = {"purposes": new.purposes, "asks": new.asks, "keys": new.keys, "explains": new.explains}
        faults += lint_consent(new.text, **said)
        faults += ["a part of it only cannot be essential: all of it must be heard"] * bool(new.essential_text.strip())
    elif not new.text.strip():
        faults.append("there is no text: write down, word for word, what is spoken")
    if new.asks and new.kind is not PromptKind.CONSENT:
        faults.append("only a prompt that asks for consent asks for purposes")
    return faults


def _own_language(new: NewPrompt) -> list[str]:
    meaning = f"{LANGUAGE_KEY}{new.language}"
    return [f"key {key} chooses {new.language}, which this is" for key, meant in new.keys.items() if meant == meaning]


def _periods(new: NewPrompt, schedule: Periods | None) -> tuple[str, ...]:
    if schedule is None:
        return ()
    if new.kind is PromptKind.CONSENT:
        return lint_periods(new.text, new.asks, schedule.consented)
    return lint_periods(new.text, new.purposes, schedule.noticed)


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
        essential_ms=round(new.essential_s * 1000) or len(pcm) // 2 * 1000 // RATE,
        status=status,
        sample=status is Status.SAMPLE,
        purposes=dict(new.purposes),
        keys=dict(new.keys),
        explains=dict(new.explains),
        effective_from=new.effective_from,
        effective_to=new.effective_to,
        note=new.note,
        essential_text=" ".join(new.essential_text.split()),
        asks=dict(new.asks),
    )


def _approved(record: PromptRecord, *, by: str, now: datetime, append: Append, signature: str = "") -> PromptRecord:
    said = record.approval_body(by)
    leaf = append(
        Entry(kind=Kind.PROMPT_APPROVED, body={**said, **({"signature": signature} if signature else {})}, actor=by)
    )
    digest = sha256_hex(canonical(said))
    approval = Approval(by=by, at=now.replace(microsecond=0), leaf=leaf, body_sha256=digest, signature=signature)
    return replace(record, status=Status.APPROVED, approved=approval)


def _check(register: Register, record: PromptRecord, schedule: Periods | None) -> list[str]:
    found = register.read(record) if record.approved else register.intact(record)
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
        essential_text=record.essential_text,
        essential_s=record.essential_ms / 1000 if record.essential_text else 0.0,
        asks=record.asks,
    )
    return [f"{record.name}: {fault}" for fault in (*_faults(new, found.pcm, 0), *_periods(new, schedule))]
