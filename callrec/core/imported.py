"""Recordings of another recorder, for which nothing here proves that the caller was told: what may be done with them.

No record, no use (R31): such a recording is heard to decide about its disposal, or under a legal hold, and for nothing
else. Where an approved notice is found whole in its audio, it may also be used for what that notice names: found in the
audio is not proven on the wire, and is never called so.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum, unique
from typing import Final

from callrec.core import authority, purposes
from callrec.core.purposes import Role
from callrec.core.values import Purpose


@unique
class Standing(Enum):
    """What speaks for a recording that was imported."""

    NO_EVIDENCE = "NO_EVIDENCE"
    NOTICE_FOUND = "NOTICE_FOUND"


@unique
class LastUse(Enum):
    """What a recording may be heard for that may be used for nothing."""

    DISPOSAL_REVIEW = "disposal-review"
    LEGAL_HOLD = "legal-hold"


WORDS: Final = {
    Standing.NO_EVIDENCE: "no evidence that the caller was told: not usable",
    Standing.NOTICE_FOUND: "an approved notice was found in the audio, not proven on the wire",
}
"""Each standing, for people."""


def why_not(standing: Standing, named: Collection[Purpose], use: Purpose | LastUse, *, role: Role, held: bool) -> str:
    """Why this use is denied, as a sentence; empty where it is allowed. `named` are the purposes that the notice which
    was found names, `held` whether a legal hold stands on the recording now.
    """
    if isinstance(use, LastUse):
        if use is LastUse.LEGAL_HOLD and not held:
            return "no legal hold stands on it"
        return authority.why_not(authority.Act.HEAR_UNPROVEN, role)
    if standing is Standing.NO_EVIDENCE:
        uses = " or ".join(each.value for each in LastUse)
        return f"NO_EVIDENCE: nothing proves that its caller was told, and it may be heard for {uses} alone"
    if use not in named:
        return f"the notice that was found in it does not name {use.value}"
    return purposes.why_not(use, role=role, live={use})
