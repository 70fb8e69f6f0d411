"""Sealing a file of another recorder as it is, to the byte, and opening it again.

The ciphertext has the form of every recording's; its header names no proof, because there is none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

import soundfile

from callrec._aead import FRAME_BYTES, Role, StreamReader, StreamWriter
from callrec._canonical import canonical, sha256_hex
from callrec._durable import make_dir, rename, write_new_folder
from callrec.errors import Broken, Refused, Unavailable
from callrec.ports import AUDIO_FILE, KEY_FILE, MANIFEST_FILE, DataKey, Json, Sealed, SegmentHeader
from callrec.recording.access import AccessGrant
from callrec.recording.manifest import IMPORTED, sealed
from callrec.recording.segment import binding

_PERSON: Final = "keep the object as it is, run `callrec audit verify`, call a person"


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """What is known of one file: its hash, what it decodes to, and what was said of it. Times in ISO 8601 UTC."""

    path: Path
    source_sha256: str
    container: str
    rate: int
    channels: int
    samples: int
    line: str
    started_utc: str
    ended_utc: str
    retention: Mapping[str, Json]
    purposes: tuple[str, ...]
    standing: str
    found: tuple[Mapping[str, Json], ...]

    @property
    def call_uid(self) -> str:
        """The same file has the same id, however often it comes."""
        return self.source_sha256[:32]

    @property
    def recording_id(self) -> str:
        """As everywhere: call and segment."""
        return f"{self.call_uid}-0"


def seal_foreign(arriving: Path, foreign: Foreign, key: DataKey, *, log_id: str) -> Sealed:
    """Put the file, encrypted, with its manifest and wrapped key into `arriving/<id>`: all of it durable, or nothing
    under that name. `Refused` where the file is not the one that was looked at. Blocking.
    """
    data = _as_looked_at(foreign)
    header = SegmentHeader(
        log_id=log_id, call_uid=foreign.call_uid, segment=0, key_id=key.key_id, proven_leaf="", started_leaf=""
    )
    cipher = b"".join(_encrypted(StreamWriter(key.secret, binding(header, Role.OBJECT), role=Role.OBJECT), data))
    manifest = _manifest(foreign, header, cipher, key)
    whole = canonical(manifest)
    unfinished = arriving / f"{foreign.recording_id}.unfinished"
    make_dir(unfinished)
    write_new_folder(unfinished, {AUDIO_FILE: cipher, MANIFEST_FILE: whole, KEY_FILE: key.wrapped})
    rename(unfinished, arriving / foreign.recording_id)
    return sealed(arriving / foreign.recording_id, manifest, sha256_hex(whole))


def _as_looked_at(foreign: Foreign) -> bytes:
    try:
        data = foreign.path.read_bytes()
    except OSError as error:
        raise Unavailable(f"{foreign.path}: {error.strerror}", next_step="bring it back, and run again") from error
    if sha256_hex(data) != foreign.source_sha256:
        raise Refused(
            f"{foreign.path} was changed while it was imported", next_step="copy the archive, import the copy"
        )
    return data


def _encrypted(writer: StreamWriter, data: bytes) -> Iterator[bytes]:
    yield writer.preamble
    for at in range(0, len(data), FRAME_BYTES):
        yield writer.append(data[at : at + FRAME_BYTES])
    yield writer.finish()


def _manifest(foreign: Foreign, header: SegmentHeader, cipher: bytes, key: DataKey) -> dict[str, Json]:
    """The fields of every manifest, as far as they mean anything here. What was played to whom is not known."""
    return {
        "format": IMPORTED,
        "recording_id": foreign.recording_id,
        "header": asdict(header),
        "line": foreign.line,
        "purposes": list(foreign.purposes),
        "standing": foreign.standing,
        "found": [dict(each) for each in foreign.found],
        "retention": dict(foreign.retention),
        "started_utc": foreign.started_utc,
        "ended_utc": foreign.ended_utc,
        "stop_reason": "",
        "stopped_by": "another recorder",
        "container": foreign.container,
        "rate": foreign.rate,
        "channels": foreign.channels,
        "samples": foreign.samples,
        "truncated": False,
        "gaps": [],
        "cipher_sha256": sha256_hex(cipher),
        "flac_sha256": "",
        "pcm_sha256": "",
        "source_sha256": foreign.source_sha256,
        "wrapped_key_sha256": sha256_hex(key.wrapped),
    }


def open_foreign(grant: AccessGrant, manifest: Mapping[str, Json], cipher: bytes, key: DataKey) -> bytes:
    """The file that was granted, as it came. `Broken` where anything of it is not what was sealed. Blocking."""
    recording_id, header = grant.recording_id, SegmentHeader(**manifest["header"])
    reader = StreamReader(BytesIO(cipher), key.secret, role=Role.OBJECT)
    same = (header.recording_id, key.key_id, reader.header) == (
        recording_id,
        header.key_id,
        binding(header, Role.OBJECT),
    )
    if not same or sha256_hex(cipher) != manifest["cipher_sha256"]:
        raise Broken(f"{recording_id}: the object is not the one in its manifest", next_step=_PERSON)
    data = b"".join(reader.frames())
    if hashlib.sha256(data).hexdigest() != manifest["source_sha256"]:
        raise Broken(f"{recording_id}: its file is not the one that came", next_step=_PERSON)
    return data


def imported_body(recording: Sealed) -> dict[str, Json]:
    """The body of its `recording.imported`, but for who did it."""
    manifest = recording.manifest
    named = ("source_sha256", "cipher_sha256", "wrapped_key_sha256", "line", "started_utc", "standing", "found")
    return {
        "recording_id": recording.recording_id,
        "manifest_sha256": recording.manifest_sha256,
        "key_id": manifest["header"]["key_id"],
        **{name: manifest[name] for name in named},
    }


def wav_from(data: bytes) -> bytes:
    """The same sound as 16-bit WAV, for a player. `Unavailable` where it cannot be decoded any more."""
    target = BytesIO()
    try:
        samples, rate = soundfile.read(BytesIO(data), dtype="int16", always_2d=True)
        soundfile.write(target, samples, rate, format="WAV", subtype="PCM_16")
    except (soundfile.LibsndfileError, RuntimeError) as error:
        step = "export it with --format original, and play that with the recorder's own program"
        raise Unavailable("this file cannot be decoded here", next_step=step) from error
    return target.getvalue()
