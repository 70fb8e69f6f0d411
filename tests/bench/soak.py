"""make soak: calls of every length for half an hour, with holds and hang-ups at random, and what is left afterwards.

The dice are seeded: the same SEED makes the same calls. Ends with 0 only where memory stayed flat after five minutes,
nothing is left in spool, capture and memory, every call offered has one summary, and ledger and audit verify.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench.load import Load, Seen
from tests.bench.rows import FOLDER, ROOT
from tests.bench.systems import BenchHouse, Callrec, notice_alaw, raise_file_limit
from tests.bench.usage import Sample, Watch, rss_mb
from tests.peers import ports
from tests.peers.ports import PeerFailed

RESULT = ROOT / "build" / "soak.json"
SETTLE_S = 300
"""Memory may grow until then: pools and caches fill."""
PART_S = 300
_LEAST_PARTS = 3
STEEPEST_MB_PER_HOUR = 12.0
"""Flat: less than this, as far as the noise of the line itself allows to be told."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must be so."""

    what: str
    good: bool
    found: str


@dataclass(frozen=True, slots=True)
class Growth:
    """How memory grew after it settled, and how far off that may be (one standard error), in MB an hour."""

    mb_per_hour: float
    error: float

    @property
    def is_flat(self) -> bool:
        """Not shown to be steeper than STEEPEST_MB_PER_HOUR."""
        return self.mb_per_hour - self.error <= STEEPEST_MB_PER_HOUR


