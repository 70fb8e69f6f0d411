"""An agent that is killed, or stops answering, at every moment of a call: what was finished stays, what lived is saved.

`kill -9` cannot be caught: whatever is right afterwards was right on the disk and in memory at that moment. The call
itself is over then, and how the caller still reaches the line is the PBX's part (test_asterisk_recipe.py).
"""

from __future__ import annotations

import shutil
import signal
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

from callrec.audit.verify import Places, verify
from callrec.ports import AUDIO_FILE
from callrec.recording.spool import FOLDERS
from tests.calls.house import House
from tests.calls.voices import heard_until, voice
from tests.peers import audio, ports, sipp
from tests.peers.baresip import Ear
from tests.peers.ports import LOOPBACK, Process
from tests.peers.rtp import Media
from tests.peers.sipp_steps import PCMA, invite, sdp, until_bye

pytestmark = pytest.mark.calls

CALLER_SAYS, STAFF_SAY = voice(1, 60), voice(2, 60)
ENDS = {"recording.sealed", "recording.discarded", "recording.lost"}
OF_THE_AGENT = {"agent.started", "agent.stopped", "agent.heartbeat", "checkpoint.shipped"}


# ---------------------------------------------------------------- a house where a recording is finished already


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory) -> Path:
    """A folder in which one call was recorded and kept: it must survive everything below."""
    folder = tmp_path_factory.mktemp("lived-in")
    around = ExitStack()
    with around:
        staff = around.enter_context(Ear(folder / "staff", say=STAFF_SAY, user="6000", auto_answer=True))
        house = around.enter_context(House(folder / "house", staff=staff.address))
        caller = around.enter_context(Ear(folder / "caller", say=CALLER_SAYS))
        caller.dial(house.uri("5000"))
        staff.heard_so_far(3, within_s=30)
        caller.hang_up()
        house.wait_for("recording.kept", seconds=20)
    return house.folder


class Scene:
    """One house, its staff and one caller; `staff` answers, rings, or is a port that never says a word."""

    def __init__(self, folder: Path, lived_in: Path, around: ExitStack, *, staff: str, window_s: int) -> None:
        self._folder, self._around, self._staff_are = folder, around, staff
        self.staff: Ear | None = None
        self.silent: socket.socket | None = None
        address = self._invite_staff()
        shutil.copytree(lived_in, folder / "house")
        self.house = House(folder / "house", staff=address)
        self.house.line.update(notice="short", choice_window_s=window_s)
        self.finished = self._only_recording()
        around.enter_context(self.house)

    def _invite_staff(self) -> str:
        if self._staff_are == "mute":
            self.silent = self._around.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            self.silent.bind((LOOPBACK, 0))
            self.silent.settimeout(20)
            return f"{LOOPBACK}:{self.silent.getsockname()[1]}"
        answers = self._staff_are == "answer"
        ear = Ear(self._folder / "staff", say=STAFF_SAY, user="6000", auto_answer=answers)
        self.staff = self._present(ear)
        return ear.address

    def _present(self, ear: Ear) -> Ear:
        """Until the end, and then without a good-bye that nobody would answer."""
        self._around.enter_context(ear)
        self._around.callback(ear.kill)
        return ear

    def _only_recording(self) -> str:
        kept = self.house.entries("recording.kept")[-1]
        return f"{kept.call_uid}-{kept.segment}"

    @cached_property
    def caller(self) -> Ear:
        """A caller who has just dialled."""
        caller = self._present(Ear(self._folder / "caller", say=CALLER_SAYS))
        caller.dial(self.house.uri("5000"))
        return caller

    def entry(self, kind: str) -> None:
        """The caller dials; wait for the entry of this kind that is of this call."""
        self.caller.established(within_s=10)
        self.house.wait_for(kind, seconds=25, count=2)

    @property
    def call_uid(self) -> str:
        """The call of this scene."""
        return self.house.entries("call.offered")[-1].call_uid

    def of_this_call(self) -> list:
        """Its entries."""
        return [entry for entry in self.house.entries() if entry.call_uid == self.call_uid]

    def said_for(self, seconds: float) -> None:
        """Let the caller say so much more: a clock that runs on while the agent does not."""
        until = len(self.caller.said) + seconds * audio.RATE
        ports.until(lambda: len(self.caller.said) >= until, seconds=3 * seconds + 5, what=f"{seconds} s are said")


@pytest.fixture
def scene(tmp_path, lived_in, request) -> Iterator[Scene]:
    """The scene that the moment asks for."""
    wanted = getattr(request, "param", {})
    with ExitStack() as around:
        yield Scene(tmp_path, lived_in, around, staff=wanted.get("staff", "answer"), window_s=wanted.get("window_s", 1))


