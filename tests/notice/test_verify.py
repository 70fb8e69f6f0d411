import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callrec.notice.audio import resample
from callrec.notice.quality import speech_mask
from callrec.notice.verify import verify
from tests.notice.spoken import ENGLISH, WELSH, noise, pcm, samples, tone

PROMPTS = {"en": ENGLISH, "cy": WELSH}
MASKS = {name: speech_mask(prompt) for name, prompt in PROMPTS.items()}
SPEECH = samples(ENGLISH)
COUNT = len(SPEECH)


def heard(signal, name="en"):
    return verify(PROMPTS[name], MASKS[name], pcm(signal))


def through_mu_law(signal) -> np.ndarray:
    x = np.clip(signal / 32768, -1, 1)
    codes = np.rint(127 * np.sign(x) * np.log1p(255 * np.abs(x)) / np.log1p(255)) / 127
    return np.sign(codes) * (256 ** np.abs(codes) - 1) / 255 * 32768


def later(signal, count=8000) -> np.ndarray:
    return np.concatenate([np.zeros(count), signal, np.zeros(count)])


def without(at: float, seconds: float, *, filled: bool) -> np.ndarray:
    start, end = int(at * 8000), int((at + seconds) * 8000)
    gap = np.zeros(end - start if filled else 0)
    return np.concatenate([SPEECH[:start], gap, SPEECH[end:]])


@pytest.mark.parametrize("name", PROMPTS)
def test_the_prompt_itself_is_whole(name) -> None:
    found = heard(later(samples(PROMPTS[name])), name)

    assert found.faults == ()
    assert (found.coverage, found.offset) == (1.0, 8000)


GOOD = {
    "6 dB down": later(SPEECH / 2),
    "6 dB up": later(SPEECH * 2),
    "through mu-law": later(through_mu_law(SPEECH)),
    "with comfort noise": later(SPEECH) + noise(seconds=(COUNT + 16000) / 8000, level=60),
    "half a sample late": later(resample(np.interp(np.arange(0, COUNT - 1, 0.5), np.arange(COUNT), SPEECH), 16000)),
    "a frame repeated": later(np.concatenate([SPEECH[:64000], SPEECH[63840:]])),
    "a frame dropped": later(np.concatenate([SPEECH[:64000], SPEECH[64160:]])),
    "a person speaking afterwards": np.concatenate([SPEECH, samples(WELSH)]),
}


@pytest.mark.parametrize("kind", GOOD)
def test_what_a_network_does_to_a_whole_notice_is_forgiven(kind) -> None:
    assert heard(GOOD[kind]).faults == ()


BAD = {
    "silence": np.zeros(COUNT),
    "half": SPEECH[: COUNT // 2],
    "the first tenth missing": SPEECH[COUNT // 10 :],
    "the last tenth missing": SPEECH[: -COUNT // 10],
    "a second muted": without(8, 1, filled=True),
    "half a second muted": without(8, 0.5, filled=True),
    "a second cut out": without(8, 1, filled=False),
    "another language": samples(WELSH),
    "20 dB down": SPEECH / 10,
    "clipped": np.clip(SPEECH * 12, -32768, 32767),
    "noise": noise(seconds=20),
    "tone": tone(seconds=20),
    "under other speech": SPEECH + samples(WELSH)[:COUNT],
    "too fast": resample(SPEECH, 8800),
    "backwards": SPEECH[::-1],
    "30 % of packets lost": np.where(np.repeat(np.arange(COUNT // 160) % 10 < 3, 160), 0, SPEECH),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_not_the_whole_notice_is_refused_with_a_figure(kind) -> None:
    found = heard(later(BAD[kind]))

    assert not found.whole
    assert all(fault for fault in found.faults)


@settings(max_examples=10)
@given(st.integers(0, 24000), st.floats(0.4, 2.0))
def test_neither_delay_nor_level_matters(delay, gain) -> None:
    found = heard(np.concatenate([np.zeros(delay), SPEECH * gain]))

    assert found.whole
    assert found.offset == delay


@settings(max_examples=10)
@given(st.integers(0, COUNT // 160 - 1), st.integers(20, 100))
def test_no_stretch_with_300_ms_of_speech_may_be_muted(first, frames) -> None:
    lost = int(MASKS["en"][first : first + frames].sum())
    muted = SPEECH.copy()
    muted[first * 160 : (first + frames) * 160] = 0

    assert lost < 15 or not heard(muted).whole


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x01\x00", ENGLISH[:320], ENGLISH[:-1]])
def test_odd_and_short_audio_is_judged_and_never_an_error(data) -> None:
    assert verify(ENGLISH, MASKS["en"], data).whole == (len(data) > 1000)


def test_a_mask_for_another_prompt_is_refused() -> None:
    with pytest.raises(ValueError, match="speech mask"):
        verify(ENGLISH, MASKS["cy"], ENGLISH)


def test_judging_again_gives_the_same_figures() -> None:
    signal = later(through_mu_law(SPEECH))

    assert heard(signal) == heard(signal)
