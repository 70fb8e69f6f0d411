"""A person's own signature under an approval: Ed25519 (RFC 8032) over canonical JSON; key files are PEM.

The private key is its owner's: it is named with each command, never found by itself, and never copied. The public part
stands in the register under the person's id, and from then on nobody approves in that name without the key.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from callrec._canonical import canonical
from callrec._durable import write_file
from callrec.errors import ConfigError

APPROVAL: Final = "callrec/prompt-approval/1"
BUNDLE: Final = "callrec/prompt-register/1"
_OPEN_TO_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def create(path: Path) -> str:
    """Make a private key at `path`, readable by its owner alone; the public part in hexadecimal.

    `Refused` where a file is there: keys are never overwritten. `Unavailable` where it cannot be written.
    """
    key = Ed25519PrivateKey.generate()
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    write_file(path, pem, mode=0o400, exclusive=True)
    return key.public_key().public_bytes_raw().hex()


def load(path: Path) -> Ed25519PrivateKey:
    """A person's private key. ConfigError where it is none, or where others than its owner can read it."""
    try:
        if path.stat().st_mode & _OPEN_TO_OTHERS:
            raise ConfigError(f"{path} can be read by others than its owner", next_step=f"chmod 0400 {path}")
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        step = "name your own key file, made with `callrec prompts key`"
        raise ConfigError(f"{path} is not a readable private key", next_step=step) from error
    if not isinstance(key, Ed25519PrivateKey):
        step = "name your own key file, made with `callrec prompts key`"
        raise ConfigError(f"{path} is not an Ed25519 private key", next_step=step)
    return key


def public_of(key: Ed25519PrivateKey) -> str:
    """The public part in hexadecimal."""
    return key.public_key().public_bytes_raw().hex()


def sign(key: Ed25519PrivateKey, kind: str, body: Mapping[str, Any]) -> str:
    """The signature in hexadecimal; `kind` keeps a signature for one thing from standing under another."""
    return key.sign(_message(kind, body)).hex()


def signed(public: str, signature: str, kind: str, body: Mapping[str, Any]) -> bool:
    """Whether this key signed exactly this. False for whatever is no key, no signature or no JSON."""
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
        key.verify(bytes.fromhex(signature), _message(kind, body))
    except (ValueError, InvalidSignature):
        return False
    return True


def _message(kind: str, body: Mapping[str, Any]) -> bytes:
    return canonical({"format": kind, "body": dict(body)})
