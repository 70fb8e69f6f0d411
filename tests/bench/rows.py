"""One row: one system, one job, from an idle start to the last recording kept, judged call by call."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench.load import Load, Seen
from tests.bench.systems import NOTICE_S, SYSTEMS, Callrec, Pbx, notice_alaw
from tests.bench.usage import Watch, peak_rss_mb, rss_mb
from tests.peers import ports

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "build" / "bench"
_RAMP_S = 20
_SETUPS_S = 20
_KEPT_S = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is asked of a system: so many calls, begun at this rate, with so long a talk after the notice.

    `admitted` is callrec's `agent.max_setups_per_s`; without it the limit is lifted, to see what the machine bears.
    """

    name: str
    calls: int
    rate: float
    talk_s: float
    concurrent: int
    admitted: int | None = None

    @property
    def limit_s(self) -> float:
        """After this the row is given up."""
        return self.calls / self.rate + NOTICE_S + self.talk_s + 60


def concurrency(calls: int, talk_s: float = 60) -> Job:
    """All of these calls up at once for most of the talk."""
    return Job(name=f"{calls} calls", calls=calls, rate=calls / _RAMP_S, talk_s=talk_s, concurrent=calls)


def setups(rate: int, *, admitted: int | None = None) -> Job:
    """So many set-ups a second, for twenty seconds; about eight times as many up at once."""
    talk_s = 4
    return Job(
        name=f"{rate}/s" if admitted is None else f"{rate}/s, {admitted} admitted",
        calls=rate * _SETUPS_S,
        rate=rate,
        talk_s=talk_s,
        concurrent=round(rate * (NOTICE_S + talk_s)),
        admitted=admitted,
    )


JOBS: Mapping[str, Job] = {
    **{f"c{calls}": concurrency(calls) for calls in (30, 100, 300)},
    **{f"s{rate}": setups(rate) for rate in (10, 20, 40, 60)},
    "a40": setups(40, admitted=15),
}
"""By the names that ROWS= takes."""


def measure(name: str, job: Job, *, keep: bool = False, folder: Path | None = None) -> dict[str, Any]:
    """Run this job through this system. The row; `ports.PeerFailed` where the system or the load broke down."""
    folder = folder or FOLDER / f"{name}-{job.name.replace('/', '-per-').replace(', ', '-').replace(' ', '-')}"
    shutil.rmtree(folder, ignore_errors=True)
    load = Load(folder / "load-run")
    most = max(4, round(job.concurrent * 1.5))
    with SYSTEMS[name](folder / "system", staff=load.staff, most=most, admitted=job.admitted) as system:
        row = through(system, job, load)
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)
    return row


def through(system: Callrec | Pbx, job: Job, load: Load, **words: float | str) -> dict[str, Any]:
    """As `measure`, through a system that is up. `words` are options of load.c."""
    load.folder.mkdir(parents=True, exist_ok=True)
    notice = load.folder / "notice.alaw"
    notice.write_bytes(notice_alaw())
    asked = {"calls": job.calls, "rate": job.rate, "talk": job.talk_s, "limit": job.limit_s, **words}
    idle_mb = rss_mb(system.pid)
    with Watch(system.pid) as watch:
        with load.start(system.address, notice, **asked) as running:
            running.wait(job.limit_s + 30)
        ports.until(lambda: system.recordings_are_kept, seconds=_KEPT_S, what=f"{system.name} keeps what it recorded")
    peak_mb = peak_rss_mb(system.pid)
    seen = load.seen()
    row = _row(system.name, job, seen, watch)
    row["recordings_right"] = sum(system.recording_is_right(call) for call in seen.calls if call["bridged"])
    row |= {"peak_rss_mb": round(peak_mb, 1), "idle_rss_mb": round(idle_mb, 1)}
    row["mb_per_call"] = round((peak_mb - idle_mb) / max(1, seen.summary["most_up"]), 3)
    return row


