"""Close a segment: read the spool back, FLAC, encrypt, manifest, sync, and one rename that commits it all.

A kill at any point leaves either the segment in `tmp`, to be sealed again by the same code, or the whole recording in
`ready`. Destroying is as safe: a mark is written first, and whoever finds the mark finishes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

from callrec._aead import FRAME_BYTES as AEAD_FRAME_BYTES
from callrec._aead import Role, StreamReader, StreamWriter, preamble_bytes
from callrec._canonical import canonical, sha256_hex
from callrec._durable import DurableFile, remove, write_file, write_new_folder
from callrec.core.reasons import Reason
from callrec.errors import Broken, Unavailable
from callrec.ports import AUDIO_FILE, KEY_FILE, MANIFEST_FILE, Sealed
from callrec.recording.audio import FRAME_BYTES, encode_flac, pcm_sha256
from callrec.recording.capture import Tail
from callrec.recording.manifest import Ending, Measured, after_crash, build, read_sealed, sealed
from callrec.recording.segment import (
    SEALED_FOLDER,
    SPOOL_FILE,
    Described,
    OpenSegment,
    binding,
    read_description,
    read_gaps,
)
from callrec.recording.spool import Spool

DISCARD_FORMAT: Final = "callrec/discarded/1"


def seal(spool: Spool, segment: OpenSegment, ending: Ending) -> Sealed | None:
    """Close and seal a live segment into `ready`. None where nothing was captured: all of it is destroyed then, and
    the ledger is owed a `recording.discarded`.

    `Unavailable` where the disk fails: the segment stays in `tmp`; call again, or let salvage do it at the next start.
    Blocking: about 40 ms of CPU per minute of audio; call it with asyncio.to_thread.
    """
    spool.end(segment)
    samples = segment.progress().samples
    return seal_left(spool, segment.recording_id, segment.key.secret, ending, samples=samples)


def seal_left(
    spool: Spool, recording_id: str, secret: bytes, ending: Ending | None, *, samples: int = 0
) -> Sealed | None:
    """Seal what lies in `tmp` under this id, and what the recorders' files still hold. As `seal`.

    `ending` None says that a crash ended it; `samples` is how many are known to have been written.
    """
    folder = spool.tmp(recording_id)
    described = read_description(folder)
    source = _SpooledAudio(spool, described, secret)
    flac = encode_flac(source.pieces())
    if not source.samples:
        destroy(spool, recording_id, Reason.CAPTURE_FAILED.value)
        return None
    if pcm_sha256(flac) != source.sha256:
        raise Broken(f"{recording_id}: the FLAC does not give back what was recorded", next_step="report this")
    measured = Measured(
        samples=source.samples,
        truncated=ending is None or source.truncated or source.samples < samples,
        pcm_sha256=source.sha256,
        flac_sha256=sha256_hex(flac),
        cipher_sha256=_write_object(folder / SEALED_FOLDER / AUDIO_FILE, described, secret, flac),
    )
    ending = ending or after_crash(described.facts.started_utc, source.samples)
    return _commit(spool, described, build(described, ending, read_gaps(folder), measured))


def seal_again(spool: Spool, recording_id: str, secret: bytes, ending: Ending, *, samples: int) -> Sealed | None:
    """As `seal_left`, also where an earlier attempt was killed at any point: what it committed, or destroyed, is so."""
    if spool.ready(recording_id).exists():
        spool.clear(recording_id)
        return read_sealed(spool.ready(recording_id))
    if discard_mark(spool, recording_id).exists():
        destroy(spool, recording_id, Reason.CAPTURE_FAILED.value)
        return None
    return seal_left(spool, recording_id, secret, ending, samples=samples)


def _commit(spool: Spool, described: Described, manifest: dict[str, object]) -> Sealed:
    recording_id = described.header.recording_id
    folder = spool.tmp(recording_id) / SEALED_FOLDER
    data = canonical(manifest)
    files = {KEY_FILE: described.wrapped, MANIFEST_FILE: data}
    spool.ballast.with_room(partial(write_new_folder, folder, files))
    ready = spool.commit(recording_id)
    spool.clear(recording_id)
    return sealed(ready, manifest, sha256_hex(data))


def _write_object(path: Path, described: Described, secret: bytes, flac: bytes) -> str:
    """Encrypt into the room that was reserved for it; answers the SHA-256 of the ciphertext."""
    writer = StreamWriter(secret, binding(described.header, Role.OBJECT), role=Role.OBJECT)
    digest = hashlib.sha256()
    with DurableFile(path) as file:
        end = 0
        for piece in _encrypted(writer, flac):
            file.write_at(end, piece)
            digest.update(piece)
            end += len(piece)
        file.truncate(end)
        file.sync()
    return digest.hexdigest()


def _encrypted(writer: StreamWriter, data: bytes) -> Iterator[bytes]:
    yield writer.preamble
    for at in range(0, len(data), AEAD_FRAME_BYTES):
        yield writer.append(data[at : at + AEAD_FRAME_BYTES])
    yield writer.finish()


class _SpooledAudio:
    """A segment's PCM: the spool's whole frames, then what the recorders' files still hold. Figures hold afterwards."""

    def __init__(self, spool: Spool, described: Described, secret: bytes) -> None:
        self._paths = spool.capture_paths(described.header.recording_id)
        self._file = spool.tmp(described.header.recording_id) / SPOOL_FILE
        self._described = described
        self._secret = secret
        self._preamble_bytes = preamble_bytes(binding(described.header, Role.SPOOL))
        self._hash = hashlib.sha256()
        self.samples = 0
        self.truncated = True

    @property
    def sha256(self) -> str:
        """Of all PCM so far."""
        return self._hash.hexdigest()

    def pieces(self) -> Iterator[bytes]:
        """All of it, in order. One pass."""
        for piece in self._all():
            self._hash.update(piece)
            self.samples += len(piece) // FRAME_BYTES
            yield piece

    def _all(self) -> Iterable[bytes]:
        try:
            file = self._file.open("rb")
        except FileNotFoundError:
            return
        except OSError as error:
            raise Unavailable(f"the spool cannot be read: {error.strerror}", next_step="look at the disk") from error
        with file:
            if os.fstat(file.fileno()).st_size >= self._preamble_bytes:
                yield from self._spooled(file)
                if file.read(1):  # damaged before its end: what follows in memory would not fit
                    return
        yield from self._left_in_memory()

    def _spooled(self, file: BinaryIO) -> Iterator[bytes]:
        reader = StreamReader(file, self._secret, role=Role.SPOOL)
        if reader.header != binding(self._described.header, Role.SPOOL):
            raise Broken("a spooled segment is bound to another call", next_step="keep the folder, call a person")
        yield from reader.salvage()
        self.truncated = reader.truncated

    def _left_in_memory(self) -> Iterator[bytes]:
        tail = Tail(self._paths, taken=self.samples)
        try:
            while pcm := tail.peek_last():
                yield pcm
                tail.taken += len(pcm) // FRAME_BYTES
        finally:
            tail.close()


