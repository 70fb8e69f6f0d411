import asyncio
import os
import threading
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callrec.errors import Broken, Unavailable
from callrec.recording.capture import Capture, Tail
from callrec.recording.memory import file_system_magic
from callrec.recording.seal import seal
from callrec.recording.segment import Gap, read_gaps
from callrec.recording.tailing import TailThread
from tests.recording.builders import ENDING, FACTS, KEY, a_header, a_spool, everything_under, recorders, stereo, voices


@pytest.fixture
def spool(tmp_path):
    return a_spool(tmp_path)


@pytest.fixture
def segment(spool):
    segment = spool.open_segment(a_header(), KEY, FACTS)
    yield segment
    segment.close()


@pytest.fixture
def tails():
    thread = TailThread(every_s=0.01)
    yield thread
    thread.close()


@pytest.fixture
def tape(spool, segment):
    return recorders(spool, segment.recording_id)


class Collected:
    """Stands where the spool stands, and keeps what it was given in the clear."""

    def __init__(self):
        self.pcm = b""

    def append(self, pcm):
        self.pcm += pcm


def test_what_both_legs_said_comes_out_left_and_right(segment, tape):
    caller, staff = voices(20_000)
    kept = Collected()
    capture = Capture(kept, tape.paths, started_ns=0)

    tape.caller.hear(caller)
    tape.staff.hear(staff)
    capture.tick()
    tape.caller.close()
    tape.staff.close()
    capture.finish()

    assert kept.pcm == stereo(caller, staff)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9000), st.integers(0, 9000), st.booleans()), max_size=6))
def test_however_the_files_grow_no_sample_is_lost_moved_or_taken_twice(tmp_path_factory, steps):
    spool = a_spool(tmp_path_factory.mktemp("case"))
    tape = recorders(spool, "x-0")
    lengths = [sum(step[leg] for step in steps) for leg in (0, 1)]
    longest = max(lengths)
    caller, staff = (voice[: length * 2] for voice, length in zip(voices(max(1, longest)), lengths, strict=True))
    kept, at = Collected(), [0, 0]
    capture = Capture(kept, tape.paths, started_ns=0)

    for more_caller, more_staff, ticked in steps:
        tape.caller.hear(caller[at[0] : at[0] + more_caller * 2])
        tape.staff.hear(staff[at[1] : at[1] + more_staff * 2])
        at = [at[0] + more_caller * 2, at[1] + more_staff * 2]
        if ticked:
            capture.tick()
    tape.caller.close()
    tape.staff.close()
    capture.finish()

    assert kept.pcm == stereo(caller.ljust(longest * 2, b"\0"), staff.ljust(longest * 2, b"\0"))


def test_a_leg_ahead_of_the_other_waits(segment, tape):
    caller, staff = voices(8192)
    capture = Capture(segment, tape.paths, started_ns=0)

    tape.caller.hear(caller)
    tape.staff.hear(staff[:8192])
    capture.tick()

    assert capture.progress().samples == 4096


def test_recorders_that_are_not_there_yet_are_silence_not_an_error(segment, spool):
    capture = Capture(segment, spool.capture_paths("not-yet"), started_ns=0)

    capture.tick()

    assert capture.progress().samples == 0


def test_a_recorder_that_writes_something_else_is_broken(segment, tape):
    data = bytearray(tape.caller.path.read_bytes())
    data[22] = 2
    tape.caller.path.write_bytes(bytes(data))

    with pytest.raises(Broken, match="mono"):
        Capture(segment, tape.paths, started_ns=0).tick()


