"""The engine that `make pjsip` builds is the one this project was measured with, and carries our additions."""

from __future__ import annotations

import ctypes
import importlib.util
import re
import subprocess
from pathlib import Path

import pytest

from tests.engine.process import AgentProcess

ROOT = Path(__file__).parents[2]
PJSIP = ROOT / "deploy" / "pjsip"


def module() -> Path:
    found = importlib.util.find_spec("_pjsua2")
    assert found
    assert found.origin
    return Path(found.origin)


@pytest.fixture(scope="module")
def facts(tmp_path_factory):
    with AgentProcess(tmp_path_factory.mktemp("facts"), max_calls=1024) as agent:
        return agent.order("facts")


def test_it_is_version_2_17(facts):
    assert facts["version"].startswith("2.17")


def test_it_carries_1024_call_legs(facts):
    assert facts["slots"] == facts["most_calls"] == 1024


def test_it_speaks_what_telephone_lines_speak(facts):
    assert {"PCMA/8000/1", "PCMU/8000/1"} <= set(facts["codecs"])


def test_nothing_of_the_evaluation_engine_is_beside_it():
    found = importlib.util.find_spec("pjsua2")

    assert found
    assert found.submodule_search_locations is None


def test_every_function_of_our_additions_can_be_called():
    declared = [
        name
        for path in PJSIP.glob("engine_*.c")
        for name in re.findall(r"^EXPORT .*?(\w+)\(", path.read_text(), re.MULTILINE)
    ]
    library = ctypes.CDLL(str(module()))

    assert len(declared) > 10
    assert [name for name in declared if not hasattr(library, name)] == []


def test_no_datagram_goes_round_the_wire_tap():
    """The library's own function is no symbol that something else could bind to: our wrapper is linked in its place."""
    listed = subprocess.run(["nm", "-D", module()], check=True, capture_output=True, text=True).stdout

    assert re.search(r" [TW] pj_sock_sendto$", listed, re.MULTILINE)
    assert not re.search(r"__(real|wrap)_pj_sock_sendto", listed)