# ---------------------------------------------------------------- destroying


def discard(spool: Spool, segment: OpenSegment, reason: Reason) -> None:
    """Destroy a live segment: its key, then its audio. Blocking; idempotent; safe to kill: salvage finishes it.

    The ledger is owed a `recording.discarded`; call `forget_discarded` once it is there.
    """
    spool.end(segment)
    destroy(spool, segment.recording_id, reason.value)


def destroy(spool: Spool, recording_id: str, reason: str) -> None:
    """Destroy whatever `tmp` and memory hold of this recording. A full disk does not stop it."""
    with suppress(Unavailable):  # written again below, when room was freed
        _mark(spool, recording_id, reason)
    remove(spool.live_key(recording_id))
    spool.clear(recording_id)
    _mark(spool, recording_id, reason)


def _mark(spool: Spool, recording_id: str, reason: str) -> None:
    path = discard_mark(spool, recording_id)
    if path.exists():
        return
    header = None
    with suppress(Unavailable, Broken):
        header = asdict(read_description(spool.tmp(recording_id)).header)
    write_file(path, canonical({"format": DISCARD_FORMAT, "header": header, "reason": reason}))


def discard_mark(spool: Spool, recording_id: str) -> Path:
    """The mark that says: destroyed, or to be destroyed."""
    return spool.folder / "discarded" / recording_id


def forget_discarded(spool: Spool, recording_id: str) -> None:
    """The ledger holds its `recording.discarded`: remove the mark. Idempotent. Blocking."""
    remove(discard_mark(spool, recording_id))
