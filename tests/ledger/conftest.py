import pytest

from tests.ledger.world import World

BOTH = ("sqlite", "postgres")


@pytest.fixture(params=BOTH)
def world(request, tmp_path):
    """A log, once in a file and once in PostgreSQL."""
    yield from _world(tmp_path, request.getfixturevalue("postgres") if request.param == "postgres" else None)


@pytest.fixture
def in_a_file(tmp_path):
    yield from _world(tmp_path, None)


@pytest.fixture
def in_postgres(tmp_path, postgres):
    yield from _world(tmp_path, postgres)


def _world(folder, server):
    world = World(folder, server)
    yield world
    world.close()
