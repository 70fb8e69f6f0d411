"""One PBX with callrec for all calls of a module, set up as the module's LINES and EXCHANGE say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.neighbours.exchange import Exchange


@pytest.fixture(scope="module")
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    kind = getattr(request.module, "EXCHANGE", Exchange)
    exchange = kind(tmp_path_factory.mktemp("exchange"), request.module.LINES)
    try:
        yield exchange
        exchange.sound()
    finally:
        exchange.stop()


@pytest.fixture
def exchange(running: Exchange, tmp_path: Path) -> Exchange:
    """As it stands, for the calls of one test."""
    running.begin(tmp_path)
    return running
