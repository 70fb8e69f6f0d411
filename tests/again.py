"""Runs pytest, and then once more, alone on the machine, what failed of the tests with real calls.

    python -m tests.again [what pytest takes]

Calls here last real seconds, three processes share two cores, and other programs may share them too: half a second in
which the machine was elsewhere breaks a call that nothing is wrong with, and with it every test that looks at that
call: a module may set up many calls at once. So tests with real calls that failed beside others are tried a second
time, each module's in a process of its own with nothing beside it. What fails then is broken. What passes is named in
the last lines all the same: somewhere in the test or in callrec there is a race. Nothing else is ever tried twice, and
where more than a few modules failed, or many tests, it was not the machine.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Final

import pytest

FEW_MODULES: Final = 5
MANY_TESTS: Final = 20


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

    def by_module(self) -> Mapping[str, Sequence[str]]:
        """Tests with real calls that failed, each once, whatever of it failed."""
        modules: dict[str, list[str]] = {}
        for test in dict.fromkeys(self.with_calls):
            modules.setdefault(test.partition("::")[0], []).append(test)
        return modules

    def may_be_the_machine(self) -> bool:
        modules = self.by_module()
        few = 0 < len(modules) <= FEW_MODULES and sum(map(len, modules.values())) < MANY_TESTS
        return few and not self.others


def main(arguments: Sequence[str]) -> int:
    """The exit code of pytest; where there was a second try, of the first one in it that failed."""
    failures = Failures()
    code = int(pytest.main([*arguments], plugins=[failures]))
    if code != pytest.ExitCode.TESTS_FAILED or not failures.may_be_the_machine():
        return code
    return _alone(list(failures.by_module().values()))


def _alone(modules: Sequence[Sequence[str]]) -> int:
    tests = sum(map(len, modules))
    _say(f"{tests} with real calls, of {len(modules)} modules, failed beside others; each module's alone now:")
    codes = [subprocess.run([sys.executable, "-m", "pytest", *module], check=False).returncode for module in modules]
    tried = list(zip(modules, codes, strict=True))
    passed = [test for module, code in tried if code == pytest.ExitCode.OK for test in module]
    broken = [test for module, code in tried if code != pytest.ExitCode.OK for test in module]
    if passed:
        _say("FAILED BESIDE OTHERS AND PASSED ALONE; a race to be mended in each:", *passed)
    if broken:
        _say("FAILED ALONE AS WELL, OR BESIDE ONE OF ITS MODULE THAT DID:", *broken)
    return next((code for code in codes if code != pytest.ExitCode.OK), int(pytest.ExitCode.OK))


def _say(*lines: str) -> None:
    sys.stdout.write("\n!!! " + "\n  ".join(lines) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
