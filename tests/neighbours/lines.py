"""One agent with a line of its own for each way of calling, so that all of them can be up at the same time.

Each line has its own number, its own staff and its own entries in the ledger; calls of different lines do not meet. All
are recorded where the notice is proven.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from copy import deepcopy
from pathlib import Path
from typing import Any

from tests.calls.house import House
from tests.calls.office import CALLER_HZ, PATIENCE_S, STAFF_HZ
from tests.peers import audio, ports, sipp
from tests.peers.audio import Samples
from tests.peers.ports import LOOPBACK
from tests.peers.rawsip import RawSip
from tests.peers.sipp import Sipp

MOST_CALLS = 30


class Line:
    """One number, who answers it, who calls it, and what became of the call."""

    def __init__(self, lines: Lines, name: str, number: int) -> None:
        self.lines, self.name, self.dialled = lines, name, str(5100 + number)
        self.folder = lines.folder / name
        self.port = ports.free_port()
        self.house = lines.house

    def settings(self, pattern: Mapping[str, Any]) -> dict[str, Any]:
        """Its part of the configuration."""
        made = deepcopy(dict(pattern))
        made |= {"match": {"dialled": [self.dialled]}, "destination": f"sip:6000@{LOOPBACK}:{self.port}"}
        return made | {"dial_timeout_s": 3, "notice": "short"}

    # ------------------------------------------------------------ peers

    def staff(self, *steps: str) -> Sipp:
        """Who answers; must be there before the caller calls."""
        return self._keep(sipp.answering(self.folder / "staff", steps, port=self.port, limit_s=180))

    def caller(self, *steps: str, name: str = "caller") -> Sipp:
        """Who calls."""
        house = self.house.address
        return self._keep(sipp.calling(self.folder / name, steps, to=house, dialled=self.dialled, limit_s=180))

    def _keep(self, peer: Sipp) -> Sipp:
        return self.lines.around.enter_context(peer)

    def raw(self) -> RawSip:
        """A bare socket that can call this agent."""
        return self.lines.around.enter_context(RawSip(to=(LOOPBACK, self.house.port)))

    # ------------------------------------------------------------ what became of it

    def calls(self) -> list[str]:
        """Ids of calls to this line, oldest first."""
        offered = self.house.entries("call.offered")
        return [one.call_uid for one in offered if one.body["line"] == self.name]

    def told(self, kind: str) -> Sequence[Mapping[str, Any]]:
        """Bodies of this kind, of this line's calls."""
        mine = self.calls()
        return [entry.body for entry in self.house.entries(kind) if entry.call_uid in mine]

    def wait_told(self, kind: str, *, count: int = 1) -> Mapping[str, Any]:
        """The newest body of this kind, once there are so many."""

        def come() -> Sequence[Mapping[str, Any]] | None:
            found = self.told(kind)
            return found if len(found) >= count else None

        def what() -> str:
            return f"{count} x {kind} of {self.name}: {[self.house.story(call) for call in self.calls()]}"

        return ports.until(come, seconds=PATIENCE_S, what=what)[-1]

    def records(self, seconds: float) -> None:
        """Wait until so much more of its call was captured, from its start on where it has not begun."""
        self.house.records(lambda: next(iter(self.calls()), ""), seconds)

    def decided(self) -> tuple[str, str]:
        """Decision and reason of its one call, which is over."""
        body = self.wait_told("call.closed")
        assert len(self.calls()) == 1
        return body["decision"], body["reason"]

    def recording(self, segment: int = 0) -> tuple[Samples, Samples]:
        """What was kept of its one call: the caller, and staff."""
        (call,) = self.calls()
        self.wait_told("recording.kept", count=segment + 1)
        stereo = self.house.open(f"{call}-{segment}")
        return stereo[:, 0], stereo[:, 1]


class Lines:
    """The agent with all its lines, running."""

    def __init__(self, folder: Path, names: Sequence[str], around: ExitStack) -> None:
        self.folder, self.around = folder, around
        self.house = House(folder / "house", staff=f"{LOOPBACK}:9")
        self.by_name = {name: Line(self, name, number) for number, name in enumerate(names)}
        rtp = ports.free_range(8 * MOST_CALLS)
        self.house.settings["sip"]["rtp_ports"] = f"{rtp}-{rtp + 8 * MOST_CALLS - 1}"
        self.house.settings["agent"] |= {"max_calls": MOST_CALLS, "max_setups_per_s": MOST_CALLS}
        self.house.settings["lines"] |= {name: one.settings(self.house.line) for name, one in self.by_name.items()}
        self.caller_file = audio.write_alaw(folder / "caller.alaw", audio.tone(CALLER_HZ, 10))
        self.staff_file = audio.write_alaw(folder / "staff.alaw", audio.tone(STAFF_HZ, 10))
        around.enter_context(self.house)
