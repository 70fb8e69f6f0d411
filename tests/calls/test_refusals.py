"""What is not proven is not recorded, and the call goes through: every refusal as a real call.

Each time the caller reaches staff, two witnesses from outside (tests/calls/watching.py) look for anything kept of a
voice, and the ledger says why. One call here is recorded, as their control: there the same two find it. At the end of
each agent an auditor finds no contradiction in what it left, whatever went wrong meanwhile.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pytest

from callrec._canonical import canonical, parse, sha256_hex
from callrec.core.evidence_json import judged_from_json
from callrec.core.proof import judge
from callrec.core.reasons import REASON_CLASS, Reason
from tests.calls import faulty_agent
from tests.calls.house import House
from tests.calls.watching import Watcher, files_in, files_with_tone, holds_tone
from tests.peers import audio, ports, sipp
from tests.peers.baresip import Ear
from tests.peers.rtp import Media
from tests.peers.sipp_steps import bye, invite, reinvite, sdp, talk, until_bye

pytestmark = pytest.mark.calls

NOTICE_S = 7.6
LONGEST_WAIT_S = 12
"""The least that configuration allows above a notice of eight seconds, so that holds need not be waited for longer."""
AT_ONCE_S = 3.0
"""Where nothing is played, or once it was: time for the INVITE, the answer and a machine that does other things too."""
HEARD_S = 1.0
VOICE = audio.tone(audio.CALLER_HZ, 2)


# ---------------------------------------------------------------- who takes part


class Scene:
    """One agent that can be given faults. Each call has a caller and staff of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._staff_port = ports.free_port()
        self.house = house = House(
            folder / "house", staff=f"{ports.LOOPBACK}:{self._staff_port}", module="tests.calls.faulty_agent"
        )
        house.settings["notice"] = {"longest_s": 8, "max_wait_s": LONGEST_WAIT_S, "decide_within_ms": 1000}
        self._fault = folder / "fault"
        self._calls = 0
        house.environment[faulty_agent.VARIABLE] = str(self._fault)

    @contextmanager
    def fault(self, name: str) -> Iterator[None]:
        self._fault.write_text(name)
        try:
            yield
        finally:
            self._fault.write_text("")

    @contextmanager
    def call(
        self, *steps: str, offer: Callable[[int], str] | None = None, info: bool = True, stays: bool = True
    ) -> Iterator[Call]:
        """A caller who does these steps once answered and then, where he `stays`, waits for the far end to hang up."""
        self._calls += 1
        closed, refused = (len(self.house.entries(kind)) for kind in ("call.closed", "notice.refused"))
        places = [self.house.runtime, self.house.var / "spool", self.house.var / "store"]
        with Media() as media, Watcher(*places) as watcher, self._staff() as staff:
            described = (offer or plain)(media.port)
            written = [step.replace(PORT, str(media.port)) for step in (*steps, *([until_bye()] if stays else []))]
            started = [invite(offer=described, info=info), *written]
            caller = sipp.calling(self.folder / f"caller{self._calls}", started, to=self.house.address)
            try:
                yield Call(
                    scene=self,
                    media=media,
                    watcher=watcher,
                    caller=caller,
                    staff=staff,
                    number=closed + 1,
                    refused_before=refused,
                )
            finally:
                caller.stop()

    def _staff(self) -> Ear:
        folder, say = self.folder / f"staff{self._calls}", audio.tone(audio.ADVICE_HZ, 60)
        return Ear(folder, say=say, user="6000", auto_answer=True, port=self._staff_port)

    def side_journal(self) -> bytes:
        return self.house.ledger.with_name(self.house.ledger.name + ".pending").read_bytes()


PORT = "PORT-OF-THE-CALLER"
"""Stands in steps for the port that the caller's media has."""


def plain(port: int | str) -> str:
    return sdp(port=str(port))


def without_keys(port: int | str) -> str:
    return sdp(port=str(port), telephone_event=False)


def held(port: int | str) -> str:
    return sdp(port=str(port), direction="sendonly")


HOLD = reinvite(offer=held(PORT))
RESUME = reinvite(offer=plain(PORT))


