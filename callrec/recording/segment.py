"""One segment while it is captured: what it is bound to, and its encrypted file that grows.

Plain audio never reaches the disk: `append` encrypts at once, and what it returned from survives a kill of the process
(a power cut takes what the spool's sync thread has not reached yet).
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from callrec._aead import Role, StreamWriter
from callrec._blocks import reserve
from callrec._canonical import canonical, parse
from callrec._durable import DurableFile, write_file
from callrec.core.values import Purpose
from callrec.errors import Broken, Unavailable
from callrec.ports import AUDIO_FILE, DataKey, Json, SegmentHeader
from callrec.recording.audio import FRAME_BYTES, RATE

SEGMENT_FORMAT: Final = "callrec/segment/1"
BINDING_FORMAT: Final = "callrec/binding/1"
SEGMENT_FILE: Final = "segment.json"
GAPS_FILE: Final = "gaps.json"
SPOOL_FILE: Final = "audio.spool"
SEALED_FOLDER: Final = "sealed"
BYTES_PER_SECOND: Final = RATE * FRAME_BYTES + 256
"""Room one second needs in the spool, frames included; as much again for the sealed object."""
_UNKNOWN_ROOM: Final = 2**62
"""Reserved room where the file system cannot reserve: only a failing write will tell."""
_KEEP: Final = "keep the folder and compare it with the ledger"


def binding(header: SegmentHeader, role: Role) -> bytes:
    """The header that authenticates every frame of a segment's file (design: What is bound, AEAD header)."""
    return canonical({"format": BINDING_FORMAT, "role": role.value, **asdict(header)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Samples in which nothing was captured, [from_sample, to_sample), on purpose. `to_sample` None: until the end."""

    from_sample: int
    to_sample: int | None
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentFacts:
    """What is known of a segment when it starts, and must survive a crash to stand in its manifest.

    `notice` holds at least evidence_sha256 and grade; `retention` rule, version, trigger and due (R44). No personal
    data in any of them. `details` goes into the manifest as it is.
    """

    line: str
    purposes: frozenset[Purpose]
    notice: Mapping[str, Json]
    retention: Mapping[str, Json]
    started_utc: str
    details: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A segment's description as read back from its folder."""

    header: SegmentHeader
    facts: SegmentFacts
    wrapped: bytes


def write_description(
    folder: Path, header: SegmentHeader, wrapped: bytes, facts: SegmentFacts, *, settled: bool = True
) -> None:
    """Write down what the segment is, durably, before its first sample; `settled` as in `write_file`. Blocking."""
    purposes = sorted(purpose.value for purpose in facts.purposes)
    body = {
        "format": SEGMENT_FORMAT,
        "header": asdict(header),
        "wrapped": wrapped.hex(),
        "facts": {**_plain(facts), "purposes": purposes},
    }
    write_file(folder / SEGMENT_FILE, canonical(body), settled=settled)


def _plain(facts: SegmentFacts) -> dict[str, Any]:
    return {
        "line": facts.line,
        "notice": dict(facts.notice),
        "retention": dict(facts.retention),
        "started_utc": facts.started_utc,
        "details": dict(facts.details),
    }


def read_description(folder: Path) -> Described:
    """What `write_description` wrote. `Broken` where it is anything else, `Unavailable` where it is not there."""
    try:
        body = parse((folder / SEGMENT_FILE).read_bytes())
        facts = {**body["facts"], "purposes": frozenset(Purpose(name) for name in body["facts"]["purposes"])}
        return Described(
            header=SegmentHeader(**body["header"]),
            facts=SegmentFacts(**facts),
            wrapped=bytes.fromhex(body["wrapped"]),
        )
    except OSError as error:
        raise Unavailable(f"{folder.name}: its description cannot be read", next_step="look at the disk") from error
    except (KeyError, TypeError, ValueError) as error:
        raise Broken(f"{folder.name}: its description was changed", next_step=_KEEP) from error


def read_gaps(folder: Path) -> tuple[Gap, ...]:
    """The gaps marked so far. `Broken` where the file is anything else."""
    try:
        return tuple(Gap(**gap) for gap in parse((folder / GAPS_FILE).read_bytes()))
    except FileNotFoundError:
        return ()
    except (OSError, TypeError) as error:
        raise Broken(f"{folder.name}: its gaps cannot be read", next_step=_KEEP) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a live segment is, for `recording.progress`."""

    samples: int
    running_sha256: str


class OpenSegment:
    """A live segment's encrypted file. Made by `Spool.open_segment`, which syncs its folders.

    `append`, `mark_*` and `close` block on the disk (call them with asyncio.to_thread) and are safe from any thread.
    """

    def __init__(self, folder: Path, header: SegmentHeader, key: DataKey, facts: SegmentFacts, *, ahead_s: int) -> None:
        self.header = header
        self.facts = facts
        self.recording_id = header.recording_id
        self.folder = folder
        self.key = key
        self._ahead = ahead_s * BYTES_PER_SECOND
        self._lock = threading.Lock()
        self._handle = threading.Lock()
        self._failure: str | None = None
        self._samples = self._written = self._reserved = 0
        self._hash = hashlib.sha256()
        self._writer = StreamWriter(key.secret, binding(header, Role.SPOOL), role=Role.SPOOL)
        self._file = DurableFile(folder / SPOOL_FILE, exclusive=True, settled=False)
        try:
            self._reserve_to(self._ahead)
            self._file.append(self._writer.preamble)
        except Unavailable:
            self._file.close()
            raise
        self._written = len(self._writer.preamble)

    def _reserve_to(self, size: int) -> None:
        """Room for this much in the spool, and for the object that will be sealed from it."""
        with DurableFile(self.folder / SEALED_FOLDER / AUDIO_FILE, settled=False) as sealed_object:
            files = (self._file.fileno(), sealed_object.fileno())
            can = all(reserve(file, self._reserved, size - self._reserved) for file in files)
        self._reserved = size if can else _UNKNOWN_ROOM

    def _keep_ahead(self, size: int) -> None:
        """Extend the reservation while half of it is left; only when all of it is used up does a full disk stop us."""
        wanted = self._written + size
        if wanted + self._ahead // 2 <= self._reserved:
            return
        try:
            self._reserve_to(wanted + self._ahead)
        except Unavailable:
            if wanted > self._reserved:
                raise

    def append(self, pcm: bytes) -> None:
        """Encrypt and write these stereo samples. `Unavailable` where that failed, and ever after."""
        with self._lock:
            if self._failure is not None:
                raise Unavailable(f"{self.recording_id}: {self._failure}", next_step="free space on the spool")
            try:
                self._keep_ahead(len(pcm) + 64)
                frames = self._writer.append(pcm)
                self._file.append(frames)
            except Unavailable as error:
                self._failure = str(error)
                raise
            self._written += len(frames)
            self._samples += len(pcm) // FRAME_BYTES
            self._hash.update(pcm)

    def progress(self) -> Progress:
        """Samples written so far and the SHA-256 of their PCM. Does not block on IO."""
        with self._lock:
            return Progress(samples=self._samples, running_sha256=self._hash.copy().hexdigest())

    def mark_gap(self, from_sample: int, why: str) -> None:
        """From here nothing is captured, on purpose; kept durably. ValueError while another gap is open."""
        gaps = read_gaps(self.folder)
        if gaps and gaps[-1].to_sample is None:
            raise ValueError("a gap is open already")
        self._write_gaps((*gaps, Gap(from_sample=from_sample, to_sample=None, why=why)))

    def mark_gap_end(self, to_sample: int) -> None:
        """Capture goes on from here. ValueError where no gap is open."""
        gaps = read_gaps(self.folder)
        if not gaps or gaps[-1].to_sample is not None:
            raise ValueError("no gap is open")
        closed = replace(gaps[-1], to_sample=max(to_sample, gaps[-1].from_sample))
        self._write_gaps((*gaps[:-1], closed))

    def _write_gaps(self, gaps: tuple[Gap, ...]) -> None:
        write_file(self.folder / GAPS_FILE, canonical([asdict(gap) for gap in gaps]))

    def describe(self, facts: SegmentFacts) -> None:
        """What became known of it while it ran; durable on return. `Unavailable` where it cannot be written."""
        write_description(self.folder, self.header, self.key.wrapped, facts)
        self.facts = facts

    def sync(self) -> None:
        """Wait until what was appended is on the disk; a failure fails the segment. Harmless once closed."""
        with self._handle:
            if self._file.fileno() < 0:
                return
            try:
                self._file.sync()
            except Unavailable as error:
                self._failure = str(error)
                raise

    def close(self) -> None:
        """End the encrypted stream and release the files; nothing can be appended afterwards. Idempotent.

        Never raises for a full disk: a stream without its end is read up to its last whole frame.
        """
        with self._lock, self._handle:
            if self._file.fileno() < 0:
                return
            self._finish()
            self._file.close()

    def _finish(self) -> None:
        if self._failure is None:
            try:
                self._file.append(self._writer.finish())
            except Unavailable as error:
                self._failure = str(error)
        self._failure = self._failure or "the segment is closed"
