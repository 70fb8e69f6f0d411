"""The command line: one file per group of commands. One place catches errors, prints them and sets the exit code."""

from __future__ import annotations

import sys

from callrec.audit.wording import lines_of
from callrec.cli.root import root
from callrec.errors import CallrecError


def main() -> None:
    """Console script `callrec`. Exit codes: 0, 2 configuration or usage, 10 refused, 20 unavailable, 30 broken."""
    try:
        root(prog_name="callrec")
    except CallrecError as error:
        print(lines_of(f"callrec: {error.diagnosis()}".split("\n")), end="", file=sys.stderr)
        sys.exit(error.exit_code)


__all__ = ["main", "root"]
