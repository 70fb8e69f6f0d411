"""One whole call, judged by what independent phones heard and by what the store opens, not by what the agent says.

Caller and staff speak a tone each, to be told apart by, with noise of their own above it, by which any second of it can
be found again to the sample. Both ears and the recording hear a leg through the same mixer, so that where a channel of
the recording lies in what the other party heard is exact, whatever the network did.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from callrec.ledger.reading import open_log
from tests.calls.house import House
from tests.calls.office import verified
from tests.peers import audio, ports, sipp
from tests.peers.audio import RATE, Samples
from tests.peers.baresip import Ear
from tests.peers.rtp import Media
from tests.peers.sipp_steps import (
    PCMU,
    answer,
    bye,
    early_media,
    invite,
    reinvite,
    sdp,
    stream,
    take,
    talk,
    until_bye,
    until_told,
)

pytestmark = pytest.mark.calls

MARKER_HZ, CALLER_HZ, STAFF_HZ, EARLY_HZ = 700, 600, 800, 900
"""Said by the caller before the bridge and in the talk, by staff in the talk, by the destination before it answers."""
CHOICE_WINDOW_S = 1.0
CALLER_NUMBER = "07700900123"
RINGS_S = 2.0
SOON_S = 0.3
"""How late a recording may begin while others use the machine; alone it is within a third of that."""
MARK_S = 0.25
"""How far a gap's marks, told by the clock, may lie from the sound, told by the mixer, while others use the machine."""
PIECE_S = 0.1
"""Noise by which a place is found: 800 samples, of which no others are alike by a third."""
PATIENCE_S = 30


def voice(hz: float, seconds: float, *, seed: int) -> Samples:
    """A tone, and noise between 1500 and 3400 Hz that never repeats."""
    dice = np.random.default_rng(seed)
    noise = above_the_tones(dice.normal(0, 1, round(seconds * RATE)))
    quiet = noise / noise.std() * 32767 * 10 ** (-26 / 20)
    return np.clip(audio.tone(hz, seconds, dbfs=-15) + quiet, -32767, 32767).astype(np.int16)


def above_the_tones(samples: np.ndarray) -> np.ndarray:
    """Only what is between 1500 and 3400 Hz."""
    spectrum = np.fft.rfft(samples)
    hertz = np.fft.rfftfreq(len(samples), 1 / RATE)
    spectrum[(hertz < 1500) | (hertz > 3400)] = 0
    return np.fft.irfft(spectrum, len(samples))


def place(said: Samples, heard: Samples) -> float:
    """At which second of `heard` this begins, by its noise; the likeness there must leave no doubt.

    It is looked for in pieces, and the one that is most alike tells: a phone on a busy machine leaves out a frame or
    plays one twice, and what holds such a place is, as a whole, alike by half only.
    """
    noise, around = above_the_tones(said), above_the_tones(heard)
    size = round(PIECE_S * RATE)
    alike, at = max(_likeness(noise[start : start + size], around, start) for start in range(0, len(noise), size))
    assert alike > 0.9, f"what is nearest is alike by {alike:.2f} only"
    return at / RATE


def _likeness(piece: np.ndarray, around: np.ndarray, start: int) -> tuple[float, int]:
    """How alike the likest place is, and where what the piece is of would then begin."""
    size = len(piece) + len(around)
    found = np.fft.irfft(np.fft.rfft(around, size) * np.conj(np.fft.rfft(piece, size)), size)
    at = int(np.argmax(found[: len(around) - len(piece)]))
    there = around[at : at + len(piece)]
    return float(found[at] / (np.linalg.norm(piece) * np.linalg.norm(there))), at - start


def begins(samples: Samples) -> float:
    """The second in which sound begins, in a recording that may begin with a frame or two of silence."""
    return float(np.flatnonzero(np.abs(samples.astype(np.int32)) > 300)[0] / RATE)


def second(samples: Samples, at: float, seconds: float = 1.0) -> Samples:
    return samples[round(at * RATE) : round((at + seconds) * RATE)]


# ---------------------------------------------------------------- a call to a phone that rings first


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A call that is over: what each ear heard, what was kept, and what was played."""

    caller: Samples
    staff: Samples
    left: Samples
    right: Samples
    notice: Samples
    house: House


@pytest.fixture(scope="module")
def call(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Heard]:
    """The caller speaks from the first moment on; staff's phone rings for two seconds before it is taken."""
    folder = tmp_path_factory.mktemp("proven")
    said = np.concatenate([voice(MARKER_HZ, 8.5, seed=1), voice(CALLER_HZ, 40, seed=2)])
    with (
        Ear(folder / "staff", say=voice(STAFF_HZ, 40, seed=3), user="6000") as staff,
        House(folder / "house", staff=staff.address) as house,
    ):
        notice = house.prompt_samples()
        rings_until = len(notice) / RATE + RINGS_S
        with Ear(folder / "caller", say=said, user=CALLER_NUMBER) as caller:
            caller.dial(house.uri("5000"))
            staff.rang(within_s=PATIENCE_S)
            caller.heard_so_far(rings_until, within_s=PATIENCE_S)
            staff.answer()
            caller.heard_so_far(rings_until + 4, within_s=PATIENCE_S)
            caller.hang_up()
            staff.closed(within_s=10)
            left, right = house.recording()
            house.summary()
            house.stop()  # its last checkpoint is then held outside
            yield Heard(caller=caller.heard, staff=staff.heard, left=left, right=right, notice=notice, house=house)


