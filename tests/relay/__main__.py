"""Command line: see `run.py`."""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from tests.relay.run import report, run


def main() -> int:
    asked = argparse.ArgumentParser(description="Real calls through a relay that loses, delays and doubles packets.")
    asked.add_argument("--calls", type=int, default=1000)
    asked.add_argument("--at-once", type=int, default=20)
    asked.add_argument("--seed", type=int, default=1)
    asked.add_argument("--json", type=Path)
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        calls = run(
            Path(folder),
            calls=given.calls,
            at_once=given.at_once,
            seed=given.seed,
            tell=lambda words: sys.stderr.write(f"{words}\n"),
        )
    found = {"seed": given.seed, **report(calls)}
    text = json.dumps(found, indent=1)
    sys.stdout.write(text + "\n")
    if given.json:
        given.json.write_text(text, "utf-8")
    broken = found["recorded without the whole notice"] or found["recorded against a report"]
    good, refused = sum(found["good"].values()), sum(found["good and refused"].values())
    return 1 if broken or refused >= max(good / 100, 1) else 0


if __name__ == "__main__":
    sys.exit(main())
