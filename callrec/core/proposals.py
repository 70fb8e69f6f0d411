"""What a PBX proposes a call to be recorded for, and whether it is the PBX that says so. Pure.

    X-Callrec-Purposes: medico-legal, audit
    X-Callrec-Token: <hex of HMAC-SHA256 under the shared secret over Call-ID, a line feed and the value above>

A header can be sent by anybody whose INVITE passes: only one whose token fits this very Call-ID and value counts. It
proposes, and never grants (R22): what the line does not have is denied.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from callrec.core.values import Purpose

PURPOSES: Final = "X-Callrec-Purposes"
SECRET_LEAST: Final = 24
"""Bytes of the shortest secret that is admitted."""
TOKEN: Final = "X-Callrec-Token"  # noqa: S105 - the name of a header


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """The purposes that this call is left, and why something of what was asked is denied, as sentences."""

    purposes: frozenset[Purpose]
    denied: tuple[tuple[str, str], ...] = ()
    """Pairs of what was asked (a purpose, or `header`) and why it is denied."""


def token_of(secret: bytes, call_id: str, value: str) -> str:
    """The token of this value on this call."""
    return hmac.new(secret, f"{call_id}\n{value}".encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def proposed(headers: Mapping[str, str], *, call_id: str, secret: bytes | None, line: frozenset[Purpose]) -> Proposal:
    """What is left of the line's purposes. Without the header all of them; with one that is not believed all of them
    too, and the attempt is denied.
    """
    value = headers.get(PURPOSES, "")
    if not value:
        return Proposal(purposes=line)
    if why := _why_not(headers, call_id=call_id, secret=secret, value=value):
        return Proposal(purposes=line, denied=(("header", why),))
    names = [name.strip() for name in value.split(",") if name.strip()]
    known = {purpose.value: purpose for purpose in Purpose}
    wanted = frozenset(known[name] for name in names if name in known)
    denied = [(name, "there is no such purpose") for name in names if name not in known]
    denied += [(purpose.value, "the line does not have this purpose") for purpose in sorted_by_name(wanted - line)]
    return Proposal(purposes=wanted & line, denied=tuple(denied))


def sorted_by_name(purposes: frozenset[Purpose]) -> list[Purpose]:
    """In the order of their names."""
    return sorted(purposes, key=lambda purpose: purpose.value)


def _why_not(headers: Mapping[str, str], *, call_id: str, secret: bytes | None, value: str) -> str:
    if secret is None:
        return "no secret is shared with the PBX"
    given = headers.get(TOKEN, "")
    fits = token_of(secret, call_id, value).encode()
    if not hmac.compare_digest(given.strip().lower().encode("utf-8", "surrogatepass"), fits):
        return "its token does not fit"
    return ""