def test_the_caller_hears_the_whole_notice_then_ringback_then_staff(call: Heard):
    notice = audio.find(call.caller, call.notice)
    after = call.caller[round((notice.at_s + len(call.notice) / RATE) * RATE) :]
    ringing, talking = audio.ringback_spans(after), audio.tone_spans(after, STAFF_HZ)

    assert notice.share >= 0.99
    assert notice.at_s < 0.2
    assert ringing[0][0] < 0.5
    assert [round(ringing[1][n] - ringing[0][n], 1) for n in (0, 1)] == [0.6, 0.6]
    assert len(talking) == 1
    assert ringing[-1][1] <= talking[0][0] + 0.02
    assert talking[0][1] - talking[0][0] >= 3


def test_nothing_but_the_notice_is_heard_while_it_plays(call: Heard):
    at = round(audio.find(call.caller, call.notice).at_s * RATE)
    beside = call.caller[at : at + len(call.notice)].astype(np.int32) - call.notice

    assert np.abs(beside).max() <= audio.NEAR_LSB


def test_the_caller_is_left_and_staff_is_right(call: Heard):
    assert len(call.left) == len(call.right)
    assert audio.share(call.left, CALLER_HZ) > 0.97
    assert audio.share(call.right, STAFF_HZ) > 0.97
    assert audio.share(call.left, STAFF_HZ) == 0
    assert audio.share(call.right, CALLER_HZ) == 0


def test_the_recording_begins_with_the_bridge(call: Heard):
    for kept, other_ear, hz in ((call.left, call.staff, CALLER_HZ), (call.right, call.caller, STAFF_HZ)):
        bridged = audio.tone_spans(other_ear, hz)[0][0]
        first = begins(kept)

        assert first <= SOON_S
        assert -MARK_S <= place(second(kept, first), other_ear) - first - bridged <= SOON_S


def test_the_call_goes_into_a_pack_that_a_stranger_verifies(call: Heard, tmp_path: Path):
    """Against a key of their own and the checkpoint that was held outside; the packets that left are weighed again."""
    (offered,) = call.house.entries("call.offered")
    with open_log(call.house.ledger) as log:
        key = log.key().vkey()

    call.house.callrec("audit", "pack", offered.call_uid, "-o", str(tmp_path / "pack.zip"))
    said = call.house.callrec("audit", "verify", str(tmp_path / "pack.zip"), "--key", key)

    assert "notice played: proven (" in said
    assert "     holds  27. " in said
    assert "     holds  29. " in said
    assert "result:       every check that this pack allows holds" in said


def test_the_caller_is_told_of_the_call_by_their_number(call: Heard):
    (offered,) = call.house.entries("call.offered")

    value = json.loads(call.house.callrec("subject", "find", "--json", "--number", "+44 7700 900123"))

    (told,) = value["calls"]
    assert (told["call_uid"], told["decision"], value["blind"]) == (offered.call_uid, "RECORDED", {})
    assert told["notices"][0].startswith("proven (")
    for file in call.house.folder.rglob("*.db*"):
        assert CALLER_NUMBER[1:].encode() not in file.read_bytes()


def test_nothing_from_before_the_talk_is_kept(call: Heard):
    for kept in (call.left, call.right):
        assert audio.share(kept, MARKER_HZ) == 0
        assert audio.ringback_spans(kept) == []
    assert audio.share(call.staff, MARKER_HZ) == 0
    for kept in (call.left, call.right):
        with pytest.raises(AssertionError, match="alike"):
            place(call.notice[RATE : 3 * RATE], kept)


def test_the_ledger_tells_the_call_in_order_and_binds_each_step_to_the_one_before(call: Heard):
    told = {entry.kind: entry for entry in call.house.entries() if entry.call_uid}
    steps = ["call.offered", "call.answered", "notice.proven", "recording.started", "recording.sealed"]
    steps += ["recording.kept"]

    seqs = [told[kind].seq for kind in steps]
    assert seqs == sorted(seqs)
    assert told["call.answered"].body["offered_leaf"] == told["call.offered"].leaf
    assert told["notice.proven"].body["offered_leaf"] == told["call.offered"].leaf
    assert told["notice.proven"].body["answered_leaf"] == told["call.answered"].leaf
    assert told["recording.started"].body["proven_leaves"] == [told["notice.proven"].leaf]
    assert told["recording.sealed"].body["started_leaf"] == told["recording.started"].leaf
    assert told["recording.sealed"].body["samples"] == len(call.left)


def test_the_call_is_closed_once_and_as_recorded(call: Heard):
    (closed,) = call.house.entries("call.closed")

    assert (closed.body["decision"], closed.body["reason"], closed.body["connected"]) == ("RECORDED", "", True)