@dataclass(slots=True, kw_only=True)
class Call:
    """One running call, and what is asked about it."""

    scene: Scene
    media: Media
    watcher: Watcher
    caller: sipp.Sipp
    staff: Ear
    number: int
    refused_before: int
    uid: str = field(default="")

    # ------------------------------------------------------------ while it is up

    def answered(self) -> Self:
        self.caller.wait_received("SIP/2.0 200", seconds=5)
        return self

    def speaks(self, voice: audio.Samples = VOICE, *, keys: dict[int, str] | None = None) -> None:
        """From the 200 on, over and over; `{at_ms: key}` are pressed in the first round."""
        to = self.caller.wait_received("SIP/2.0 200", seconds=5).media_address
        self.media.speak(voice, to=to, keys=keys)

    def is_refused(self) -> None:
        """One attempt more than before this call."""
        self.scene.house.wait_for("notice.refused", seconds=5, count=self.refused_before + 1)

    def reaches_staff(self, *, within_s: float) -> None:
        """The destination is called and answers; that is as far as a caller on hold gets."""
        self.staff.established(within_s=within_s)

    def hears_staff(self, *, within_s: float = AT_ONCE_S) -> None:
        """The last second that came in at the caller was staff's voice."""
        ports.until(
            lambda: audio.share(self.media.heard[-round(HEARD_S * audio.RATE) :], audio.ADVICE_HZ) > 0.9,
            seconds=within_s + HEARD_S,
            what="the caller hears staff",
        )

    def is_heard_by_staff(self) -> None:
        def heard() -> bool:
            last = self.staff.heard[-round(HEARD_S * audio.RATE) :]
            return audio.share(last, audio.CALLER_HZ) > 0.9

        ports.until(heard, seconds=AT_ONCE_S + HEARD_S, what="staff hear the caller")

    # ------------------------------------------------------------ what was kept

    def touched(self) -> set[str]:
        """Files made or written in runtime directory, spool and store since the call began; not of tap and prompts."""
        house = self.scene.house
        allowed = (house.runtime / "tap", house.runtime / "prompts")
        return {str(path) for path in self.watcher.seen() if not any(a == path or a in path.parents for a in allowed)}

    def tapped(self) -> set[str]:
        return {path.name for path in self.watcher.seen() if path.parent.name == "tap"}

    def with_voice(self) -> set[Path]:
        return files_with_tone(audio.CALLER_HZ, self.scene.house.folder, self.scene.house.runtime)

    def keeps_nothing(self) -> None:
        """Nothing now, and since the call began nothing that is gone again."""
        assert self.touched() == set()
        assert self.with_voice() == set()
        assert files_in(self.scene.house.runtime / "live") == []

    # ------------------------------------------------------------ end

    def ends(self) -> None:
        """Staff hang up, and so callrec must hang up on the caller."""
        self.staff.hang_up()
        self.caller.succeed(within_s=5)

    def closed(self, *, seconds: float = 20) -> Any:
        """The entry that sums the call up."""
        entry = self.scene.house.wait_for("call.closed", seconds=seconds, count=self.number)
        self.uid = entry.call_uid
        return entry

    def entries(self, kind: str) -> list[Any]:
        assert self.uid, "ask for the summary first"
        return [entry for entry in self.scene.house.entries(kind) if entry.call_uid == self.uid]

    def was_not_recorded(self, reason: Reason, *, seconds: float = 20) -> Any:
        """The summary says so and why; no recording was begun; nothing is left of it."""
        closed = self.closed(seconds=seconds)
        assert (closed.body["decision"], closed.body["reason"]) == ("NOT_RECORDED", reason.value)
        assert closed.body["reason_class"] == REASON_CLASS[reason].value
        for kind in ("recording.started", "recording.sealed", "recording.kept", "store.intent"):
            assert self.entries(kind) == []
        self.keeps_nothing()
        return closed

    def reasons(self) -> list[list[str]]:
        """Of each refused attempt, in order."""
        return [entry.body["reasons"] for entry in self.entries("notice.refused")]

    def evidence_bears_out(self, entry: Any) -> None:
        """The evidence is there, is that of the entry, and judged again gives the same."""
        path = self.scene.house.var / "evidence" / f"{self.uid}-{entry.body['attempt']}.json"
        judged = judged_from_json(parse(path.read_bytes()))
        assert sha256_hex(canonical(judged.evidence_json)) == entry.body["evidence_sha256"]
        again = judge(judged.evidence, evidence_sha256=entry.body["evidence_sha256"])
        if entry.kind == "notice.proven":
            assert judged.granted
            assert not isinstance(again, tuple)
            assert again.call_uid == self.uid
        else:
            assert isinstance(again, tuple)
            assert [reason.value for reason in again] == entry.body["reasons"]
            assert again == judged.reasons


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    made = Scene(tmp_path_factory.mktemp("refusals"))
    with made.house:
        yield made
    is_sound(made.house)


