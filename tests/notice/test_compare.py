import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callrec.core.values import Tap
from callrec.notice.compare import compare
from tests.notice.spoken import ENGLISH, WELSH

FRAME = 320
FRAMES = [ENGLISH[at : at + FRAME] for at in range(0, len(ENGLISH), FRAME)]
SILENT = bytes(FRAME)
COUNT = len(ENGLISH) // 2
quiet = st.integers(0, 3 * FRAME).map(lambda count: bytes(2 * count))


def whole(tapped: bytes, prompt: bytes = ENGLISH) -> bool:
    found = compare(prompt, tapped)
    return found.matched_samples == len(prompt) // 2 and found.at_sample is not None


@given(quiet, quiet)
def test_the_whole_prompt_is_found_wherever_silence_put_it(before, after) -> None:
    found = compare(ENGLISH, before + ENGLISH + after)

    assert (found.matched_samples, found.at_sample) == (COUNT, len(before) // 2)
    assert found.samples == (len(before) + len(ENGLISH) + len(after)) // 2


def test_any_frame_removed_is_never_a_match() -> None:
    matches = [n for n in range(len(FRAMES)) if whole(b"".join(FRAMES[:n] + FRAMES[n + 1 :]))]

    assert matches == []


def test_any_frame_with_sound_removed_is_never_a_match_whatever_silence_follows() -> None:
    sounding = [n for n, frame in enumerate(FRAMES) if frame != SILENT]
    matches = [n for n in sounding if whole(SILENT + b"".join(FRAMES[:n] + FRAMES[n + 1 :]) + SILENT * 5)]

    assert matches == []


def test_any_frame_muted_is_never_a_match() -> None:
    sounding = [n for n, frame in enumerate(FRAMES) if frame != SILENT]
    matches = [n for n in sounding if whole(b"".join([*FRAMES[:n], SILENT, *FRAMES[n + 1 :]]))]

    assert matches == []
    assert len(sounding) > len(FRAMES) * 3 // 4


def test_any_two_neighbouring_frames_swapped_are_never_a_match() -> None:
    pairs = [n for n in range(len(FRAMES) - 1) if FRAMES[n] != FRAMES[n + 1]]
    matches = [n for n in pairs if whole(b"".join([*FRAMES[:n], FRAMES[n + 1], FRAMES[n], *FRAMES[n + 2 :]]))]

    assert matches == []


@given(st.data())
def test_any_two_frames_swapped_are_never_a_match(data) -> None:
    one = data.draw(st.integers(0, len(FRAMES) - 1))
    other = data.draw(st.integers(0, len(FRAMES) - 1).filter(lambda n: FRAMES[n] != FRAMES[one]))
    frames = list(FRAMES)
    frames[one], frames[other] = frames[other], frames[one]

    assert not whole(b"".join(frames))


@given(st.integers(0, len(FRAMES) - 1), st.integers(0, 50))
def test_a_frame_repeated_is_never_a_match_unless_it_was_silence_at_an_end(at, after) -> None:
    frames = [*FRAMES[: at + 1], FRAMES[at], *FRAMES[at + 1 :], *[SILENT] * after]
    at_an_end = not any(any(frame) for frame in FRAMES[:at]) or not any(any(frame) for frame in FRAMES[at + 1 :])

    assert whole(b"".join(frames)) == (at_an_end and FRAMES[at] == SILENT)


@settings(max_examples=300)
@given(st.integers(0, COUNT - 1), st.integers(-32768, 32767))
def test_one_changed_sample_is_never_a_match(at, value) -> None:
    changed = np.frombuffer(ENGLISH, "<i2").copy()
    same = changed[at] == value
    changed[at] = value

    assert whole(SILENT + changed.tobytes() + SILENT) == same


@given(st.integers(0, 5000), st.integers(0, 5000), st.sampled_from(["before", "after"]))
def test_anything_else_in_the_tap_is_never_a_match(gap, where, side) -> None:
    sound = bytes(2 * where) + b"\x01\x00" + bytes(2 * gap)
    tapped = sound + ENGLISH if side == "before" else ENGLISH + sound

    assert not whole(tapped)
    assert compare(ENGLISH, ENGLISH + b"\x01\x00").at_sample is None


@given(st.integers(0, COUNT - 1))
def test_a_prompt_cut_at_its_end_counts_what_is_there(kept) -> None:
    found = compare(ENGLISH, ENGLISH[: 2 * kept])

    assert found.matched_samples <= kept
    assert not whole(ENGLISH[: 2 * kept])


def test_the_figure_for_a_cut_prompt_is_how_far_it_came() -> None:
    assert compare(ENGLISH, ENGLISH[:100_000]).matched_samples == 50_000


@pytest.mark.parametrize("tapped", [b"", SILENT * 1000, WELSH, ENGLISH[::-1], ENGLISH + b"\x00", b"\x01"])
def test_what_is_not_the_prompt_never_matches(tapped) -> None:
    assert not whole(tapped)


def test_nothing_matches_a_prompt_of_silence_or_of_nothing() -> None:
    assert compare(SILENT, SILENT).at_sample is None
    assert compare(b"", ENGLISH).at_sample is None


@given(st.binary(max_size=64), st.binary(max_size=64))
def test_whatever_bytes_it_is_given_it_answers(prompt, tapped) -> None:
    found = compare(prompt, tapped)

    assert 0 <= found.matched_samples <= len(prompt) // 2


def test_silence_decoded_from_a_law_is_silence_too() -> None:
    a_law = np.frombuffer(ENGLISH, "<i2") // 16 * 16 + 8
    quiet_bytes = np.full(800, 8, "<i2").tobytes()

    found = compare(a_law.tobytes(), quiet_bytes + a_law.tobytes() + quiet_bytes, kind=Tap.WIRE, silence=8)

    assert (found.matched_samples, found.at_sample, found.kind) == (COUNT, 800, Tap.WIRE)