def test_an_auditor_finds_ledger_evidence_and_store_sound(call: Heard):
    found = verified(call.house)

    assert found.sound, [str(one) for one in found.findings]
    assert found.exit_code == 0
    assert found.skipped == ()


# ---------------------------------------------------------------- other ways through a call


def test_early_media_is_heard_and_not_kept_and_the_recording_waits_for_the_choice_window(tmp_path: Path):
    early = audio.write_alaw(tmp_path / "early.alaw", audio.tone(EARLY_HZ, 20))
    spoken = audio.write_alaw(tmp_path / "staff.alaw", voice(STAFF_HZ, 20, seed=4))
    steps = [take(), early_media(early, 400), answer(), stream(spoken), until_bye()]
    with (
        sipp.answering(tmp_path / "staff", steps) as staff,
        House(tmp_path / "house", staff=staff.address) as house,
        Ear(tmp_path / "caller", say=voice(CALLER_HZ, 40, seed=5)) as caller,
    ):
        notice = house.prompt_samples()
        caller.dial(house.uri("5000"))
        caller.heard_so_far(len(notice) / RATE + CHOICE_WINDOW_S + 2, within_s=PATIENCE_S)
        caller.hang_up()
        staff.succeed(within_s=10)
        left, right = house.recording()

    over = audio.find(caller.heard, notice).at_s + len(notice) / RATE
    after = second(caller.heard, over, 10)
    assert audio.tone_spans(after, EARLY_HZ)[0][1] - audio.tone_spans(after, EARLY_HZ)[0][0] >= 0.3
    assert audio.ringback_spans(after) == []
    assert audio.tone_spans(after, STAFF_HZ)[0][0] < CHOICE_WINDOW_S - 0.2, "they talk before the window closes"
    assert audio.share(left, EARLY_HZ) == audio.share(right, EARLY_HZ) == 0
    assert abs(place(second(right, 0.1), caller.heard) - 0.1 - over - CHOICE_WINDOW_S) <= SOON_S
    assert begins(right) <= SOON_S


def test_a_hold_and_another_codec_leave_a_marked_silence_and_both_legs_in_step(tmp_path: Path):
    said, answered = voice(CALLER_HZ, 60, seed=6), voice(STAFF_HZ, 60, seed=7)
    with (
        Ear(tmp_path / "staff", say=answered, user="6000", auto_answer=True) as staff,
        House(tmp_path / "house", staff=staff.address) as house,
        Media() as ear,
    ):
        call_with_a_hold_and_another_codec(tmp_path / "caller", house, said, ear)
        left, right = house.recording()
        (gap,) = house.entries("recording.sealed")[0].body["gaps"]
        kinds = house.kinds()

    assert len(left) == len(right)
    assert gap["why"] == "caller leg on hold"
    assert (kinds.count("recording.paused"), kinds.count("recording.resumed")) == (1, 1)
    start, end = gap["from_sample"] / RATE, gap["to_sample"] / RATE
    middle = (start + end) / 2
    assert end - start >= 1.2
    for kept, hz, whole in ((left, CALLER_HZ, said), (right, STAFF_HZ, answered)):
        heard = audio.tone_spans(kept, hz)
        before = max(end for _, end in heard if end <= middle)
        after = min(start for start, _ in heard if start >= middle)
        assert abs(before - start) <= MARK_S
        assert abs(after - end) <= 2 * MARK_S
        assert not second(kept, start + MARK_S, end - start - 2 * MARK_S).any()
        apart = place(second(kept, end + 0.5), whole) - place(second(kept, start - 1.5), whole)
        assert abs(apart - (end - start + 2)) <= MARK_S
    assert audio.share(ear.heard[-RATE:], STAFF_HZ) > 0.8
    assert ear.packets[-1].payload_type == PCMU


def call_with_a_hold_and_another_codec(folder: Path, house: House, said: Samples, ear: Media) -> None:
    """A caller who says this, in one time and one stream, in PCMA to begin with and in PCMU after a hold."""
    steps = [invite(offer=sdp(port=str(ear.port))), until_told()]
    steps += [reinvite(offer=sdp(direction="sendonly", port=str(ear.port))), talk(1500)]
    steps += [reinvite(offer=sdp(codecs=[PCMU], port=str(ear.port))), until_told(), bye()]
    uid = lambda: next((one.call_uid for one in house.entries("call.offered")), "")  # noqa: E731
    with sipp.calling(folder, steps, to=house.address, limit_s=120) as caller:
        to = caller.wait_received("SIP/2.0 200", seconds=5).media_address
        began = time.monotonic()
        ear.speak(said, to=to)
        house.records(uid, 2.5)
        caller.go_on()
        renewed = ports.until(lambda: caller.received("SIP/2.0 200")[2:], seconds=PATIENCE_S, what="another codec")
        spent = round((time.monotonic() - began) * RATE)
        ear.speak(said[spent:], to=renewed[0].media_address, payload_type=PCMU)
        caller.waits(within_s=PATIENCE_S)
        house.records(uid, 2.5)
        caller.go_on()
        caller.succeed(within_s=PATIENCE_S)
