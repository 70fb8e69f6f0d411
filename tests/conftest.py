"""What all tests share: tests that need a peer which cannot be had today are left out, and the last lines say so."""

from __future__ import annotations

import pytest

from tests.engine import PRODUCTION
from tests.peers import asterisk

collect_ignore = ["evaluation"] if PRODUCTION else []  # run by make test-evaluation, in an environment of its own

_LEFT_OUT = pytest.StashKey[int]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests marked `asterisk` run wherever its chroot was made; nothing else is ever left out."""
    wanting = [] if asterisk.available() else [item for item in items if item.get_closest_marker("asterisk")]
    config.stash[_LEFT_OUT] = len(wanting)
    for item in wanting:
        item.add_marker(pytest.mark.skip(reason="no Asterisk here: deploy/asterisk/test-chroot.sh makes it"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say it where it cannot be missed."""
    if count := config.stash.get(_LEFT_OUT, 0):
        terminalreporter.section("NO ASTERISK", sep="!", red=True, bold=True)
        terminalreporter.line(f"{count} tests of the Asterisk recipe did NOT run: it is unproven by this run.")
        terminalreporter.line("deploy/asterisk/test-chroot.sh, as root on Debian, makes it, or says why not.")
