import pytest

from callrec.core.values import Purpose
from callrec.notice.wording import EXPLAINS, lint_essential, lint_notice, names, spoken_keys

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


# ---------------------------------------------------------------- what may be skipped

ESSENTIAL = (
    "This is the advice line. We record calls to keep a record of our advice. Press 2 to say no, 7 to go on. "
    "You get the same help."
)
SKIPPABLE = f"{ESSENTIAL} We also train our staff. Details: example.org. Press 0 to hear this again."
SKIPPING = {"2": "decline", "7": "shorten", "0": "repeat"}


def essential(part=ESSENTIAL, text=SKIPPABLE, purposes=PURPOSES, keys=SKIPPING, explains=SAYS) -> str:
    return "\n".join(lint_essential(text, part, purposes=purposes, keys=keys, explains=explains))


def test_a_part_that_says_what_must_be_said_may_be_all_that_is_heard() -> None:
    assert essential() == ""
    assert lint(text=SKIPPABLE, keys=SKIPPING) == ""


def test_where_nothing_can_be_skipped_nothing_is_asked_of_a_part() -> None:
    assert essential(part="", keys=KEYS) == ""


@pytest.mark.parametrize(
    ("left_out", "fault"),
    [
        ("This is the advice line. ", "does not say who is recording (who)"),
        ("We record calls ", "does not say that the call is recorded (recorded)"),
        ("Press 2 to say no, ", "does not say how to say no (decline)"),
        (" You get the same help.", "does not say that the caller gets the same help (same_help)"),
        ("to keep a record of our advice", "names no purpose"),
        ("Press 2 to say no, ", "does not name key 2 (decline)"),
        ("7 to go on. ", "does not name key 7 (shorten)"),
    ],
)
def test_whatever_a_caller_could_miss_by_skipping_the_rest_is_named(left_out, fault) -> None:
    part = ESSENTIAL.replace(left_out, "")
    assert part != ESSENTIAL

    assert fault in essential(part=part, text=SKIPPABLE.replace(ESSENTIAL, part))


def test_a_key_for_another_language_is_named_before_the_rest_can_be_skipped() -> None:
    assert "does not name key 5 (language:cy)" in essential(
        text=f"{SKIPPABLE} Pwyswch 5.", keys={**SKIPPING, "5": "language:cy"}
    )


def test_a_key_that_skips_and_a_part_that_is_essential_go_together() -> None:
    assert "say which words are" in essential(part=" ")
    assert "no key skips the rest" in essential(keys=KEYS)


@pytest.mark.parametrize("part", ["We record calls.", f"{ESSENTIAL} And more.", SKIPPABLE])
def test_a_part_with_which_the_text_does_not_begin_or_that_is_all_of_it_is_none(part) -> None:
    assert essential(part=part) == "the text does not begin with its essential words"
