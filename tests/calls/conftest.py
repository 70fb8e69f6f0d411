"""What several modules of real calls share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.calls.office import Office, verified


@pytest.fixture(scope="module")
def running_office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """One agent for a module."""
    yield from opened(Office(tmp_path_factory.mktemp("office")))


def opened(office: Office) -> Iterator[Office]:
    """This office, with its agent. At the end every call offered was closed once, by the very process that began."""
    with office.house as house:
        pid = house.process.pid
        yield office
        assert house.process.alive
        assert house.process.pid == pid
        house.stop()
        offered, closed = house.entries("call.offered"), house.entries("call.closed")
        assert sorted(one.call_uid for one in offered) == sorted(one.call_uid for one in closed)
        found = verified(house)
        assert found.sound, [one.sentence for one in found.findings]
        assert house.entries("incident") == []


@pytest.fixture
def office(running_office: Office, tmp_path: Path) -> Office:
    """The module's agent, for one test."""
    running_office.begin(tmp_path)
    return running_office
