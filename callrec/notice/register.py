"""The register of prompts: which words, in which voice, may be played before a recording (R9, R58).

A prompt counts only when a person approved exactly these bytes and these words, the ledger holds that approval, the
day is inside its dates, and the file is still what it was. It is read once for each call, hashed, and that copy is
what is played.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Final, Self

import numpy as np

from callrec._canonical import canonical, sha256_hex
from callrec.core.evidence import LanguageKey, PromptFacts
from callrec.core.reasons import Reason
from callrec.errors import Broken, ConfigError
from callrec.notice import signing
from callrec.notice.audio import FRAME, read_prompt
from callrec.notice.manifest import NAME, Approvers, PromptKind, PromptRecord, Status, parse_register
from callrec.notice.mask import mask_from_hex
from callrec.notice.verify import Template

_sha256_of: Final = lru_cache(maxsize=16)(sha256_hex)
"""One prompt is played in many calls."""
RECORDED: Final = "staff-recorded"
NOT_RECORDED: Final = "staff-not-recorded"
TO_STAFF: Final = (RECORDED, NOT_RECORDED)
"""Announcements that staff alone hear (R53)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovedPrompt:
    """An approved prompt and the very bytes that will be played: 16-bit little-endian PCM, 8 kHz, mono."""

    record: PromptRecord
    pcm: bytes

    def template(self) -> Template:
        """What the tolerant verifier looks for. `Broken` where the register's speech mask is for other audio."""
        samples = np.frombuffer(self.pcm, "<i2").astype(np.int16)
        try:
            return Template(samples=samples, speech=mask_from_hex(self.record.speech, len(samples) // FRAME))
        except ValueError as error:
            step = "put the manifest back as it was approved"
            raise Broken(f"{self.record.name}: its speech mask is not for this audio", next_step=step) from error

    def facts(self, language_source: str) -> PromptFacts:
        """What the evidence says about it. `language_source`: how the language was chosen (default, header, menu)."""
        record = self.record
        return PromptFacts(
            prompt_id=record.id,
            version=record.version,
            language=record.language,
            language_source=language_source,
            pcm_sha256=_sha256_of(self.pcm),
            samples=len(self.pcm) // 2,
            approval_leaf=record.approved.leaf if record.approved else "",
            approved=record.status is Status.APPROVED,
            effective=True,
            names_keys=tuple(sorted(record.keys)),
            purposes=tuple(sorted(purpose.value for purpose in record.purposes)),
            sample=record.sample,
            essential_ms=record.essential_ms,
            acknowledges=record.key_for("agree" if record.kind is PromptKind.CONSENT else "acknowledge"),
            essential_purposes=tuple(sorted(purpose.value for purpose in record.essential_purposes)),
            skips=record.key_for("shorten"),
            languages=tuple(LanguageKey(key=key, language=language) for key, language in record.languages),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Unusable:
    """Why no prompt can be played: the reason for the ledger, a sentence for people, and what to do."""

    reason: Reason
    what: str
    next_step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """What the manifest of one folder says. Audio is read when it is asked for, and never trusted from before."""

    folder: Path
    records: tuple[PromptRecord, ...]
    approvers: Approvers = field(default_factory=dict)
    _whole: dict[str, tuple[bytes, ApprovedPrompt]] = field(default_factory=dict, init=False, repr=False, compare=False)
    """By name, what was read and found to be what was approved, with all bytes of its file."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the manifest. ConfigError where it is missing or wrong, or where two prompts are the same."""
        path = folder / NAME
        try:
            records, approvers = parse_register(path.read_bytes(), at=str(path))
        except FileNotFoundError as error:
            step = "run `callrec init`, which puts the sample prompts there, or correct the folder"
            raise ConfigError(f"{path} does not exist", next_step=step) from error
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}", next_step="make it readable to callrec") from error
        refuse_alike(records, at=str(path))
        return cls(folder=folder, records=records, approvers=approvers)

    def choose(
        self, prompt_id: str, language: str, at: datetime, kind: PromptKind = PromptKind.NOTICE
    ) -> ApprovedPrompt | Unusable:
        """The newest approved version in force at this moment, read and hashed now; or why there is none. What asks for
        consent is no notice, and what is one asks for nothing.

        Reads one small file, so it may block as long as the disk does. Never raises for what is on the disk.
        """
        asks = kind is PromptKind.CONSENT
        those = [each for each in self.records if (each.id, each.language) == (prompt_id, language)]
        those = [each for each in those if (each.kind is PromptKind.CONSENT) is asks]
        if not those:
            line = "consent" if asks else "notice"
            step = f"add it with `callrec prompts add`, or correct the line's {line}; known: {self._known()}"
            what = f"there is no prompt {prompt_id} in {language}{' that asks for consent' * asks}"
            return Unusable(reason=Reason.NOTICE_MISSING, what=what, next_step=step)
        approved = [each for each in those if each.status is Status.APPROVED]
        in_force = [each for each in approved if each.in_force(at)]
        if not in_force:
            return _not_in_force(those, approved)
        return self.read(max(in_force, key=lambda each: each.version))

    def announcement(self, language: str, at: datetime, *, to_staff: str = "") -> ApprovedPrompt | None:
        """The newest approved announcement in this language that is in force and whole; None where there is none. Those
        to staff alone have ids of their own, any other is the one that both hear.
        """
        kind, status = PromptKind.ANNOUNCEMENT, Status.APPROVED
        those = [each for each in self.records if (each.kind, each.status, each.language) == (kind, status, language)]
        those = [each for each in those if (each.id if each.id in TO_STAFF else "") == to_staff]
        newest = max((each for each in those if each.in_force(at)), key=lambda each: each.version, default=None)
        found = self.read(newest) if newest else None
        return found if isinstance(found, ApprovedPrompt) else None

    def read(self, record: PromptRecord) -> ApprovedPrompt | Unusable:
        """This prompt with its bytes, or why it is not what was approved. Its file is read each time: where it is byte
        for byte the one that was found to be what was approved, so it still is.
        """
        held = self._whole.get(record.name)
        if held is not None and held[1].record is record and held[0] == _bytes_of(self.folder / record.file):
            return held[1]
        if sealed := self.unproven(record):
            return Unusable(reason=Reason.NOTICE_UNAPPROVED, what=sealed, next_step=_NEW_VERSION)
        data = _bytes_of(self.folder / record.file)
        found = self.intact(record)
        if isinstance(found, ApprovedPrompt) and data is not None and data == _bytes_of(self.folder / record.file):
            self._whole[record.name] = (data, found)
        return found

    def unproven(self, record: PromptRecord) -> str:
        """Why its approval does not hold: no ledger entry, other words than were approved, no good signature."""
        return _changed_words(record) or _unsigned(record, self.approvers)

    def intact(self, record: PromptRecord) -> ApprovedPrompt | Unusable:
        """Its bytes where they are those that were registered, approved or not."""
        try:
            pcm = read_prompt(self.folder / record.file)
        except ConfigError as error:
            reason = Reason.NOTICE_ALTERED if (self.folder / record.file).exists() else Reason.NOTICE_MISSING
            return Unusable(reason=reason, what=f"{record.name}: {error}", next_step=error.next_step)
        if sha256_hex(pcm) != record.pcm_sha256 or len(pcm) != 2 * record.samples:
            what = f"{record.name}: {record.file} is not the audio that was registered"
            return Unusable(
                reason=Reason.NOTICE_ALTERED, what=what, next_step="put the file back, or add a new version"
            )
        return ApprovedPrompt(record=record, pcm=pcm)

    def find(self, name: str, *statuses: Status) -> PromptRecord:
        """The one prompt this means: `id`, `id.language` or `id.language.version`, of these statuses (none: any).

        ConfigError where there is none, or more than one, listing them.
        """
        listed = [each for each in self.records if not statuses or each.status in statuses]
        found = [each for each in listed if name in (each.id, f"{each.id}.{each.language}", each.name)]
        if len(found) == 1:
            return found[0]
        kind = " or ".join(status.value for status in statuses)
        if found:
            names = ", ".join(each.name for each in found)
            raise ConfigError(f"{name} means more than one prompt: {names}", next_step="name one of them in full")
        others = ", ".join(each.name for each in listed) or "none"
        raise ConfigError(f"there is no {kind} prompt {name}", next_step=f"choose one of: {others}".replace("  ", " "))

    def remarks(self) -> tuple[str, ...]:
        """Things that are allowed and worth knowing: samples in use, languages that name fewer purposes than others."""
        live = [each for each in self.records if each.status in (Status.APPROVED, Status.SAMPLE)]
        samples = [f"{each.name} is our sample, not your words: record your own" for each in live if each.sample]
        samples += [
            f"{each.name} was approved by {each.approved.by} without a signature: see `callrec prompts key`"
            for each in live
            if each.approved and not each.approved.signature and not each.sample
        ]
        notices = [each for each in live if each.kind is PromptKind.NOTICE]
        samples += [line for each in notices for line in (*_tail(each), *_untold(each, notices))]
        return (*samples, *(line for one in notices for other in notices if (line := _narrower(one, other))))

    def _known(self) -> str:
        return ", ".join(sorted({f"{each.id} in {each.language}" for each in self.records})) or "none"


class Shelf:
    """The register of one folder, parsed again only when its manifest is another file than before, or was changed: told
    by the time of its change in nanoseconds, its size and its inode. For one thread at a time, or several: what it
    returns is always a register that was read whole.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._held: tuple[tuple[int, int, int], Register] | None = None

    def register(self) -> Register:
        """As the manifest says now. ConfigError as `Register.load`."""
        held, seen = self._held, _identity(self.folder / NAME)
        if held is not None and held[0] == seen:
            return held[1]
        register = Register.load(self.folder)
        if seen is not None and seen == _identity(self.folder / NAME):
            self._held = (seen, register)
        return register


def _bytes_of(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _identity(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


_NEW_VERSION = "put the manifest back as it was approved; for other words or audio add a new version and approve it"


def _not_in_force(those: list[PromptRecord], approved: list[PromptRecord]) -> Unusable:
    names = ", ".join(each.name for each in approved or those)
    if approved:
        step = "approve a version whose dates include today"
        return Unusable(reason=Reason.NOTICE_UNAPPROVED, what=f"{names}: not in force today", next_step=step)
    step = f"have it heard and read, then `callrec prompts approve {those[-1].name} --by PERSON`"
    return Unusable(reason=Reason.NOTICE_UNAPPROVED, what=f"{names}: not approved", next_step=step)


def _changed_words(record: PromptRecord) -> str:
    approval = record.approved
    if approval is None or not approval.leaf:
        return f"{record.name} is marked approved, but no ledger entry says so"
    if sha256_hex(canonical(record.approval_body(approval.by))) != approval.body_sha256:
        return f"{record.name}: the manifest no longer says what was approved"
    return ""


def _unsigned(record: PromptRecord, approvers: Approvers) -> str:
    """Why its signature does not hold. Somebody without a key in the register signs nothing, and `remarks` says so."""
    approval = record.approved
    key = approvers.get(approval.by, "") if approval else ""
    if approval is None or not (key or approval.signature):
        return ""
    if not key:
        return f"{record.name}: the register has no key of {approval.by}, who signed its approval"
    if not approval.signature:
        return f"{record.name}: its approval is not signed by {approval.by}, who has a key"
    if not signing.signed(key, approval.signature, signing.APPROVAL, record.approval_body(approval.by)):
        return f"{record.name}: the signature under its approval is not that of {approval.by}"
    return ""


def _narrower(one: PromptRecord, other: PromptRecord) -> str:
    missing = other.purposes.keys() - one.purposes.keys()
    if one.id != other.id or one.language == other.language or not missing:
        return ""
    names = ", ".join(sorted(purpose.value for purpose in missing))
    return f"{one.name} does not name {names}, which {other.name} does: its calls are never tagged so"


def _tail(one: PromptRecord) -> Iterator[str]:
    """Purposes that a caller who skips the tail is not told of."""
    missing = sorted(purpose.value for purpose in one.purposes.keys() - one.essential_purposes)
    if missing:
        yield f"{one.name} names {', '.join(missing)} in its tail only: not for them where the caller skips it"


def _untold(one: PromptRecord, notices: list[PromptRecord]) -> Iterator[str]:
    """Languages that a key chooses and that there is no notice in."""
    there = {other.language for other in notices if other.id == one.id}
    for key, language in one.languages:
        if language not in there:
            yield f"{one.name} names key {key} for {language}, and there is no notice {one.id} in {language}"


def alike(one: PromptRecord, other: PromptRecord) -> bool:
    """True for two languages of one prompt with the very same audio, neither of them retired."""
    retired = Status.RETIRED in (one.status, other.status)
    same = (one.id, one.pcm_sha256) == (other.id, other.pcm_sha256)
    return same and one.language != other.language and not retired


def refuse_alike(records: tuple[PromptRecord, ...], *, at: str) -> None:
    """ConfigError where two entries have one name, or two languages of one prompt the very same audio."""
    for number, one in enumerate(records):
        for other in records[:number]:
            if one.name == other.name:
                raise ConfigError(f"{at}: {one.name} stands there twice", next_step="keep one of them")
            if alike(one, other):
                raise ConfigError(
                    f"{at}: {one.name} and {other.name} are two languages with the same audio",
                    next_step="one of them is the wrong file: bring the right recording as a new version",
                )
