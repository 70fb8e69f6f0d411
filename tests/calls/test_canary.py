"""A marker in the caller's voice, number and keys: after a recorded call it is nowhere but in the sealed recording.

But for the number, in the process's own memory: the engine's SIP messages stay there until other calls use the place.
The last test but one says so.

The marker is a sound that repeats every 20 ms, different for each run. Any 64 samples in a row of it hold one of a few
pieces whole; these are looked for as A-law, as 16-bit and as 32-bit samples, alone and between the other leg's, so that
neither the engine's buffers nor a file can hold it unseen. The search itself is tried on what does hold it.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.bench.usage import family
from tests.calls.house import House
from tests.peers import audio, ports
from tests.peers.audio import FRAME, Samples
from tests.peers.baresip import Ear
from tests.peers.ports import Process

pytestmark = pytest.mark.calls

NUMBER = "07700900123"
KEYS = "4715860948"
"""Without 2 and 3, which the notice names and callrec keeps for itself."""
PIECE = 32
STRIDES = (2, 4)
"""Samples as they lie in a stereo file or in 32 bits; in 32 bits stereo. Mono needs no step."""
STILL_IN_USE_S = 0.1
"""What may be left in buffers that the engine uses on for its next call: its last frames."""


# ---------------------------------------------------------------- the marker, and how it is looked for


def one_period() -> Samples:
    """20 ms of noise, as A-law gives it back."""
    loud = np.random.default_rng(int.from_bytes(os.urandom(8))).normal(0, 4000, FRAME)
    return audio.from_alaw(audio.to_alaw(np.clip(loud, -16_000, 16_000).astype(np.int16)))


class Marker:
    """What the caller says, over and over."""

    def __init__(self) -> None:
        self._period = one_period()
        round_it = np.concatenate([self._period, self._period])
        pieces = [round_it[at : at + PIECE] for at in range(0, FRAME, PIECE)]
        self._linear = [piece.astype("<i2").tobytes() for piece in pieces]
        self._alaw = [audio.to_alaw(piece) for piece in pieces]

    def said_for(self, seconds: float) -> Samples:
        return np.tile(self._period, round(seconds * audio.RATE / FRAME))

    def times_in(self, data: bytes) -> int:
        """How often a piece of it is there."""
        found = sum(data.count(piece) for piece in (*self._alaw, *self._linear))
        for first in (0, 1):
            samples = np.frombuffer(data[first : first + (len(data) - first) // 2 * 2], "<i2")
            for stride in STRIDES:
                for channel in range(stride):
                    one = samples[channel::stride].tobytes()
                    found += sum(one.count(piece) for piece in self._linear)
        return found


def spoken_in(path: Path, marker: Marker) -> int:
    return marker.times_in(path.read_bytes())


# ---------------------------------------------------------------- where it is looked for


def files_of(*folders: Path) -> list[Path]:
    """Every file there is, also of temporary names."""
    return [path for folder in folders for path in folder.rglob("*") if path.is_file()]


def forced_core(pid: int, folder: Path) -> Path:
    """A whole core of the living process, also of what it asked the kernel to leave out."""
    all_of_it = [
        "-iex",
        "set auto-load off",
        "-ex",
        "set use-coredump-filter off",
        "-ex",
        "set dump-excluded-mappings on",
    ]
    core = folder / "core"
    words = ["gdb", "-batch", "-nx", *all_of_it, "-p", str(pid), "-ex", f"generate-core-file {core}"]
    with Process(words, folder=folder, name="gdb") as gdb:
        gdb.wait(60)
        assert core.exists(), gdb.output[-2000:]
    return core


def in_parts(path: Path, size: int = 1 << 24, overlap: int = 1 << 10) -> Iterator[bytes]:
    """A large file bit by bit, so that nothing is cut in two unseen."""
    with path.open("rb") as file:
        for at in range(0, path.stat().st_size, size):
            file.seek(at)
            yield file.read(size + overlap)


def open_files(process: Process) -> set[str]:
    """Files that it holds open."""
    links = [str(one.readlink()) for one in Path(f"/proc/{process.pid}/fd").iterdir()]
    return {target for target in links if target.startswith("/")}


# ---------------------------------------------------------------- one recorded call


@dataclass(frozen=True, slots=True)
class AfterTheCall:
    """The agent, still up, after everything was sealed and kept."""

    house: House
    marker: Marker
    in_capture: int
    quiet_keys: bool
    opened: set[str]
    killed: int


@pytest.fixture(scope="module")
def after(tmp_path_factory) -> Iterator[AfterTheCall]:
    folder = tmp_path_factory.mktemp("canary")
    marker = Marker()
    with ExitStack() as around:
        staff = around.enter_context(Ear(folder / "staff", say=audio.tone(1000, 60), user="6000", auto_answer=True))
        house = House(folder / "house", staff=staff.address)
        (folder / "house" / "temporary").mkdir()
        house.environment["TMPDIR"] = str(folder / "house" / "temporary")
        around.enter_context(house)
        caller = around.enter_context(Ear(folder / "caller", say=marker.said_for(60), user=NUMBER))
        yield a_recorded_call(house, marker, caller, staff)


def process_that_seals(house: House) -> int:
    """Its id; it is the one that the agent has started."""
    [sealing] = [pid for pid in family(house.process.pid) if pid != house.process.pid]
    return sealing


def a_recorded_call(house: House, marker: Marker, caller: Ear, staff: Ear) -> AfterTheCall:
    caller.dial(house.uri("5000"))
    house.wait_for("recording.started", seconds=30)
    captured = house.runtime / "capture"
    in_capture = ports.until(
        lambda: sum(spoken_in(path, marker) for path in files_of(captured)), seconds=10, what="the marker is captured"
    )
    opened = open_files(house.process)
    before = house.process.output
    caller.press(KEYS)
    ports.until(lambda: staff.pressed == KEYS, seconds=10, what="staff hear the keys")
    quiet_keys = house.process.output == before
    killed = process_that_seals(house)
    os.kill(killed, signal.SIGKILL)
    caller.hang_up()
    house.wait_for("recording.kept", seconds=20)
    house.summary()
    spool = house.folder / "var" / "spool"
    handed_over = (spool / "ready", spool / "done")
    ports.until(lambda: not any(any(place.iterdir()) for place in handed_over), seconds=20, what="the spool is tidied")
    return AfterTheCall(house, marker, in_capture, quiet_keys, opened, killed)


# ---------------------------------------------------------------- the search finds what is there


@pytest.mark.parametrize("how", ["mono", "stereo", "wide", "wide stereo", "A-law", "at an odd place"])
def test_the_search_finds_64_samples_however_they_lie(how):
    marker = Marker()
    at = 77
    said = marker.said_for(0.1)[at : at + 2 * PIECE]
    other = audio.tone(1000, 0.1)[: 2 * PIECE]
    stereo = np.stack([said, other], axis=1)
    forms = {
        "mono": said.tobytes(),
        "stereo": stereo.tobytes(),
        "wide": said.astype("<i4").tobytes(),
        "wide stereo": stereo.astype("<i4").tobytes(),
        "A-law": audio.to_alaw(said),
        "at an odd place": b"x" + said.tobytes(),
    }

    assert marker.times_in(b"\0" * 100 + forms[how] + b"\0" * 100) > 0
    assert Marker().times_in(forms[how]) == 0


def test_the_search_finds_the_marker_in_memory_while_the_call_is_up_and_in_the_opened_recording(after):
    left, _ = after.house.recording()

    assert after.in_capture > 0
    assert after.marker.times_in(left.tobytes()) > len(left) // PIECE // 2


def test_killing_the_process_that_seals_costs_a_call_and_its_recording_nothing(after):
    left, right = after.house.recording()

    assert process_that_seals(after.house) != after.killed
    assert after.house.summary()["decision"] == "RECORDED"
    assert len(left) == len(right) > audio.RATE
    assert after.house.entries("recording.sealed")[-1].body["truncated"] is False


# ---------------------------------------------------------------- the marker is nowhere


def test_the_marker_is_in_no_file_of_the_house_and_in_no_memory_file(after):
    looked_at = files_of(after.house.folder, after.house.runtime)

    assert {"audio.enc", "ledger.db", "agent.out"} <= {path.name for path in looked_at}
    assert [path for path in looked_at if spoken_in(path, after.marker)] == []


def test_while_recording_the_agent_wrote_nowhere_else(after):
    places = (str(after.house.folder), str(after.house.runtime), "/dev/", "/proc/")

    assert len(after.opened) > 4
    assert [path for path in after.opened if not path.startswith(places)] == []


def test_number_and_keys_are_in_no_file_and_in_no_log(after):
    looked_at = files_of(after.house.folder, after.house.runtime)
    wanted = [NUMBER.encode(), NUMBER[1:].encode(), KEYS.encode()]

    assert [path for path in looked_at if any(one in path.read_bytes() for one in wanted)] == []
    assert after.quiet_keys


def test_a_forced_core_of_the_agent_holds_no_more_of_the_call_than_its_last_frames(after, tmp_path):
    core = forced_core(after.house.process.pid, tmp_path)
    spoken = sum(after.marker.times_in(part) for part in in_parts(core))
    held = {
        what: sum(part.count(what.encode()) for part in in_parts(core))
        for what in ("callrec.agent.agent", KEYS, NUMBER)
    }

    assert held["callrec.agent.agent"] > 0
    assert spoken * PIECE / audio.RATE < STILL_IN_USE_S
    assert held[KEYS] == 0
    assert held[NUMBER] > 0, "deploy/README.md says that the number is there"


def test_a_forced_core_of_the_process_that_sealed_it_holds_nothing_of_the_call(after, tmp_path):
    core = forced_core(process_that_seals(after.house), tmp_path)
    spoken = sum(after.marker.times_in(part) for part in in_parts(core))
    held = {
        what: sum(part.count(what.encode()) for part in in_parts(core))
        for what in ("callrec.recording.seal", "callrec.agent.agent", KEYS, NUMBER)
    }

    assert held.pop("callrec.recording.seal") > 0
    assert set(held.values()) == {0}
    assert spoken * PIECE / audio.RATE < STILL_IN_USE_S


# ---------------------------------------------------------------- and there is no core


def test_an_agent_that_aborts_leaves_no_core(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    house = House(tmp_path / "house", staff="127.0.0.1:9")
    try:
        house.start()
        limits = Path(f"/proc/{house.process.pid}/limits").read_text()
        house.kill(signal.SIGABRT)
        assert house.process.wait(10) == -signal.SIGABRT
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)
        house.kill()
        shutil.rmtree(house.runtime)
    assert re.search(r"^Max core file size\s+0\s+0\s", limits, re.MULTILINE)
    assert [path for path in files_of(tmp_path) if path.name.startswith("core")] == []
