"""The witnesses themselves: what they must see they see, and what is no voice they leave alone."""

from __future__ import annotations

import secrets

import numpy as np
import pytest
import soundfile

from tests.calls.watching import Watcher, files_with_tone, holds_tone
from tests.peers import audio

TONE = audio.tone(audio.CALLER_HZ, 1)
OTHER = audio.tone(audio.ADVICE_HZ, 1)


def pcm(*channels):
    return np.stack(channels, axis=1).astype("<i2").tobytes()


@pytest.mark.parametrize(
    "data",
    [
        pcm(TONE),
        b"\0" * 44 + pcm(TONE),
        b"\0" + pcm(TONE),
        TONE.astype(">i2").tobytes(),
        pcm(TONE, OTHER),
        pcm(OTHER, TONE),
        audio.to_alaw(TONE),
        secrets.token_bytes(100_000) + pcm(TONE[:1600]) + secrets.token_bytes(100_000),
    ],
    ids=["16 bit", "behind a header", "odd place", "big endian", "left", "right", "A-law", "among ciphertext"],
)
def test_a_tone_is_found_however_it_lies_there(data):
    assert holds_tone(data, audio.CALLER_HZ)


def test_a_tone_is_found_in_flac(tmp_path):
    soundfile.write(tmp_path / "kept.flac", np.stack([OTHER, TONE], axis=1), audio.RATE, subtype="PCM_16")

    assert files_with_tone(audio.CALLER_HZ, tmp_path) == {tmp_path / "kept.flac"}


@pytest.mark.parametrize(
    "data",
    [b"", bytes(10_000), pcm(OTHER), secrets.token_bytes(1_000_000), pcm(audio.speech("Please hold the line."))],
    ids=["nothing", "zeros", "another tone", "ciphertext", "speech"],
)
def test_what_holds_no_tone_is_left_alone(data):
    assert not holds_tone(data, audio.CALLER_HZ)


def test_a_file_that_is_gone_again_was_seen_also_in_a_folder_that_was_not_there(tmp_path):
    (tmp_path / "old").write_bytes(b"")
    with Watcher(tmp_path) as watcher:
        assert watcher.seen() == set()
        (tmp_path / "old").write_bytes(b"more")
        (tmp_path / "gone").write_bytes(b"")
        (tmp_path / "gone").unlink()
        (tmp_path / "new" / "below").mkdir(parents=True)
        watcher.seen()
        (tmp_path / "new" / "below" / "last").write_bytes(b"")

        names = {str(path.relative_to(tmp_path)) for path in watcher.seen()}

    assert names == {"old", "gone", "new", "new/below", "new/below/last"}
