import shutil
from pathlib import Path

import pytest
from hypothesis import settings

from tests.notice.spoken import PROMPTS

settings.register_profile("untimed", deadline=None)  # a busy machine is no defect
settings.load_profile("untimed")


class Books:
    """A ledger as a list: what was appended, in order."""

    def __init__(self) -> None:
        self.entries = []

    def append(self, entry) -> str:
        self.entries.append(entry)
        return f"{len(self.entries):064x}"


@pytest.fixture
def books() -> Books:
    return Books()


@pytest.fixture
def english() -> Path:
    return PROMPTS / "advice-line.en.1.wav"


@pytest.fixture
def shipped(tmp_path) -> Path:
    """A copy of the shipped folder, to be spoiled."""
    return Path(shutil.copytree(PROMPTS, tmp_path / "shipped"))
