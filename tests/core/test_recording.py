import pytest
from hypothesis import given
from hypothesis import strategies as st

from callrec.core.kinds import Kind
from callrec.core.outoforder import OutOfOrder
from callrec.core.recording import ENDS, TRANSITIONS, Recording, RecordingState

S = RecordingState


def a_kept_recording() -> Recording:
    return Recording().after(Kind.RECORDING_SEALED).after(Kind.RECORDING_KEPT)


def test_every_state_has_its_row() -> None:
    assert set(TRANSITIONS) == set(RecordingState)


def test_nothing_follows_an_end() -> None:
    assert {S.DISPOSED, S.DISCARDED, S.LOST} == ENDS


def test_capture_ends_in_exactly_one_of_sealed_discarded_and_lost() -> None:
    out = {kind: to for kind, to in TRANSITIONS[S.SPOOLING].items() if to is not S.SPOOLING}

    assert out == {
        Kind.RECORDING_SEALED: S.SEALED,
        Kind.RECORDING_DISCARDED: S.DISCARDED,
        Kind.RECORDING_LOST: S.LOST,
    }


def test_only_what_was_sealed_is_ever_kept() -> None:
    into = {(state, kind) for state, row in TRANSITIONS.items() for kind, to in row.items() if to is S.KEPT}

    assert into == {
        (S.SEALED, Kind.RECORDING_KEPT),
        (S.KEPT, Kind.RECORDING_DAMAGED),
        (S.HELD, Kind.HOLD_RELEASED),
    }


def test_only_a_kept_recording_without_a_hold_is_disposed_of() -> None:
    into = {(state, kind) for state, row in TRANSITIONS.items() for kind, to in row.items() if to is S.DISPOSED}

    assert into == {(S.KEPT, Kind.DISPOSAL_DONE)}


def test_a_second_hold_outlives_the_release_of_the_first() -> None:
    held = a_kept_recording().after(Kind.HOLD_PLACED, hold="claim").after(Kind.HOLD_PLACED, hold="inquest")

    left = held.after(Kind.HOLD_RELEASED, hold="claim")

    assert left.state is S.HELD
    assert left.after(Kind.HOLD_RELEASED, hold="inquest").state is S.KEPT


def test_a_hold_placed_twice_counts_once() -> None:
    held = a_kept_recording().after(Kind.HOLD_PLACED, hold="claim").after(Kind.HOLD_PLACED, hold="claim")

    assert held.after(Kind.HOLD_RELEASED, hold="claim").state is S.KEPT


def test_releasing_a_hold_that_was_not_placed_is_out_of_order() -> None:
    held = a_kept_recording().after(Kind.HOLD_PLACED, hold="claim")

    with pytest.raises(OutOfOrder, match="not placed"):
        held.after(Kind.HOLD_RELEASED, hold="inquest")


def test_a_hold_must_say_which_it_is() -> None:
    with pytest.raises(ValueError, match="which hold"):
        a_kept_recording().after(Kind.HOLD_PLACED)


@given(st.lists(st.tuples(st.sampled_from(Kind), st.sampled_from(["a", "b"]))))
def test_whatever_happens_an_unknown_pair_changes_nothing_and_a_hold_is_never_disposed_of(happenings) -> None:
    recording = Recording()
    for kind, hold in happenings:
        known = kind in TRANSITIONS[recording.state]
        before = recording
        try:
            recording = recording.after(kind, hold=hold)
        except OutOfOrder:
            assert recording == before
            assert not known or kind is Kind.HOLD_RELEASED
        else:
            assert known
            assert (recording.state is S.HELD) == bool(recording.holds)
            assert not (recording.state is S.DISPOSED and before.holds)
