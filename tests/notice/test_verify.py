import io
import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from callrec.notice.audio import resample
from callrec.notice.quality import speech_mask
from callrec.notice.verify import A, B, Template, _step_ms, verify
from tests.notice.spoken import ENGLISH, WELSH, noise, pcm, samples, tone
from tests.notice.trials import run, together, upper_bound

PROMPTS = {"en": ENGLISH, "cy": WELSH}
MASKS = {name: speech_mask(prompt) for name, prompt in PROMPTS.items()}
TEMPLATES = {n: Template(samples=np.frombuffer(p, "<i2"), speech=MASKS[n]) for n, p in PROMPTS.items()}
SPEECH = samples(ENGLISH)
COUNT = len(SPEECH)


def sixteen_bit(signal) -> np.ndarray:
    return np.frombuffer(pcm(signal), "<i2")


def heard(signal, name="en"):
    return verify(TEMPLATES[name], sixteen_bit(signal), profile=A)


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

    assert found.reasons == ()
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
    assert heard(GOOD[kind]).reasons == ()


SPOKEN_AT = next(n for n in range(len(MASKS["en"])) if MASKS["en"][n : n + 12].all()) * 160
"""In samples, where 240 ms are all speech."""


def muted_twice() -> np.ndarray:
    """60 ms, and 60 ms again after 60 ms that are there."""
    signal = SPEECH.copy()
    signal[SPOKEN_AT + 160 : SPOKEN_AT + 640] = signal[SPOKEN_AT + 1120 : SPOKEN_AT + 1600] = 0
    return signal


def partly_backwards() -> np.ndarray:
    signal = SPEECH.copy()
    signal[SPOKEN_AT : SPOKEN_AT + 1920] = signal[SPOKEN_AT : SPOKEN_AT + 1920][::-1]
    return signal


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
    "240 ms backwards": partly_backwards(),
    "muted twice within 200 ms": muted_twice(),
    "30 % of packets lost": np.where(np.repeat(np.arange(COUNT // 160) % 10 < 3, 160), 0, SPEECH),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_not_the_whole_notice_is_refused_with_a_figure(kind) -> None:
    found = heard(later(BAD[kind]))

    assert not found.accepted
    assert all(fault for fault in found.reasons)


@pytest.mark.parametrize("frame", range(30, 50))
def test_a_jump_is_not_halved_wherever_in_a_block_of_the_search_it_falls(frame) -> None:
    lags = np.repeat([0, 800], [frame, 80 - frame])

    assert _step_ms(lags, np.ones(80, bool)) == 100


@settings(max_examples=10)
@given(st.integers(0, 24000), st.floats(0.4, 2.0))
def test_neither_delay_nor_level_matters(delay, gain) -> None:
    found = heard(np.concatenate([np.zeros(delay), SPEECH * gain]))

    assert found.accepted
    assert found.offset == delay


@settings(max_examples=10)
@given(st.integers(0, COUNT // 160 - 1), st.integers(5, 100))
def test_no_stretch_with_100_ms_of_speech_may_be_muted(first, frames) -> None:
    lost = int(MASKS["en"][first : first + frames].sum())
    muted = SPEECH.copy()
    muted[first * 160 : (first + frames) * 160] = 0

    assert lost < 5 or not heard(muted).accepted


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x01\x00", ENGLISH[:320], ENGLISH[:-1]])
def test_odd_and_short_audio_is_judged_and_never_an_error(data) -> None:
    short = np.frombuffer(data[: len(data) // 2 * 2], "<i2")

    assert verify(TEMPLATES["en"], short).accepted == (len(data) > 1000)


def test_a_mask_for_another_prompt_is_refused() -> None:
    with pytest.raises(ValueError, match="speech mask"):
        Template(samples=np.frombuffer(ENGLISH, "<i2"), speech=MASKS["cy"])


def test_judging_again_gives_the_same_figures() -> None:
    signal = later(through_mu_law(SPEECH))

    assert heard(signal) == heard(signal)


def test_everything_found_is_plain_values_with_the_verifier_named() -> None:
    value = json.loads(json.dumps(heard(later(SPEECH)).to_value()))

    assert value["verifier"] == "callrec/tolerant-a/4"
    assert (value["accepted"], value["reasons"], value["coverage"]) == (True, [], 1.0)


def test_a_figure_on_its_floor_is_borderline_and_refused() -> None:
    found = heard(later(SPEECH + noise(seconds=COUNT / 8000, level=100)))
    at = replace(A, sdr_db=found.sdr_db - 0.0005)

    assert found.accepted
    assert not verify(
        TEMPLATES["en"], sixteen_bit(later(SPEECH + noise(seconds=COUNT / 8000, level=100))), profile=at
    ).accepted


@pytest.mark.parametrize("kind", [("WAV", "GSM610"), ("MP3", "MPEG_LAYER_III"), ("OGG", "OPUS")])
def test_a_lossy_codec_is_forgiven_by_profile_b_alone(kind) -> None:
    assert verify(TEMPLATES["en"], lossy(later(SPEECH), kind), profile=B).accepted


@pytest.mark.parametrize("spoiled", ["half", "a second muted", "a second cut out", "another language", "backwards"])
def test_profile_b_refuses_what_is_not_the_whole_notice(spoiled) -> None:
    assert not verify(TEMPLATES["en"], lossy(later(BAD[spoiled]), ("WAV", "GSM610")), profile=B).accepted


def lossy(signal, kind) -> np.ndarray:
    out = io.BytesIO()
    soundfile.write(out, signal / 32768, 8000, format=kind[0], subtype=kind[1])
    back, rate = soundfile.read(io.BytesIO(out.getvalue()))
    return sixteen_bit(resample(back, rate) * 32768)


def test_on_prompts_it_never_heard_it_errs_in_neither_direction() -> None:
    report = together([run(77, 48, voices=18)])

    assert report["errors"] == []
    assert report["false_accept"]["trials"] == report["false_reject"]["trials"] == 48


@pytest.mark.parametrize(
    ("errors", "trials", "bound"), [(0, 10000, 2.995e-4), (4, 10000, 9.151e-4), (9500, 10000, 0.9535)]
)
def test_the_bounds_of_the_trials_are_those_of_clopper_and_pearson(errors, trials, bound) -> None:
    assert upper_bound(errors, trials) == pytest.approx(bound, rel=1e-3)
