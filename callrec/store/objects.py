"""What every store does before it keeps anything: names that are safe, files that are whole, hashes that agree."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from callrec._canonical import parse, sha256_hex
from callrec.errors import Broken, Refused, Unavailable
from callrec.ports import AUDIO_FILE, KEY_FILE, MANIFEST_FILE, Json, Sealed

PIECE_BYTES: Final = 1024 * 1024
_NAME: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,126}")
_NEXT_STEP: Final = "keep the folder as it is and compare it with the ledger"


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A sealed recording whose files were read and agree with its record. The audio stays on the disk."""

    recording_id: str
    audio: Path
    manifest: bytes
    wrapped: bytes
    cipher_sha256: str
    manifest_sha256: str


def safe_name(recording_id: str) -> str:
    """The id, where it can be the name of a file. `Refused` otherwise."""
    if not _NAME.fullmatch(recording_id):
        raise Refused("a recording id has letters, digits, - and _ only", next_step="look the id up again")
    return recording_id


def whole(sealed: Sealed) -> Whole:
    """Read and compare. `Broken` where a file is missing or any hash disagrees. Blocking."""
    manifest = _read(sealed.folder / MANIFEST_FILE)
    wrapped = _read(sealed.folder / KEY_FILE)
    said = parse(manifest)
    _agree(sealed.recording_id, "manifest", sha256_hex(manifest), sealed.manifest_sha256)
    _agree(sealed.recording_id, "manifest's id", said.get("recording_id"), sealed.recording_id)
    _agree(sealed.recording_id, "manifest's ciphertext", said.get("cipher_sha256"), sealed.cipher_sha256)
    _agree(sealed.recording_id, "wrapped key", sha256_hex(wrapped), said.get("wrapped_key_sha256"))
    audio = sealed.folder / AUDIO_FILE
    _agree(sealed.recording_id, "ciphertext", file_sha256(audio), sealed.cipher_sha256)
    return Whole(
        recording_id=safe_name(sealed.recording_id),
        audio=audio,
        manifest=manifest,
        wrapped=wrapped,
        cipher_sha256=sealed.cipher_sha256,
        manifest_sha256=sealed.manifest_sha256,
    )


def _agree(recording_id: str, what: str, found: Json, expected: Json) -> None:
    if found != expected:
        raise Broken(f"{recording_id}: the {what} is not what was sealed", next_step=_NEXT_STEP)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise Broken(f"{path.parent.name}: {path.name} is missing", next_step=_NEXT_STEP) from error
    except OSError as error:
        raise Unavailable(f"{path.parent.name}: {error.strerror}", next_step="look at the disk") from error


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal. `Broken` where it is missing, `Unavailable` where it cannot be read. Blocking."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise Broken(f"{path.parent.name}: {path.name} is missing", next_step=_NEXT_STEP) from error
    except OSError as error:
        raise Unavailable(f"{path.parent.name}: {error.strerror}", next_step="look at the disk") from error


def parse_manifest(data: bytes) -> Mapping[str, Any]:
    """A manifest's fields. `Broken` where it is no JSON object."""
    value = parse(data)
    if not isinstance(value, dict):
        raise Broken("a manifest is not a JSON object", next_step=_NEXT_STEP)
    return value


def key_id_of(wrapped: bytes) -> str:
    """Which key a wrapping holds. `Broken` where it is no wrapping."""
    value = parse(wrapped)
    key_id = value.get("key_id") if isinstance(value, dict) else None
    if not isinstance(key_id, str):
        raise Broken("this is not a wrapped key", next_step="restore it from its backup")
    return key_id


def same_key(held: bytes, offered: bytes) -> None:
    """`Refused` unless both wrap the same key."""
    if key_id_of(held) != key_id_of(offered):
        raise Refused("that wraps another key", next_step="re-wrap this recording's own key")
