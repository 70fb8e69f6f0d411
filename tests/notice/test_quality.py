import re

import numpy as np
import pytest

from callrec.notice.quality import ANNOUNCEMENT, cut_findings, findings, speech_mask
from tests.notice.spoken import ENGLISH, STOPPED, WELSH, noise, pcm, samples, tone

SPEECH = samples(ENGLISH)


def checks(signal, **kwargs) -> set[str]:
    return {finding.check for finding in findings(pcm(signal), **kwargs)}


@pytest.mark.parametrize("prompt", [ENGLISH, WELSH])
def test_the_shipped_notices_pass(prompt) -> None:
    assert findings(prompt) == ()


def test_the_shipped_announcement_passes_as_one_and_not_as_a_notice() -> None:
    assert findings(STOPPED, bounds=ANNOUNCEMENT) == ()
    assert {finding.check for finding in findings(STOPPED)} == {"length", "speech"}


@pytest.mark.parametrize("gain_db", [-9, -5, 0, 3])
def test_speech_within_the_levels_passes(gain_db) -> None:
    assert checks(SPEECH * 10 ** (gain_db / 20)) == set()


BAD = {
    "silence": (np.zeros(64000), {"speech"}),
    "noise": (noise(), {"modulation", "flatness"}),
    "tone": (tone(), {"modulation", "flatness"}),
    "dial tone": (tone(350, peak=5000) + tone(440, peak=5000), {"modulation", "flatness"}),
    "too quiet": (SPEECH / 10, {"level"}),
    "too loud": (np.tanh(SPEECH * 6 / 32768) * 32768 * 0.9, {"level"}),
    "clipped by 12 dB": (SPEECH * 4, {"level", "clipping"}),
    "half silent": (np.concatenate([SPEECH[:48000], np.zeros(56000)]), {"speech"}),
    "a long pause": (np.concatenate([SPEECH[:56000], np.zeros(24000), SPEECH[56000:70000]]), {"pause"}),
    "too short": (SPEECH[:16000], {"length", "speech"}),
    "too long": (np.concatenate([SPEECH, SPEECH[:8000]]), {"length"}),
    "offset": (SPEECH + 1000, {"offset"}),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_good_as_a_notice_is_found(kind) -> None:
    signal, expected = BAD[kind]

    assert expected <= checks(signal)


@pytest.mark.parametrize("kind", ["random bytes", "byte-swapped", "mu-law read as PCM"])
def test_a_file_in_the_wrong_encoding_is_found(kind) -> None:
    wrong = {
        "random bytes": np.random.default_rng(3).bytes(len(ENGLISH)),
        "byte-swapped": np.frombuffer(ENGLISH, "<i2").byteswap().tobytes(),
        "mu-law read as PCM": mu_law(ENGLISH + ENGLISH),
    }[kind]

    assert findings(wrong)


def mu_law(linear: bytes) -> bytes:
    x = samples(linear) / 32768
    codes = np.sign(x) * np.log1p(255 * np.abs(x)) / np.log1p(255)
    return (~((codes * 127).astype(np.int8).view(np.uint8))).tobytes()


def test_clipping_that_resampling_hid_is_still_found() -> None:
    assert {finding.check for finding in findings(ENGLISH, clipped_pairs=200)} == {"clipping"}


def test_a_finding_says_the_figure_the_bound_and_how_to_mend_it() -> None:
    (finding,) = findings(pcm(SPEECH / 10))

    assert "dBFS" in finding.what
    assert "-32 dBFS" in finding.what
    assert "raise its volume by 19 dB" in finding.mend


@pytest.mark.parametrize("length", [0, 1, 2, 319, 320, 321])
def test_next_to_nothing_is_found_wanting_and_never_an_error(length) -> None:
    assert findings(ENGLISH[:length])


def test_the_speech_mask_has_one_answer_for_each_20_ms() -> None:
    mask = speech_mask(ENGLISH)

    assert len(mask) == len(ENGLISH) // 320
    assert not mask[0]
    assert 0.5 < mask.mean() < 0.95


# ---------------------------------------------------------------- where a caller may end it


def seconds(frame: int) -> float:
    return frame * 0.02


MASK = speech_mask(ENGLISH)
LATE = int(np.flatnonzero(np.cumsum(MASK) >= 200)[0])
"""The frame by which four seconds were spoken."""
PAUSE = next(n for n in range(LATE, len(MASK)) if not MASK[n - 2 : n + 2].any())
WORD = next(n for n in range(LATE, len(MASK)) if MASK[n - 3 : n + 3].all())


def test_a_notice_may_be_ended_in_a_pause_after_enough_of_it() -> None:
    assert cut_findings(ENGLISH, seconds(PAUSE)) == ()


def test_a_cut_within_a_word_is_found_and_the_pauses_near_by_are_good() -> None:
    (fault,) = cut_findings(ENGLISH, seconds(WORD))

    assert f"somebody speaks at {seconds(WORD):g} s" in fault
    nearby = re.findall(r"\d+\.\d\d", fault.partition("choose a pause, such as ")[2])
    assert len(nearby) == 2
    assert not any("somebody speaks" in each for at in nearby for each in cut_findings(ENGLISH, float(at)))


def test_a_cut_before_any_notice_could_have_been_said_is_found() -> None:
    early = next(n for n in range(10, len(MASK)) if not MASK[n - 2 : n + 2].any())

    (fault,) = cut_findings(ENGLISH, seconds(early))

    assert "less than 2.5 s of speech" in fault


@pytest.mark.parametrize("at", [-1.0, 0.0, 0.009, seconds(len(MASK)), 1000.0])
def test_a_cut_outside_the_prompt_is_found(at) -> None:
    (fault,) = cut_findings(ENGLISH, at)

    assert f"ends at {at:g} s, and it lasts 19.2 s" in fault