def _row(name: str, job: Job, seen: Seen, watch: Watch) -> dict[str, Any]:
    calls, total = seen.calls, watch.samples[-1].cpu_s - watch.samples[0].cpu_s
    served = sum(call["status"] == 200 for call in calls)
    minutes = sum(NOTICE_S + call["talked_s"] for call in calls if call["status"] == 200) / 60
    dials = [call["dial_ms"] for call in calls if call["dial_ms"] >= 0]
    return {
        "system": name,
        "job": job.name,
        "concurrent": seen.summary["most_up"],
        "setups_per_s": job.rate,
        "calls": job.calls,
        "served": served,
        "refused_503": sum(call["status"] == 503 for call in calls),
        "bridged": sum(call["bridged"] for call in calls),
        "cpu_s_per_setup": round(total / max(1, served), 4),
        "cpu_s_per_call_minute": _steady(job, seen, watch),
        "cpu_s_per_call_minute_whole_run": round(total / minutes, 4) if minutes else None,
        "lost_packets": sum(call["lost"] for call in calls),
        "max_gap_ms": max((max(call["caller_gap_ms"], call["staff_gap_ms"]) for call in calls), default=0.0),
        "gaps_over_60_ms_calls": sum(max(call["caller_gap_ms"], call["staff_gap_ms"]) > 60 for call in calls),
        "wrong_voice_share": _wrong(calls),
        "heard_whole_notice": sum(call["whole_notice"] for call in calls),
        "dial_p50_ms": _percentile(dials, 50),
        "dial_p99_ms": _percentile(dials, 99),
        "load": dict(seen.summary),
        "threads": _threads(job, seen, watch),
        "machine_busy": _busy(job, seen, watch),
    }


def _window(job: Job, seen: Seen, watch: Watch) -> Any:
    """While every call talks; in a row of set-ups, while calls come and go."""
    whole = seen.summary
    if job.talk_s > _RAMP_S:
        return watch.between(whole["all_bridged"] + 1, whole["first_bye"] - 0.5) if whole["all_bridged"] else None
    return watch.between(whole["first_bye"], whole["last_invite"])


def _steady(job: Job, seen: Seen, watch: Watch) -> float | None:
    if (window := _window(job, seen, watch)) is None:
        return None
    first, last = window
    up = job.calls if job.talk_s > _RAMP_S else job.rate * (NOTICE_S + job.talk_s)
    up *= sum(call["status"] != 503 for call in seen.calls) / job.calls
    return round((last.cpu_s - first.cpu_s) / ((last.at - first.at) / 60 * up), 4)


def _threads(job: Job, seen: Seen, watch: Watch) -> dict[str, float]:
    """Cores used by each thread in the steady state."""
    if (window := _window(job, seen, watch)) is None:
        return {}
    first, last = window
    seconds = last.at - first.at
    used = {name: (cpu - first.threads.get(name, 0)) / seconds for name, cpu in last.threads.items()}
    return {name: round(share, 4) for name, share in sorted(used.items(), key=lambda one: -one[1]) if share >= 0.001}


def _busy(job: Job, seen: Seen, watch: Watch) -> float | None:
    """Cores that anything on this machine used meanwhile, of all there are."""
    if (window := _window(job, seen, watch)) is None:
        return None
    first, last = window
    return round((last.machine_busy_s - first.machine_busy_s) / (last.at - first.at), 3)


def _wrong(calls: Sequence[Mapping[str, Any]]) -> float:
    """Part of the packets of a talk that were not the other side's voice, byte for byte."""
    talking = [call for call in calls if call["bridged"]]
    expected = sum(2 * call["talked_s"] * 50 for call in talking)
    right = sum(call["caller_right"] + call["staff_right"] for call in talking)
    return round(max(0.0, 1 - right / expected), 5) if expected else 0.0


def _percentile(values: Sequence[float], which: int) -> float | None:
    return round(float(np.percentile(values, which)), 1) if values else None
