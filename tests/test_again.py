"""A second try is for tests with real calls alone, of few modules, and it is told."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.again import FEW_MODULES, MANY_TESTS

ROOT = Path(__file__).resolve().parent.parent
CONFIGURATION = "[pytest]\nmarkers = calls: real calls\n"
CALLS = "@pytest.mark.calls\n@pytest.mark.parametrize('n', range({}))\n"
FIRST_TIME_ONLY = """
import pathlib, pytest
def fails_once(n=0):
    seen = pathlib.Path(__file__).with_suffix(f".seen{n}")
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


def test_calls_of_few_modules_are_tried_again_each_modules_in_a_process_of_its_own(tmp_path):
    each = (MANY_TESTS - 1) // FEW_MODULES
    modules = [f"test_{name}.py" for name in "abcdefgh"[: FEW_MODULES - 1]]
    text = FIRST_TIME_ONLY + CALLS.format(each) + "def test_call(n):\n    fails_once(n)\n"
    text += "    assert getattr(pytest, 'tried', __name__) == __name__\n    pytest.tried = __name__\n"
    for module in modules:
        (tmp_path / module).write_text(text)

    done = run(tmp_path, text, *modules)

    assert done.returncode == 0
    named = done.stdout.partition("a race to be mended in each:\n")[2].split()
    assert sorted(named) == sorted(f"{one}::test_call[{n}]" for one in [*modules, "test_it.py"] for n in range(each))


def test_what_fails_again_fails_the_run_whatever_passes_beside_it(tmp_path):
    (tmp_path / "test_other.py").write_text(FIRST_TIME_ONLY + "@pytest.mark.calls\ndef test_call(): assert False\n")

    done = run(tmp_path, FIRST_TIME_ONLY + "@pytest.mark.calls\ndef test_call(): fails_once()\n", "test_other.py")

    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "a race to be mended in each:\n  test_it.py::test_call\n" in done.stdout
    assert done.stdout.rstrip().endswith("BESIDE ONE OF ITS MODULE THAT DID:\n  test_other.py::test_call")


def test_calls_of_too_many_modules_are_not_tried_again(tmp_path):
    modules = [f"test_{name}.py" for name in "abcdefgh"[:FEW_MODULES]]
    text = FIRST_TIME_ONLY + "@pytest.mark.calls\ndef test_call(): fails_once()\n"
    for module in modules:
        (tmp_path / module).write_text(text)

    done = run(tmp_path, text, *modules)

    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "PASSED ALONE" not in done.stdout


@pytest.mark.parametrize(
    "text",
    [
        "def test_rule(): fails_once()\n",
        "@pytest.mark.calls\ndef test_call(): assert False\n",
        "@pytest.mark.calls\ndef test_call(): fails_once()\ndef test_rule(): assert False\n",
        CALLS.format(MANY_TESTS) + "def test_call(n): fails_once(n)\n",
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
