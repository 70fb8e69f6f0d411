"""One agent with some lines for many calls, and callees that come and go at two addresses known beforehand.

5000 and 5003 are recorded where the notice is proven, 5001 and 5002 never; 5000 and 5001 have a fallback. 81 before a
number calls that number outside; after 82 the notice plays as soon as somebody answers. Staff of 5005 hear whether a
call is recorded, callers of 5007 have longer to choose. 5004, where it is wanted, has a notice that may be shortened
and one in Welsh, which a test brings (`test_choices.py`); 5006 a notice that names no training, and a prompt that asks
for it (`test_orders.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from callrec.audit.verify import Places, Verification, verify
from tests.calls.house import House
from tests.peers import audio, ports, sipp
from tests.peers.audio import Samples
from tests.peers.baresip import Ear
from tests.peers.ports import LOOPBACK

RECORDED, PLAIN, PLAIN_ALONE, RECORDED_ALONE, CHOOSING, NOBODYS = "5000", "5001", "5002", "5003", "5004", "5999"
WHISPERING, PATIENT = "5005", "5007"
CONSENTING = "5006"
OUTSIDE = "07700900222"
"""Somebody outside, whom staff call by dialling 81 first."""
CALLER_HZ, STAFF_HZ = 600, 800
PATIENCE_S = 60
PATIENT_S = 4
"""In which callers of the patient line may choose, once the notice has ended."""


def verified(house: House) -> Verification:
    """The whole ledger and all that lies beside it, by the auditor's checks."""
    return verify(
        Places(
            ledger=house.var / "ledger.db",
            anchors=(house.folder / "anchors",),
            evidence=house.var / "evidence",
            prompts=house.var / "prompts",
            store=house.var / "store",
            spool=house.var / "spool",
        )
    )


