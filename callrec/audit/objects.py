"""Checks 9, 11 and 12: the files beside the log - evidence, stored objects, the spool - against its entries."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from callrec._canonical import canonical, parse, sha256_hex
from callrec.audit import windows
from callrec.audit.findings import Findings
from callrec.audit.stored import StoredObjects
from callrec.core.evidence import rtcp_standing
from callrec.core.evidence_json import JudgedEvidence, judged_from_json
from callrec.core.fields import text, texts
from callrec.core.kinds import Kind
from callrec.core.proof import Granted, judge
from callrec.core.reasons import Reason
from callrec.core.values import Tap
from callrec.disposal.papers import what_is_wrong
from callrec.disposal.register import Register
from callrec.errors import Broken
from callrec.ledger.entry import LogEntry
from callrec.ports import AUDIO_FILE, MANIFEST_FILE

AUDIO_SUFFIXES: Final = frozenset((".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac", ".raw", ".pcm", ".au"))
_RECORDING_ID: Final = re.compile(r"[0-9a-f]{32}-[0-9]+")
_SAFE: Final = re.compile(r"[0-9A-Za-z_-]{1,64}")
_PIECE: Final = 1 << 20
_MEASURED: Final = {Tap.WIRE: "on the wire", Tap.PLAYER: "at the player"}
UNFINISHED: Final = "unfinished"
"""Where a store on files puts what it is still writing."""


def evidence_file(folder: Path, call_uid: str, attempt: int) -> Path:
    """Where the evidence of one attempt lies."""
    return folder / f"{call_uid}-{attempt}.json"


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def read_judged(path: Path) -> JudgedEvidence:
    """A judged evidence file. `Broken` where it is missing, damaged or something else."""
    try:
        return judged_from_json(parse(path.read_bytes()))
    except (OSError, ValueError) as error:
        raise Broken(f"the evidence {path.name} cannot be read: {error}") from error


class EvidenceRules:
    """Check 9. Give it every entry by `see`, then `finish` once."""

    def __init__(self, folder: Path, findings: Findings, prompts: Path | None = None) -> None:
        self._folder = folder
        self._findings = findings
        self._prompts = windows.Prompts(prompts)
        self._known: set[str] = set()
        self.judged = 0

    def see(self, entry: LogEntry) -> None:
        """Take the next entry."""
        body = entry.body
        if entry.kind not in (Kind.NOTICE_PROVEN.value, Kind.NOTICE_REFUSED.value) or not body.get("evidence_sha256"):
            return
        attempt = body.get("attempt")
        if not _SAFE.fullmatch(entry.call_uid) or type(attempt) is not int:
            self._findings.add(9, "call or attempt are no names of a file", entry.seq)
            return
        path = evidence_file(self._folder, entry.call_uid, attempt)
        self._known.add(path.name)
        self.judged += 1
        try:
            judged = read_judged(path)
        except Broken as error:
            self._findings.add(9, str(error), entry.seq)
            return
        beside = windows.differences(path, judged.evidence, self._prompts, entry_body=body)
        told = (*differences(entry, judged), *beside)
        for sentence in told:
            self._findings.add(9, f"the evidence {path.name} {sentence}", entry.seq)

    def finish(self) -> None:
        """Evidence without an entry is open, not wrong: it is written before its entry, which may have failed."""
        for path in sorted(self._folder.glob("*.json")):
            if path.name not in self._known:
                self._findings.still_open(f"the evidence {path.name} has no entry")


def differences(entry: LogEntry, judged: JudgedEvidence) -> Iterator[str]:
    """What of an evidence file does not fit its entry, or its own verdict when it is judged again."""
    digest = sha256_hex(canonical(judged.evidence_json))
    if digest != entry.body.get("evidence_sha256"):
        yield "is not the one in the log"
    yield from _misbound(entry, judged)
    verdict = judged_again(judged)
    if verdict is None:
        yield "cannot be judged: it names a purpose that does not exist"
        return
    granted = isinstance(verdict, Granted)
    if granted != judged.granted or granted != (entry.kind == Kind.NOTICE_PROVEN.value):
        yield f"judged again is {'granted' if granted else 'refused'}"
    elif isinstance(verdict, Granted):
        yield from _granted_otherwise(entry, judged, verdict)
    elif [reason.value for reason in verdict] != entry.body.get("reasons") or verdict != judged.reasons:
        yield f"judged again is refused for {', '.join(reason.value for reason in verdict)}"


def judged_again(judged: JudgedEvidence) -> Granted | tuple[Reason, ...] | None:
    """The verdict of today on this evidence; None where the rules cannot read it."""
    try:
        return judge(judged.evidence, evidence_sha256=sha256_hex(canonical(judged.evidence_json)))
    except ValueError:
        return None


def _misbound(entry: LogEntry, judged: JudgedEvidence) -> Iterator[str]:
    binding, body = judged.evidence.binding, entry.body
    if (binding.call_uid, binding.segment, binding.attempt) != (entry.call_uid, entry.segment, body.get("attempt")):
        yield "belongs to another call, segment or attempt"
    for name in ("party", "offered_leaf", "answered_leaf"):
        if name in body and getattr(binding, name) != body[name]:
            yield f"names another {name.replace('_', ' ')}"


def _granted_otherwise(entry: LogEntry, judged: JudgedEvidence, verdict: Granted) -> Iterator[str]:
    if (verdict.grade, verdict.grade.value) != (judged.grade, entry.body.get("grade")):
        yield f"judged again is of grade {verdict.grade.value}"
    if entry.body.get("tap") != judged.evidence.tap.kind.value:
        yield f"was measured {_MEASURED[judged.evidence.tap.kind]}, not as the entry says"
    if "language" in entry.body and entry.body["language"] != judged.evidence.prompt.language:
        yield f"is of a notice in {judged.evidence.prompt.language}, not as the entry says"
    if "rtcp" in entry.body and entry.body["rtcp"] != rtcp_standing(judged.evidence.rtcp):
        yield f"has {rtcp_standing(judged.evidence.rtcp)} RTCP, not as the entry says"
    if verdict.purposes != judged.purposes or not set(texts(entry.body.get("purposes"))) <= {
        p.value for p in verdict.purposes
    }:
        yield "judged again grants other purposes"


class ObjectRules:
    """Checks 11 and 12. Give it every entry by `see`, then `finish` once.

    What lies there is listed at once, before any entry is read: an agent that goes on recording meanwhile adds objects
    whose entries are not among those read, and that is no finding.
    """

    def __init__(
        self,
        findings: Findings,
        *,
        store: Path | None,
        spool: Path | None,
        certificates: Path | None = None,
        objects: StoredObjects | None = None,
        imported: StoredObjects | None = None,
    ) -> None:
        self._bucket, self._shelf = objects, imported
        for looked_at in filter(None, (objects, imported)):
            looked_at.look()
        self._findings = findings
        self._register = Register()
        self._certificates = certificates
        self._store = store
        self._spool = spool
        self._stored = [] if store is None else sorted(store.rglob(AUDIO_FILE))
        self._ready = [] if spool is None else sorted(spool.glob(f"ready/*/{AUDIO_FILE}"))
        self._spooled = [] if spool is None else sorted(path for path in spool.glob("*/*") if path.is_dir())
        self._started: set[str] = set()
        self._sealed: dict[str, LogEntry] = {}
        self._kept: dict[str, int] = {}
        self._disposed: dict[str, LogEntry] = {}
        self.objects = 0

    def see(self, entry: LogEntry) -> None:
        """Take the next entry."""
        self._register.see(entry)
        name = f"{entry.call_uid}-{entry.segment}"
        if entry.kind == Kind.RECORDING_STARTED.value:
            self._started.add(name)
        elif entry.kind == Kind.RECORDING_SEALED.value:
            self._sealed[name] = entry
        elif entry.kind == Kind.RECORDING_KEPT.value:
            self._kept[name] = entry.seq
            self._check_readback(name, entry)
        elif entry.kind == Kind.DISPOSAL_DONE.value:
            self._disposed[text(entry.body.get("recording_id"))] = entry

    def _check_readback(self, name: str, entry: LogEntry) -> None:
        sealed = self._sealed.get(name)
        if sealed is not None and entry.body.get("readback_sha256") != sealed.body.get("cipher_sha256"):
            self._findings.add(11, f"the store read back another {name} than was sealed", entry.seq)

    def finish(self) -> None:
        """Compare everything that was there with the entries."""
        for sentence, seq in self._register.wrong:
            self._findings.add(11, sentence, seq)
        if self._certificates is not None:
            self._check_certificates(self._certificates)
        if self._store is not None:
            self._check_store(self._store)
        self._check_by_contract(self._bucket, imported=False)
        self._check_by_contract(self._shelf, imported=True)
        if self._spool is not None:
            self._check_spool(self._spool)

    def _check_by_contract(self, stored: StoredObjects | None, *, imported: bool) -> None:
        if stored is not None:
            standings = {name: each for name, each in self._register.standings.items() if each.imported is imported}
            self.objects += stored.check(self._findings, standings, self._register.being_disposed())

    def _check_store(self, folder: Path) -> None:
        """Every object held, and every object that should be held."""
        for audio in self._stored:
            if audio.parent.parent == folder / UNFINISHED:
                self._check_unfinished(audio)
            elif audio.exists():
                self._check_object(audio, strict=True)
        held = {audio.parent.name for audio in folder.rglob(AUDIO_FILE)}
        for name, seq in self._kept.items():
            if name not in held and name not in self._disposed:
                self._check_gone(name, seq)
        for name, entry in self._disposed.items():
            if name in held:
                self._findings.add(11, f"{name} was certified as destroyed, and its audio is there", entry.seq)
        self._check_strays(folder)

    def _check_gone(self, name: str, seq: int) -> None:
        if name in self._register.being_disposed():
            self._findings.still_open(f"the disposal of {name} was begun and is not finished: carry its list out again")
        else:
            self._findings.add(11, f"the object {name} is gone from the store without a certificate", seq)

    def _check_certificates(self, folder: Path) -> None:
        """Every disposal has its certificate, which is the one in the log and names it."""
        for name, entry in self._disposed.items():
            listed = text(entry.body.get("list_sha256"))
            sha256, approval = text(entry.body.get("certificate_sha256")), text(entry.body.get("approved_leaf"))
            try:
                data = (folder / f"{listed if _SAFE.fullmatch(listed) else '-'}.json").read_bytes()
            except OSError as error:
                self._findings.add(11, f"the certificate of {name} cannot be read: {error.strerror}", entry.seq)
                continue
            if wrong := what_is_wrong(data, sha256=sha256, recording_id=name, approved_leaf=approval):
                self._findings.add(11, f"the certificate of {name} {wrong}", entry.seq)

    def _check_unfinished(self, audio: Path) -> None:
        """A write that is going on, or that a crash left: its recording was sealed before."""
        name = audio.parent.name.partition(".")[0]
        if name in self._sealed:
            self._findings.still_open(f"a write of {name} to the store is not finished")
        else:
            self._findings.add(12, f"{audio.parent.name} lies unfinished in the store, and no entry sealed it")

    def _check_spool(self, folder: Path) -> None:
        """Every recording that waits, is live, or was left by a crash."""
        for audio in self._ready:
            if audio.exists():
                self._check_object(audio, strict=False)
        for path in self._spooled:
            if _RECORDING_ID.fullmatch(path.name) and path.name not in self._started:
                self._findings.add(12, f"{path.parent.name}/{path.name} lies in the spool, and no entry started it")
        self._check_strays(folder)

    def _check_object(self, audio: Path, *, strict: bool) -> None:
        name = audio.parent.name
        sealed = self._sealed.get(name)
        self.objects += 1
        if sealed is None and (strict or name not in self._started):
            self._findings.add(12, f"{name} is stored, and no entry sealed it")
        elif sealed is None:
            self._findings.still_open(f"{name} is sealed in the spool, and its entry is still to come")
        else:
            self._compare(audio, name, sealed)

    def _compare(self, audio: Path, name: str, sealed: LogEntry) -> None:
        expected = {audio: "cipher_sha256", audio.with_name(MANIFEST_FILE): "manifest_sha256"}
        for path, field in expected.items():
            try:
                digest = file_sha256(path)
            except OSError as error:
                self._findings.add(11, f"{path.name} of {name} cannot be read: {error.strerror}", sealed.seq)
                continue
            if digest != sealed.body.get(field):
                self._findings.add(11, f"{path.name} of {name} is not the one that was sealed", sealed.seq)

    def _check_strays(self, folder: Path) -> None:
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file():
                self._findings.add(12, f"{path.relative_to(folder)} is audio that belongs to no recording")
