"""Many calls through the relay, and what must hold for each of them, by what was captured on both sides.

    python -m tests.relay --calls 1000 [--at-once 25] [--seed N] [--json FILE]

1. Before the relay: no recording without the whole notice, sample by sample, in what left the agent.
2. After it, on a line that requires `received`: none whose notice lost more than 5 % and of which a report that covers
   it, and says so, had reached the agent before.
3. Of calls that lost 2 % of the notice or less, fewer than one in a hundred is refused.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from callrec.demo.speech import voice
from callrec.ledger.entry import LogEntry, opens
from callrec.ledger.reading import open_log
from callrec.notice.g711 import LAWS
from tests.calls.house import House
from tests.peers import ports, sipp
from tests.peers.ports import LOOPBACK
from tests.peers.sipp_steps import answer, take, until_bye
from tests.relay.caller import RelayedCaller, Weather

LINES: Final = {"sent": "5000", "received": "5001"}
LONGEST_S: Final = 7200
"""After which nobody answers for the line any more."""
MOST_LOST: Final = 0.05
GOOD: Final = 0.02
_A_LAW: Final = LAWS[8]


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call: how far its line's proof was to reach, what was captured, and what the ledger says of it."""

    line: str
    weather: Weather
    whole: bool
    lost: float
    told: float | None
    recorded: bool
    reasons: tuple[str, ...]

    @property
    def unproven_recording(self) -> bool:
        """Against 1."""
        return self.recorded and not self.whole

    @property
    def contradicted_recording(self) -> bool:
        """Against 2."""
        told = self.told is not None and self.told > MOST_LOST
        return self.recorded and self.line == "received" and self.lost > MOST_LOST and told


def house_for(folder: Path, *, at_once: int, staff_port: int) -> House:
    """An agent with both lines and room for so many calls."""
    made = House(folder, staff=f"{LOOPBACK}:{staff_port}")
    room_for = 2 * at_once + 8  # what ended still seals for a while
    room = 4 * room_for + 16
    first = ports.free_range(room)
    made.settings["sip"]["rtp_ports"] = f"{first}-{first + room - 1}"
    made.settings["agent"]["max_calls"] = room_for
    made.settings["notice"]["decide_within_ms"] = 1000
    made.settings["spool"]["reserve_s"] = 60
    made.prepare()
    strict = {"match": {"dialled": [LINES["received"]]}, "require": "received"}
    made.settings["lines"]["strict"] = deepcopy(made.line | strict)
    return made


def run(folder: Path, *, calls: int, at_once: int, seed: int, tell: Any = lambda _words: None) -> list[Call]:
    """So many calls, some at once; each has its weather from the seed."""
    staff_port = ports.free_port()
    steps = [take(), answer(), until_bye(120_000)]
    with house_for(folder / "house", at_once=at_once, staff_port=staff_port) as house:
        staff = sipp.answering(folder / "staff", steps, port=staff_port, calls=calls, limit_s=LONGEST_S)
        try:
            notice = house.prompt_samples().tobytes()
            with ThreadPoolExecutor(at_once) as pool:
                made = [pool.submit(_call, house, seed, number, notice) for number in range(calls)]
                ended = []
                for each in made:
                    ended.append(each.result())
                    if len(ended) % 50 == 0:
                        tell(f"{len(ended)} of {calls} calls")
            house.wait_for("call.closed", seconds=60, count=calls)
        finally:
            staff.stop()
        house.callrec("audit", "verify", seconds=600)
        return _judged(house, ended, notice)


def _call(house: House, seed: int, number: int, notice: bytes) -> tuple[str, RelayedCaller, str]:
    dice = random.Random(seed * 1_000_003 + number)
    weather = Weather.drawn(dice)
    line = list(LINES)[number % len(LINES)]
    with RelayedCaller(f"caller{number}", says=voice(440), weather=weather, dice=dice) as caller:
        caller.call(f"sip:{LINES[line]}@{house.address}", (LOOPBACK, house.port))
        ports.until(lambda: caller.answered.is_set() or caller.over.is_set(), seconds=30, what=f"call {number} is up")
        assert caller.answered.is_set(), f"call {number} was turned away"
        call_id = caller.call_id
        length = len(notice) // 2 / 8000
        ports.until(
            lambda: len(caller.stream.before) * 0.02 >= length + 3.5, seconds=length + 30, what="the notice left"
        )
        caller.hang_up()
        caller.over.wait(10)
    return line, caller, call_id


