"""Data keys, wrapped for the keeper: the agent can make one, and open none that it made.

Wrapping: ephemeral X25519 with the keeper's public key, HKDF-SHA256 over both public keys, AES-256-GCM with the key id
and all parameters as associated data. Key files are PEM, so that other tools read them. Sources: RFC 7748; RFC 5869;
the construction follows RFC 9180 in spirit, with the fields readable as JSON.
"""

from __future__ import annotations

import hashlib
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from callrec._canonical import canonical, parse
from callrec._durable import write_file
from callrec.errors import Broken, ConfigError, Refused
from callrec.ports import DataKey, KeyRing

FORMAT: Final = "callrec/wrapped-key/1"
KEEPER_PUBLIC: Final = "keeper.pub"
KEEPER_PRIVATE: Final = "keeper.key"
_FIELDS: Final = frozenset(("format", "key_id", "keeper", "ephemeral", "nonce", "ciphertext"))
_OPEN_TO_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True, kw_only=True)
class KeeperKeys:
    """The keeper's pair on disk. The private file belongs on another host or user than the agent's."""

    public: Path
    private: Path
    fingerprint: str


def create_keeper_keys(folder: Path) -> KeeperKeys:
    """Make the pair in an existing folder: public 0444, private 0400. `Refused` where either exists: keys are never
    overwritten. Blocking.
    """
    public, private = folder / KEEPER_PUBLIC, folder / KEEPER_PRIVATE
    if public.exists() or private.exists():
        raise Refused(f"{folder} holds keeper keys already", next_step="keep them, or choose another folder")
    key = X25519PrivateKey.generate()
    write_file(private, _private_pem(key), mode=0o400, exclusive=True)
    write_file(public, _public_pem(key.public_key()), mode=0o444, exclusive=True)
    return KeeperKeys(public=public, private=private, fingerprint=fingerprint(key.public_key()))


def _private_pem(key: X25519PrivateKey) -> bytes:
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)


def _public_pem(key: X25519PublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def fingerprint(key: X25519PublicKey) -> str:
    """SHA-256 of the raw public key, hexadecimal: which keeper a key was wrapped for."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()


def load_public(path: Path) -> X25519PublicKey:
    """The keeper's public key. `ConfigError` where the file is not one."""
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except OSError as error:
        step = "run `callrec init`, which makes it, or correct keys.wrap_to"
        raise ConfigError(f"the keeper's public key {path}: {error.strerror}", next_step=step) from error
    except ValueError as error:
        step = "put the keeper's public key there, or correct keys.wrap_to"
        raise ConfigError(f"{path} is no public key: {error}", next_step=step) from error
    if not isinstance(key, X25519PublicKey):
        raise ConfigError(f"{path} is not an X25519 public key", next_step="make one with `callrec init`")
    return key


def load_private(path: Path) -> X25519PrivateKey:
    """The keeper's private key. `ConfigError` where it is not one, or where anybody but its owner can read it."""
    try:
        if path.stat().st_mode & _OPEN_TO_OTHERS:
            raise ConfigError(f"{path} can be read by others than its owner", next_step=f"chmod 0400 {path}")
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"{path} is not a readable private key", next_step="name the keeper's key file") from error
    if not isinstance(key, X25519PrivateKey):
        raise ConfigError(f"{path} is not an X25519 private key", next_step="name the keeper's key file")
    return key


def _wrapping_key(shared: bytes, ephemeral: bytes, keeper: bytes) -> AESGCM:
    derived = HKDF(algorithm=SHA256(), length=32, salt=ephemeral + keeper, info=FORMAT.encode()).derive(shared)
    return AESGCM(derived)


