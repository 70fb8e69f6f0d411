"""Checkpoints: the log's size and root, signed. Forms: C2SP tlog-checkpoint and signed-note, Ed25519.

A note is text (origin, size, root in base64, one line each), an empty line, then one line per signature:
an em dash, the key's name, and base64 of the key id (4 bytes) and the signature (64 bytes).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from callrec.errors import Broken

_ED25519: Final = b"\x01"
_SIZE = re.compile(r"0|[1-9][0-9]{0,15}")
_NAME = re.compile(r"[^\s+]+")
_HASH_BYTES: Final = 32
_SIGNATURE_BYTES: Final = 68
_LONGEST: Final = 65_536
_STEP: Final = "compare with the copy that the auditor holds; keep both"


class NotACheckpoint(Broken):
    """These bytes are no signed note of a checkpoint; the message says what is wrong with them."""


class WrongKey(Broken):
    """No signature on the note was made with the key that was asked for."""


class BadSignature(Broken):
    """The note names the right key, and its signature is false."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The state of the log at one moment: `size` entries whose tree has this root."""

    origin: str
    size: int
    root: bytes

    def text(self) -> bytes:
        """The bytes that are signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n".encode()


@dataclass(frozen=True, slots=True)
class SignedNote:
    """A checkpoint as it was read, with every signature on it: (name, key id, signature)."""

    checkpoint: Checkpoint
    signatures: tuple[tuple[str, bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class LogKey:
    """The public key of one log, under the log's name."""

    name: str
    raw: bytes

    @property
    def log_id(self) -> str:
        """SHA-256 of the public key, hexadecimal: the log's identity in every entry, and the key's fingerprint."""
        return _fingerprint(self.raw)

    @property
    def key_id(self) -> bytes:
        """First four bytes of SHA-256 over name, newline, algorithm and key (signed-note)."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.raw).digest()[:4]

    def vkey(self) -> str:
        """The verifier key as one line: name+id+base64(algorithm and key)."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(_ED25519 + self.raw).decode()}"


@lru_cache(maxsize=16)
def _fingerprint(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def key_of(signing_key: Ed25519PrivateKey) -> LogKey:
    """The public side, named `callrec/` and the first 16 digits of its fingerprint."""
    raw = signing_key.public_key().public_bytes_raw()
    return LogKey(f"callrec/{hashlib.sha256(raw).hexdigest()[:16]}", raw)


def parse_vkey(text: str) -> LogKey:
    """Read a verifier key. `NotACheckpoint` where it is none, or where its id does not fit the key."""
    name, _, rest = text.strip().partition("+")
    key_id, _, encoded = rest.partition("+")
    data = _decoded(encoded, "the verifier key")
    if not _NAME.fullmatch(name) or data[:1] != _ED25519 or len(data) != 1 + _HASH_BYTES:
        raise NotACheckpoint("this is no Ed25519 verifier key", next_step="use the line that `callrec init` printed")
    key = LogKey(name, data[1:])
    if key_id != key.key_id.hex():
        raise NotACheckpoint("the verifier key was copied wrongly: its id does not fit", next_step="copy it again")
    return key


def sign(checkpoint: Checkpoint, signing_key: Ed25519PrivateKey, key: LogKey | None = None) -> bytes:
    """The signed note. Its origin must be the key's name: one log, one name. `key` is its public side."""
    key = key or key_of(signing_key)
    if checkpoint.origin != key.name:
        raise ValueError(f"the key of {key.name} does not sign for {checkpoint.origin}")
    signed = base64.b64encode(key.key_id + signing_key.sign(checkpoint.text())).decode()
    return checkpoint.text() + f"\n\u2014 {key.name} {signed}\n".encode()


def parse(note: bytes) -> SignedNote:
    """Read a signed note without believing it. `NotACheckpoint` names what is wrong."""
    if len(note) > _LONGEST:
        raise _wrong("longer than any checkpoint")
    try:
        text = note.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _wrong("not UTF-8") from error
    body, gap, signatures = text.partition("\n\n")
    if not gap or not signatures.endswith("\n"):
        raise _wrong("no signature block, or a torn one")
    lines = signatures[:-1].split("\n")
    return SignedNote(_checkpoint(body), tuple(_signature(line) for line in lines))


def _checkpoint(body: str) -> Checkpoint:
    lines = body.split("\n")
    if len(lines) != 3:  # noqa: PLR2004
        raise _wrong(f"{len(lines)} lines where origin, size and root belong")
    origin, size, encoded = lines
    if not _NAME.fullmatch(origin):
        raise _wrong("no origin")
    if not _SIZE.fullmatch(size):
        raise _wrong("the size is no plain number")
    root = _decoded(encoded, "the root")
    if len(root) != _HASH_BYTES:
        raise _wrong("the root is no SHA-256")
    return Checkpoint(origin=origin, size=int(size), root=root)


def _signature(line: str) -> tuple[str, bytes, bytes]:
    dash, name, encoded = (*line.split(" "), "", "")[:3] if line.count(" ") == 2 else ("", "", "")  # noqa: PLR2004
    if dash != "\u2014" or not _NAME.fullmatch(name):
        raise _wrong("a signature line is malformed")
    data = _decoded(encoded, "a signature")
    if len(data) != _SIGNATURE_BYTES:
        raise _wrong("a signature has the wrong length")
    return name, data[:4], data[4:]


def _decoded(text: str, what: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _wrong(f"{what} is not base64") from error
    if base64.b64encode(data).decode() != text:
        raise _wrong(f"{what} is not base64 in its one form")
    return data


def _wrong(what: str) -> NotACheckpoint:
    return NotACheckpoint(f"not a checkpoint: {what}", next_step=_STEP)


def verify(note: bytes, key: LogKey) -> Checkpoint:
    """The checkpoint, if this key signed it. `NotACheckpoint`, `WrongKey` or `BadSignature` where not."""
    read = parse(note)
    if read.checkpoint.origin != key.name:
        raise WrongKey(f"this checkpoint is of {read.checkpoint.origin}, not of {key.name}", next_step=_STEP)
    ours = [signature for name, key_id, signature in read.signatures if (name, key_id) == (key.name, key.key_id)]
    if not ours:
        raise WrongKey(f"{key.name} did not sign this checkpoint", next_step=_STEP)
    try:
        Ed25519PublicKey.from_public_bytes(key.raw).verify(ours[0], read.checkpoint.text())
    except InvalidSignature as error:
        raise BadSignature(
            f"the signature on the checkpoint of size {read.checkpoint.size} is false", next_step=_STEP
        ) from error
    return read.checkpoint
