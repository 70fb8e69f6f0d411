"""A pack: everything that a stranger needs to judge one call, in one zip that checks itself (see `standalone`).

Whatever is put in comes from the ledger or is bound to it by a hash; nothing in a pack is believed for standing there.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from callrec._canonical import sha256_hex
from callrec.audit import page, sent
from callrec.audit.casefile import CaseFile, CaseObject, gather
from callrec.audit.verify import Places
from callrec.core.fields import text
from callrec.core.kinds import Kind
from callrec.errors import Broken, ConfigError, Unavailable
from callrec.ledger.checkpoint import Checkpoint, LogKey, verify
from callrec.ledger.entry import LogEntry, read
from callrec.ledger.merkle import leaf_hash
from callrec.ledger.proofs import Tree
from callrec.ledger.reading import LogReader, open_log
from callrec.notice.audio import wav_of
from callrec.notice.register import ApprovedPrompt, Register
from callrec.ports import MANIFEST_FILE

SCHEMA: Final = "callrec/pack/1"
LONGEST_ATTACHMENT: Final = 1_000_000
_STEP: Final = "keep everything as it is, run `callrec audit verify`, call a person"
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which call, from where, up to which checkpoint (None: the newest), and audio that goes along, by recording id."""

    places: Places
    call_uid: str
    checkpoint: bytes | None = None
    audio: Mapping[str, bytes] = field(default_factory=dict)


def contents(wanted: Wanted) -> dict[str, bytes]:
    """The files of the pack by name. What is not there (an approved notice that was thrown away) is left out, and who
    checks the pack will be told so.

    `Unavailable` where the ledger does not know the call or the checkpoint does not reach it; `Broken` where ledger and
    checkpoint contradict each other; else errors as `open_log`.
    """
    case = gather(wanted.places, wanted.call_uid)
    if case.entries[0].kind == Kind.RECORDING_IMPORTED.value:
        step = "see `callrec recordings show`: it was imported, and nothing of its call happened here"
        raise Unavailable(f"there is no call {wanted.call_uid} to prove anything about", next_step=step)
    with open_log(wanted.places.ledger) as log:
        key = log.key()
        note = wanted.checkpoint or log.newest_note()
        found = _Slice(log, key, verify(note, key), case)
    files = {
        "checkpoint.txt": note,
        "entries.jsonl": b"".join(found.bodies[seq] + b"\n" for seq in sorted(found.bodies)),
        "proofs.json": _proofs(found),
        **dict(_evidence_files(case, found)),
        **dict(_notices(wanted.places.prompts, case)),
        **dict(_recordings(wanted, case, found)),
    }
    files["index.html"] = page.draw(files)
    files["verify.py"] = page.VERIFIER.read_bytes()
    listed = {name: sha256_hex(data) for name, data in sorted(files.items())}
    head = {"schema": SCHEMA, "call_uid": wanted.call_uid, "log": key.name, "files": listed}
    files["pack.json"] = _json({**head, "size": found.checkpoint.size, "root": found.checkpoint.root.hex()})
    return files