def wrap(secret: bytes, key_id: str, keeper: X25519PublicKey) -> bytes:
    """The secret as canonical JSON that only the keeper opens."""
    ephemeral = X25519PrivateKey.generate()
    public = ephemeral.public_key().public_bytes_raw()
    nonce = secrets.token_bytes(12)
    fields = {
        "format": FORMAT,
        "key_id": key_id,
        "keeper": fingerprint(keeper),
        "ephemeral": public.hex(),
        "nonce": nonce.hex(),
    }
    cipher = _wrapping_key(ephemeral.exchange(keeper), public, keeper.public_bytes_raw())
    return canonical({**fields, "ciphertext": cipher.encrypt(nonce, secret, canonical(fields)).hex()})


def unwrap(wrapped: bytes, private_key_file: Path) -> DataKey:
    """Open what `wrap` made. `Refused` where it was wrapped for another keeper, `Broken` where it was changed,
    `ConfigError` where the key file is unusable. Blocking.
    """
    return _unwrap(wrapped, load_private(private_key_file))


def _unwrap(wrapped: bytes, private: X25519PrivateKey) -> DataKey:
    fields = _wrapped_fields(wrapped)
    if fields["keeper"] != fingerprint(private.public_key()):
        raise Refused("this recording's key was wrapped for another keeper", next_step="use that keeper's key")
    try:
        ephemeral, nonce, sealed = (_unhex(fields[name]) for name in ("ephemeral", "nonce", "ciphertext"))
        shared = private.exchange(X25519PublicKey.from_public_bytes(ephemeral))
        cipher = _wrapping_key(shared, ephemeral, private.public_key().public_bytes_raw())
        bound = canonical({name: value for name, value in fields.items() if name != "ciphertext"})
        secret = cipher.decrypt(nonce, sealed, bound)
    except (ValueError, InvalidTag) as error:
        raise Broken("a wrapped key was changed", next_step="restore it from its backup") from error
    return DataKey(key_id=fields["key_id"], secret=secret, wrapped=wrapped)


def _unhex(text: str) -> bytes:
    value = bytes.fromhex(text)
    if value.hex() != text:
        raise ValueError("one value has one hexadecimal form here")
    return value


def _wrapped_fields(wrapped: bytes) -> dict[str, Any]:
    fields = parse(wrapped)
    if not isinstance(fields, dict) or fields.keys() != _FIELDS or fields["format"] != FORMAT:
        raise Broken("this is not a wrapped key", next_step="restore it from its backup")
    if not all(isinstance(value, str) for value in fields.values()):
        raise Broken("a wrapped key has a field that is no text", next_step="restore it from its backup")
    return fields


def keeper_of(wrapped: bytes) -> str:
    """The fingerprint of the keeper it was wrapped for. `Broken` where it is no wrapped key."""
    return str(_wrapped_fields(wrapped)["keeper"])


def rewrap(wrapped: bytes, private_key_file: Path, new_keeper: Path) -> bytes:
    """The same data key for another keeper: rotation touches wrapped keys only, never audio. Raises as `unwrap`."""
    key = unwrap(wrapped, private_key_file)
    return wrap(key.secret, key.key_id, load_public(new_keeper))


class FileKeyRing:
    """A KeyRing over the keeper's public key file, read once. `ConfigError` where that file is not one."""

    def __init__(self, keeper_public: Path) -> None:
        self._keeper = load_public(keeper_public)
        self.keeper = fingerprint(self._keeper)
        self._refuse_useless_key()

    def _refuse_useless_key(self) -> None:
        try:
            X25519PrivateKey.generate().exchange(self._keeper)
        except ValueError as error:
            raise ConfigError(
                "keys.wrap_to is a useless public key", next_step="make a pair with `callrec init`"
            ) from error

    def new_key(self) -> DataKey:
        """A fresh random key and its wrapping. About 0.2 ms; does not block on IO."""
        secret, key_id = secrets.token_bytes(32), secrets.token_hex(16)
        return DataKey(key_id=key_id, secret=secret, wrapped=wrap(secret, key_id, self._keeper))


_: type[KeyRing] = FileKeyRing
