import pytest

from callrec.core.values import Purpose
from callrec.notice.wording import EXPLAINS, lint_notice, names, spoken_keys

TEXT = (
    "This is the advice line. We record calls to keep a record of our advice and train our staff. "
    "Press 2 to say no, or 3 to leave out training. You get the same help. Details: example.org."
)
PURPOSES = {Purpose.MEDICO_LEGAL: "keep a record of our advice", Purpose.TRAINING: "train our staff"}
KEYS = {"2": "decline", "3": "decline_training"}
SAYS = {
    "who": "This is the advice line",
    "recorded": "We record calls",
    "decline": "Press 2 to say no",
    "same_help": "You get the same help",
    "more": "Details: example.org",
}


def lint(text=TEXT, purposes=PURPOSES, keys=KEYS, explains=SAYS) -> str:
    return "\n".join(lint_notice(text, purposes=purposes, keys=keys, explains=explains))


def test_a_notice_that_says_it_all_has_no_fault() -> None:
    assert lint() == ""


@pytest.mark.parametrize("what", EXPLAINS)
def test_each_thing_left_out_is_named(what) -> None:
    assert EXPLAINS[what] in lint(explains={name: phrase for name, phrase in SAYS.items() if name != what})
    assert "is not in the text" in lint(explains={**SAYS, what: "Press 2 for cheese"})


def test_a_purpose_whose_phrase_is_not_spoken_is_named() -> None:
    assert "phrase for audit, 'check our standards'" in lint(
        purposes={**PURPOSES, Purpose.AUDIT: "check our standards"}
    )


def test_a_notice_without_a_purpose_is_refused() -> None:
    assert "names no purpose" in lint(purposes={}, keys={"2": "decline"})


def test_a_key_that_is_spoken_must_be_declared() -> None:
    assert "the text names 3, which is not declared" in lint(keys={"2": "decline"})


def test_a_key_that_is_declared_must_be_spoken() -> None:
    assert "key 0 (repeat) is declared, but the text does not name it" in lint(keys={**KEYS, "0": "repeat"})


def test_keys_without_one_to_say_no_are_refused() -> None:
    assert "none to say no" in lint(keys={"2": "repeat", "3": "decline_training"})


def test_the_phrase_for_saying_no_must_name_its_key() -> None:
    assert "does not name its key 2" in lint(explains={**SAYS, "decline": "to say no"})


def test_leaving_out_training_needs_training_to_be_named() -> None:
    assert "leaves out training" in lint(purposes={Purpose.MEDICO_LEGAL: "keep a record of our advice"})


def test_nine_is_never_a_key() -> None:
    assert "999" in lint(text=TEXT.replace("Press 2", "Press 9"), keys={"9": "decline", "3": "decline_training"})


def test_a_text_too_long_for_twenty_seconds_is_found() -> None:
    assert "words" in lint(text=TEXT + " and so on" * 20)


def test_a_notice_without_keys_still_says_how_to_say_no() -> None:
    text = TEXT.replace("Press 2 to say no, or 3 to leave out training.", "To say no, just tell us.")

    assert lint(text=text, keys={}, explains={**SAYS, "decline": "To say no, just tell us"}) == ""


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("Hang up and call 999.", ""),
        ("Call 01632 960001 or 111.", ""),
        ("Press 2, or 3.", "23"),
        ("Press two to say no.", "2"),
        ("Pwyswch dau.", "2"),
        ("Pwyswch 2.", "2"),
        ("Press * or #.", "*#"),
        ("Press star.", "*"),
        ("Press the key five now.", "5"),
        ("Two of us are here.", ""),
        ("See example.org/2 or v1.2.", ""),
        ("", ""),
    ],
)
def test_spoken_keys_are_told_from_other_numbers(text, keys) -> None:
    assert spoken_keys(text) == set(keys)


def test_a_phrase_is_found_whatever_its_case_and_spacing() -> None:
    assert names("We  Record\ncalls", "we record calls")
    assert not names("We record calls", " ")
