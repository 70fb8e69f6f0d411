import hashlib
import io
import wave

import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from callrec.errors import Broken
from callrec.recording.audio import decode_flac, encode_flac, interleave, pcm_sha256, to_wav
from tests.recording.builders import stereo, voices


@settings(deadline=None)
@given(arrays.arrays("<i2", st.tuples(st.integers(1, 3000), st.just(2))), st.integers(1, 999))
def test_flac_gives_back_every_sample(samples, piece):
    pcm = samples.tobytes()
    flac = encode_flac(pcm[at : at + piece * 4] for at in range(0, len(pcm), piece * 4))

    assert b"".join(decode_flac(flac)) == pcm
    assert pcm_sha256(flac) == hashlib.sha256(pcm).hexdigest()


def test_no_audio_is_no_file():
    assert encode_flac([]) == b""


def test_left_is_the_caller_and_right_is_staff():
    caller, staff = voices(100)

    assert interleave(caller, staff) == stereo(caller, staff)


@pytest.mark.parametrize("damage", [b"", b"fLaC", b"not audio at all"])
def test_what_is_no_flac_is_broken(damage):
    with pytest.raises(Broken):
        list(decode_flac(damage))


def test_mono_is_broken():
    target = io.BytesIO()
    with soundfile.SoundFile(target, "w", 8000, 1, "PCM_16", format="FLAC") as file:
        file.write([0.0] * 100)

    with pytest.raises(Broken, match="stereo"):
        list(decode_flac(target.getvalue()))


def test_a_wav_copy_holds_the_same_samples():
    pcm = stereo(*voices(500))

    with wave.open(io.BytesIO(to_wav(pcm))) as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (2, 8000, 2)
        assert file.readframes(1000) == pcm
