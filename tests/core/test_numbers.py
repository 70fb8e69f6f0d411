"""One number, many ways to write it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callrec.core.numbers import comparable, normalise, same

SUBSCRIBERS = st.from_regex(r"[1-9][0-9]{6,9}", fullmatch=True)
COUNTRIES = st.sampled_from(["44", "353", "49", "33"])
SEPARATORS = st.sampled_from(["", " ", "-", ".", "/"])


@pytest.mark.parametrize(
    "written",
    ["+441632960001", "00441632960001", "01632960001", "01632 960 001", "+44 (0)1632 960001", "(01632) 960-001"],
)
def test_the_same_number_is_known_however_it_is_written(written):
    assert normalise(written) == "+441632960001"


@pytest.mark.parametrize("written", ["5000", "111", "999", "116123", "", "+", "00", "anonymous", "+44", "0123", "*98"])
def test_what_is_no_full_number_stays_the_text_it_is(written):
    assert normalise(written) is None
    assert comparable(written) == written


def test_digits_of_other_scripts_are_no_number():
    assert normalise("+44" + "\N{ARABIC-INDIC DIGIT ONE}" * 9) is None


def test_a_short_national_number_is_a_number():
    assert normalise("0800 1111") == "+448001111"


def test_two_countries_keep_their_own_national_numbers_apart():
    assert not same("01632960001", "+441632960001", country="353")


@given(SUBSCRIBERS, COUNTRIES, SEPARATORS)
def test_national_and_international_forms_are_equal(subscriber, country, gap):
    national = f"0{subscriber[:3]}{gap}{subscriber[3:]}"

    forms = {
        normalise(text, country=country)
        for text in (national, f"+{country}{gap}{subscriber}", f"00{country}{subscriber}")
    }

    assert forms == {f"+{country}{subscriber}"}


@given(st.text(max_size=40), COUNTRIES)
def test_normalising_twice_changes_nothing(text, country):
    once = comparable(text, country=country)

    assert comparable(once, country=country) == once


@given(st.text(max_size=40))
def test_a_normalised_number_is_plus_and_at_most_fifteen_digits(text):
    number = normalise(text)

    assert number is None or (number.isascii() and number[0] == "+" and number[1:].isdigit() and len(number) <= 16)


@given(st.text(max_size=20), st.text(max_size=20))
def test_being_the_same_number_does_not_depend_on_the_order(one, other):
    assert same(one, other) == same(other, one)
    assert same(one, one)