def is_sound(house: House) -> None:
    """Whatever went wrong in it: an auditor finds no contradiction in ledger, evidence, store and spool."""
    house.callrec("audit", "verify")


# ---------------------------------------------------------------- the notice could not be proven


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is wrong, and what the ledger must say of it."""

    name: str
    refused: list[list[str]]
    """The reasons of each refused attempt."""
    steps: Sequence[str] = ()
    offer: Callable[[int], str] = plain
    info: bool = True
    mute: bool = False
    """Not heard from before staff are there."""
    speaks_late: bool = False
    """Not heard from before the first attempt was refused."""
    fault: str = ""
    within_s: float = NOTICE_S + AT_ONCE_S
    resumes_within_s: float = 0.0
    evidence: int = 1
    """How many of the refusals were judged on evidence; the others come from a clock, or a verifier that fell."""


BROKEN_OFF = ["NOTICE_INTERRUPTED", "NOTICE_ALTERED", "NOTICE_NOT_SENT"]
NEVER_BEGUN = ["NOTICE_INTERRUPTED", "NOTICE_NOT_SENT", "UNHEARD_SUSPECT"]
RESUME_LATE = (talk(1000 * LONGEST_WAIT_S + 3000), RESUME)

CASES = (
    Case(
        name="held from the first INVITE",
        offer=held,
        speaks_late=True,
        steps=RESUME_LATE,
        refused=[NEVER_BEGUN, ["NOTICE_INTERRUPTED"]],
        within_s=LONGEST_WAIT_S + AT_ONCE_S,
        resumes_within_s=5.0,
    ),
    Case(
        name="held after a second and never resumed in time",
        steps=(talk(1000), HOLD, *RESUME_LATE),
        refused=[BROKEN_OFF, ["NOTICE_INTERRUPTED"]],
        within_s=LONGEST_WAIT_S + AT_ONCE_S,
        resumes_within_s=6.0,
    ),
    Case(name="no RTP from the caller", mute=True, refused=[["UNHEARD_SUSPECT"]]),
    Case(
        name="keys offered that cannot reach us",
        offer=without_keys,
        info=False,
        fault=faulty_agent.NO_EAR,
        refused=[["CHOICE_UNAVAILABLE"]],
    ),
    Case(
        name="player cut off from the leg while it plays on",
        fault=faulty_agent.PLAYER_CUT,
        refused=[["NOTICE_ALTERED"]],
    ),
    Case(name="a leg whose wire cannot be tapped", fault=faulty_agent.NO_WINDOW, refused=[["NOTICE_NOT_SENT"]]),
    Case(
        name="verifier raises",
        fault=faulty_agent.JUDGE_RAISES,
        refused=[["NOTICE_UNDECIDED"]],
        evidence=0,
    ),
    Case(
        name="verifier hangs for five seconds",
        fault=faulty_agent.JUDGE_HANGS,
        refused=[["NOTICE_UNDECIDED"]],
        evidence=0,
    ),
)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_call_whose_notice_is_not_proven_goes_through_and_nothing_of_it_is_kept(scene, case):
    with scene.fault(case.fault), scene.call(*case.steps, offer=case.offer, info=case.info) as call:
        call.answered()
        if case.speaks_late:
            call.is_refused()
        if not case.mute:
            call.speaks()
        call.reaches_staff(within_s=case.within_s)
        if case.mute:
            call.speaks()
        call.hears_staff(within_s=AT_ONCE_S + case.resumes_within_s)
        call.is_heard_by_staff()
        call.keeps_nothing()
        call.ends()

        call.was_not_recorded(Reason(case.refused[0][0]))

        assert call.reasons() == case.refused
        judged = [entry for entry in call.entries("notice.refused") if entry.body["evidence_sha256"]]
        assert len(judged) == case.evidence
        for entry in judged:
            call.evidence_bears_out(entry)
        assert call.entries("notice.proven") == []


@pytest.mark.slow
def test_a_prompt_that_was_swapped_after_the_start_is_not_played_and_the_call_goes_through(scene):
    with other_words_in_the_prompt(scene.house), scene.call() as call:
        call.speaks()
        call.reaches_staff(within_s=AT_ONCE_S)
        call.hears_staff()
        call.is_heard_by_staff()
        call.keeps_nothing()
        call.ends()

        call.was_not_recorded(Reason.NOTICE_ALTERED)

        assert call.tapped() == set()
        assert call.entries("notice.proven") == []


@contextmanager
def other_words_in_the_prompt(house: House) -> Iterator[None]:
    """Another sound of the same length in the file that was approved."""
    path = prompt_file(house)
    approved = path.read_bytes()
    path.chmod(0o600)
    audio.write_wav(path, audio.tone(audio.NOTICE_HZ, NOTICE_S))
    try:
        yield
    finally:
        path.write_bytes(approved)


def prompt_file(house: House) -> Path:
    return next((house.var / "prompts").rglob("short*.wav"))


@pytest.mark.slow
def test_a_prompt_whose_copy_is_changed_while_it_plays_proves_nothing_and_the_call_goes_through(scene):
    with scene.call() as call:
        call.speaks()
        call.media.heard_so_far(1, within_s=3)
        drown_the_second_half(scene.house.runtime / "prompts")
        call.reaches_staff(within_s=NOTICE_S + AT_ONCE_S)
        call.hears_staff()
        call.keeps_nothing()
        call.ends()

        call.was_not_recorded(Reason.NOTICE_ALTERED)

        (refused,) = call.entries("notice.refused")
        assert refused.body["reasons"][0] == "NOTICE_ALTERED"
        call.evidence_bears_out(refused)


def drown_the_second_half(folder: Path) -> None:
    """Write silence over the end of the copy that is being played, in its place."""
    for path in folder.glob("*.wav"):
        if path.name != "silence.wav":
            size = path.stat().st_size
            with path.open("r+b") as file:
                file.seek(size // 2)
                file.write(bytes(size - size // 2))


# ---------------------------------------------------------------- the caller's own doing


@pytest.mark.slow
def test_a_caller_who_hangs_up_after_a_second_is_not_recorded_and_nobody_is_rung(scene):
    with scene.call(talk(1000), bye(), stays=False) as call:
        call.speaks()
        call.caller.succeed(within_s=10)

        call.was_not_recorded(Reason.CALLER_HUNG_UP)

        assert call.staff.pressed == "", "asked so that its newest events are read"
        assert call.staff.story == []
        assert call.entries("notice.proven") == []


@pytest.mark.slow
def test_a_caller_who_declines_by_key_reaches_staff_at_once_and_nothing_is_kept(scene):
    with scene.call() as call:
        call.speaks(keys={1000: "2"})
        call.reaches_staff(within_s=1.0 + AT_ONCE_S)
        call.hears_staff()
        call.is_heard_by_staff()
        call.keeps_nothing()
        call.ends()

        call.was_not_recorded(Reason.CALLER_DECLINED)

        (choice,) = call.entries("choice.made")
        assert (choice.body["digit"], choice.body["choice"]) == ("2", "decline")
        assert call.entries("notice.proven") == []


@pytest.mark.slow
def test_a_caller_who_declines_after_the_proven_notice_while_the_choice_is_open_is_not_recorded(scene):
    with scene.call() as call:
        call.speaks(audio.tone(audio.CALLER_HZ, 20), keys={round(1000 * NOTICE_S) + 400: "2"})
        call.reaches_staff(within_s=NOTICE_S + AT_ONCE_S)
        call.hears_staff()
        call.is_heard_by_staff()
        call.media.heard_so_far(NOTICE_S + 3, within_s=5)
        call.keeps_nothing()
        call.ends()

        call.was_not_recorded(Reason.CALLER_DECLINED)

        (proven,), (choice,) = call.entries("notice.proven"), call.entries("choice.made")
        assert (choice.body["digit"], choice.body["choice"]) == ("2", "decline")
        call.evidence_bears_out(proven)


@pytest.mark.slow
def test_a_caller_held_and_resumed_hears_the_notice_again_and_is_recorded_where_both_witnesses_see_it(scene):
    """The positive control of this file: what the other tests do not find is found here."""
    with scene.call(talk(1000), HOLD, talk(500), RESUME) as call:
        call.speaks()
        call.reaches_staff(within_s=2 * NOTICE_S + AT_ONCE_S)
        call.hears_staff()
        call.is_heard_by_staff()
        live = scene.house.runtime / "live"
        ports.until(lambda: files_in(live), seconds=AT_ONCE_S, what="a key of the live recording")
        ports.until(lambda: captured(call), seconds=AT_ONCE_S, what="the caller's tone lies in the capture file")
        call.ends()
        closed = call.closed()

        assert closed.body["decision"] == "RECORDED"
        assert audio.find(call.media.heard, scene.house.prompt_samples()).share >= 0.99
        assert {Path(path).parent.name for path in call.touched()} >= {"capture", "live", "tmp", "ready"}
        (refused,), (proven,) = call.entries("notice.refused"), call.entries("notice.proven")
        assert (refused.body["attempt"], proven.body["attempt"]) == (1, 2)
        assert refused.body["reasons"] == BROKEN_OFF
        call.evidence_bears_out(refused)
        call.evidence_bears_out(proven)
        ports.until(lambda: call.entries("recording.kept"), seconds=15, what="the recording is kept")
        assert call.with_voice() == set(), "what is kept lies encrypted"
        assert files_in(live) == []
        opened = scene.house.open(f"{call.uid}-0")
        assert holds_tone(opened.astype("<i2").tobytes(), audio.CALLER_HZ)


def captured(call: Call) -> bool:
    return any(path.parent.name == "capture" for path in call.with_voice())


# ---------------------------------------------------------------- the ledger cannot be written


@pytest.mark.slow
def test_a_ledger_that_hangs_for_thirty_seconds_costs_the_recording_and_gets_its_entries_late(scene):
    with scene.fault(faulty_agent.COMMIT_HANGS), scene.call() as call:
        call.speaks()
        call.reaches_staff(within_s=NOTICE_S + AT_ONCE_S)
        call.hears_staff()
        call.is_heard_by_staff()
        call.keeps_nothing()
        call.ends()
        ports.until(lambda: b"call.closed" in scene.side_journal(), seconds=10, what="the side journal has the summary")

        closed = call.was_not_recorded(Reason.LEDGER_UNAVAILABLE, seconds=faulty_agent.COMMIT_HANGS_S + 10)

        assert closed.late
        assert call.reasons() == [["LEDGER_UNAVAILABLE"]]
        assert [entry.late for entry in call.entries("notice.refused")] == [True]
        assert len(call.entries("call.offered")) == 1
        assert call.entries("notice.proven") == []


@pytest.mark.slow
def test_a_proof_that_is_durable_only_after_ten_seconds_starts_no_recording(scene):
    changes = len(scene.house.entries("leg.changed"))
    with ExitStack() as stack:
        hanging = stack.enter_context(ExitStack())
        hanging.enter_context(scene.fault(faulty_agent.PROOF_HANGS))
        call = stack.enter_context(scene.call())
        call.speaks()
        call.reaches_staff(within_s=NOTICE_S + AT_ONCE_S)
        call.hears_staff()
        call.media.heard_so_far(NOTICE_S + 12, within_s=NOTICE_S + 15)
        hanging.close()
        scene.house.wait_for("leg.changed", seconds=5, count=changes + 1)
        call.is_heard_by_staff()
        call.keeps_nothing()
        call.ends()

        closed = call.was_not_recorded(Reason.LEDGER_UNAVAILABLE)

        (proven,) = call.entries("notice.proven")
        call.evidence_bears_out(proven)
        assert proven.seq < closed.seq
        whats = [entry.body["what"] for entry in call.entries("leg.changed")]
        assert whats.count("answered") == 1, "in the commit that hung, or late, by the side journal"


# ---------------------------------------------------------------- disks that are full


@contextmanager
def mounted(folder: Path, size: str) -> Iterator[Path]:
    """A file system of its own, in memory, so small that it can be filled."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Every byte of this file system is taken."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(65536)) == 65536:
                pass
        except OSError:
            pass  # the last write of a full disk fails or comes short, either way it is full
    assert os.statvfs(folder).f_bavail == 0
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """As `scene`, with ledger and spool on small file systems of their own."""
    if os.geteuid() != 0:
        why = "a full disk is shown on a small tmpfs, and only root can mount one: run these tests as root"
        pytest.fail(why) if os.environ.get("CI") == "true" else pytest.skip(why)
    made = Scene(tmp_path_factory.mktemp("small"))
    house = made.house
    house.settings["ledger"]["url"] = "sqlite:///var/ledger/ledger.db"
    with mounted(house.var / "ledger", "16m"), mounted(house.var / "spool", "48m"):
        with house:
            yield made
        is_sound(house)


