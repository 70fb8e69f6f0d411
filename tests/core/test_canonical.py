"""Canonical JSON is one form, by whichever way it is made: as the library of RFC 8785 makes it, or not at all."""

from __future__ import annotations

import json

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from callrec._canonical import canonical, parse
from callrec.errors import Broken

NUMBERS = st.one_of(
    st.integers(-(2**54), 2**54),
    st.sampled_from([10**14, 10**15 - 1, 10**15, 2**53 - 1, 2**53, -(2**53)]),
    st.floats(),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, st.text(), st.sampled_from([":1.5", "[1e3", ",9007199254740993"])),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=4), inner, max_size=4)),
    max_leaves=12,
)


@given(VALUES)
def test_every_value_has_the_form_of_rfc_8785_or_none(value):
    try:
        wanted = rfc8785.dumps({"value": value})
    except rfc8785.CanonicalizationError:
        with pytest.raises(ValueError, match="canonical"):
            canonical({"value": value})
    else:
        assert canonical({"value": value}) == wanted


@pytest.mark.parametrize("value", [{1: "a"}, {"a": {None: 1}}, {"a": [{2.5: 1}]}, {"a": {1, 2}}, {"a": b"x"}])
def test_what_json_cannot_carry_is_refused(value):
    with pytest.raises(ValueError, match="canonical"):
        canonical(value)


def once(pairs):
    """An object, unless a name stands twice in it."""
    if len(dict(pairs)) != len(pairs):
        raise ValueError("twice")
    return dict(pairs)


def never(name):
    raise ValueError(name)


PIECES = ['"a"', '"b\\":"', ":", ",", "{", "}", "[", "]", " ", "\n", "1", "1.5", "x"]
TEXTS = st.one_of(
    VALUES.map(json.dumps),
    st.lists(st.sampled_from(PIECES)).map("".join),
    st.sampled_from(
        ['{"a":1,"a":2}', '{"a" :1,"b":{"c":1,"c":1}}', '{"a":1}x', "\ufeff{}", "", "NaN", '{"a":Infinity}']
    ),
)


@given(TEXTS, st.sampled_from(["", " ", "\n", "x", "{}"]))
def test_what_is_read_is_what_the_standard_library_reads_or_nothing(text, after):
    try:
        wanted = json.loads(text + after, object_pairs_hook=once, parse_constant=never)
    except ValueError:
        with pytest.raises(Broken, match="strict JSON"):
            parse((text + after).encode())
    else:
        assert parse((text + after).encode()) == wanted
