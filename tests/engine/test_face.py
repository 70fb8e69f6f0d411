"""The face of our additions: one number by which this source and a build of another time know that they do not fit."""

from __future__ import annotations

import hashlib
import re
import subprocess
from pathlib import Path

import pjsua2 as pj
import pytest

from callrec.errors import Broken
from callrec.sip.wire import FACE, additions

PJSIP = Path(__file__).parents[2] / "deploy" / "pjsip"
DECLARED = (4, "8ee1480fb752274624a1c6537a91c4731e307f8669db60529434a787cb03a96d")
"""A face, and the hash of what is declared with it."""


def declarations() -> str:
    """What callers read and pass: of the header all before its inner part, and every function that is exported."""
    header = (PJSIP / "engine.h").read_text().partition("shared inside")[0]
    exported = [
        found
        for path in sorted(PJSIP.glob("engine_*.c"))
        for found in re.findall(r"^EXPORT ([^{]*?\))", path.read_text(), re.MULTILINE)
    ]
    text = re.sub(r"/\*.*?\*/", "", "\n".join([header, *sorted(exported)]), flags=re.DOTALL)
    return " ".join(re.sub(r"\bFACE = \d+", "", text).split())


def test_whoever_changes_the_face_gives_it_a_new_number():
    found = hashlib.sha256(declarations().encode()).hexdigest()
    (in_header,) = re.findall(r"FACE = (\d+)", (PJSIP / "engine.h").read_text())

    assert int(in_header) == FACE, "the face in engine.h and the one in callrec/sip/wire.py differ"
    assert (FACE, found) == DECLARED, "what engine.h and the exports declare has changed: raise FACE in both"


@pytest.mark.parametrize(("face", "how"), [(FACE - 1, "an older"), (FACE + 1, "a newer")])
def test_an_engine_of_another_time_is_named_with_what_to_do(tmp_path, monkeypatch, face, how):
    """It has nothing but its number: nothing else of it is asked for."""
    source, library = tmp_path / "engine.c", tmp_path / "engine.so"
    source.write_text(f"int callrec_face(void) {{ return {face}; }}\n")
    subprocess.run(["cc", "-shared", "-fPIC", source, "-o", library], check=True)
    monkeypatch.setattr(pj._pjsua2, "__file__", str(library))

    with pytest.raises(Broken) as told:
        additions()

    assert str(told.value).startswith(f"the engine in this environment was built from {how} callrec")
    assert told.value.next_step == "build it anew from this source: make pjsip"


def test_an_engine_without_a_face_is_the_evaluation_engine(tmp_path, monkeypatch):
    source, library = tmp_path / "engine.c", tmp_path / "engine.so"
    source.write_text("int something_else;\n")
    subprocess.run(["cc", "-shared", "-fPIC", source, "-o", library], check=True)
    monkeypatch.setattr(pj._pjsua2, "__file__", str(library))

    assert additions() is None
