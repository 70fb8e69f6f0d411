"""What happens in a call, told in plain words as it happens; and what of it was when, for the picture afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from callrec.core import commands as c
from callrec.core import events as e
from callrec.core.values import Leg

Clock = Callable[[], int]
Say = Callable[[str], None]


class Story:
    """`watch` is handed to the agent. All methods run on the agent's loop. Times in seconds from `begins`."""

    def __init__(self, now_ns: Clock, say: Say) -> None:
        self._now_ns, self._say = now_ns, say
        self._began_ns = now_ns()
        self._seen: list[Any] = []
        self._changed = asyncio.Event()
        self.uid = ""
        self.at: dict[type, float] = {}

    def begins(self, words: str) -> None:
        """A new call: forget the last one."""
        self._began_ns, self._seen, self.at, self.uid = self._now_ns(), [], {}, ""
        self.tell(words)

    def tell(self, words: str) -> None:
        """One line, with the time."""
        self._say(f"{self._now_s():6.1f} s  {words}")

    def watch(self, uid: str, what: Any) -> None:
        """An event or an order of the call."""
        self.uid = uid
        self._seen.append(what)
        self.at.setdefault(type(what), self._now_s())
        if isinstance(what, e.LegEnded) and what.leg is Leg.STAFF:
            self.at.pop(e.LegEnded, None)  # the call ends with the caller
        if words := in_words(what):
            self.tell(words)
        self._changed.set()

    async def until(self, *kinds: type, within_s: float) -> Any:
        """The first event or order of these kinds in this call, or None where none came in time."""
        try:
            async with asyncio.timeout(within_s):
                while not (found := [seen for seen in self._seen if isinstance(seen, kinds)]):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return None
        return found[0]

    def of(self, kind: type) -> Any:
        """The first event or order of this kind in this call, or None."""
        return next((seen for seen in self._seen if isinstance(seen, kind)), None)

    def _now_s(self) -> float:
        return (self._now_ns() - self._began_ns) / 1e9


def in_words(what: Any) -> str:
    """What this event or order means, or nothing where it says nothing to a listener."""
    words = WORDS.get(type(what))
    return words(what) if words else ""


def _notice_ended(what: e.NoticeEnded) -> str:
    seen = what.observation
    if not seen.complete:
        return f"the notice ends early: {seen.interruption.value if seen.interruption else 'interrupted'}"
    return f"the notice ends: {sum(stream.sent for stream in seen.streams)} RTP packets left on the caller's leg"


def _chosen(what: c.RecordChoice) -> str:
    no = what.choice in ("decline", "emergency")
    return "the caller said no: nothing can start a recording of this call now" if no else what.choice


def _ended(what: e.LegEnded) -> str:
    return "the caller hangs up" if what.leg is Leg.CALLER else ""


def _proof(what: e.ProofRecorded) -> str:
    return f"the proof is in the ledger and on the disk: entry {what.proof.receipt.seq}"


def _starts(what: c.StartRecording) -> str:
    return f"recording starts, for {', '.join(sorted(purpose.value for purpose in what.purposes))}"


WORDS: Final[Mapping[type, Callable[[Any], str]]] = {
    c.AnswerCaller: lambda _: "callrec answers",
    c.PlayNotice: lambda _: "the recording notice plays; nothing is recorded",
    e.KeyPressed: lambda what: f"the {what.leg.value} presses {what.digit}",
    c.RecordChoice: _chosen,
    e.NoticeEnded: _notice_ended,
    e.NoticeGranted: lambda _: "proven: the whole approved notice, and nothing else, fed this leg",
    e.NoticeRefused: lambda what: f"not proven: {', '.join(reason.value for reason in what.reasons)}",
    e.ProofRecorded: _proof,
    e.ProofUnrecorded: lambda _: "the ledger did not take the proof in time: this call is not recorded",
    c.Dial: lambda _: "the advice line is called",
    e.DestinationRinging: lambda _: "it rings; nothing is recorded",
    e.StaffAnswered: lambda _: "the line answers",
    e.LegsBridged: lambda _: "caller and line hear each other",
    e.DialFailed: lambda what: f"the line was not reached: {what.failure.value}",
    e.LegHeld: lambda what: f"the {what.leg.value} leg is on hold",
    e.LegEnded: _ended,
    c.StartRecording: _starts,
    c.StopRecording: lambda _: "recording stops",
    c.DiscardRecording: lambda what: f"what was recorded is destroyed: {what.reason.value}",
    e.RecordingFailed: lambda what: f"recording failed: {what.reason.value}",
    c.EndWithTone: lambda what: f"the caller hears the {what.tone.value} tone",
    c.RejectCaller: lambda what: f"the call is turned away: {what.reason.value}",
}
"""Events and orders that a listener wants to hear of, and how they are said."""
