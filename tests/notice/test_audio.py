import io
import shutil
import wave

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from callrec.errors import ConfigError
from callrec.notice import audio
from callrec.notice.audio import pcm_of, read_audio, read_prompt, resample, wav_of
from tests.notice.spoken import ENGLISH, samples, tone

RATES = [11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 96000]
GOOD = wav_of(ENGLISH[:64000])


def level(signal) -> float:
    return float(20 * np.log10(np.sqrt((signal**2).mean()) + 1e-12))


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("hertz", [300, 1000, 3400])
def test_a_tone_of_the_telephone_band_comes_through_as_it_was(rate, hertz) -> None:
    out = resample(tone(hertz, seconds=1, peak=1, rate=rate), rate)

    wanted = tone(hertz, seconds=1, peak=1)
    assert len(out) == len(wanted)
    assert np.abs(out - wanted)[400:-400].max() < 0.01


@pytest.mark.parametrize("rate", [16000, 22050, 44100, 48000])
@pytest.mark.parametrize("hertz", [4200, 5000, 7600])
def test_a_tone_above_the_band_does_not_fold_into_it(rate, hertz) -> None:
    out = resample(tone(hertz, seconds=1, peak=1, rate=rate), rate)

    assert level(out[400:-400]) < -70


def test_8_khz_is_left_alone() -> None:
    assert read_prompt_bytes(GOOD) == ENGLISH[:64000]


def read_prompt_bytes(data: bytes) -> bytes:
    return pcm_of(data, "prompt.wav")


def test_stereo_at_44100_hz_becomes_mono_at_8000(tmp_path) -> None:
    path = tmp_path / "stereo.flac"
    one = tone(1000, seconds=1, peak=0.5, rate=44100)
    soundfile.write(path, np.stack([one, one], axis=1), 44100)

    found = read_audio(path)

    assert (found.rate, found.channels, found.container) == (44100, 2, "FLAC")
    assert np.abs(samples(found.pcm)[400:7600] - tone(1000, seconds=1, peak=16384)[400:7600]).max() < 300


def test_an_mp3_named_wav_is_read_for_what_it_is(tmp_path) -> None:
    path = tmp_path / "notice.wav"
    soundfile.write(path, samples(ENGLISH)[:32000] / 32768, 8000, format="MP3")

    assert read_audio(path).container == "MP3"


def test_an_mp3_named_wav_is_refused_as_a_registered_prompt(tmp_path) -> None:
    path = tmp_path / "notice.wav"
    soundfile.write(path, samples(ENGLISH)[:32000] / 32768, 8000, format="MP3")

    with pytest.raises(ConfigError, match="is MP3") as caught:
        read_prompt(path)

    assert "prompts add" in caught.value.next_step


def test_audio_is_padded_to_whole_packets(tmp_path) -> None:
    path = tmp_path / "odd.wav"
    path.write_bytes(wav_of(ENGLISH[:32002]))

    assert len(read_audio(path).pcm) == 32320


@pytest.mark.parametrize("rate", [8000, 16000])
def test_clipping_is_counted_in_the_file_as_it_was_brought(rate, tmp_path) -> None:
    path = tmp_path / "clipped.wav"
    soundfile.write(path, np.clip(tone(300, seconds=1, peak=4, rate=rate), -1, 1), rate, subtype="PCM_16")

    assert read_audio(path).clipped_pairs > rate / 3


@pytest.mark.parametrize(
    ("shape", "words"),
    [((8000, 2), "8000 Hz, 2 channel"), ((44100, 1), "44100 Hz, 1 channel"), ((16000, 1), "16000 Hz")],
)
def test_a_registered_prompt_of_another_shape_is_refused_by_name(shape, words, tmp_path) -> None:
    path = tmp_path / "prompt.wav"
    soundfile.write(path, np.zeros((8000, shape[1])), shape[0], subtype="PCM_16")

    with pytest.raises(ConfigError, match=words):
        read_prompt(path)


@pytest.mark.parametrize("read", [read_audio, read_prompt])
def test_a_file_that_is_not_there_says_so(read, tmp_path) -> None:
    with pytest.raises(ConfigError, match="does not exist") as caught:
        read(tmp_path / "renamed.wav")

    assert "renamed or moved" in caught.value.next_step


