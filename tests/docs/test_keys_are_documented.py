"""What a person may write is written down where they look."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from callrec.config.schema import KEYS, Key, Must, Shape

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "config/callrec.example.yaml").read_text("utf-8")
NOT_IN_FORCE = {"sip.tls.cert", "sip.tls.key", "sip.tls.ca", "sip.tls.require_client"}
"""Documented as comments: the example listens without TLS."""


def pointed(node, pattern=""):
    """Every (pattern, key node) of the example; names of the operator's own become `*`, items `[]`."""
    below = {k.path.rpartition(".")[2] for k in KEYS if k.path.rpartition(".")[0] == pattern}
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            path = f"{pattern}.{'*' if below == {'*'} else key.value}".lstrip(".")
            yield path, key
            yield from pointed(value, path)
    elif isinstance(node, yaml.SequenceNode) and below == {"[]"}:
        for item in node.value:
            yield from pointed(item, f"{pattern}.[]")


WRITTEN = dict(pointed(yaml.compose(TEXT)))
LEAVES = [key for key in KEYS if not isinstance(key.kind, Shape)]


@pytest.mark.parametrize("key", [k for k in LEAVES if k.path not in NOT_IN_FORCE], ids=lambda key: key.path)
def test_the_example_shows_and_explains_every_key(key: Key):
    assert key.path in WRITTEN
    line = TEXT.splitlines()[WRITTEN[key.path].start_mark.line]
    assert "#" in line or key.path.startswith("people.")


@pytest.mark.parametrize("path", sorted(NOT_IN_FORCE))
def test_what_the_example_does_not_use_stands_there_as_a_comment(path):
    assert re.search(rf"^  #   {path.rpartition('.')[2]}: .+#.+$", TEXT, re.MULTILINE)


def test_the_example_shows_nothing_that_is_no_key():
    assert set(WRITTEN) <= {key.path for key in KEYS}


@pytest.mark.parametrize("key", [k for k in LEAVES if k.default not in (Must.BE_WRITTEN, ())], ids=lambda key: key.path)
def test_the_example_names_every_default(key: Key):
    pattern = rf"^  #   {key.path.rpartition('.')[2]}: .*default"
    line = TEXT.splitlines()[WRITTEN[key.path].start_mark.line] if key.path in WRITTEN else ""

    assert "efault" in line or "required" in line or _in_the_next_line(key) or re.search(pattern, TEXT, re.MULTILINE)


def _in_the_next_line(key: Key) -> bool:
    return "efault" in TEXT.splitlines()[WRITTEN[key.path].start_mark.line + 1]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.path)
def test_every_key_says_what_it_is_for(key: Key):
    assert key.doc


def test_no_key_stands_in_the_table_twice():
    assert len({key.path for key in KEYS}) == len(KEYS)
