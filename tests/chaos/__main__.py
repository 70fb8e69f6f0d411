"""`make chaos`: see the package. The last line says what was lost, damaged or doubled; exit 1 unless nothing was."""

from __future__ import annotations

import argparse
import secrets
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests.chaos.judge import Verdict
from tests.chaos.rounds import chaos
from tests.peers.ceph import Ceph

HOUSE_ROUNDS = 100
"""A house is judged, and a new one begun, after so many."""


def say(line: str) -> None:
    """To whoever waits, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run the rounds that the command line asks for."""
    asked = argparse.ArgumentParser(prog="python -m tests.chaos")
    asked.add_argument("--rounds", type=int, default=500)
    asked.add_argument("--seed", type=int, default=secrets.randbits(32))
    asked.add_argument("--store", choices=("filesystem", "s3"), default="filesystem")
    asked.add_argument("--folder", type=Path, help="where houses are built; kept where something went wrong")
    given = asked.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="callrec-chaos-"))
    say(f"chaos: seed {given.seed}, store {given.store}, in {folder}")
    verdict, begun = Verdict(), time.monotonic()
    with ExitStack() as stack:
        ceph = stack.enter_context(Ceph(folder / "ceph")) if given.store == "s3" else None
        for first in range(0, given.rounds, HOUSE_ROUNDS):
            count = min(HOUSE_ROUNDS, given.rounds - first)
            _one_house(folder / f"house-{first}", verdict, seed=given.seed + first, count=count, ceph=ceph)
            say(f"chaos: {first + count} rounds after {time.monotonic() - begun:.0f} s")
    for problem in verdict.what:
        say(f"chaos: {problem}")
    if verdict.clean():
        shutil.rmtree(folder)
    say(
        f"chaos: {given.rounds} rounds, {verdict.acknowledged} acknowledged, {verdict.lost} lost,"
        f" {verdict.damaged} damaged, {verdict.duplicate} duplicate"
    )
    return 0 if verdict.clean() else 1


def _one_house(folder, verdict, *, seed, count, ceph):
    with chaos(folder, seed=seed, ceph=ceph) as rounds:
        for number in range(1, count + 1):
            rounds.one(number)
        verdict.add(rounds.at_rest())


if __name__ == "__main__":
    sys.exit(main())
