"""A PBX may leave purposes out of one call, and nobody may add any: given / when / then."""

from __future__ import annotations

import pytest

from callrec.core.proposals import PURPOSES, TOKEN, proposed, token_of
from callrec.core.values import Purpose

SECRET = b"s" * 24
CALL_ID = "a1b2@pbx"
LINE = frozenset({Purpose.MEDICO_LEGAL, Purpose.AUDIT})


def asked(value, *, token=None, secret=SECRET, call_id=CALL_ID):
    headers = {PURPOSES: value, TOKEN: token_of(SECRET, CALL_ID, value) if token is None else token}
    return proposed(headers, call_id=call_id, secret=secret, line=LINE)


def test_without_the_header_the_line_decides():
    assert proposed({}, call_id=CALL_ID, secret=SECRET, line=LINE).purposes == LINE


@pytest.mark.parametrize(
    ("value", "left", "denied"),
    [
        ("medico-legal", {Purpose.MEDICO_LEGAL}, []),
        ("audit, medico-legal", LINE, []),
        ("training", set(), ["training"]),
        ("medico-legal,training", {Purpose.MEDICO_LEGAL}, ["training"]),
        ("medico-legal, research, everything", {Purpose.MEDICO_LEGAL}, ["research", "everything"]),
        (", ,", set(), []),
    ],
)
def test_what_the_pbx_proposes_only_takes_away(value, left, denied):
    found = asked(value)

    assert found.purposes == left
    assert [name for name, _ in found.denied] == denied


@pytest.mark.parametrize(
    "change",
    [
        {"token": ""},
        {"token": "0" * 64},
        {"token": token_of(b"another secret of them.....", CALL_ID, "medico-legal")},
        {"call_id": "another@pbx"},
        {"secret": None},
        {"token": token_of(SECRET, CALL_ID, "audit")},
    ],
)
def test_a_header_that_is_not_shown_to_be_the_pbxs_changes_nothing_and_is_denied(change):
    found = asked("medico-legal", **change)

    assert found.purposes == LINE
    assert [name for name, _ in found.denied] == ["header"]


def test_the_token_is_that_of_rfc_2104_over_call_id_and_value():
    assert token_of(b"Jefe", "what do ya want", "for nothing?") != token_of(b"Jefe", "what do ya want for", "nothing?")
    assert len(token_of(SECRET, CALL_ID, "audit")) == 64
