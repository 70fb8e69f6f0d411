"""Runs pytest, and then once more, alone on the machine, what failed of the tests with real calls.

    python -m tests.again [what pytest takes]

Calls here last real seconds, three processes share two cores, and other programs may share them too: half a second in
which the machine was elsewhere breaks a call that nothing is wrong with. So a test with real calls that failed beside
others is tried a second time with nothing beside it. What fails then is broken. What passes is named in the last
lines all the same: somewhere in the test or in callrec there is a race. Nothing else is ever tried twice, and where
more than a few failed it was not the machine.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from typing import Final

import pytest

FEW: Final = 5


class Failures:
    """Hears every report, also those of other processes."""

    def __init__(self) -> None:
        self.with_calls: list[str] = []
        self.others: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            (self.with_calls if "calls" in report.keywords else self.others).append(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A module that cannot be read has tests that never ran."""
        if report.failed:
            self.others.append(report.nodeid)

    def may_be_the_machine(self) -> bool:
        return not self.others and 0 < len(self.with_calls) <= FEW


def main(arguments: Sequence[str]) -> int:
    """The exit code of pytest, of the second try where there was one."""
    failures = Failures()
    code = int(pytest.main([*arguments], plugins=[failures]))
    if code != pytest.ExitCode.TESTS_FAILED or not failures.may_be_the_machine():
        return code
    tests = list(dict.fromkeys(failures.with_calls))
    _say(f"{len(tests)} with real calls failed beside others; alone now:")
    code = subprocess.run([sys.executable, "-m", "pytest", *tests], check=False).returncode
    if code == pytest.ExitCode.OK:
        _say("FAILED BESIDE OTHERS AND PASSED ALONE; a race to be mended in each:", *tests)
    return code


def _say(*lines: str) -> None:
    sys.stdout.write("\n!!! " + "\n  ".join(lines) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
