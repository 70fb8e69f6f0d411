"""Keys in the audio: what is one, what is none, and that nobody's speech is taken for a no."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from callrec.notice.audio import read_prompt
from callrec.sip.tones import ToneKeys
from tests.notice.spoken import ENGLISH, WELSH
from tests.peers import audio
from tests.peers.audio import KEYPAD, RATE, Samples, from_alaw, key, over, silence, to_alaw

ROOT = Path(__file__).resolve().parents[2]
SEED = 20261128
PIECES = (160, 1234, 2048, 8000)
"""How the samples may come: by the packet, by the recorder's buffer, or all at once."""


def keys(samples: Samples, piece: int = 2048) -> str:
    """What is heard of it, as it comes over a telephone line."""
    line, ear = from_alaw(to_alaw(samples)), ToneKeys()
    pieces = (line[start : start + piece] for start in range(0, len(line), piece))
    return "".join(tone.digit for part in pieces for tone in ear.hear(part))


def alone(sound: Samples, before_s: float = 0.2) -> Samples:
    return np.concatenate([silence(before_s), sound, silence(0.2)])


@pytest.mark.parametrize("pressed", sorted(KEYPAD))
@pytest.mark.parametrize("dbfs", [-3, -12, -30])
@pytest.mark.parametrize("off", [-0.015, 0, 0.015])
def test_every_key_is_heard_once_at_any_level_and_as_far_off_as_telephones_may_be(pressed, dbfs, off):
    heard = [keys(alone(key(pressed, seconds, dbfs=dbfs, off=off))) for seconds in (0.05, 0.1, 2.0)]

    assert heard == [pressed] * 3


def test_a_key_of_forty_milliseconds_is_heard_wherever_it_begins():
    heard = [keys(alone(key("2", 0.04), before_s=0.2 + step / 1000)) for step in range(20)]

    assert heard == ["2"] * 20


def test_what_is_as_short_as_a_click_is_no_key():
    heard = [keys(alone(key("2", 0.03), before_s=0.2 + step / 1000)) for step in range(20)]

    assert heard == [""] * 20


@pytest.mark.parametrize("piece", PIECES)
def test_several_keys_are_heard_in_order_however_the_sound_comes_in_pieces(piece):
    said = [part for pressed in "1470*2580#3699" for part in (key(pressed, 0.065), silence(0.065))]

    assert keys(np.concatenate([silence(0.1), *said]), piece) == "1470*2580#3699"


def test_a_key_says_where_it_was_pressed():
    (tone,) = ToneKeys().hear(alone(key("5"), before_s=1.0))

    assert abs(tone.at / RATE - 1.0) <= 0.01


def test_a_short_break_is_no_second_press_and_a_longer_one_is():
    def twice(gap_s: float) -> str:
        return keys(alone(np.concatenate([key("8", 0.06), silence(gap_s), key("8", 0.06)])))

    assert (twice(0.01), twice(0.04)) == ("8", "88")


def test_a_key_whose_packet_got_lost_on_the_way_is_still_one_key():
    sound = alone(key("2", 0.14))
    sound[round(0.26 * RATE) : round(0.27 * RATE)] = 0

    assert keys(sound) == "2"


@pytest.mark.parametrize(("twist_db", "heard"), [(4, "7"), (-8, "7"), (10, ""), (-12, "")])
def test_the_high_tone_may_be_somewhat_louder_and_rather_softer_than_the_low_one(twist_db, heard):
    assert keys(alone(key("7", dbfs=-15, twist_db=twist_db))) == heard


@pytest.mark.parametrize("off", [-0.035, -0.03, 0.03, 0.035])
def test_tones_that_are_far_off_are_no_key(off):
    assert "".join(keys(alone(key(pressed, off=off))) for pressed in "1234567890*#") == ""


@pytest.mark.parametrize("hz", [697, 770, 852, 941, 1209, 1336, 1477, 400, 1000, 2100])
def test_one_tone_alone_is_no_key(hz):
    assert keys(alone(audio.tone(hz, 2.0))) == ""


def test_keys_are_heard_through_the_noise_of_a_line():
    chance = np.random.default_rng(SEED)
    noise = np.round(chance.normal(0, 32767 * 10 ** (-38 / 20), 4 * RATE)).astype(np.int16)
    sound = noise
    for number, pressed in enumerate("2233999"):
        sound = over(sound, key(pressed, dbfs=-18), at_s=0.3 + number / 2)

    assert keys(sound) == "2233999"


def spoken() -> dict[str, Samples]:
    """Every prompt that is shipped or used in tests."""
    paths = [*(ROOT / "prompts").glob("*.wav"), *(ROOT / "tests" / "assets").glob("*.wav")]
    return {path.name: np.frombuffer(read_prompt(path), "<i2") for path in sorted(paths)}


@pytest.mark.parametrize("dbfs", [0, -10, -20, -30])
def test_speech_is_no_key_at_any_level(dbfs):
    gain = 10 ** (dbfs / 20)

    heard = {name: keys(np.round(speech * gain).astype(np.int16)) for name, speech in spoken().items()}

    assert len(heard) >= 9
    assert heard == dict.fromkeys(heard, "")


def test_two_voices_at_once_are_no_key():
    first, second = (np.frombuffer(pcm, "<i2") for pcm in (ENGLISH, WELSH))
    both = min(len(first), len(second))

    assert keys(over(first[:both], second[:both], at_s=0)) == ""


def test_a_key_is_heard_over_the_echo_of_the_notice_and_the_echo_is_none():
    echo = np.round(np.frombuffer(ENGLISH, "<i2") * 10 ** (-18 / 20)).astype(np.int16)
    at_s = np.random.default_rng(SEED).uniform(0.5, len(echo) / RATE - 1, 25)

    heard = [keys(over(echo, key("2", 0.15, dbfs=-14), at_s=second)) for second in at_s]

    assert keys(echo) == ""
    assert heard == ["2"] * 25
