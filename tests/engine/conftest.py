"""Tests of the production engine run where it is installed; elsewhere the run's last lines say that they did not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine import PRODUCTION
from tests.engine.process import AgentProcess

_WHY = "this Python has no production engine: make pjsip, then run .venv-engine/bin/python -m pytest tests/engine"
_LEFT_OUT = pytest.StashKey[int]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanting = [] if PRODUCTION else [item for item in items if item.get_closest_marker("engine")]
    config.stash[_LEFT_OUT] = len(wanting)
    for item in wanting:
        item.add_marker(pytest.mark.skip(reason=_WHY))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if count := config.stash.get(_LEFT_OUT, 0):
        terminalreporter.section("NO PRODUCTION ENGINE", sep="!", red=True, bold=True)
        terminalreporter.line(f"{count} tests of the production engine did NOT run: it is unproven by this run.")
        terminalreporter.line(_WHY)


@pytest.fixture
def agent(tmp_path) -> Iterator[AgentProcess]:
    with AgentProcess(tmp_path) as running:
        yield running
        assert running.order("held") == [0, 0], "a window or a leg was left behind"
