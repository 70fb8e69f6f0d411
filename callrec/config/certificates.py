"""Our TLS certificate and its key, looked at before anything listens: every mistake, with the key of the configuration.

Source: RFC 5280 (validity), RFC 7468 (PEM).
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509 import Certificate, load_pem_x509_certificates

from callrec.config.models import Config, Tls
from callrec.config.values import Reference
from callrec.errors import ConfigError

CERT, KEY, CA = "sip.tls.cert", "sip.tls.key", "sip.tls.ca"
_OPEN_TO_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_FORM: Final = PublicFormat.SubjectPublicKeyInfo

Mistake = tuple[str, str, str]
"""The key to change, what is wrong with it, and what to do."""


def check_certificate(config: Config, now: datetime) -> None:
    """ConfigError with every mistake; nothing where TLS is not configured. `now` is aware."""
    if found := tuple(certificate_mistakes(config, now)):
        said = "\n".join(f"{config.name}: {key}: {what}" for key, what, _ in found)
        raise ConfigError(said, next_step="; ".join(dict.fromkeys(step for _, _, step in found)))


def certificate_mistakes(config: Config, now: datetime) -> Iterator[Mistake]:
    """What is wrong with `sip.tls`, in order."""
    tls = config.sip.tls
    if tls is None:
        return
    try:
        ours = _certificates(CERT, tls.cert)[0]
    except ConfigError as error:
        yield CERT, str(error), error.next_step
        ours = None
    if ours is not None:
        yield from _dates(tls, ours, now)
    yield from _key(tls, ours)
    if tls.ca is not None:
        try:
            _certificates(CA, tls.ca)
        except ConfigError as error:
            yield CA, str(error), error.next_step


def _certificates(key: str, path: Path) -> list[Certificate]:
    step = f"name a file with certificates in PEM under {key}"
    try:
        return load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", next_step=f"create it, or correct {key}") from None
    except ValueError:
        raise ConfigError(f"{path} holds no certificate", next_step=step) from None


def _dates(tls: Tls, ours: Certificate, now: datetime) -> Iterator[Mistake]:
    step = f"put a valid certificate into {tls.cert} and start the agent again"
    if now > ours.not_valid_after_utc:
        yield CERT, f"{tls.cert} expired on {ours.not_valid_after_utc:%Y-%m-%d}: no peer would take it", step
    if now < ours.not_valid_before_utc:
        yield CERT, f"{tls.cert} is not valid before {ours.not_valid_before_utc:%Y-%m-%d}", step


def _key(tls: Tls, ours: Certificate | None) -> Iterator[Mistake]:
    if (path := tls.key.path) is not None and path.exists() and path.stat().st_mode & _OPEN_TO_OTHERS:
        yield KEY, f"{path} can be read by others than its owner", f"chmod 400 {path}"
    try:
        private = _private(tls.key)
    except ConfigError as error:
        yield KEY, str(error), error.next_step
        return
    public = private.public_key().public_bytes(Encoding.PEM, _FORM)
    if ours is not None and ours.public_key().public_bytes(Encoding.PEM, _FORM) != public:
        yield KEY, f"{tls.key} is not the key of {tls.cert}", f"name the key that {tls.cert} was made with"


def _private(reference: Reference) -> PrivateKeyTypes:
    try:
        return load_pem_private_key(reference.read(), password=None)
    except TypeError:
        step = "write it without password; the file is to be readable by its owner alone"
        raise ConfigError(
            f"{reference} is locked by a password, which callrec cannot be asked for", next_step=step
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(f"{reference} holds no private key", next_step="name a file with a key in PEM") from None
