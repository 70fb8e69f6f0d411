"""What most of the agent's tests stand on."""

from __future__ import annotations

import shutil
from uuid import uuid4

import pytest

from tests.agent.world import MEMORY, a_world


@pytest.fixture
def runtime():
    folder = MEMORY / f"callrec-test-{uuid4().hex}"
    folder.mkdir(mode=0o700)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def services(tmp_path, runtime):
    return a_world(tmp_path, runtime)
