"""What sealing and keeping cost, and whether the mover keeps up with a minute in which every call ends.

    python -m tests.bench.keeping [--minutes 20] [--calls 300] [--seconds 60]

Two measurements on the real spool, ledger (SQLite, synced), store on files and index, wired as an agent's; printed as
one JSON object. `one_minute`: CPU of this process and of the one that seals, user and system, for each minute of stereo
audio (two speakers who take turns, in mu-law's steps, over a faint noise); writing the audio while the call runs is not
in it. `burst`: so many calls of so many seconds end at the same moment; how long until the last of them is sealed, and
kept.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from callrec.agent.loops import share_interpreter
from callrec.core.kinds import Kind
from callrec.notice.g711 import LAWS
from callrec.ports import Entry, Traffic
from callrec.recording.manifest import Ending
from callrec.wiring import build_agent
from tests.chaos.recorder import Recorder
from tests.cli.house import House

RATE = 8000
BUDGET_MS = 60
"""CPU for sealing and keeping one minute of stereo."""


def _as_heard(leg):
    """As it comes off the telephone network: in the steps of G.711's mu-law."""
    return np.frombuffer(LAWS[0].applied(leg.astype("<i2").tobytes()), "<i2")


def talk(seconds: int, seed: int) -> bytes:
    """Two voices that take turns of three seconds: bands of noise that rise and fall as syllables do."""
    dice = np.random.default_rng(seed)
    samples = seconds * RATE
    at = np.arange(samples)
    syllables = np.abs(np.sin(2 * np.pi * at * 2.5 / RATE)) ** 2
    voice = np.convolve(dice.normal(0, 1, samples), np.ones(6) / 6, "same") * 6000 * syllables
    caller_speaks = (at // (3 * RATE)) % 2 == 0
    legs = [np.where(speaks, voice, 0) + dice.normal(0, 8, samples) for speaks in (caller_speaks, ~caller_speaks)]
    return np.stack([_as_heard(leg) for leg in legs], axis=1).tobytes()


class Line(Recorder):
    """Calls that were talked and wait to be ended."""

    async def talked(self, pcm: bytes):
        uid = f"{self.dice.getrandbits(128):032x}"
        self.number += 1
        fields = {"number": self.number, "line": "advice", "commitments": {}}
        offered = await self.tell(Kind.CALL_OFFERED, uid, **fields)
        header, key, facts = await self._started(uid, offered)
        live = await asyncio.to_thread(self.services.spool.open_segment, header, key, facts)
        for at in range(0, len(pcm), 16_000):
            await asyncio.to_thread(live.append, pcm[at : at + 16_000])
        return live

    async def ended(self, live):
        """As an agent ends a recording: sealed by its other process, then said."""
        ending = Ending(ended_utc=self.services.utc_text(), stop_reason="", stopped_by="caller")
        self.services.mover.expect(live.recording_id)
        sealed = await self.services.sealer.seal(live, ending)
        await self.services.mover.announce(sealed)
        self.services.mover.wake()
        return sealed

    def cpu_s(self) -> float:
        """Used so far, by both processes."""
        ran_ns = Path(f"/proc/{self.services.sealer.pid}/schedstat").read_text().split()[0]
        return time.process_time() + int(ran_ns) / 1e9


async def cost(line: Line, minutes: int) -> dict[str, float]:
    """Milliseconds of CPU for each minute of audio, of one recording after the other: the median, and the least, which
    is what it costs where nobody else uses the processor's caches.
    """
    sealing, keeping = [], []
    for seed in range(minutes):
        live = await line.talked(talk(60, seed))
        begun = line.cpu_s()
        await line.ended(live)
        sealed = line.cpu_s()
        await line.services.mover.sweep()
        sealing.append(1000 * (sealed - begun))
        keeping.append(1000 * (line.cpu_s() - sealed))
    both = [one + other for one, other in zip(sealing, keeping, strict=True)]
    return {
        "seal_ms": round(statistics.median(sealing), 1),
        "keep_ms": round(statistics.median(keeping), 1),
        "both_ms": round(statistics.median(both), 1),
        "both_least_ms": round(min(both), 1),
        "budget_ms": BUDGET_MS,
    }


def handed_off(spool, count: int) -> asyncio.Event:
    """Set once so many recordings have left this spool."""
    done, left, loop, real = asyncio.Event(), itertools.count(1), asyncio.get_running_loop(), spool.hand_off

    def hand_off(recording_id: str) -> None:
        real(recording_id)
        if next(left) == count:
            loop.call_soon_threadsafe(done.set)

    spool.hand_off = hand_off
    return done


async def burst(line: Line, calls: int, seconds: int) -> dict[str, float]:
    """Seconds until the last is sealed and kept, when all end at once."""
    pcm = talk(seconds, 0)
    lives = [await line.talked(pcm) for _ in range(calls)]
    all_kept = handed_off(line.services.spool, calls)
    moving = asyncio.create_task(line.services.mover.run())
    begun, cpu = time.monotonic(), line.cpu_s()
    await asyncio.gather(*(line.ended(live) for live in lives))
    sealed = time.monotonic()
    await all_kept.wait()
    kept = time.monotonic()
    moving.cancel()
    return {
        "calls": calls,
        "seconds_each": seconds,
        "all_sealed_s": round(sealed - begun, 2),
        "all_kept_s": round(kept - begun, 2),
        "cpu_s": round(line.cpu_s() - cpu, 2),
        "within_s": 60,
    }


async def measured(given) -> dict[str, object]:
    """Both, one after the other, each in a house of its own."""
    share_interpreter(asyncio.get_running_loop())
    found: dict[str, object] = {}
    for name, work in (
        ("one_minute", lambda line: cost(line, given.minutes)),
        ("burst", lambda line: burst(line, given.calls, given.seconds)),
    ):
        with tempfile.TemporaryDirectory(prefix="callrec-keeping-") as folder:
            house = House(Path(folder))
            built = build_agent(house.config, telephony=SimpleNamespace(traffic=Traffic), allow_unsafe_memory=True)
            services = built.agent.services
            started = {"software": "bench", "config_sha256": house.config.sha256, "engine": {}, "first_number": 1}
            await services.ledger.append(Entry(kind=Kind.AGENT_STARTED, body=started), timeout_s=10)
            await services.sealer.start()
            found[name] = await work(Line(services, random.Random(1), 0))
            await services.sealer.close()
            services.spool.close()
            built.close()
    return found


def main() -> int:
    """Measure, print, and say by the exit status whether both hold."""
    asked = argparse.ArgumentParser(prog="python -m tests.bench.keeping")
    asked.add_argument("--minutes", type=int, default=20)
    asked.add_argument("--calls", type=int, default=300)
    asked.add_argument("--seconds", type=int, default=60)
    found = asyncio.run(measured(asked.parse_args()))
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
