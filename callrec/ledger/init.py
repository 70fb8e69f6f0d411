"""Making a log: its signing key, its file, and the half page for the auditor. Never by the way, never twice."""

from __future__ import annotations

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

from callrec import _durable, _sql
from callrec._sql import Database, Session, SqlFailed
from callrec.errors import ConfigError, Refused
from callrec.ledger import schema, tables
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


def create_log(database: Database, signing_key: Path, *, created: datetime) -> LogKey:
    """An empty log, signed at size 0. `Refused` where one exists; ConfigError where the key cannot be used."""
    secret = load_signing_key(signing_key)
    try:
        if isinstance(database, Path):
            _create_file(database, secret, created)
        else:
            _create_tables(database, secret, created)
    except SqlFailed as error:
        raise tables.unavailable(database, error) from error
    return key_of(secret)


def _create_file(path: Path, secret: Ed25519PrivateKey, created: datetime) -> None:
    """All of it or nothing: it gets its name once it is whole."""
    if path.exists():
        raise _exists(path)
    _durable.make_dir(path.parent)
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    try:
        with closing(_sql.create(temporary, name="callrec init")) as session:
            session.begin("ledger")
            _fill(session, secret, created)
            session.commit()
        temporary.chmod(0o600)
        _durable.rename(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _create_tables(database: Database, secret: Ed25519PrivateKey, created: datetime) -> None:
    with closing(_sql.create(database, name="callrec init")) as session:
        session.begin("ledger")
        if session.has("log"):
            raise _exists(database)
        _fill(session, secret, created)
        session.commit()


def _exists(database: Database) -> Refused:
    return Refused(f"a ledger exists at {database}", next_step="use it, or name another place; it is never replaced")


def _fill(session: Session, secret: Ed25519PrivateKey, created: datetime) -> None:
    key = key_of(secret)
    note = sign(Checkpoint(origin=key.name, size=0, root=EMPTY_ROOT), secret)
    schema.create(session)
    session.run(
        "INSERT INTO log (id, schema, vkey, created_utc) VALUES (1, :form, :vkey, :created)",
        {"form": schema.FORM, "vkey": key.vkey(), "created": utc_text(created)},
    )
    session.run(
        "INSERT INTO tip (id, size, prev, frontier, anchor_size, anchor_root) VALUES (1, 0, :leaf, :none, 0, :leaf)",
        {"leaf": NO_LEAF, "none": b""},
    )
    session.run("INSERT INTO checkpoints (size, note) VALUES (0, :note)", {"note": note})


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
