"""What the table of keys cannot say, whoever writes the file: record without the notice (R6, R41)."""

from __future__ import annotations

import pytest

from callrec.config import Record
from callrec.config.kinds import Choice, Flag, ListOf, Whole
from callrec.config.schema import KEYS, Key, Must
from callrec.core import proof
from callrec.core.values import Grade, Purpose

ROWS = {key.path: key for key in KEYS}
FLAGS = {
    "sip.trusted_network",
    "sip.tls.require_client",
    "http.trusted_network",
    "sip.trunks.*.register",
    "lines.*.health_record",
    "lines.*.keep_number",
    "lines.*.pause_resumes",
    "lines.*.staff_whisper",
}
"""Every yes-or-no there is, so that a new one is seen here; none has to do with the notice.
`pause_resumes` ends a pause of a recording whose notice was proven, as a person's order does.
"""


def test_the_only_key_about_whether_to_record_knows_no_always():
    about_recording = {path for path in ROWS if path.rpartition(".")[2].startswith("record")}

    assert about_recording == {"lines.*.record"}
    assert {member.value for member in Record} == {"if_proven", "never"}


def test_there_is_no_yes_or_no_that_could_switch_the_notice_off():
    assert {path for path, key in ROWS.items() if isinstance(key.kind, Flag)} == FLAGS


@pytest.mark.parametrize("word", ["covert", "silent", "implied", "always", "force", "bypass", "skip", "monitor"])
def test_no_key_and_no_choice_speaks_of_recording_in_secret(word):
    choices = {w for key in KEYS for w in _words(key)}

    assert not [path for path in ROWS if word in path]
    assert not [choice for choice in choices if word in choice]


def _words(key: Key) -> tuple[str, ...]:
    kind = key.kind.each if isinstance(key.kind, ListOf) else key.kind
    return kind.words if isinstance(kind, Choice) else ()


def test_no_key_names_a_floor_of_the_proof():
    floors = {name.lower() for name in vars(proof) if name.isupper()} - {"rules"}

    assert floors >= {"sent_floor", "receipt_max_age_ns"}
    assert not [path for path in ROWS if path.rpartition(".")[2] in floors]


def test_judging_must_end_long_before_a_receipt_is_void():
    kind = ROWS["notice.decide_within_ms"].kind

    assert isinstance(kind, Whole)
    assert kind.high * 1_000_000 <= proof.RECEIPT_MAX_AGE_NS / 10


def test_a_notice_is_never_longer_than_the_guidance_bears():
    kind = ROWS["notice.longest_s"].kind

    assert isinstance(kind, Whole)
    assert kind.high == 20


def test_purposes_are_the_closed_list_and_have_no_default():
    key = ROWS["lines.*.purposes"]

    assert set(_words(key)) == {purpose.value for purpose in Purpose}
    assert key.default is Must.BE_WRITTEN


def test_the_least_grade_that_can_be_asked_for_is_a_whole_notice_sent():
    assert _words(ROWS["lines.*.require"]) == tuple(grade.value for grade in Grade)
    assert ROWS["lines.*.require"].default == Grade.SENT.value


def test_closed_lists_hold_words_that_can_be_written():
    words = {word for key in KEYS for word in _words(key)}

    assert words
    assert all(word.isascii() and " " not in word for word in words)