# ---------------------------------------------------------------- what must hold


def all_that_lies_around(house: House) -> list[Path]:
    """Whatever is in memory or in the spool of a recording that is not in the store."""
    folders = [house.runtime / name for name in ("live", "capture", "tap")]
    folders += [house.var / "spool" / name for name in FOLDERS]
    return [path for folder in folders if folder.exists() for path in folder.iterdir()]


def findings(house: House) -> list[str]:
    """What an auditor finds."""
    var = house.var
    places = Places(
        ledger=var / "ledger.db",
        anchors=(house.folder / "anchors",),
        evidence=var / "evidence",
        store=var / "store",
        spool=var / "spool",
    )
    checked = verify(places)
    assert checked.skipped == ()
    # evidence is written before its entry: a crash between the two leaves it without, and that is no finding
    unfinished = [one for one in checked.open if not one.endswith("has no entry")]
    return [f"check {one.check}: {one.sentence}" for one in checked.findings] + unfinished


def both_promises_hold(scene: Scene) -> None:
    """After a restart: nothing lies around, everything that began has one end, and an auditor finds nothing."""
    house = scene.house
    entries = house.entries()
    offered = Counter(entry.call_uid for entry in entries if entry.kind == "call.offered")
    closed = Counter(entry.call_uid for entry in entries if entry.kind == "call.closed")
    started = Counter((entry.call_uid, entry.segment) for entry in entries if entry.kind == "recording.started")
    ended = Counter((entry.call_uid, entry.segment) for entry in entries if entry.kind in ENDS)

    assert all_that_lies_around(house) == []
    assert offered == closed
    assert set(offered.values()) == {1}
    assert started == ended
    assert set(started.values()) == {1}
    assert findings(house) == []
    assert len(house.open(scene.finished)) > audio.RATE


def restart(scene: Scene) -> None:
    """Start again twice. The first sets right what the kill left, the second finds nothing to do."""
    house = scene.house
    house.start()
    both_promises_hold(scene)
    first = [entry.leaf for entry in house.entries() if entry.kind not in OF_THE_AGENT]

    house.stop()
    house.start()
    assert [entry.leaf for entry in house.entries() if entry.kind not in OF_THE_AGENT] == first
    both_promises_hold(scene)


def launch(house: House) -> None:
    """Start, and do not wait until it takes calls."""
    house.prepare()
    house.process = Process(house._program(), folder=house.folder, name="agent", env=house.environment)


def is_saved_to_within_a_second(scene: Scene) -> None:
    """The caller's last word in the recording against the last that staff heard, and the other way round."""
    left, right = scene.house.open(f"{scene.call_uid}-0").T
    for channel, ear, said in ((left, scene.staff, CALLER_SAYS), (right, scene.caller, STAFF_SAY)):
        assert abs(heard_until(ear.heard, said) - heard_until(channel, said)) < 1


# ---------------------------------------------------------------- killed before anything may be recorded


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment of a call, and how to get there."""

    name: str
    reach: Callable[[Scene], object]
    staff: str = "answer"
    window_s: int = 1


INVITE = """INVITE sip:5000@{to} SIP/2.0
Via: SIP/2.0/UDP {here};branch=z9hG4bKonce
Max-Forwards: 70
From: <sip:07700900002@{here}>;tag=once
To: <sip:5000@{to}>
Call-ID: once@{here}
CSeq: 1 INVITE
Contact: <sip:peer@{here}>
Content-Type: application/sdp
Content-Length: {length}

{body}"""
OFFER = "v=0\r\no=peer 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 8\r\n"


def offered(scene: Scene) -> None:
    """The 200 is on its way, and is never acknowledged."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as caller:
        caller.bind((LOOPBACK, 0))
        caller.settimeout(10)
        here = f"{LOOPBACK}:{caller.getsockname()[1]}"
        text = INVITE.format(to=scene.house.address, here=here, length=len(OFFER), body="").replace("\n", "\r\n")
        caller.sendto((text + OFFER).encode(), (LOOPBACK, scene.house.port))
        while not caller.recv(4096).startswith(b"SIP/2.0 200"):
            pass
    scene.house.wait_for("call.offered", seconds=10, count=2)


def answered(scene: Scene) -> None:
    scene.entry("call.answered")


def in_the_notice(scene: Scene) -> None:
    scene.caller.heard_so_far(3, within_s=15)


