"""The papers of a disposal, as canonical JSON: the list that two persons agree to, and the certificate of what was
destroyed. The ledger holds the hash of each. No name, no number, no audio is in them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, Final

from callrec._canonical import canonical, parse, sha256_hex
from callrec.errors import Broken, ConfigError

LIST_FORMAT: Final = "callrec/disposal-list/1"
CERTIFICATE_FORMAT: Final = "callrec/disposal-certificate/1"
TOMBSTONE_FORMAT: Final = "callrec/tombstone/1"
MOST_ITEMS: Final = 1_000
"""Recordings on one list: so many can be appraised by a person, and named by one ledger entry."""
METHOD: Final = "wrapped key removed, then ciphertext removed; read back as unreadable"
_NAME: Final = re.compile(r"[0-9a-f]{32}-[0-9]+")
_STEP: Final = "keep the file as it is; draw a new list with `callrec recordings dispose --propose FILE`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One recording to be destroyed, and why it may be. `reviewed` says why, where its rule asks for a review."""

    recording_id: str
    cipher_sha256: str
    manifest_sha256: str
    rule: str
    version: int
    trigger: str
    due: str
    reviewed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """One recording that stays, and why."""

    recording_id: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A list: what is due by `until` and goes, and the exceptions that were taken out."""

    log_id: str
    drawn_utc: str
    until: str
    items: tuple[Item, ...]
    taken_out: tuple[Left, ...] = ()

    def to_bytes(self) -> bytes:
        """The file. Its SHA-256 is what the ledger knows it by."""
        return canonical({"format": LIST_FORMAT, **_plain(self)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What was destroyed, by whose decision, how, and until when backups may still hold wrapped keys.

    `left_out` are recordings of the list that were not destroyed, because something forbade it after the approval.
    """

    log_id: str
    list_sha256: str
    proposed_leaf: str
    proposer: str
    approved_leaf: str
    approver: str
    executed_utc: str
    clock: str
    method: str
    backups_gone_by: str
    items: tuple[Item, ...]
    left_out: tuple[Left, ...] = ()

    def to_bytes(self) -> bytes:
        """The file. Its SHA-256 stands in each `disposal.done`."""
        return canonical({"format": CERTIFICATE_FORMAT, **_plain(self)})


def _plain(paper: Draft | Certificate) -> dict[str, Any]:
    plain = asdict(paper)
    return {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}


def parse_list(data: bytes) -> Draft:
    """A list from its file. ConfigError where it is none: the wrong file was named."""
    try:
        raw = _fields(data, LIST_FORMAT)
        return Draft(**{**raw, "items": _items(raw), "taken_out": _lefts(raw, "taken_out")})
    except (Broken, TypeError, KeyError, ValueError) as error:
        raise ConfigError(f"this is no disposal list: {error}", next_step="name the file that was proposed") from error


def parse_certificate(data: bytes) -> Certificate:
    """A certificate from its file. `Broken` where it is none."""
    try:
        raw = _fields(data, CERTIFICATE_FORMAT)
        return Certificate(**{**raw, "items": _items(raw), "left_out": _lefts(raw, "left_out")})
    except (TypeError, KeyError, ValueError) as error:
        raise Broken(f"this is no certificate of disposal: {error}", next_step=_STEP) from error


def _fields(data: bytes, form: str) -> dict[str, Any]:
    raw = parse(data)
    if not isinstance(raw, dict) or raw.pop("format", None) != form:
        raise ValueError(f"its format is not {form}")
    return raw


def _items(raw: Mapping[str, Any]) -> tuple[Item, ...]:
    items = tuple(Item(**each) for each in raw["items"])
    for item in items:
        if not _NAME.fullmatch(item.recording_id):
            raise ValueError("it names something that is no recording")
        date.fromisoformat(item.due)
    if len({item.recording_id for item in items}) != len(items):
        raise ValueError("it names a recording twice")
    return items


def _lefts(raw: Mapping[str, Any], name: str) -> tuple[Left, ...]:
    return tuple(Left(**each) for each in raw[name])


def tombstone(item: Item, *, certificate_sha256: str, done_leaf: str) -> bytes:
    """What is put where the recording was: what it was, that it is gone, and which certificate says so."""
    fields = {"format": TOMBSTONE_FORMAT, "certificate_sha256": certificate_sha256, "done_leaf": done_leaf}
    return canonical(fields | {name: getattr(item, name) for name in ("recording_id", "cipher_sha256", "due")})


def what_is_wrong(data: bytes, *, sha256: str, recording_id: str, approved_leaf: str) -> str:
    """Why these bytes are not the certificate of this recording, as a sentence; empty where they are."""
    if sha256_hex(data) != sha256:
        return "is not the one in the log"
    try:
        certificate = parse_certificate(data)
    except Broken as error:
        return f"cannot be read: {error}"
    item = next((each for each in certificate.items if each.recording_id == recording_id), None)
    if item is None or certificate.approved_leaf != approved_leaf:
        return f"does not name {recording_id} under its approval"
    if item.due > certificate.executed_utc[:10]:
        return f"says that {recording_id} was not due before {item.due}"
    return ""
