"""What all tests share: tests that need a peer which cannot be had today are left out, and the last lines say so."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.engine import PRODUCTION
from tests.engine.capture import LoopbackCapture
from tests.peers import asterisk
from tests.peers.ceph import Ceph
from tests.peers.postgres import Postgres

collect_ignore = ["evaluation"] if PRODUCTION else []  # run by make test-evaluation, in an environment of its own

_NO_ASTERISK = "no Asterisk here: deploy/asterisk/test-chroot.sh makes it"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked `asterisk` run wherever its chroot was made; nothing else is ever left out.

    Where several processes share the run, a file stays in one, and so does all that needs the one Asterisk, or the one
    S3 server; the files with real calls, which take longest, begin.
    """
    there = asterisk.available()
    for item in items:
        wanting = item.get_closest_marker("asterisk") is not None
        shared = next((name for name in ("asterisk", "ceph") if item.get_closest_marker(name)), item.location[0])
        item.add_marker(pytest.mark.xdist_group(shared))
        if wanting and not there:
            item.add_marker(pytest.mark.skip(reason=_NO_ASTERISK))
    items.sort(key=lambda item: item.get_closest_marker("calls") is None)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say it where it cannot be missed."""
    skipped = terminalreporter.stats.get("skipped", [])
    if count := sum(_NO_ASTERISK in str(report.longrepr) for report in skipped):
        terminalreporter.section("NO ASTERISK", sep="!", red=True, bold=True)
        terminalreporter.line(f"{count} tests of the Asterisk recipe did NOT run: it is unproven by this run.")
        terminalreporter.line("deploy/asterisk/test-chroot.sh, as root on Debian, makes it, or says why not.")


@pytest.fixture(scope="session")
def ceph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ceph]:
    """A real S3 server, once for all tests marked `ceph`. Where it cannot be had they fail: nothing takes its place."""
    with Ceph(tmp_path_factory.mktemp("ceph")) as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server for this process's tests, each in tables of its own. Never left out: it is installed."""
    server = Postgres()
    yield server
    server.close()


@pytest.fixture
def witness() -> Iterator[LoopbackCapture]:
    """Sees every datagram of the loopback beside the programs. CI, which has the right to it, never goes on without."""
    try:
        capture = LoopbackCapture()
    except PermissionError:
        why = "NO WITNESS: raw sockets need root or CAP_NET_RAW, so the tap was not compared with anything"
        pytest.fail(why) if os.environ.get("CI") == "true" else pytest.skip(why)
    with capture:
        yield capture
