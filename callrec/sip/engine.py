"""Which build of the library this is, and what it carries: asked at start, never assumed.

Both builds import as `pjsua2`: the evaluation wheel (4 calls, assertions on) and our own build of a later version.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Final

import pjsua2 as pj

from callrec.core.values import Tap
from callrec.ports import EngineFacts
from callrec.sip.settings import Listen
from callrec.sip.wire import additions

_FEW_PORTS: Final = 256
_PORTS_PER_CALL: Final = 16
SPARE_SLOTS: Final = 64
"""Legs of the production engine beyond those of calls: for INVITEs that are told 503 with the reason in the ledger."""
_EVALUATION_SPARE_SLOTS: Final = 2

_EVALUATION_REMARKS: Final = (
    "evaluation engine: loopback only",
    "100 Trying leaves before a stranger's INVITE is refused",
    "a burst of 32 INVITEs within half a second ends the process; keep the peer below 30 a second",
    "another local process can take over RTP that the caller has not sent yet",
    "with both calls bridged a further INVITE is answered 486 by the library, not 503 by us",
    "a BYE that nobody answers holds its slot for 32 seconds",
    "what is proven is what the player sent (tap: player)",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """The library as found."""

    version: str
    slots: int
    evaluation: bool

    @property
    def bridged_calls(self) -> int:
        """Calls with both legs that fit, beside what refusals need."""
        return (self.slots if self.evaluation else self.slots - SPARE_SLOTS) // 2

    @property
    def few_ports(self) -> bool:
        """True where every conference port can be looked at while a notice plays."""
        return self.bridged_calls * _PORTS_PER_CALL <= _FEW_PORTS

    def facts(self, max_calls: int) -> EngineFacts:
        """What is told outside; `max_calls` is what the configuration allows."""
        return EngineFacts(
            build="evaluation wheel" if self.evaluation else "own build",
            version=self.version,
            tap=Tap.PLAYER if self.evaluation else Tap.WIRE,
            max_bridged_calls=min(self.bridged_calls, max_calls),
            loopback_only=self.evaluation,
            remarks=_EVALUATION_REMARKS if self.evaluation else (),
        )

    def admits(self, listen: Listen) -> bool:
        """True where this build may listen there."""
        return not self.evaluation or (listen.address.is_loopback and listen.address.version == 4)  # noqa: PLR2004


def _library() -> ctypes.CDLL:
    return ctypes.CDLL(pj._pjsua2.__file__)  # noqa: SLF001 - the library's own C face has no other name


def slots_for(calls: int) -> int:
    """How many legs the library is to be set up for, that it may carry so many calls."""
    wire = additions()
    return 2 * calls + _EVALUATION_SPARE_SLOTS if wire is None else min(wire.most_calls(), 2 * calls + SPARE_SLOTS)


def silence_log() -> None:
    """Keep the library from printing, before it exists: its log may hold numbers and keys."""
    _library().pj_log_set_level(0)


def ask(endpoint: pj.Endpoint) -> Engine:
    """Look at the initialised library. On the SIP thread.

    Only our own build has our additions; its slots may have been set as low as the evaluation wheel's.
    """
    slots = int(_library().pjsua_call_get_max_count())
    return Engine(version=endpoint.libVersion().full, slots=slots, evaluation=additions() is None)
