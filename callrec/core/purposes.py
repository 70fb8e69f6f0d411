"""What a recording may be kept and used for: who proposes, who grants, what takes away, who may use (R22-R25).

    effective = proposed n (named by the notice u consented to) - declined - taken away by a protection

Nothing widens past what the caller was told or agreed to. An empty result means: not recorded.
Source: GMC recordings guidance paragraphs 8, 9, 18, 24, 34 and 56; requirements section 4.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, unique
from typing import Final

from callrec.core.values import Purpose

SECONDARY: Final = frozenset({Purpose.AUDIT, Purpose.TRAINING})
"""Purposes that do not serve the caller's own care or rights."""

UNSUPPORTED: Final[Mapping[str, str]] = {
    "research": "research needs ethical approval and law of its own, which a recorded notice cannot meet",
    "marketing": "a caller asking for advice is never an audience",
    "publication": "publishing needs written consent for that publication, which no notice gives",
    "broadcast": "broadcasting needs written consent for that broadcast, which no notice gives",
    "model-training": "a voice used to train a model cannot be taken back when the caller withdraws",
}
"""Purposes people ask for, and why the answer is no (R32)."""


@dataclass(frozen=True, slots=True)
class Widening:
    """What somebody wants added to what a recording is for: a purpose, or a use that people ask for and there is none
    of. ValueError where it is neither. It is refused whatever it is (R22, R24).
    """

    word: str

    def __post_init__(self) -> None:
        if self.word not in WIDENINGS:
            raise ValueError(
                f"there is no purpose {self.word!r}; the purposes are {', '.join(each.value for each in Purpose)}"
            )

    @property
    def why_not(self) -> str:
        """Why it is not added, as a sentence."""
        return UNSUPPORTED.get(self.word, "no command adds a purpose; that needs the caller's consent, on a call")


WIDENINGS: Final = (*(purpose.value for purpose in Purpose), *UNSUPPORTED)
"""Whatever may be asked for, in words."""


def parse_purposes(names: Iterable[object], *, at: str) -> frozenset[Purpose]:
    """The purposes that were configured at this place. ValueError names the place, the wrong name and the reason."""
    return frozenset(_parse(name, at=at) for name in names)


def _parse(name: object, *, at: str) -> Purpose:
    known = {purpose.value: purpose for purpose in Purpose}
    if isinstance(name, str) and name in known:
        return known[name]
    choices = ", ".join(known)
    if isinstance(name, str) and name in UNSUPPORTED:
        raise ValueError(f"{at}: {name!r} is not offered: {UNSUPPORTED[name]}; the purposes are {choices}")
    raise ValueError(f"{at}: unknown purpose {name!r}; the purposes are {choices}")


@unique
class Protection(Enum):
    """Something about this call that only takes purposes away."""

    DISTRESS = "distress"
    CAPACITY_DOUBT = "capacity doubt"
    CHILD_OBJECTS = "child objects"

    @property
    def takes_away(self) -> frozenset[Purpose]:
        """R18 and R33 end secondary use; R36 ends the recording, whoever else agreed."""
        return frozenset(Purpose) if self is Protection.CHILD_OBJECTS else SECONDARY


def effective(
    *,
    proposed: Collection[Purpose],
    granted_by_notice: Collection[Purpose],
    consents: Collection[Purpose] = (),
    declined: Collection[Purpose] = (),
    protections: Collection[Protection] = (),
) -> frozenset[Purpose]:
    """The purposes this segment may be recorded for; empty means that it must not be recorded (NO_PURPOSE)."""
    allowed = frozenset(granted_by_notice) | frozenset(consents)
    taken = frozenset(declined).union(*(protection.takes_away for protection in protections))
    return (frozenset(proposed) & allowed) - taken


def shared(parties: Iterable[frozenset[Purpose]]) -> frozenset[Purpose]:
    """What holds for a conference: only what every outside party was told. No party, no purpose."""
    each = list(parties)
    return frozenset.intersection(*each) if each else frozenset()


# ---------------------------------------------------------------- history


@unique
class TagSource(Enum):
    """Where a change of a tag came from."""

    NOTICE = "notice"
    CONSENT = "consent"
    AUTHORITY = "authority"
    CALLER = "caller"
    STAFF = "staff"
    PROTECTION = "protection"
    RETENTION = "retention"


MAY_ADD: Final = frozenset({TagSource.NOTICE, TagSource.CONSENT, TagSource.AUTHORITY})
"""Who may widen: the notice once, at commit; later only a further consent or an authority record (R24)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TagChange:
    """One purpose added to or removed from one recording. `basis_leaf` is the ledger entry that allows an addition."""

    purpose: Purpose
    added: bool
    source: TagSource
    actor: str
    at: datetime
    why: str
    basis_leaf: str = ""

    def __post_init__(self) -> None:
        """ValueError for an addition by somebody who may only narrow, or without its basis."""
        if self.added and self.source not in MAY_ADD:
            raise ValueError(f"{self.source.value} may only remove a purpose, not add {self.purpose.value}")
        if self.added and not self.basis_leaf:
            raise ValueError(f"adding {self.purpose.value} needs the ledger entry that allows it")


def live_tags(history: Iterable[TagChange]) -> frozenset[Purpose]:
    """The purposes left after this history, oldest change first. Only ever appended to (R24)."""
    live: frozenset[Purpose] = frozenset()
    for change in history:
        live = live | {change.purpose} if change.added else live - {change.purpose}
    return live


# ---------------------------------------------------------------- use


@unique
class Role(Enum):
    """What a person is trusted with."""

    OPERATOR = "operator"
    AUDITOR = "auditor"
    MEDICO_LEGAL = "medico-legal"
    TRAINER = "trainer"
    GUARDIAN = "guardian"
    STAFF = "staff"


USERS: Final[Mapping[Purpose, frozenset[Role]]] = {
    Purpose.MEDICO_LEGAL: frozenset({Role.MEDICO_LEGAL, Role.GUARDIAN}),
    Purpose.AUDIT: frozenset({Role.AUDITOR}),
    Purpose.TRAINING: frozenset({Role.TRAINER}),
}
"""Who may listen for which purpose (requirements section 4, use rules)."""


def why_not(
    purpose: Purpose,
    *,
    role: Role,
    live: Collection[Purpose],
    identifiable: bool = True,
    consented: Collection[Purpose] = (),
) -> str:
    """Why this use is denied, as a sentence; empty where it is allowed (R23, R27)."""
    if purpose not in live:
        return f"this recording is not tagged {purpose.value}"
    if role not in USERS[purpose]:
        return f"the role {role.value} may not use recordings for {purpose.value}"
    if purpose is Purpose.TRAINING and identifiable and purpose not in consented:
        return "training uses a coded or anonymised copy unless the caller consented to the voice itself"
    return ""