def at_the_end_of_the_notice(scene: Scene) -> None:
    whole = len(scene.house.prompt_samples()) / audio.RATE
    scene.caller.heard_so_far(whole, within_s=20)


def dialling(scene: Scene) -> None:
    scene.caller.established(within_s=10)
    assert scene.silent.recv(4096).startswith(b"INVITE")


def ringing(scene: Scene) -> None:
    scene.caller.established(within_s=10)
    scene.staff.rang(within_s=20)


def in_the_choice_window(scene: Scene) -> None:
    scene.caller.established(within_s=10)
    scene.staff.established(within_s=20)
    scene.staff.heard_so_far(1, within_s=10)


BEFORE = [
    Moment("offered", offered),
    Moment("answered", answered),
    Moment("in the notice", in_the_notice),
    Moment("at the end of the notice", at_the_end_of_the_notice, staff="mute"),
    Moment("dialling", dialling, staff="mute"),
    Moment("ringing", ringing, staff="ring"),
    Moment("in the choice window", in_the_choice_window, window_s=8),
]


def moments(those: list[Moment]):
    settings = [(one, {"staff": one.staff, "window_s": one.window_s}) for one in those]
    return pytest.mark.parametrize(("moment", "scene"), settings, indirect=["scene"], ids=[one.name for one in those])


@moments(BEFORE)
def test_a_call_that_was_not_yet_recorded_when_the_agent_died_leaves_no_sound(scene, moment):
    moment.reach(scene)
    scene.house.kill()
    assert voices_that_lie_around(scene.house) == []

    restart(scene)
    summary = scene.house.entries("call.closed")[-1]
    assert (summary.call_uid, summary.body["decision"]) == (scene.call_uid, "NOT_RECORDED")
    assert summary.body["reason"] == "AGENT_FAILED"
    assert "recording.started" not in {entry.kind for entry in scene.of_this_call()}


def voices_that_lie_around(house: House) -> list[Path]:
    """A tap holds what the notice's player played, and no voice of anybody."""
    return [path for path in all_that_lies_around(house) if path.parent.name != "tap"]


# ---------------------------------------------------------------- killed while recording, and after


def in_the_talk(scene: Scene) -> None:
    scene.entry("recording.started")
    scene.said_for(2)


def while_sealing(scene: Scene) -> None:
    in_the_talk(scene)
    scene.caller.hang_up()
    scene.house.wait_for("recording.stopped", seconds=10, count=2)


def sealed_and_not_kept(scene: Scene) -> None:
    in_the_talk(scene)
    scene.caller.hang_up()
    scene.house.wait_for("recording.sealed", seconds=10, count=2)


def wedged_in_the_talk(scene: Scene) -> None:
    """As a watchdog finds it: it hangs for a while, then it is killed."""
    in_the_talk(scene)
    scene.house.kill(signal.SIGSTOP)
    scene.said_for(1)


@pytest.mark.parametrize("reach", [in_the_talk, wedged_in_the_talk, while_sealing, sealed_and_not_kept])
def test_what_was_recorded_when_the_agent_died_is_saved(scene, reach):
    reach(scene)

    scene.house.kill()

    restart(scene)
    is_saved_to_within_a_second(scene)
    summary = scene.house.entries("call.closed")[-1]
    assert (summary.call_uid, summary.body["decision"]) == (scene.call_uid, "RECORDED")
    [sealed] = [entry for entry in scene.of_this_call() if entry.kind == "recording.sealed"]
    assert sealed.body["truncated"] or reach in (while_sealing, sealed_and_not_kept)


def test_an_agent_that_died_as_the_recording_began_leaves_a_recording_or_its_end(scene):
    scene.entry("recording.started")

    scene.house.kill()

    restart(scene)
    [end] = [entry for entry in scene.of_this_call() if entry.kind in ENDS]
    assert end.kind != "recording.sealed" or end.body["truncated"]


def test_an_agent_that_dies_again_while_it_saves_still_saves_everything(scene):
    in_the_talk(scene)
    scene.house.kill()

    launch(scene.house)
    scene.house.wait_for("recording.sealed", seconds=20, count=2)
    scene.house.kill()
    half_written = scene.house.var / "store" / "unfinished" / f"{scene.call_uid}-0.killed"
    half_written.mkdir()
    (half_written / AUDIO_FILE).write_bytes(b"as a kill in the middle of a write leaves it")

    restart(scene)
    assert len(scene.house.entries("recording.sealed")) == 2
    is_saved_to_within_a_second(scene)


