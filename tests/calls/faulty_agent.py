"""The agent as wiring builds it, behind doors for faults: `python -m tests.calls.faulty_agent CONFIG`.

The file that CALLREC_TEST_FAULT names says which fault there is now, so that one agent can meet several, one after the
other, and recover from each. An empty file, or none, is no fault.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Any

from callrec._sql import Session
from callrec.cli.agent import serve
from callrec.config import load
from callrec.core.proof import judge
from callrec.ledger.logfile import commit
from callrec.sip.leg import LegCall
from callrec.sip.listening import CallKeys
from callrec.sip.play import NoticePlay
from callrec.wiring import Faults, build_agent

JUDGE_RAISES = "the verifier raises"
JUDGE_HANGS = "the verifier hangs"
COMMIT_HANGS = "the ledger's commit hangs"
PROOF_HANGS = "the commit of a notice.proven hangs"
PLAYER_CUT = "the player is cut off from the leg"
NO_WINDOW = "the wire tap has no window for this leg"
NO_EAR = "nobody can listen for tones"

VARIABLE = "CALLREC_TEST_FAULT"
JUDGE_HANGS_S = 5.0
COMMIT_HANGS_S = 30.0
CUT_AFTER_S = 1.0


def fault() -> str:
    """The fault of this moment."""
    try:
        return Path(os.environ[VARIABLE]).read_text()
    except FileNotFoundError:
        return ""


def faulty_judge(*evidence: Any, **more: Any) -> Any:
    if fault() == JUDGE_RAISES:
        raise RuntimeError("the verifier has a defect")
    if fault() == JUDGE_HANGS:
        time.sleep(JUDGE_HANGS_S)
    return judge(*evidence, **more)


class FaultyCommit:
    """A commit that hangs until thirty seconds after the fault began, or until the fault is taken away."""

    def __init__(self) -> None:
        self._committed = -1

    def __call__(self, session: Session) -> None:
        rows = session.rows("SELECT seq, body FROM entries WHERE seq > :seq", {"seq": self._committed})
        proving = any(b'"notice.proven"' in body for _, body in rows)
        while fault() == COMMIT_HANGS or (fault() == PROOF_HANGS and proving):
            if time.time() - Path(os.environ[VARIABLE]).stat().st_mtime > COMMIT_HANGS_S:
                break
            time.sleep(0.05)
        commit(session)
        self._committed = max([self._committed, *(seq for seq, _ in rows)])


class FaultyPlay(NoticePlay):
    """A notice whose player loses the caller leg and plays on, for nobody; or one whose wire cannot be tapped."""

    def _open_window(self, call: LegCall) -> None:
        if fault() != NO_WINDOW:
            super()._open_window(call)

    def begin(self, pcm: bytes) -> None:
        super().begin(pcm)
        if fault() == PLAYER_CUT:
            self._thread.call_later(CUT_AFTER_S, self._lose_leg)

    def _lose_leg(self) -> None:
        caller = self._stage.caller
        leg = caller.audio() if caller is not None else None
        if self._player is None or leg is None:
            raise RuntimeError("there is nothing to cut")
        self._elsewhere = self._media.recorder(self._media.taps / "elsewhere.wav")
        self._player.startTransmit(self._elsewhere)  # a player whom nobody hears stands still, and is seen to
        self._player.stopTransmit(leg)


class DeafKeys(CallKeys):
    """Keys in a call whose caller cannot be listened to."""

    def listen(self, name: str) -> None:
        if fault() != NO_EAR:
            super().listen(name)


def main(config: Path) -> None:
    import callrec.sip.session as session  # noqa: PLC0415, PLR0402 - its name for the class is replaced

    session.NoticePlay, session.CallKeys = FaultyPlay, DeafKeys  # type: ignore[misc]
    faults = Faults(judge_by=faulty_judge, commit=FaultyCommit())
    built = build_agent(load(config), faults=faults, allow_unsafe_memory=True)
    try:
        asyncio.run(serve(built))
    finally:
        built.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