@pytest.mark.slow
def test_a_full_ledger_costs_the_recording_and_gets_its_entries_late(small):
    with ExitStack() as stack:
        stack.enter_context(filled(small.house.ledger.parent))
        call = stack.enter_context(small.call())
        call.speaks()
        call.reaches_staff(within_s=NOTICE_S + AT_ONCE_S)
        call.hears_staff()
        call.is_heard_by_staff()
        call.keeps_nothing()
        call.ends()
        ports.until(lambda: b"call.closed" in small.side_journal(), seconds=10, what="the side journal has the summary")
        assert len(small.house.entries("call.closed")) == call.number - 1
        (small.house.ledger.parent / "filler").unlink()

        closed = call.was_not_recorded(Reason.LEDGER_UNAVAILABLE)

        assert closed.late
        assert [entry.late for entry in call.entries("call.offered")] == [True]
        assert call.entries("notice.proven") == []
        ports.until(lambda: b"call.closed" not in small.side_journal(), seconds=10, what="the side journal is empty")


@pytest.mark.slow
def test_a_full_spool_costs_the_recording_and_the_caller_is_put_through_at_once(small):
    with filled(small.house.var / "spool"), small.call() as call:
        call.speaks()
        call.reaches_staff(within_s=AT_ONCE_S)
        call.hears_staff()
        call.is_heard_by_staff()
        call.keeps_nothing()
        call.ends()

        call.was_not_recorded(Reason.STORE_UNAVAILABLE)

        assert call.tapped() == set()
        assert call.entries("notice.proven") == []


@pytest.mark.slow
def test_a_spool_that_fills_up_during_the_notice_keeps_nothing_of_a_proven_call(small):
    """The promise to record was made in the ledger before room was found wanting, so that the ledger takes it back."""
    with small.call() as call:
        call.speaks()
        call.media.heard_so_far(2, within_s=5)
        with filled(small.house.var / "spool"):
            call.reaches_staff(within_s=NOTICE_S + AT_ONCE_S)
            call.hears_staff()
            call.is_heard_by_staff()
            assert call.with_voice() == set()
            call.ends()
            closed = call.closed()

        assert (closed.body["decision"], closed.body["reason"]) == ("NOT_RECORDED", "STORE_UNAVAILABLE")
        (started,), (discarded,) = call.entries("recording.started"), call.entries("recording.discarded")
        assert discarded.body["started_leaf"] == started.leaf
        assert call.with_voice() == set()
        assert "capture" not in {Path(path).parent.name for path in call.touched()}
        assert files_in(small.house.runtime / "live") == []
