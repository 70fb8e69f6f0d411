"""How often does the tolerant verifier err? Thousands of whole and of spoiled notices, on prompts it never heard.

    python -m tests.notice.trials --n 10000 [--seed N] [--json FILE] [--jobs 2]

Prints for each kind of fault how many were accepted, and for whole notices how many were refused, with upper 95 %
bounds (Clopper-Pearson, one-sided). Prompts and paths come from the seed; seeds below 3302 served for choosing the
floors, so what is reported comes from others. The prompts are synthetic and the paths simulated: it measures the
method, not your network.
"""

import argparse
import json
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from math import exp, lgamma, log, log1p
from pathlib import Path

import numpy as np

from callrec.core.proof import Granted
from callrec.notice.verify import Verification, verify
from tests.notice.channels import FAULTS, through
from tests.notice.speakers import Spoken, prompts
from tests.notice.test_wire import undisturbed

PART = 500
PROMPTS_OF_A_PART = 60


def upper_bound(errors: int, trials: int) -> float:
    """The rate at which so few errors would come only once in twenty times."""
    ways = [lgamma(trials + 1) - lgamma(k + 1) - lgamma(trials - k + 1) for k in range(errors + 1)]
    low, high = 0.0, 1.0
    for _ in range(60):
        rate = (low + high) / 2
        chance = sum(exp(way + k * log(rate) + (trials - k) * log1p(-rate)) for k, way in enumerate(ways))
        low, high = (rate, high) if chance > 0.05 else (low, rate)
    return high


def good(rng, spoken: list[Spoken]) -> tuple[str, Verification, float]:
    one = spoken[rng.integers(len(spoken))]
    heard = through(rng, one.signal)
    begun = time.process_time()
    found = verify(one.template, heard)
    return "whole", found, (time.process_time() - begun) / len(one.signal) * 8e7


def bad(rng, spoken: list[Spoken], kind: str) -> tuple[str, Verification]:
    number = rng.integers(len(spoken))
    one, others = spoken[number], spoken[:number] + spoken[number + 1 :]
    return kind, verify(one.template, through(rng, FAULTS[kind](rng, one, others)))


def windows_refused(rng, count: int) -> int:
    """Of so many undisturbed windows of the wire, by the exact verifier that proofs rest on."""
    drawn = zip(*(rng.integers(low, high, count) for low, high in ((0, 4001), (0, 65536), (1, 2**32))), strict=True)
    return sum(
        not isinstance(undisturbed(int(before), int(rng.choice([0, 8])), int(first), int(ssrc)), Granted)
        for before, first, ssrc in drawn
    )


def run(seed: int, count: int, voices: int = 0) -> dict:
    """So many whole and as many spoiled notices: errors and trials by kind, and ms of CPU for 10 s of notice."""
    spoken = prompts(seed, voices or max(18, min(PROMPTS_OF_A_PART, count)))
    rng = np.random.default_rng([seed, 1])
    whole = [good(rng, spoken) for _ in range(count)]
    kinds = list(FAULTS)
    spoiled = [bad(rng, spoken, kinds[n % len(kinds)]) for n in range(count)]
    return {
        "refused": sum(not found.accepted for _, found, _ in whole),
        "whole": count,
        "accepted": dict(Counter(kind for kind, found in spoiled if found.accepted)),
        "spoiled": dict(Counter(kind for kind, _ in spoiled)),
        "windows_refused": windows_refused(np.random.default_rng([seed, 2]), count),
        "cpu_ms": sorted(cpu for _, _, cpu in whole),
        "errors": [f"whole: {'; '.join(found.reasons)}" for _, found, _ in whole if not found.accepted]
        + [f"{kind}: {found.to_value()}" for kind, found in spoiled if found.accepted],
    }


def together(parts: list[dict]) -> dict:
    """The report over all parts."""
    accepted = sum((Counter(part["accepted"]) for part in parts), Counter())
    spoiled = sum((Counter(part["spoiled"]) for part in parts), Counter())
    refused, whole = sum(part["refused"] for part in parts), sum(part["whole"] for part in parts)
    cpu = sorted(ms for part in parts for ms in part["cpu_ms"])
    return {
        "false_reject": rates(refused, whole),
        "false_accept": rates(accepted.total(), spoiled.total()),
        "windows_refused": rates(sum(part["windows_refused"] for part in parts), whole),
        "by_fault": {kind: rates(accepted[kind], spoiled[kind]) for kind in FAULTS},
        "cpu_ms_for_10_s": {"median": cpu[len(cpu) // 2], "p95": cpu[int(len(cpu) * 0.95)]},
        "errors": [line for part in parts for line in part["errors"]],
    }


def rates(errors: int, trials: int) -> dict:
    bound = upper_bound(errors, trials) if trials else 1.0
    return {"errors": errors, "trials": trials, "rate": errors / max(trials, 1), "upper_95": round(bound, 6)}


def table(report: dict) -> str:
    rows = [("whole notices refused", report["false_reject"]), ("spoiled ones accepted", report["false_accept"])]
    rows.append(("undisturbed windows of the wire refused", report["windows_refused"]))
    rows += list(report["by_fault"].items())
    lines = [f"{name:44} {row['errors']:5} of {row['trials']:6}  <= {row['upper_95']:.2e}" for name, row in rows]
    cpu = report["cpu_ms_for_10_s"]
    return "\n".join([*lines, f"CPU for 10 s of notice: median {cpu['median']:.1f} ms, p95 {cpu['p95']:.1f} ms"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=10000, help="whole notices, and as many spoiled ones")
    parser.add_argument("--seed", type=int, default=3302, help="below 3302 served for choosing the floors")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--json", help="also write the report there")
    asked = parser.parse_args()
    parts = max(asked.jobs, -(-asked.n // PART))
    counts = [asked.n // parts + (part < asked.n % parts) for part in range(parts)]
    with ProcessPoolExecutor(asked.jobs) as pool:
        done = []
        for part in pool.map(run, [asked.seed * 1000 + part for part in range(parts)], counts):
            done.append(part)
            sys.stderr.write(f"{len(done)} of {parts}: {part['errors'] or 'no errors'}\n")
    report = together(done)
    sys.stdout.write(f"{table(report)}\n{json.dumps(report)}\n")
    if asked.json:
        Path(asked.json).write_text(json.dumps(report, indent=1), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
