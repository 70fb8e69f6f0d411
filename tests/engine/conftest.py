"""Without the production engine these tests fail: what they would show is not there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine import PRODUCTION
from tests.engine.process import AgentProcess


@pytest.fixture(scope="session", autouse=True)
def _production_engine() -> None:
    if not PRODUCTION:
        pytest.fail("this Python has no production engine: make pjsip", pytrace=False)


@pytest.fixture
def agent(tmp_path) -> Iterator[AgentProcess]:
    with AgentProcess(tmp_path) as running:
        yield running
        assert running.order("held") == [0, 0], "a window or a leg was left behind"
