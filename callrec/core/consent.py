"""A caller's consent: what is asked, what a yes is, and the value that alone adds a purpose to a recording (R17-R21).

A notice is no consent. What only a consent may add is asked for by an approved script, played to the caller, who says
yes by a key, or read out by staff, who say by a code that the caller agreed aloud. Silence and every other key mean no.
Source: GMC recordings guidance paragraphs 24, 25 and 27.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, unique
from typing import Any

from callrec.core.kinds import Kind
from callrec.core.people import About, Answer, Speaker, about_json
from callrec.core.proof import NoticeProof, Receipt
from callrec.core.retention import Subject
from callrec.core.tags import recorded_for
from callrec.core.values import Grade, Purpose


@unique
class ConsentKind(Enum):
    """How the caller said yes (R19)."""

    KEYPRESS = "keypress"
    ORAL = "oral"

    @property
    def evidence(self) -> str:
        """What shows what was asked: the script was played, and that is proven, or staff say they read it."""
        return "PLAYED" if self is ConsentKind.KEYPRESS else "AGENT_READ"


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """An approved prompt that asks for consent, as a call knows it.

    `purposes` are what it says the call is recorded for whatever the answer is: it is the notice of what is recorded
    from a yes on. `asks` are what a yes adds. By `essential_ms` all of it was said.
    """

    prompt_id: str
    version: int
    language: str
    pcm_sha256: str
    approval_leaf: str
    purposes: frozenset[Purpose]
    asks: frozenset[Purpose]
    agree: str
    refuse: str
    essential_ms: int


@unique
class GivenBy(Enum):
    """In what place a caller agrees: for themselves, or for a child of theirs (R34)."""

    SUBJECT = "subject"
    PARENT = "parental-responsibility"


def who_agrees(about: About | None, line: Subject) -> GivenBy | None:
    """In what place this caller may agree; None where nobody can tell that they may. What was said of this call counts;
    where nothing was, the line's own callers are meant (R33-R35). Doubt is a no.
    """
    if about is None:
        return GivenBy.SUBJECT if line is Subject.ADULT else None
    if about.caller is Speaker.PARENT and about.subject is Subject.CHILD:
        return GivenBy.PARENT
    own = about.caller in (Speaker.SUBJECT, Speaker.UNKNOWN)
    able = about.subject is Subject.ADULT or about.competent is Answer.YES
    return GivenBy.SUBJECT if own and able else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """A yes that is not in the ledger yet: no consent. `taker` is the role of whoever asked, `at_ns` when it was said;
    `proof` is that of the segment that may rest on it. ValueError for a proof that does not show what the kind says.
    """

    kind: ConsentKind
    script: Script
    purposes: frozenset[Purpose]
    given_by: GivenBy
    about: About | None
    taker: str
    at_ns: int
    proof: NoticeProof

    def __post_init__(self) -> None:
        """See above."""
        if not self.purposes or not self.purposes <= self.script.asks:
            raise ValueError("a consent is to what its script asks for, and to nothing else")
        if self.kind is ConsentKind.KEYPRESS and self.proof.granted.grade is not Grade.ACKNOWLEDGED:
            raise ValueError("no key of the caller's is in this proof")


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What the shell knows of a yes: when it was, who took it, and where the words can be heard, if they can:
    `offset_ms` from the beginning of the recording `heard_in`.
    """

    utc: str
    taker: str
    heard_in: str = ""
    offset_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """A yes whose `consent.given` entry is durable. Nothing else adds a purpose that the notice did not name."""

    agreed: Agreed
    taken: Taken
    receipt: Receipt

    def __post_init__(self) -> None:
        """ValueError for a receipt that is for something else, or for another segment than the proof's."""
        if self.receipt.kind is not Kind.CONSENT_GIVEN:
            raise ValueError(f"a receipt for {self.receipt.kind.value} is no consent")
        proof = self.agreed.proof.receipt
        if (self.receipt.call_uid, self.receipt.segment) != (proof.call_uid, proof.segment):
            raise ValueError("this receipt belongs to another call or segment")

    @property
    def purposes(self) -> frozenset[Purpose]:
        """What it adds."""
        return self.agreed.purposes

    @property
    def segment(self) -> int:
        """The segment that it is for, and no other."""
        return self.receipt.segment


def consent_json(agreed: Agreed, taken: Taken) -> dict[str, Any]:
    """The record of it, as the ledger and the sealed recording hold it (R19). No name, no number."""
    script = agreed.script
    return {
        "consent": agreed.kind.value,
        "evidence": agreed.kind.evidence,
        "prompt_id": script.prompt_id,
        "version": script.version,
        "language": script.language,
        "pcm_sha256": script.pcm_sha256,
        "script_leaf": script.approval_leaf,
        "proven_leaf": agreed.proof.receipt.leaf,
        "purposes": sorted(purpose.value for purpose in agreed.purposes),
        "given_by": agreed.given_by.value,
        "about": {} if agreed.about is None else about_json(agreed.about),
        "given_utc": taken.utc,
        "taker": taken.taker,
        "heard_in": taken.heard_in,
        "offset_ms": taken.offset_ms,
    }


def sealed_json(consent: Consent) -> Mapping[str, Any]:
    """As it lies in the sealed recording: the record, and the entry that holds it."""
    return {**consent_json(consent.agreed, consent.taken), "leaf": consent.receipt.leaf}


def agreed_in(manifest: Mapping[str, Any]) -> frozenset[Purpose]:
    """What the caller agreed to, by the record that was sealed with the recording (R19, R27)."""
    return recorded_for((manifest.get("details", {}).get("consent") or {}).get("purposes"))
