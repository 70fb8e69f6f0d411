"""Proof is told in the words it allows, and no data can do anything to a terminal."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callrec.audit.wording import lines_of, one_line, proven, tap_remark
from callrec.core.values import Grade, Tap

ANYTHING = st.text(st.characters())


@given(ANYTHING)
def test_what_is_printed_is_printable_on_one_line(text):
    shown = one_line(text)

    assert shown.splitlines() == ([shown] if shown else [])
    assert not {unicodedata.category(char) for char in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert len(shown.encode()) >= len(text)


@given(st.lists(ANYTHING))
def test_no_line_forges_another(lines):
    assert lines_of(lines).count("\n") == max(len(lines), 1)


def test_words_of_people_stay_as_they_are():
    assert one_line("cadw cofnod o'r cyngor, tŷ, 12 £") == "cadw cofnod o'r cyngor, tŷ, 12 £"


@pytest.mark.parametrize(
    ("grade", "told"),
    [
        (Grade.SENT, "proven (sent to the next hop 192.0.2.5)"),
        (Grade.RECEIVED, "proven (received by the next hop 192.0.2.5)"),
        (Grade.ACKNOWLEDGED, "proven (a key was pressed beyond the next hop 192.0.2.5)"),
    ],
)
def test_each_grade_reaches_to_the_next_hop_it_names(grade, told):
    assert proven({"grade": grade.value}, "192.0.2.5") == told
    assert proven({"grade": grade.value, "next_hop": "192.0.2.5"}, "") == told


@pytest.mark.parametrize(
    ("grade", "rtcp", "said"),
    [
        (Grade.RECEIVED, "unauthenticated", True),
        (Grade.RECEIVED, "authenticated", False),
        (Grade.SENT, "unauthenticated", False),
        (Grade.SENT, "absent", False),
    ],
)
def test_a_receipt_that_anybody_on_the_path_could_have_written_is_called_so(grade, rtcp, said):
    told = proven({"grade": grade.value, "rtcp": rtcp}, "192.0.2.5")

    assert told.endswith("192.0.2.5, as unauthenticated RTCP says)") == said


def test_a_measurement_at_the_player_is_called_an_evaluation():
    assert tap_remark(Tap.PLAYER.value) == "player, an evaluation grade"
    assert "evaluation" not in tap_remark(Tap.WIRE.value)
    assert tap_remark(None) == "unknown"
