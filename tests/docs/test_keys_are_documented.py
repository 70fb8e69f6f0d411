"""What a person may write is written down where they look."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from callrec.config.schema import KEYS, Key, Must, Shape

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "config/callrec.example.yaml").read_text("utf-8")
NOT_IN_FORCE = {
    *("sip.tls.cert", "sip.tls.key", "sip.tls.ca", "sip.tls.require_client"),
    *(f"store.s3.{name}" for name in ("endpoint", "bucket", "region", "access_key", "secret_key", "ca")),
    *("http.listen", "http.token", "http.trusted_network"),
}
"""Documented as comments: the example listens without TLS, keeps recordings in files, and has no local HTTP."""


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
LINES = TEXT.splitlines()
LEAVES = [key for key in KEYS if not isinstance(key.kind, Shape)]


@pytest.mark.parametrize("key", [k for k in LEAVES if k.path not in NOT_IN_FORCE], ids=lambda key: key.path)
def test_the_example_shows_and_explains_every_key(key: Key):
    assert key.path in WRITTEN
    line = LINES[WRITTEN[key.path].start_mark.line]
    assert "#" in line or key.path.startswith("people.")


@pytest.mark.parametrize("path", sorted(NOT_IN_FORCE))
def test_what_the_example_does_not_use_stands_there_as_a_comment(path):
    assert re.search(rf"^(  )?#   {path.rpartition('.')[2]}: .+#.+$", TEXT, re.MULTILINE)


def test_the_example_shows_nothing_that_is_no_key():
    assert set(WRITTEN) <= {key.path for key in KEYS}


@pytest.mark.parametrize(
    "key",
    [k for k in LEAVES if not isinstance(k.default, (Must, tuple)) and not k.path.startswith("keys.")],
    ids=lambda key: key.path,
)
def test_the_example_names_the_default_that_is_in_force(key: Key):
    words = {None: "null", True: "true", False: "false"}
    shown = next((word for value, word in words.items() if key.default is value), str(key.default))

    assert re.search(rf'default:? "?{re.escape(shown)}|required unless', explanation(key), re.IGNORECASE)


@pytest.mark.parametrize("key", [k for k in LEAVES if k.default is Must.BE_WRITTEN], ids=lambda key: key.path)
def test_the_example_names_what_must_be_written(key: Key):
    assert "required" in explanation(key)


def explanation(key: Key) -> str:
    """The comment beside a key, and the line below it where that is a comment only."""
    if key.path in NOT_IN_FORCE:
        name = key.path.rpartition(".")[2]
        return next(line for line in LINES if line.lstrip().startswith(f"#   {name}: "))
    at = WRITTEN[key.path].start_mark.line
    more = "".join(LINES[at + 1 : at + 2]).strip()
    return LINES[at] + (more if more.startswith("#") else "")


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.path)
def test_every_key_says_what_it_is_for(key: Key):
    assert key.doc


def test_no_key_stands_in_the_table_twice():
    assert len({key.path for key in KEYS}) == len(KEYS)
