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
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench.load import Load, Seen
from tests.bench.rows import FOLDER, ROOT
from tests.bench.systems import BenchHouse, Callrec, notice_alaw, raise_file_limit
from tests.bench.usage import Watch, rss_mb
from tests.peers import ports
from tests.peers.ports import PeerFailed

RESULT = ROOT / "build" / "soak.json"
SETTLE_S = 300
"""Memory may grow until then: pools and caches fill."""
STEEPEST_MB_PER_HOUR = 12.0
"""Flat: less than this, or less than what the noise of the line itself allows to be told."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must be so."""

    what: str
    good: bool
    found: str


def slope_mb_per_hour(watch: Watch, *, settle_s: float) -> float | None:
    """How memory grew after it settled, by least squares; None where there is too little to say."""
    start = watch.samples[0].at + settle_s
    late = [(one.at, one.rss_mb) for one in watch.samples if one.at >= start]
    if len(late) < 60:
        return None
    at, mb = np.array(late).T
    return float(np.polyfit((at - at[0]) / 3600, mb, 1)[0])


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
        "slope_mb_per_hour": slope_mb_per_hour(watch, settle_s=settle_s),
        "rss_each_minute_mb": [round(one.rss_mb, 1) for one in watch.samples[::120]],
        "most_up": seen.summary["most_up"],
    }


def _checks(found: Mapping[str, Any]) -> list[Check]:
    slope = found["slope_mb_per_hour"]
    flat = slope is None or slope <= STEEPEST_MB_PER_HOUR
    once = found["summaries_per_call"] == {"1": found["offered"]}
    tells = "too short to say" if slope is None else f"{slope:.1f} MB an hour, peak {found['peak_rss_mb']} MB"
    return [
        Check("memory is flat once it settled", flat, tells),
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
