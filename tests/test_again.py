"""A second try is for tests with real calls alone, for few of them, and it is told."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.again import FEW

ROOT = Path(__file__).resolve().parent.parent
CONFIGURATION = "[pytest]\nmarkers = calls: real calls\n"
FIRST_TIME_ONLY = """
import pathlib, pytest
seen = pathlib.Path(__file__).with_suffix(".seen")
def fails_once():
    first = not seen.exists()
    seen.touch()
    assert not first
"""


def run(folder: Path, text: str, *words: str) -> subprocess.CompletedProcess[str]:
    (folder / "pytest.ini").write_text(CONFIGURATION)
    (folder / "test_it.py").write_text(text)
    command = [sys.executable, "-m", "tests.again", "-p", "no:cacheprovider", "-c", "pytest.ini", "test_it.py", *words]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_call_that_passes_alone_passes_and_is_named(tmp_path):
    done = run(tmp_path, FIRST_TIME_ONLY + "@pytest.mark.calls\ndef test_call(): fails_once()\n")

    assert done.returncode == 0
    assert done.stdout.rstrip().endswith("a race to be mended in each:\n  test_it.py::test_call")


@pytest.mark.parametrize(
    "text",
    [
        "def test_rule(): fails_once()\n",
        "@pytest.mark.calls\ndef test_call(): assert False\n",
        "@pytest.mark.calls\ndef test_call(): fails_once()\ndef test_rule(): assert False\n",
        f"@pytest.mark.calls\n@pytest.mark.parametrize('n', range({FEW + 1}))\ndef test_call(n): assert False\n",
        "raise RuntimeError\n",
    ],
    ids=["a rule that passes the second time", "a call that fails twice", "a rule beside it", "many", "not to be read"],
)
def test_nothing_else_is_forgiven(tmp_path, text):
    done = run(tmp_path, FIRST_TIME_ONLY + text)

    assert done.returncode not in (0, pytest.ExitCode.NO_TESTS_COLLECTED)
    assert "PASSED ALONE" not in done.stdout


def test_a_module_that_cannot_be_read_beside_a_call_that_passes_alone_is_not_forgiven(tmp_path):
    (tmp_path / "test_other.py").write_text("import nothing_of_the_sort\n")
    call = FIRST_TIME_ONLY + "@pytest.mark.calls\ndef test_call(): fails_once()\n"

    done = run(tmp_path, call, "test_other.py", "-n", "2")

    assert done.returncode not in (0, pytest.ExitCode.NO_TESTS_COLLECTED)
    assert "PASSED ALONE" not in done.stdout