def zipped(files: Mapping[str, bytes]) -> bytes:
    """The zip of these files: the same bytes for the same files. FLAC is stored as it is."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name in sorted(files, key=lambda each: (each not in ("index.html", "verify.py"), each)):
            info = zipfile.ZipInfo(name, _EPOCH)
            info.compress_type = zipfile.ZIP_STORED if name.endswith(".flac") else zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            archive.writestr(info, files[name])
    return target.getvalue()


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True).encode() + b"\n"


# ---------------------------------------------------------------- the ledger's part


class _Slice:
    """The entries that go in, as bytes by place, and the tree that they stand in."""

    def __init__(self, log: LogReader, key: LogKey, checkpoint: Checkpoint, case: CaseFile) -> None:
        self.checkpoint = checkpoint
        self.bodies: dict[int, bytes] = {}
        self._case = case
        self._approvals = _approvals(case)
        self._prompts = {_prompt(item.judged.evidence.prompt) for item in case.evidence if item.judged}
        self._prompts |= {_prompt_of(entry) for entry in _consents(case)}
        self._runs = {entry.agent_run for entry in case.entries}
        leaves = [self._take(seq, body) for seq, body in enumerate(log.bodies(0, checkpoint.size))]
        self.tree = Tree(leaves)
        if (self.tree.size, self.tree.root()) != (checkpoint.size, checkpoint.root):
            raise Broken(f"the entries of {key.name} are not those that the checkpoint signs", next_step=_STEP)
        self._require_offer()

    def _take(self, seq: int, body: bytes) -> bytes:
        leaf = leaf_hash(body)
        if self._is_wanted(leaf.hex(), body):
            self.bodies[seq] = body
        return leaf

    def _is_wanted(self, leaf: str, body: bytes) -> bool:
        if self._case.call_uid.encode() in body:
            return read(body).call_uid == self._case.call_uid
        if leaf in self._approvals:
            return True
        if b'"kind":"agent.started"' in body:
            return read(body).agent_run in self._runs
        return b'"kind":"prompt.retired"' in body and _prompt_of(read(body)) in self._prompts

    def _require_offer(self) -> None:
        if self._case.entries[0].seq not in self.bodies:
            step = "leave --checkpoint out, or name one that was made after the call"
            raise Unavailable(f"the checkpoint of size {self.checkpoint.size} is older than the call", next_step=step)


def _consents(case: CaseFile) -> list[LogEntry]:
    return [entry for entry in case.entries if entry.kind == Kind.CONSENT_GIVEN.value]


def _approvals(case: CaseFile) -> set[str]:
    """Leaves of the approvals of what was played, and of what staff read out to be agreed to."""
    played = {item.judged.evidence.prompt.approval_leaf for item in case.evidence if item.judged}
    return played | {text(entry.body.get("script_leaf")) for entry in _consents(case)}


def _prompt(prompt: Any) -> tuple[Any, ...]:
    return (prompt.prompt_id, prompt.version, prompt.language)


def _prompt_of(entry: LogEntry) -> tuple[Any, ...]:
    return (entry.body.get("prompt_id"), entry.body.get("version"), entry.body.get("language"))


def _proofs(found: _Slice) -> bytes:
    paths = {str(seq): [each.hex() for each in found.tree.path(seq)] for seq in sorted(found.bodies)}
    return _json({"size": found.checkpoint.size, "paths": paths})


# ---------------------------------------------------------------- what lies beside the ledger


def _evidence_files(case: CaseFile, found: _Slice) -> Iterator[tuple[str, bytes]]:
    for item in case.evidence:
        if item.seq in found.bodies and item.path.is_file():
            yield f"evidence/{item.path.name}", _read(item.path)
            yield from sent.files(item, limit=LONGEST_ATTACHMENT)


def _notices(register: Path | None, case: CaseFile) -> Iterator[tuple[str, bytes]]:
    """The approved prompts that were played or read out: audio and words."""
    wanted = _approvals(case)
    try:
        known = None if register is None else Register.load(register)
    except ConfigError:
        return
    for record in () if known is None else known.records:
        if known is None or record.approved is None or record.approved.leaf not in wanted:
            continue
        found = known.read(record)
        yield f"notice/{record.name}.txt", record.text.encode()
        if isinstance(found, ApprovedPrompt):
            yield f"notice/{record.name}.wav", wav_of(found.pcm)


def _recordings(wanted: Wanted, case: CaseFile, found: _Slice) -> Iterator[tuple[str, bytes]]:
    names = {f"{e.call_uid}-{e.segment}" for e in case.entries if e.kind == Kind.RECORDING_SEALED.value}
    objects = {each.recording_id: each for each in reversed(case.objects)}
    sealed = {f"{e.call_uid}-{e.segment}" for e in case.entries if e.seq in found.bodies}
    for name in sorted(names & sealed):
        if name in objects and (data := _manifest(wanted.places, objects[name])):
            yield f"manifest/{name}.json", data
        if name in wanted.audio:
            yield f"recording/{name}.flac", wanted.audio[name]


def _manifest(places: Places, found: CaseObject) -> bytes:
    """What was sealed beside it; nothing where that is gone or contradicts itself: checks 11 and 12 tell which."""
    if found.folder is not None:
        path = found.folder / MANIFEST_FILE
        return _read(path) if path.is_file() else b""
    try:
        return b"" if places.objects is None else places.objects.manifest(found.recording_id)
    except Broken:
        return b""


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Unavailable(f"{path}: {error.strerror}", next_step="look at the disk") from error
