"""What a caller may ask about a recording afterwards, and how it may be decided: tables (R51; UK GDPR 17, 18, 21).

A restriction suspends every use. An objection that is upheld takes the secondary purposes away for good. An erasure
that is granted takes all of them away: what is kept for nothing is due at once, for two persons to destroy. A refusal
names one of the law's own exceptions, and changes nothing. A health record is never destroyed merely on demand.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, unique
from typing import Final

from callrec.core.purposes import SECONDARY
from callrec.core.tags import REMOVED, RESTORED, SUSPENDED
from callrec.core.values import Purpose


@unique
class Request(Enum):
    """What the caller asked for."""

    ERASURE = "erasure"
    OBJECTION = "objection"
    RESTRICTION = "restriction"
    LIFT = "lift"


GRANTED: Final[Mapping[Request, frozenset[str]]] = {
    Request.ERASURE: frozenset({"consent-withdrawn", "no-longer-needed", "objection-upheld", "unlawful", "legal-duty"}),
    Request.OBJECTION: frozenset({"objection-upheld", "consent-withdrawn"}),
    Request.RESTRICTION: frozenset({"accuracy-contested", "unlawful", "kept-for-claims", "objection-pending"}),
    Request.LIFT: frozenset({"restriction-over", "decided"}),
}
"""Grounds on which each is granted. `lift` ends a restriction, and needs one as well."""
REFUSED: Final = frozenset(
    {"legal-obligation", "public-task", "public-health", "health-care", "legal-claims", "not-the-subject", "unfounded"}
)
"""The exceptions by which one is refused."""


_CHANGES: Final[Mapping[Request, tuple[str, frozenset[Purpose]]]] = {
    Request.ERASURE: (REMOVED, frozenset(Purpose)),
    Request.OBJECTION: (REMOVED, SECONDARY),
    Request.RESTRICTION: (SUSPENDED, frozenset(Purpose)),
    Request.LIFT: (RESTORED, frozenset(Purpose)),
}


def change_of(request: Request) -> tuple[str, frozenset[Purpose]]:
    """What a grant does to the tags: how they change, and which."""
    return _CHANGES[request]


def why_not(request: Request, *, granted: bool, ground: str) -> str:
    """Why it cannot be decided on this ground, as a sentence; empty where it can."""
    known = GRANTED[request] if granted else REFUSED
    if ground in known:
        return ""
    verb = "granted" if granted else "refused"
    return f"{request.value} is {verb} on one of the grounds {', '.join(sorted(known))}"