@pytest.mark.skipif(file_system_magic(Path("/dev/shm")) != 0x01021994, reason="no tmpfs at /dev/shm")
def test_memory_stays_at_a_page_or_two_however_long_the_call():
    folder = Path(os.environ.get("PYTEST_TMPFS", "/dev/shm")) / f"callrec-test-{os.getpid()}"
    folder.mkdir()
    try:
        spool = a_spool(folder)
        tape, kept = recorders(spool, "x-0"), Collected()
        capture = Capture(kept, tape.paths, started_ns=0)
        caller, staff = voices(80_000)

        tape.caller.hear(caller)
        tape.staff.hear(staff)
        capture.tick()

        assert all(path.stat().st_size > 150_000 for path in (tape.paths.caller, tape.paths.staff))
        assert all(path.stat().st_blocks * 512 <= 8192 for path in (tape.paths.caller, tape.paths.staff))
        tape.caller.close()
        tape.staff.close()
        capture.finish()
        assert kept.pcm == stereo(caller, staff)
    finally:
        for path in sorted(folder.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        folder.rmdir()


def test_plain_audio_is_nowhere_once_the_capture_finished(tmp_path, spool, segment, tape):
    caller, staff = voices(30_000)
    capture = Capture(segment, tape.paths, started_ns=0)
    tape.caller.hear(caller)
    tape.staff.hear(staff)
    tape.caller.close()
    tape.staff.close()

    capture.finish()

    left = everything_under(tmp_path)
    for voice in (caller, staff, stereo(caller, staff)):
        assert not any(voice[at : at + 64] in left for at in range(0, len(voice) - 64, 2048))
    assert not tape.paths.caller.exists()
    assert not tape.paths.staff.exists()


def test_a_pause_is_marked_where_it_was(segment, tape):
    capture = Capture(segment, tape.paths, started_ns=1_000_000_000)

    capture.suspend(3_000_000_000, "card")
    capture.resume(4_500_000_000)
    capture.suspend(5_000_000_000, "hold")

    card, hold = read_gaps(segment.folder)
    assert card == Gap(from_sample=16_000, to_sample=28_000, why="card")
    assert hold == Gap(from_sample=32_000, to_sample=None, why="hold")


def test_a_gap_opens_once_and_closes_once(segment, tape):
    capture = Capture(segment, tape.paths, started_ns=0)

    with pytest.raises(ValueError, match="no gap"):
        capture.resume(1)
    capture.suspend(1, "card")
    with pytest.raises(ValueError, match="open already"):
        capture.suspend(2, "card")


def test_when_the_spool_fails_the_rest_stays_in_memory_and_is_sealed_from_there(monkeypatch, spool, segment, tape):
    caller, staff = voices(24_576)
    capture = Capture(segment, tape.paths, started_ns=0)
    tape.caller.hear(caller[:16_384])
    tape.staff.hear(staff[:16_384])
    capture.tick()
    tape.caller.hear(caller[16_384:])
    tape.staff.hear(staff[16_384:])

    def full(data):
        raise Unavailable("no space")

    monkeypatch.setattr(segment._file, "append", full)
    with pytest.raises(Unavailable):
        capture.tick()
    with pytest.raises(Unavailable):
        capture.finish()
    sealed = seal(spool, segment, ENDING)

    assert sealed.samples == 24_576
    assert not tape.paths.caller.exists()


async def test_the_loop_takes_what_comes_and_ends_when_told(segment, tape, tails):
    capture, stop = Capture(segment, tape.paths, started_ns=0), asyncio.Event()
    taken = asyncio.Event()
    tick, loop = capture.tick, asyncio.get_running_loop()

    def seen():
        tick()
        if capture.progress().samples == 4096:
            loop.call_soon_threadsafe(taken.set)

    capture.tick = seen
    running = asyncio.create_task(capture.run(stop, tails))
    caller, staff = voices(4096)
    tape.caller.hear(caller)
    tape.staff.hear(staff)
    await asyncio.wait_for(taken.wait(), 10)
    stop.set()
    await asyncio.wait_for(running, 10)

    assert capture.progress().samples == 4096


async def test_the_loop_ends_with_the_spools_error(segment, tape, tails):
    caller, staff = voices(4096)
    tape.caller.hear(caller)
    tape.staff.hear(staff)
    segment.close()

    with pytest.raises(Unavailable, match="closed"):
        await asyncio.wait_for(Capture(segment, tape.paths, started_ns=0).run(asyncio.Event(), tails), 10)


def test_what_was_finished_takes_nothing_any_more(segment, tape):
    caller, staff = voices(4096)
    capture = Capture(kept := Collected(), tape.paths, started_ns=0)
    tape.caller.hear(caller)
    tape.staff.hear(staff)
    tape.caller.close()
    tape.staff.close()

    capture.finish()
    capture.tick()

    assert kept.pcm == stereo(caller, staff)


def test_one_thread_gives_each_its_turn_and_lets_go_of_what_failed(tails):
    turns, told, enough = [0, 0, 0], [], threading.Event()

    def tick(which):
        turns[which] += 1
        if which == 1:
            raise Unavailable("no space")
        if min(turns[0], turns[2]) >= 3:
            enough.set()

    for which in range(3):
        tails.follow(partial(tick, which), told.append)
    assert enough.wait(10)
    tails.close()

    assert [str(error) for error in told] == ["no space"]
    assert turns[1] == 1


def test_a_tail_begins_where_the_spool_ended(spool, tape):
    caller, staff = voices(8192)
    tape.caller.hear(caller)
    tape.staff.hear(staff)

    tail = Tail(tape.paths, taken=5000)

    assert tail.peek() == stereo(caller, staff)[5000 * 4 :]
    tail.close()
