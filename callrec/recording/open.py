"""For the keeper: from the store back to audio, every hash of the manifest checked on the way."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from callrec._aead import Role, StreamReader
from callrec._canonical import canonical, sha256_hex
from callrec.errors import Broken
from callrec.ports import DataKey, Json, RecordingStore, SegmentHeader, WrappedKeys
from callrec.recording.access import AccessGrant
from callrec.recording.audio import FRAME_BYTES, decode_flac
from callrec.recording.manifest import checked
from callrec.recording.segment import binding

Unwrap = Callable[[bytes], DataKey]
"""Opens a wrapped key; may block, and may ask a person or a device."""
_NEXT_STEP = "keep the object as it is, run `callrec audit verify`, call a person"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """One recording, whole and checked. Both legs' voices: handle with care."""

    manifest: Mapping[str, Json]
    flac: bytes
    pcm: bytes


async def open_recording(
    grant: AccessGrant, store: RecordingStore, keys: WrappedKeys, unwrap: Unwrap, *, manifest_sha256: str | None = None
) -> Opened:
    """Fetch, decrypt and check the one recording that was granted. `manifest_sha256`: what the ledger says of its
    manifest, where known.

    `Broken` where any hash, key id, header or length disagrees; `Unavailable` where the object or its key is not there;
    else as `unwrap` raises.
    """
    recording_id = grant.recording_id
    manifest = checked(await store.manifest(recording_id))
    if manifest_sha256 is not None and sha256_hex(canonical(manifest)) != manifest_sha256:
        raise Broken(f"{recording_id}: the manifest is not the one in the ledger", next_step=_NEXT_STEP)
    cipher = b"".join([piece async for piece in store.read(recording_id)])
    key = await asyncio.to_thread(unwrap, await keys.wrapped_key(recording_id))
    return await asyncio.to_thread(open_sealed, recording_id, manifest, cipher, key)


def open_sealed(recording_id: str, manifest: Mapping[str, Json], cipher: bytes, key: DataKey) -> Opened:
    """The same for bytes at hand. Blocking: about 30 ms of CPU per minute of audio."""
    header = _header(manifest)
    _expect(recording_id, "recording id", recording_id, header.recording_id)
    _expect(recording_id, "key id", key.key_id, header.key_id)
    _expect(recording_id, "ciphertext", sha256_hex(cipher), manifest["cipher_sha256"])
    flac = _decrypted(cipher, key.secret, header)
    _expect(recording_id, "FLAC", sha256_hex(flac), manifest["flac_sha256"])
    pcm = b"".join(decode_flac(flac))
    _expect(recording_id, "audio", hashlib.sha256(pcm).hexdigest(), manifest["pcm_sha256"])
    _expect(recording_id, "length", len(pcm) // FRAME_BYTES, manifest["samples"])
    return Opened(manifest=manifest, flac=flac, pcm=pcm)


def _expect(recording_id: str, what: str, found: Json, expected: Json) -> None:
    if found != expected:
        raise Broken(f"{recording_id}: its {what} is not the one in its manifest", next_step=_NEXT_STEP)


def _header(manifest: Mapping[str, Json]) -> SegmentHeader:
    try:
        return SegmentHeader(**manifest["header"])
    except TypeError as error:
        raise Broken("the manifest's header has other fields", next_step=_NEXT_STEP) from error


def _decrypted(cipher: bytes, secret: bytes, header: SegmentHeader) -> bytes:
    reader = StreamReader(io.BytesIO(cipher), secret, role=Role.OBJECT)
    if reader.header != binding(header, Role.OBJECT):
        raise Broken("the object is bound to another recording", next_step=_NEXT_STEP)
    return b"".join(reader.frames())