class Office:
    """See above. `folder` is that of the test that runs."""

    def __init__(self, folder: Path, *, choosing: bool = False, consenting: bool = False) -> None:
        self.first, self.second = ports.free_port(), ports.free_port()
        self.folder = folder
        self.peers = 0
        self._closed = self._before = 0
        self.house = House(folder / "house", staff=f"{LOOPBACK}:{self.first}", fallback=(f"{LOOPBACK}:{self.second}",))
        self._lines(self.house.settings)
        if choosing:
            self._line_with_choices(self.house.settings)
        if consenting:
            self._line_that_asks(self.house.settings)
            self.house.settings["notice"] |= {"consent_wait_s": 4}
        self.house.settings["sip"] |= {"trusted_headers": ["X-Ward", "X-Linked"], "linked_header": "X-Linked"}
        self.caller_file = audio.write_alaw(folder / "caller.alaw", audio.tone(CALLER_HZ, 10))
        self.staff_file = audio.write_alaw(folder / "staff.alaw", audio.tone(STAFF_HZ, 10))

    def _lines(self, settings: dict[str, Any]) -> None:
        recorded = settings["lines"]["advice"]
        recorded["dial_timeout_s"] = 3
        common = {"destination": recorded["destination"], "dial_timeout_s": 3, "subject": "adult"}
        plain = {**common, "record": "never", "purposes": []}
        added = {
            "plain": {**plain, "match": {"dialled": [PLAIN]}, "fallback": recorded["fallback"]},
            "plain-alone": {**plain, "match": {"dialled": [PLAIN_ALONE]}},
            "alone": {**recorded, "match": {"dialled": [RECORDED_ALONE]}, "fallback": [], "notice": "short"},
            "outside": {
                **recorded,
                "direction": "outbound",
                "match": {"prefix": "81", "from": [LOOPBACK]},
                "destination": f"sip:{{number}}@{LOOPBACK}:{self.first}",
                "fallback": [],
                "notice": "short",
            },
        }
        match = {"prefix": "82", "from": [LOOPBACK]}
        added["told"] = {**added["outside"], "match": match, "notice_when": "answer"}
        added["whispering"] = {**added["alone"], "match": {"dialled": [WHISPERING]}, "staff_whisper": True}
        added["patient"] = {**added["alone"], "match": {"dialled": [PATIENT]}, "choice_window_s": PATIENT_S}
        settings["lines"] |= {name: deepcopy(line) for name, line in added.items()}

    def _line_with_choices(self, settings: dict[str, Any]) -> None:
        recorded = settings["lines"]["advice"]
        settings["lines"]["choosing"] = deepcopy(recorded) | {
            "match": {"dialled": [CHOOSING]},
            "notice": "choosing",
            "languages": ["en", "cy"],
            "language_keys": {"cy": "5"},
            "keys": {**recorded["keys"], "shorten": "7"},
            "fallback": [],
        }

    def _line_that_asks(self, settings: dict[str, Any]) -> None:
        settings["lines"]["consenting"] = deepcopy(settings["lines"]["advice"]) | {
            "match": {"dialled": [CONSENTING]},
            "notice": "telling",
            "consent": "training-consent",
            "purposes": ["medico-legal", "audit"],
            "keys": {"decline": "2", "stop": "**2"},
            "fallback": [],
        }

    # ------------------------------------------------------------ peers

    def _place(self) -> Path:
        self.peers += 1
        return self.folder / f"peer{self.peers}"

    def caller(self, *steps: str, dialled: str = RECORDED, **words: Any) -> sipp.Sipp:
        """sipp, calling."""
        return sipp.calling(self._place(), list(steps), to=self.house.address, dialled=dialled, **words)

    def callee(self, *steps: str, fallback: bool = False, calls: int = 1) -> sipp.Sipp:
        """sipp, waiting where the line goes first, or where its fallback is."""
        port = self.second if fallback else self.first
        return sipp.answering(self._place(), list(steps), port=port, calls=calls)

    def phone(self, say: Samples | None = None) -> Ear:
        """A caller's phone."""
        return Ear(self._place(), say=audio.tone(CALLER_HZ, 60) if say is None else say)

    def staff(self, say: Samples | None = None, *, fallback: bool = False) -> Ear:
        """A phone of staff, which takes calls at once."""
        said = audio.tone(STAFF_HZ, 60) if say is None else say
        port = self.second if fallback else self.first
        return Ear(self._place(), say=said, user="6002" if fallback else "6000", auto_answer=True, port=port)

    def outside(self, say: Samples | None = None) -> Ear:
        """The telephone of somebody who is called, and answers at once."""
        said = audio.tone(CALLER_HZ, 60) if say is None else say
        return Ear(self._place(), say=said, user=OUTSIDE, auto_answer=True, port=self.first)

    # ------------------------------------------------------------ what the ledger says

    def begin(self, folder: Path) -> None:
        """A new test: calls so far are not its own."""
        self.folder = folder
        self._closed = len(self.house.entries("call.closed"))
        self._before = len(self.house.entries("call.offered"))

    def closed(self, count: int = 1) -> Mapping[str, Any]:
        """The summary of the newest call of this test, once there are `count` of them, and no more."""
        wanted = self._closed + count
        self.house.wait_for("call.closed", seconds=PATIENCE_S, count=wanted)
        assert len(self.house.entries("call.closed")) == wanted
        return self.house.entries("call.closed")[-1].body

    def decided(self, count: int = 1) -> tuple[str, str, str]:
        """Decision, reason and its class of the newest call, as above."""
        body = self.closed(count)
        return body["decision"], body["reason"], body["reason_class"]

    def told(self, kind: str) -> Sequence[Mapping[str, Any]]:
        """Bodies of this kind, of the newest call."""
        newest = self.uid
        return [entry.body for entry in self.house.entries(kind) if entry.call_uid == newest]

    def wait_told(self, kind: str) -> Mapping[str, Any]:
        """The first body of this kind, of the newest call, once it is there."""
        what = lambda: f"{kind}: {self.story}"  # noqa: E731
        return ports.until(lambda: self.told(kind), seconds=PATIENCE_S, what=what)[0]

    @property
    def story(self) -> str:
        """What is told of the newest call so far."""
        return self.house.story(self.uid)

    @property
    def uid(self) -> str:
        """Of the newest call."""
        return self.house.entries("call.offered")[-1].call_uid

    def records(self, seconds: float, *, segment: int = 0) -> None:
        """Wait until so much more of this segment of the newest call was captured, from its start on where it has not
        begun.
        """

        def uid() -> str:
            offered = self.house.entries("call.offered")[self._before :]
            return offered[-1].call_uid if offered else ""

        self.house.records(uid, seconds, segment=segment)

    def recording(self, segment: int = 0) -> tuple[Samples, Samples]:
        """What was kept of the newest call, in this segment."""
        ports.until(lambda: len(self.told("recording.kept")) > segment, seconds=PATIENCE_S, what="it is kept")
        stereo = self.house.open(f"{self.uid}-{segment}")
        return stereo[:, 0], stereo[:, 1]