def growth(samples: Sequence[Sample], *, settle_s: float) -> Growth | None:
    """A line through the means of five minutes each: memory is a saw, freed after every hundredth call, and whatever a
    tooth is at the end of a run is no growth. None where there are fewer than three means.
    """
    start = samples[0].at + settle_s
    parts: dict[int, list[float]] = {}
    for one in samples:
        if one.at >= start:
            parts.setdefault(int((one.at - start) // PART_S), []).append(one.rss_mb)
    full = max(map(len, parts.values()), default=0)
    means = [float(np.mean(part)) for part in parts.values() if len(part) > full / 2]
    if len(means) < _LEAST_PARTS:
        return None
    at = np.arange(len(means)) * PART_S / 3600
    (slope, offset), spread = np.polyfit(at, means, 1), float(((at - at.mean()) ** 2).sum())
    left = float(((means - (slope * at + offset)) ** 2).sum()) / (len(means) - 2)
    return Growth(mb_per_hour=float(slope), error=(left / spread) ** 0.5)


def left_behind(house: BenchHouse) -> list[str]:
    """Files in spool and memory that no call is there for."""
    spool, memory = house.var / "spool", house.runtime
    places = [*(spool / name for name in ("tmp", "ready", "done", "corrupt", "parked", "discarded"))]
    places += [memory / name for name in ("capture", "live", "tap")]
    return [str(path.relative_to(place.parent)) for place in places if place.exists() for path in place.iterdir()]


def summaries(house: BenchHouse) -> tuple[int, Counter[int], Counter[str]]:
    """Calls offered, how many summaries each has, and what was decided."""
    offered = {entry.call_uid for entry in house.entries("call.offered")}
    closed = house.entries("call.closed")
    per_call = Counter(entry.call_uid for entry in closed)
    each = Counter(per_call[uid] for uid in offered)
    return len(offered), each, Counter(entry.body["reason"] or entry.body["decision"] for entry in closed)


def run(minutes: float, calls: int, seed: int, folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """One soak. What was found, with `checks`."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "notice.alaw").write_bytes(notice_alaw())
    load = Load(folder / "load-run")
    seconds = minutes * 60
    with Callrec(folder / "system", staff=load.staff, most=round(calls * 1.5) + 4) as system:
        with Watch(system.pid) as watch:
            words = {"at_once": calls, "rate": max(2.0, calls / 20), "seconds": seconds, "seed": seed}
            with load.start(system.address, folder / "notice.alaw", limit=seconds + 200, **words) as running:
                running.wait(seconds + 260)
            ports.until(lambda: system.recordings_are_kept, seconds=120, what="callrec keeps what it recorded")
            say(f"{load.seen().summary['begun']} calls are over; looking at what is left")
        found = _found(system.house, load.seen(), watch, settle_s=min(SETTLE_S, seconds / 3))
        found["rss_mb_at_end"] = round(rss_mb(system.pid), 1)
        found["left_behind"] = left_behind(system.house)
        system.house.stop()
        checks = [*_checks(found), *_verified(system.house)]
    found["seed"], found["checks"] = seed, [{"what": c.what, "good": c.good, "found": c.found} for c in checks]
    return found


def _found(house: BenchHouse, seen: Seen, watch: Watch, *, settle_s: float) -> dict[str, Any]:
    offered, per_call, decided = summaries(house)
    first, last = watch.samples[0], watch.samples[-1]
    grown = growth(watch.samples, settle_s=settle_s)
    return {
        "calls": seen.summary["begun"],
        "served": sum(call["status"] == 200 for call in seen.calls),
        "holds": sum(call["holds"] for call in seen.calls),
        "offered": offered,
        "summaries_per_call": {str(count): calls for count, calls in per_call.items()},
        "decided": dict(decided),
        "lost_packets": sum(call["lost"] for call in seen.calls),
        "cpu_cores": round((last.cpu_s - first.cpu_s) / (last.at - first.at), 3),
        "peak_rss_mb": round(max(one.rss_mb for one in watch.samples), 1),
        "growth": None if grown is None else {"mb_per_hour": grown.mb_per_hour, "error": grown.error},
        "rss_each_minute_mb": [round(one.rss_mb, 1) for one in watch.samples[::120]],
        "most_up": seen.summary["most_up"],
    }


def _checks(found: Mapping[str, Any]) -> list[Check]:
    grown = None if found["growth"] is None else Growth(**found["growth"])
    once = found["summaries_per_call"] == {"1": found["offered"]}
    tells = "too short to say"
    if grown is not None:
        tells = f"{grown.mb_per_hour:.1f} +- {grown.error:.1f} MB an hour, peak {found['peak_rss_mb']} MB"
    return [
        Check("memory is flat once it settled", grown is None or grown.is_flat, tells),
        Check("nothing is left in spool and memory", not found["left_behind"], str(found["left_behind"][:5])),
        Check("one summary per call offered", once, f"{found['offered']} offered: {found['summaries_per_call']}"),
        Check("every call was offered", found["offered"] == found["calls"], f"{found['calls']} placed"),
    ]


def _verified(house: BenchHouse) -> list[Check]:
    found = []
    for words in (("ledger", "verify"), ("audit", "verify")):
        try:
            last = house.callrec(*words).strip().splitlines()[-1:]
            found.append(Check(f"callrec {' '.join(words)}", True, "".join(last)[:200]))
        except AssertionError as error:
            found.append(Check(f"callrec {' '.join(words)}", False, str(error)[-1500:]))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    raise_file_limit()

    def say(text: str) -> None:
        print(text, flush=True)  # noqa: T201 - whoever started it waits and reads

    say(f"{given.minutes:g} minutes at {given.calls} calls, seed {given.seed}")
    try:
        found = run(given.minutes, given.calls, given.seed, FOLDER / "soak", say)
    except PeerFailed as error:
        say(f"BROKE DOWN: {error}; what there is lies in {FOLDER / 'soak'}")
        return 1
    RESULT.write_text(json.dumps(found, indent=1) + "\n")
    for check in found["checks"]:
        say(f"{'ok  ' if check['good'] else 'NOT '} {check['what']}: {check['found']}")
    if all(check["good"] for check in found["checks"]):
        shutil.rmtree(FOLDER / "soak", ignore_errors=True)
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
