"""May this outside party be recorded in this segment? Four states, one table.

There is no way out of WITHDRAWN: what a caller declined or stopped stays so for the rest of the call. (A new notice
with an affirmative answer would be a new row here, and nowhere else.)
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, unique
from typing import Final

from callrec.core.outoforder import OutOfOrder


@unique
class Permission(Enum):
    """Where one outside party stands."""

    NONE = "none"
    PENDING = "pending"
    GRANTED = "granted"
    WITHDRAWN = "withdrawn"


@unique
class PermissionFact(Enum):
    """What can happen to a permission."""

    NOTICE_BEGAN = "notice began"
    PROVEN = "proven"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


_P, _F = Permission, PermissionFact

PERMISSIONS: Final[Mapping[Permission, Mapping[PermissionFact, Permission]]] = {
    _P.NONE: {_F.NOTICE_BEGAN: _P.PENDING, _F.REFUSED: _P.NONE, _F.WITHDRAWN: _P.WITHDRAWN},
    _P.PENDING: {
        _F.NOTICE_BEGAN: _P.PENDING,
        _F.PROVEN: _P.GRANTED,
        _F.REFUSED: _P.NONE,
        _F.WITHDRAWN: _P.WITHDRAWN,
    },
    _P.GRANTED: {_F.REFUSED: _P.NONE, _F.WITHDRAWN: _P.WITHDRAWN},
    _P.WITHDRAWN: {_F.REFUSED: _P.WITHDRAWN, _F.WITHDRAWN: _P.WITHDRAWN},
}


def after(permission: Permission, fact: PermissionFact) -> Permission:
    """The permission after this fact; OutOfOrder where the table has no such row."""
    try:
        return PERMISSIONS[permission][fact]
    except KeyError:
        raise OutOfOrder(f"permission {permission.value}", fact.value) from None
