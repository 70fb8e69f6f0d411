"""The life of one recording as a table. Its events are the ledger's own entry kinds, so replaying a ledger replays it.

    SPOOLING    being captured, or captured and not yet sealed
    SEALED      closed, encrypted, hashed; still on this machine alone
    KEPT        the store holds it and has said so
    HELD        kept, and one legal hold or more forbids its disposal (R46)
    DISPOSED    destroyed with a certificate (R45)
    DISCARDED   destroyed before it was sealed, because the caller's choice came first
    LOST        a crash or a failing disk left nothing that could be sealed

Every recording that was started ends its capture in exactly one of SEALED, DISCARDED and LOST (design: What is bound).
A pair that the table does not name raises OutOfOrder and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, unique
from typing import Final

from callrec.core.kinds import Kind
from callrec.core.outoforder import OutOfOrder


@unique
class RecordingState(Enum):
    """Where one recording is."""

    SPOOLING = "spooling"
    SEALED = "sealed"
    KEPT = "kept"
    HELD = "held"
    DISPOSED = "disposed"
    DISCARDED = "discarded"
    LOST = "lost"


_S = RecordingState

TRANSITIONS: Final[Mapping[RecordingState, Mapping[Kind, RecordingState]]] = {
    _S.SPOOLING: {
        Kind.RECORDING_PAUSED: _S.SPOOLING,
        Kind.RECORDING_RESUMED: _S.SPOOLING,
        Kind.RECORDING_PROGRESS: _S.SPOOLING,
        Kind.RECORDING_STOPPED: _S.SPOOLING,
        Kind.RECORDING_SEALED: _S.SEALED,
        Kind.RECORDING_DISCARDED: _S.DISCARDED,
        Kind.RECORDING_LOST: _S.LOST,
    },
    _S.SEALED: {Kind.STORE_INTENT: _S.SEALED, Kind.RECORDING_DAMAGED: _S.SEALED, Kind.RECORDING_KEPT: _S.KEPT},
    _S.KEPT: {Kind.RECORDING_DAMAGED: _S.KEPT, Kind.HOLD_PLACED: _S.HELD, Kind.DISPOSAL_DONE: _S.DISPOSED},
    _S.HELD: {Kind.RECORDING_DAMAGED: _S.HELD, Kind.HOLD_PLACED: _S.HELD, Kind.HOLD_RELEASED: _S.KEPT},
    _S.DISPOSED: {},
    _S.DISCARDED: {},
    _S.LOST: {},
}
"""Everything that may happen to a recording. HOLD_RELEASED leads to KEPT only when no other hold is left."""

ENDS: Final = frozenset(state for state, row in TRANSITIONS.items() if not row)
"""Nothing follows these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One recording at one moment. Starts in SPOOLING, with its `recording.started` entry."""

    state: RecordingState = RecordingState.SPOOLING
    holds: frozenset[str] = field(default_factory=frozenset)

    def after(self, kind: Kind, *, hold: str = "") -> Recording:
        """This recording after one more entry. OutOfOrder where the state does not know it; `self` never changes.

        `hold` names the hold for HOLD_PLACED and HOLD_RELEASED. The same hold placed twice counts once; releasing a
        hold that was never placed is out of order.
        """
        if kind not in TRANSITIONS[self.state]:
            raise OutOfOrder(f"{kind.value} cannot happen to a recording that is {self.state.value}")
        holds = self._holds_after(kind, hold)
        state = RecordingState.HELD if holds else TRANSITIONS[self.state][kind]
        return replace(self, state=state, holds=holds)

    def _holds_after(self, kind: Kind, hold: str) -> frozenset[str]:
        if kind not in (Kind.HOLD_PLACED, Kind.HOLD_RELEASED):
            return self.holds
        if not hold:
            raise ValueError(f"{kind.value} must say which hold")
        if kind is Kind.HOLD_PLACED:
            return self.holds | {hold}
        if hold not in self.holds:
            raise OutOfOrder(f"{kind.value} of a hold that was not placed")
        return self.holds - {hold}