@pytest.mark.slow
def test_a_no_outlives_the_agent_and_holds_when_the_pbx_brings_the_call_back(tmp_path, lived_in):
    shutil.copytree(lived_in, tmp_path / "house")
    port = ports.free_port()
    house = House(tmp_path / "house", staff=f"{LOOPBACK}:{port}")
    house.line["notice"] = "short"
    house.settings["sip"] |= {"trusted_headers": ["X-Linked"], "linked_header": "X-Linked"}
    with house:
        with linked_caller(house, tmp_path / "before", keys={1000: "2"}):
            house.wait_for("choice.made", seconds=20)
            ports.until((house.var / "declined.json").exists, seconds=10, what="the no is on the disk")
            house.kill()
        house.start()
        with (
            Ear(tmp_path / "staff", say=STAFF_SAY, user="6000", auto_answer=True, port=port) as staff,
            linked_caller(house, tmp_path / "after", keys={}) as caller,
        ):
            staff.established(within_s=20)
            caller.heard_so_far(1, within_s=20)
            staff.hang_up()
            closed = house.summary(count=3)
            notice = house.prompt_samples()

        uid = house.entries("call.offered")[-1].call_uid
        chosen = [entry.body for entry in house.entries("choice.made") if entry.call_uid == uid]
        assert (closed["decision"], closed["reason"]) == ("NOT_RECORDED", "CALLER_DECLINED")
        assert [(one["choice"], one["method"]) for one in chosen] == [("decline", "earlier in the linked call")]
        assert audio.find(caller.heard, notice).share < 0.1
        assert uid not in {entry.call_uid for entry in house.entries("notice.proven")}


@contextmanager
def linked_caller(house: House, folder: Path, *, keys: Mapping[int, str]) -> Iterator[Media]:
    """A caller whose PBX names the whole call; they speak, and press these keys."""
    with Media() as media:
        described = sdp(codecs=[PCMA], port=str(media.port))
        steps = [invite(offer=described, headers=["X-Linked: pbx-1763800000.9"]), until_bye()]
        with sipp.calling(folder, steps, to=house.address) as caller:
            to = caller.wait_received("SIP/2.0 200", seconds=10).media_address
            media.speak(CALLER_SAYS, to=to, keys=keys)
            yield media


# ---------------------------------------------------------------- wedged, and awake again


def wake(scene: Scene, *, after_s: float = 3) -> None:
    """The agent hangs for a while, then goes on as if nothing had been."""
    scene.house.kill(signal.SIGSTOP)
    scene.said_for(after_s)
    scene.house.kill(signal.SIGCONT)


def test_a_notice_with_a_hole_in_it_proves_nothing_and_plays_again(scene):
    in_the_notice(scene)

    wake(scene)

    scene.staff.established(within_s=40)
    scene.staff.heard_so_far(2, within_s=15)
    scene.caller.hang_up()
    assert scene.house.summary(count=2)["connected"]
    judged = [(one.kind, one.body["attempt"]) for one in scene.of_this_call() if one.kind.startswith("notice.")]
    assert judged == [("notice.refused", 1), ("notice.proven", 2)]
    settled(scene)


def test_an_agent_that_hung_in_the_choice_window_breaks_no_promise(scene):
    scene.entry("notice.proven")

    wake(scene)

    scene.staff.heard_so_far(2, within_s=15)
    scene.caller.hang_up()
    assert scene.house.summary(count=2)["connected"]
    settled(scene)


def test_an_agent_that_hung_in_the_talk_records_on(scene):
    in_the_talk(scene)

    wake(scene)

    scene.said_for(2)
    scene.caller.hang_up()
    assert scene.house.summary(count=2)["decision"] == "RECORDED"
    settled(scene)
    is_saved_to_within_a_second(scene)


def test_an_agent_that_hung_while_everybody_left_ends_the_recording(scene):
    in_the_talk(scene)
    scene.house.kill(signal.SIGSTOP)
    scene.caller.hang_up()
    scene.staff.hang_up()

    scene.house.kill(signal.SIGCONT)

    assert scene.house.summary(count=2, seconds=40)["decision"] == "RECORDED"
    settled(scene)


def settled(scene: Scene) -> None:
    """Everything is in the store, and what is in it came after its proof."""
    house = scene.house
    ports.until(lambda: not all_that_lies_around(house), seconds=15, what="what was recorded is kept")
    both_promises_hold(scene)
    [summary] = [entry for entry in scene.of_this_call() if entry.kind == "call.closed"]
    kept = [entry for entry in scene.of_this_call() if entry.kind == "recording.kept"]
    assert len(kept) == (summary.body["decision"] == "RECORDED")