# ---------------------------------------------------------------- judging


def _judged(house: House, ended: Sequence[tuple[str, RelayedCaller, str]], notice: bytes) -> list[Call]:
    with open_log(house.ledger) as log:
        offered = [
            (entry.call_uid, entry.body["commitments"]["sip_call_id"], log.salts(entry.seq)["sip_call_id"])
            for entry in log.entries()
            if entry.kind == "call.offered"
        ]
        entries: dict[str, list[LogEntry]] = {}
        for entry in log.entries():
            entries.setdefault(entry.call_uid, []).append(entry)
    found = []
    for line, caller, call_id in ended:
        uid = next(uid for uid, committed, salt in offered if opens(committed, salt, call_id))
        found.append(_seen(line, caller, entries[uid], notice))
    return found


def _seen(line: str, caller: RelayedCaller, entries: list[LogEntry], notice: bytes) -> Call:
    numbers, whole = _window(caller.stream.before, notice)
    arrived = caller.stream.got.numbers
    lost = sum(number not in arrived for number in numbers) / max(len(numbers), 1)
    told = None
    if numbers:
        covering = [share for highest, share in caller.stream.told if (highest - numbers[-1]) & 0xFFFF < 1 << 15]
        told = covering[0] if covering else None
    refused = [entry for entry in entries if entry.kind == "notice.refused"]
    closed = [entry.body["reason"] for entry in entries if entry.kind == "call.closed" and entry.body["reason"]]
    return Call(
        line=line,
        weather=caller.weather,
        whole=whole,
        lost=lost,
        told=told,
        recorded=any(entry.kind == "recording.started" for entry in entries),
        reasons=tuple(refused[-1].body["reasons"] if refused else closed),
    )


def _window(before: dict[int, bytes], notice: bytes) -> tuple[list[int], bool]:
    """The numbers of the packets that carried the notice, in order, and whether the whole of it was in them."""
    first = min(before) if max(before) - min(before) < 1 << 15 else min(n for n in before if n >= 1 << 15)
    ordered = sorted(before, key=lambda number: (number - first) & 0xFFFF)
    steady = all((then - one) & 0xFFFF == 1 for one, then in pairwise(ordered))
    heard = _A_LAW.decoded(b"".join(before[number] for number in ordered))
    wanted = _A_LAW.applied(notice)
    at = heard.find(wanted)
    while at % 2 == 1:
        at = heard.find(wanted, at + 1)
    if at < 0:
        return [], False
    packets = range(at // 2 // 160, -(-(at + len(wanted)) // 2 // 160))
    return [ordered[packet] for packet in packets], steady


# ---------------------------------------------------------------- told


def report(calls: Sequence[Call]) -> dict[str, Any]:
    """The figures, and what breaks a promise."""
    good = [call for call in calls if call.lost <= GOOD]
    refused = [call for call in good if not call.recorded]
    return {
        "calls": len(calls),
        "recorded": sum(call.recorded for call in calls),
        "recorded without the whole notice": sum(call.unproven_recording for call in calls),
        "recorded against a report": sum(call.contradicted_recording for call in calls),
        "good": {line: sum(call.line == line for call in good) for line in LINES},
        "good and refused": {line: sum(call.line == line for call in refused) for line in LINES},
        "refused for": _counted([call.reasons[0] if call.reasons else "-" for call in calls if not call.recorded]),
        "good and refused for": _counted([call.reasons[0] if call.reasons else "-" for call in refused]),
        "lost, of the notice, at most": max((call.lost for call in calls), default=0.0),
    }


def _counted(words: Sequence[str]) -> dict[str, int]:
    return {word: words.count(word) for word in sorted(set(words))}
