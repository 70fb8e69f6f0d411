"""Who may decide what about kept recordings. Whoever only reads decides nothing (R56)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, unique
from typing import Final

from callrec.core.purposes import Role


@unique
class Act(Enum):
    """A decision about recordings that stands in the ledger under a person's name."""

    CLASSIFY = "classify recordings"
    HOLD = "place a hold"
    RELEASE = "release a hold"
    PROPOSE = "propose recordings for disposal"
    APPROVE = "approve a disposal"
    FIND = "find a caller's calls"
    ROTATE = "wrap keys for another keeper"
    DECIDE = "decide on a caller's request"
    FORGET = "let a caller's number go"
    HAND_OVER = "hand everything over"
    CODE = "make copies in which nobody is known"
    DISCLOSE = "ask for a disclosure"
    AGREE = "agree to a disclosure"
    NARROW = "take a purpose away"
    WITHDRAW = "enter a caller's withdrawal"
    REVIEW = "lift a suspension"
    STANDING = "enter standing refusals, and what staff acknowledged"
    ERASE = "decide that it is not kept as a record of advice"
    IMPORT = "import another recorder's archive"
    HEAR_UNPROVEN = "hear a recording without evidence"


_DECIDES: Final = frozenset({Role.MEDICO_LEGAL, Role.GUARDIAN})
_MANAGES: Final = _DECIDES | {Role.OPERATOR}

MAY: Final[Mapping[Act, frozenset[Role]]] = {
    Act.CLASSIFY: _MANAGES,
    Act.HOLD: _MANAGES | {Role.AUDITOR},
    Act.RELEASE: _DECIDES,
    Act.PROPOSE: _MANAGES,
    Act.APPROVE: _DECIDES,
    Act.FIND: _DECIDES,
    Act.ROTATE: _MANAGES,
    Act.DECIDE: _DECIDES,
    Act.FORGET: _DECIDES,
    Act.HAND_OVER: frozenset({Role.GUARDIAN}),
    Act.CODE: _DECIDES,
    Act.DISCLOSE: _DECIDES,
    Act.AGREE: _DECIDES,
    Act.NARROW: _MANAGES | {Role.AUDITOR, Role.TRAINER},
    Act.WITHDRAW: _MANAGES,
    Act.REVIEW: _DECIDES,
    Act.STANDING: _MANAGES,
    Act.ERASE: _DECIDES,
    Act.IMPORT: _MANAGES,
    Act.HEAR_UNPROVEN: _DECIDES,
}
"""A hold only protects, so nearly everybody may place one. What destroys needs somebody who answers for it."""


def why_not(act: Act, role: Role) -> str:
    """Why this role may not do this, as a sentence; empty where it may."""
    if role in MAY[act]:
        return ""
    able = ", ".join(sorted(each.value for each in MAY[act]))
    return f"the role {role.value} may not {act.value}: {able} may"
