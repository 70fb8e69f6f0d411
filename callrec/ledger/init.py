"""Making a log: its signing key, its file, and the half page for the auditor. Never by the way, never twice."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from callrec import _durable
from callrec.errors import ConfigError, Refused
from callrec.ledger import tables
from callrec.ledger.checkpoint import Checkpoint, LogKey, key_of, sign
from callrec.ledger.entry import NO_LEAF, utc_text
from callrec.ledger.merkle import EMPTY_ROOT

_KEY_MODE: Final = 0o400


def create_signing_key(path: Path) -> LogKey:
    """A new Ed25519 key at `path` (PEM, mode 0400). `Refused` where a file is there already."""
    secret = Ed25519PrivateKey.generate()
    pem = secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _durable.write_file(path, pem, mode=_KEY_MODE, exclusive=True)
    return key_of(secret)


def load_signing_key(path: Path) -> Ed25519PrivateKey:
    """The key that signs. ConfigError where it is missing, is no Ed25519 key, or others may read it."""
    try:
        mode, pem = path.stat().st_mode, path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"the ledger's signing key {path}: {error.strerror}", next_step="run `callrec init`"
        ) from error
    if stat.S_IMODE(mode) & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"others may read the ledger's signing key {path}", next_step=f"chmod 400 {path}")
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path} holds no key that can be read here", next_step="restore it from its copy") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{path} holds another sort of key than Ed25519", next_step="restore it from its copy")
    return key


def create_log(path: Path, signing_key: Path, *, created: datetime) -> LogKey:
    """An empty log, signed at size 0. `Refused` where one exists; ConfigError where the key cannot be used."""
    secret = load_signing_key(signing_key)
    if path.exists():
        raise Refused(f"a ledger exists at {path}", next_step="use it, or name another place; it is never replaced")
    _durable.make_dir(path.parent)
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    try:
        _fill(temporary, secret, created)
        _durable.rename(temporary, path)
    except sqlite3.Error as error:
        raise tables.unavailable(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return key_of(secret)


def _fill(path: Path, secret: Ed25519PrivateKey, created: datetime) -> None:
    key = key_of(secret)
    note = sign(Checkpoint(origin=key.name, size=0, root=EMPTY_ROOT), secret)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.executescript(tables.CREATE)
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(
            "INSERT INTO log VALUES (1, ?, ?, ?)", (tables.SCHEMA_VERSION, key.vkey(), utc_text(created))
        )
        connection.execute("INSERT INTO tip VALUES (1, 0, ?, x'', 0, ?, 0)", (NO_LEAF, NO_LEAF))
        connection.execute("INSERT INTO checkpoints (size, note) VALUES (0, ?)", (note,))
        connection.execute("COMMIT")
    path.chmod(0o600)


def half_page(key: LogKey, *, created: datetime, controller: str = "") -> str:
    """What is printed once and handed to the auditor on paper or by another way than this machine."""
    fingerprint = " ".join(key.log_id[at : at + 8] for at in range(0, 64, 8))
    return f"""\
Public key of a call-recording ledger
{"" if not controller else f"kept by       {controller}" + chr(10)}\
created       {utc_text(created)}
log           {key.name}
public key    {key.vkey()}
fingerprint   {fingerprint}

To the auditor: keep this page where the operator of the system cannot change it. Every later check of the ledger
starts from this key. A ledger that verifies only against a key which the operator gave you afterwards proves nothing.
Keep the checkpoints that you are sent as well: what came before the newest one you hold cannot be changed unseen.
"""
