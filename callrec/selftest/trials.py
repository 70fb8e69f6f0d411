"""Each trial is one call: what the synthetic caller does, and what must come of it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, unique
from pathlib import Path
from typing import Any, Final

from callrec._durable import write_file
from callrec.core.reasons import Reason
from callrec.demo.phone import LOOPBACK, Phone
from callrec.notice.verify import Verification


@unique
class Trial(Enum):
    """What is tried, and what it is called in the ledger."""

    HEARD = "heard back"
    ALTERED = "altered prompt"
    HELD = "held call"
    ONE_WAY = "one-way call"
    STOLEN = "stolen stream"


REFUSED_FOR: Final[Mapping[Trial, Reason]] = {
    Trial.ALTERED: Reason.NOTICE_ALTERED,
    Trial.HELD: Reason.NOTICE_INTERRUPTED,
    Trial.ONE_WAY: Reason.UNHEARD_SUSPECT,
    Trial.STOLEN: Reason.MEDIA_FOREIGN,
}
"""Why nothing may be recorded in a sabotaged call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one trial. `what` is a sentence; `figures` are the verifier's, where the notice was heard back."""

    trial: Trial
    passed: bool
    what: str
    figures: Mapping[str, Any] | None = None

    def to_value(self) -> dict[str, Any]:
        """As plain values."""
        return {"trial": self.trial.value, "passed": self.passed, "what": self.what, "figures": self.figures}


def outcome_of(trial: Trial, closed: Mapping[str, Any], heard: Verification) -> Outcome:
    """Whether this call was dealt with as promised: the sabotaged one unrecorded, and each caller connected."""
    recorded, why, connected = closed["decision"] == "RECORDED", closed["reason"], closed["connected"]
    if not connected:
        return Outcome(trial=trial, passed=False, what=f"the caller did not reach the line ({why or 'no reason'})")
    if trial is Trial.HEARD:
        return _heard(recorded=recorded, why=why, heard=heard)
    wanted = REFUSED_FOR[trial].value
    if recorded or why != wanted:
        got = "it was RECORDED" if recorded else f"not recorded for {why}"
        return Outcome(trial=trial, passed=False, what=f"was to be refused for {wanted}: {got}")
    return Outcome(trial=trial, passed=True, what=f"refused ({why}), and the caller reached the line")


def _heard(*, recorded: bool, why: str, heard: Verification) -> Outcome:
    figures = heard.to_value()
    if not heard.accepted:
        what = f"the caller did not hear the whole notice: {'; '.join(heard.reasons)}"
        return Outcome(trial=Trial.HEARD, passed=False, what=what, figures=figures)
    if not recorded:
        what = f"the caller heard the notice, and nothing was recorded: {why}"
        return Outcome(trial=Trial.HEARD, passed=False, what=what, figures=figures)
    what = f"the caller heard {heard.coverage:.1%} of its speech, and the call was recorded"
    return Outcome(trial=Trial.HEARD, passed=True, what=what, figures=figures)


# ---------------------------------------------------------------- what the caller, or a stranger, does in the notice


def hold(caller: Phone) -> None:
    """The caller's side puts the call on hold."""
    caller.hold()


def steal(caller: Phone) -> None:
    """A stranger sends audio into the call."""
    to = caller.media_towards
    if to is None:
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind((LOOPBACK, 0))
        for number in range(20):
            header = bytes([0x80, 8]) + number.to_bytes(2, "big") + (160 * number).to_bytes(4, "big") + b"bad!"
            stranger.sendto(header + bytes([0xD5]) * 160, to)


def nothing(_caller: Phone) -> None:
    """The notice plays to its end."""


ACTS: Final[Mapping[Trial, Callable[[Phone], None]]] = {Trial.HELD: hold, Trial.STOLEN: steal}
"""What happens a second into the notice; nothing in the others."""


def spoil(file: Path) -> bytes:
    """Change one sample in the middle of a prompt's file; what it was before."""
    before = file.read_bytes()
    at = len(before) // 2
    write_file(file, before[:at] + bytes([before[at] ^ 0x40]) + before[at + 1 :], mode=0o644)
    return before