@pytest.mark.parametrize("read", [read_audio, read_prompt])
def test_an_empty_file_and_a_folder_say_so(read, tmp_path) -> None:
    empty = tmp_path / "empty.wav"
    empty.write_bytes(b"")

    with pytest.raises(ConfigError, match="is empty"):
        read(empty)
    with pytest.raises(ConfigError, match="is not a file"):
        read(tmp_path)


@pytest.mark.parametrize("read", [read_audio, read_prompt])
@pytest.mark.parametrize("kept", [12, 30, 44, 50, 1000, len(GOOD) - 1])
def test_a_truncated_wav_is_refused_wherever_it_was_cut(read, kept, tmp_path) -> None:
    path = tmp_path / "cut.wav"
    path.write_bytes(GOOD[:kept])

    with pytest.raises(ConfigError, match="cut short"):
        read(path)


def test_a_truncated_flac_is_refused(tmp_path) -> None:
    path = tmp_path / "cut.flac"
    out = io.BytesIO()
    soundfile.write(out, samples(ENGLISH)[:64000] / 32768, 8000, format="FLAC")
    path.write_bytes(out.getvalue()[: len(out.getvalue()) // 2])

    with pytest.raises(ConfigError, match=r"cut short|not audio"):
        read_audio(path)


@pytest.mark.parametrize("data", [b"hello, this is text\n" * 100, b"\x00" * 5000, b"%PDF-1.4\n" + b"x" * 3000, b"ID3"])
def test_what_is_not_audio_is_refused_in_one_sentence(data, tmp_path) -> None:
    path = tmp_path / "notice.wav"
    path.write_bytes(data)

    with pytest.raises(ConfigError, match="not audio") as caught:
        read_audio(path)

    assert caught.value.next_step


def test_an_hour_is_refused_before_it_is_decoded(tmp_path, monkeypatch) -> None:
    path = tmp_path / "hour.wav"
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, 8000, 0, "NONE", ""))
        out.writeframes(bytes(3600 * 16000))
    monkeypatch.setattr(audio, "resample", lambda *_: pytest.fail("it was converted"))

    with pytest.raises(ConfigError, match="lasts 3600 seconds"):
        read_audio(path)


def test_a_huge_file_is_refused_before_it_is_opened(tmp_path) -> None:
    path = tmp_path / "huge.wav"
    with path.open("wb") as out:
        out.truncate(audio.LARGEST_BYTES + 1)

    with pytest.raises(ConfigError, match="far too large"):
        read_audio(path)


def test_a_rate_that_cannot_carry_speech_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot carry speech"):
        resample(np.zeros(4000), 4000)


@given(st.binary(max_size=200), st.integers(0, 60))
def test_whatever_stands_in_a_file_it_is_audio_or_a_sentence(tmp_path_factory, junk, kept) -> None:
    path = tmp_path_factory.mktemp("any") / "notice.wav"
    path.write_bytes(GOOD[:kept] + junk)

    assert refused(path) or read_audio(path).pcm


def refused(path) -> str:
    try:
        read_audio(path)
    except ConfigError as error:
        return str(error)
    return ""


def test_without_ffmpeg_the_sentence_says_that_it_would_help(tmp_path, monkeypatch) -> None:
    path = tmp_path / "notice.m4a"
    path.write_bytes(b"no kind that soundfile reads")
    monkeypatch.setattr(shutil, "which", lambda _: None)

    with pytest.raises(ConfigError, match="not audio") as caught:
        read_audio(path)

    assert "install ffmpeg" in caught.value.next_step


def test_a_program_that_fails_is_a_sentence_too(tmp_path, monkeypatch) -> None:
    path = tmp_path / "notice.m4a"
    path.write_bytes(b"no kind that any program reads")
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/false")

    with pytest.raises(ConfigError, match="not audio"):
        read_audio(path)


@pytest.mark.parametrize("width", [1, 2, 4])
def test_what_ffmpeg_read_is_converted_whatever_its_width(width, tmp_path, monkeypatch) -> None:
    path = tmp_path / "notice.m4a"
    path.write_bytes(b"read by the program below")
    wide = (tone(440, seconds=4, peak=0.5) * (1 << (8 * width - 1))).astype(f"<i{width}").tobytes()
    segment = audio.pydub_segment_class()(data=wide, sample_width=width, frame_rate=8000, channels=1)
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/ffmpeg")
    monkeypatch.setattr(audio, "_pydub_segment", lambda _: segment)

    found = samples(read_audio(path).pcm)

    assert np.abs(found - tone(440, seconds=4, peak=16384)).max() < 300
