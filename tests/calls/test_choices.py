"""What callers and operators choose on a real call: no, not for training, stop; and keys that are for staff alone."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import pytest

from callrec.notice.audio import wav_of
from callrec.notice.quality import speech_mask
from tests.calls.conftest import opened
from tests.calls.house import ROOT
from tests.calls.office import (
    CALLER_HZ,
    CHOOSING,
    PATIENCE_S,
    PATIENT,
    PATIENT_S,
    RECORDED,
    STAFF_HZ,
    WHISPERING,
    Office,
)
from tests.notice.spoken import ENGLISH, WELSH
from tests.peers import audio, ports
from tests.peers.audio import RATE, Samples
from tests.peers.baresip import Ear
from tests.peers.rtp import Media
from tests.peers.sipp import Message
from tests.peers.sipp_steps import PCMA, answer, bye, invite, sdp, stream, take, talk, until_bye

pytestmark = pytest.mark.calls

NOTICE_MS = 7620
CHOICE_WINDOW_MS = 1000
TALK_MS = NOTICE_MS + CHOICE_WINDOW_MS + 1200
"""From the answer on: by now the call is surely bridged and recorded."""
SOFT_DBFS = -38
"""So soft that an announcement over it is still heard to the sample."""


def soft(hz: float) -> Samples:
    return audio.tone(hz, 60, dbfs=SOFT_DBFS)


@contextmanager
def talking(
    office: Office, keys: Mapping[int, str], dialled: str = RECORDED, *, tones: bool = False
) -> Iterator[tuple[Media, Ear]]:
    """A caller who presses keys so many milliseconds after the answer, and staff; both are connected by now. With
    `tones` the caller's telephone knows no other way than to make them heard.
    """
    with office.staff(soft(STAFF_HZ)) as staff, Media() as ear:
        steps = [
            invite(offer=sdp(codecs=[PCMA], port=str(ear.port), telephone_event=not tones), info=False),
            until_bye(),
        ]
        with office.caller(*steps, dialled=dialled) as caller:
            to = caller.wait_received("SIP/2.0 200", seconds=10).media_address
            ear.speak(with_tones(keys) if tones else soft(CALLER_HZ), to=to, keys={} if tones else keys)
            staff.established(within_s=PATIENCE_S)
            yield ear, staff
            staff.hang_up()
            caller.succeed(within_s=10)


def with_tones(keys: Mapping[int, str]) -> Samples:
    """What a caller says while they press these keys, each heard for 120 ms."""
    said = soft(CALLER_HZ)
    for at_ms, pressed in keys.items():
        said = audio.over(said, audio.key(pressed, 0.12, dbfs=-18), at_s=at_ms / 1000)
    return said


def wait_said(ear: Media, seconds: float) -> None:
    """Wait until the caller's ear has heard so much: what they said goes the same clock."""
    ear.heard_so_far(seconds, within_s=PATIENCE_S)


def words_of(office: Office, prompt_id: str) -> Samples:
    """This announcement in English."""
    listed = json.loads(office.house.callrec("prompts", "list", "--json"))
    chosen = next(one for one in listed if one["id"] == prompt_id and one["language"] == "en")
    return audio.read_wav(office.house.var / "prompts" / chosen["file"])


def announcement(office: Office) -> Samples:
    """What is said to both when a recording ends."""
    return words_of(office, "recording-stopped")


def ends(samples: Samples, hz: float) -> float:
    """The second in which the last of this soft tone is heard."""
    return float(np.flatnonzero(audio.hears(samples, hz, dbfs=SOFT_DBFS - 10))[-1] + 1) * audio.FRAME / RATE


# ---------------------------------------------------------------- before the talk


def test_a_no_in_the_choice_window_is_a_no_and_nothing_was_kept(office: Office):
    with talking(office, {NOTICE_MS + 1800: "2"}, PATIENT) as (ear, staff):
        wait_said(ear, TALK_MS / 1000 + PATIENT_S)

    assert office.decided() == ("NOT_RECORDED", "CALLER_DECLINED", "caller's choice")
    assert office.closed()["connected"] is True
    assert [one["choice"] for one in office.told("choice.made")] == ["decline"]
    assert len(office.told("notice.proven")) == 1
    assert office.told("recording.started") == []
    uid = office.house.entries("call.offered")[-1].call_uid
    assert [path for path in office.house.var.rglob(f"*{uid}*") if path.parent.name != "evidence"] == []
    assert audio.find(ear.heard, announcement(office)).share < 0.5
    assert staff.pressed == ""


def test_a_caller_whose_keys_are_only_heard_says_no_in_the_choice_window(office: Office):
    pressed = {NOTICE_MS + 1600: "2", NOTICE_MS + 1950: "2"}
    with talking(office, pressed, PATIENT, tones=True) as (ear, _):
        wait_said(ear, TALK_MS / 1000 + PATIENT_S)
        assert audio.hears(ear.heard, STAFF_HZ, dbfs=SOFT_DBFS - 10).any(), "the call went through"

    assert office.decided() == ("NOT_RECORDED", "CALLER_DECLINED", "caller's choice")
    assert [(one["choice"], one["method"]) for one in office.told("choice.made")] == [("decline", "inband")]
    assert len(office.told("notice.proven")) == 1, "a notice that such a caller can answer is proven"
    uid = office.house.entries("call.offered")[-1].call_uid
    assert [path for path in office.house.var.rglob(f"*{uid}*") if path.parent.name != "evidence"] == []
    assert list((office.house.runtime / "tap").iterdir()) == []


def dialled(office: Office, keys: Mapping[int, str]) -> tuple[Message, float]:
    """The INVITE that reaches the line for a caller who presses these keys, and the seconds of sound heard by then."""
    with office.callee(take(), answer(), stream(office.staff_file), talk(500), bye()) as line, Media() as ear:
        steps = [invite(offer=sdp(codecs=[PCMA], port=str(ear.port))), until_bye()]
        with office.caller(*steps, dialled=RECORDED) as caller:
            to = caller.wait_received("SIP/2.0 200", seconds=10).media_address
            ear.speak(soft(CALLER_HZ), to=to, keys=keys)
            invited = line.wait_received("INVITE", seconds=PATIENCE_S)
            heard_s = len(ear.heard) / RATE
            caller.succeed(within_s=PATIENCE_S)
    return invited, heard_s


def routing(message: Message) -> list[str]:
    """Everything by which a PBX could treat one call otherwise than another: the request and its headers, without what
    differs in any two calls, and without what says whether it is recorded.
    """
    own = ("via", "call-id", "cseq", "contact", "content-length", "x-callrec-")
    lines = message.text.replace("\r", "").partition("\n\n")[0].splitlines()
    kept = (line.partition(";tag=")[0] for line in lines if not line.lower().startswith(own))
    return [re.sub(r"\[(NO )?REC\] ", "", line) for line in kept]


def test_whoever_says_no_is_connected_no_later_and_treated_the_same(office: Office):
    silent, after_s = dialled(office, {})
    declining, sooner_s = dialled(office, {2000: "2"})

    assert office.closed(2)["reason"] == "CALLER_DECLINED"
    assert sooner_s < after_s
    assert routing(declining) == routing(silent)
    assert declining.header("X-Callrec-Recording") == "no"


def test_a_three_leaves_out_training_and_a_key_that_the_notice_does_not_name_nothing(office: Office):
    with talking(office, {2000: "4", 3000: "3"}) as (_, staff):
        office.records(1)

    assert office.decided() == ("RECORDED", "", "")
    assert office.told("recording.started")[0]["purposes"] == ["audit", "medico-legal"]
    assert [(one["digit"], one["choice"]) for one in office.told("choice.made")] == [
        ("4", "unknown key"),
        ("3", "without training"),
    ]
    assert staff.pressed == ""


REFUSES = "07700900333"
"""Whoever calls from there never wants to be recorded."""


def test_a_caller_who_refused_for_good_is_not_recorded_and_staff_see_and_hear_it(office: Office):
    office.house.callrec("refusals", "add", REFUSES, "--reason", "letter-7")
    with office.staff(soft(STAFF_HZ)) as staff, Media() as ear:
        steps = [invite(offer=sdp(codecs=[PCMA], port=str(ear.port))), until_bye()]
        with office.caller(*steps, dialled=WHISPERING, caller=f"sip:{REFUSES}@127.0.0.1", display="Jo") as caller:
            to = caller.wait_received("SIP/2.0 200", seconds=10).media_address
            ear.speak(soft(CALLER_HZ), to=to)
            shown = staff.established(within_s=PATIENCE_S)
            staff.heard_so_far(4, within_s=PATIENCE_S)
            staff.hang_up()
            caller.succeed(within_s=10)

    assert office.decided() == ("NOT_RECORDED", "CALLER_DECLINED", "caller's choice")
    assert [(one["choice"], one["method"]) for one in office.told("choice.made")] == [("decline", "standing refusal")]
    assert office.told("notice.proven") == office.told("notice.refused") == office.told("recording.started") == []
    assert shown == "[NO REC] Jo"
    whispered = words_of(office, "staff-not-recorded")
    assert audio.find(staff.heard, whispered).share > 0.9
    assert audio.find(staff.heard, words_of(office, "staff-recorded")).share < 0.5
    assert audio.find(ear.heard, whispered).share < 0.5
    assert audio.find(ear.heard, office.house.prompt_samples()).share < 0.5
    assert audio.hears(staff.heard, CALLER_HZ, dbfs=SOFT_DBFS - 10).any(), "the call went through"


# ---------------------------------------------------------------- less of the notice, or another language

ESSENTIAL = "Test line. We record calls to help and check. Press 2 to say no, 7 to go on. Same care."
ESSENTIAL_S = 7.8
SAID = [
    "--explains",
    "recorded=We record calls",
    "--explains",
    "more=See example.org",
    "--explains",
    "same_help=Same care",
]
ENGLISH_SAYS = [
    *("--text", f"{ESSENTIAL} Pwyswch 5. We also train. See example.org.", "--essential", f"{ESSENTIAL} Pwyswch 5."),
    *("--until", str(ESSENTIAL_S), "--purposes", "medico-legal=help", "--purposes", "audit=check"),
    *("--purposes", "training=also train", "--key", "2=decline", "--key", "7=shorten", "--key", "5=language:cy", *SAID),
    *("--explains", "who=Test line", "--explains", "decline=Press 2 to say no"),
]
WELSH_SAYS = [
    *("--text", "Test line. We record calls to help. Press 2 to say no. Same care. See example.org."),
    *("--purposes", "medico-legal=help", "--key", "2=decline", *SAID),
    *("--explains", "who=Test line", "--explains", "decline=Press 2 to say no"),
]
"""The machine cannot hear whether these are the words."""


def a_pause_after(seconds: float, pcm: bytes) -> int:
    """The first sample, from there on, in the middle of a fifth of a second in which nobody speaks."""
    quiet = ~speech_mask(pcm)
    return next(n + 5 for n in range(int(seconds * 50), len(quiet)) if quiet[n : n + 10].all()) * 160


@pytest.fixture(scope="module")
def running_office(tmp_path_factory: pytest.TempPathFactory, notices: Mapping[str, Samples]) -> Iterator[Office]:
    """As elsewhere, and a line whose notice offers choices."""
    folder = tmp_path_factory.mktemp("office")
    office = Office(folder, choosing=True)
    office.house.prepare()
    for language, words in (("en", ENGLISH_SAYS), ("cy", WELSH_SAYS)):
        path = folder / f"{language}.wav"
        path.write_bytes(wav_of(notices[language].tobytes()))
        office.house.callrec("prompts", "add", str(path), "--id", "choosing", "--lang", language, *words)
        office.house.callrec("prompts", "approve", f"choosing.{language}", "--by", "tester", "--from", "now")
    yield from opened(office)


@pytest.fixture(scope="module")
def notices() -> Mapping[str, Samples]:
    """The two notices of the line that offers choices."""
    first = audio.read_wav(ROOT / "tests" / "assets" / "short-notice.wav")
    pause, tail = np.zeros(RATE // 2, np.int16), np.frombuffer(ENGLISH, "<i2")[: a_pause_after(4, ENGLISH)]
    return {"en": np.concatenate([first, pause, tail]), "cy": np.frombuffer(WELSH, "<i2")[: a_pause_after(4, WELSH)]}


def test_a_notice_that_its_caller_shortens_ends_after_its_essential_part_and_proves_what_that_names(office, notices):
    with talking(office, {1500: "7"}, CHOOSING) as (ear, _):
        office.records(0.5)
        wait_said(ear, len(ear.heard) / RATE + 1)

    assert office.decided() == ("RECORDED", "", "")
    (proven,) = office.told("notice.proven")
    assert proven["tail_skipped"] is True
    assert proven["purposes"] == office.told("recording.started")[0]["purposes"] == ["audit", "medico-legal"]
    assert [one["choice"] for one in office.told("choice.made")] == ["shorten"]
    uid = office.house.entries("call.offered")[-1].call_uid
    told = office.house.callrec("audit", "pack", uid, "-o", str(office.folder / "pack.zip"))
    assert "every check that this pack allows holds" in told
    assert "its tail skipped by the caller" in told
    until = int(ESSENTIAL_S * RATE)
    assert audio.find(ear.heard, notices["en"][:until]).share > 0.95
    assert audio.find(ear.heard, notices["en"][until + RATE :]).share < 0.5


def test_a_key_brings_the_notice_in_the_callers_language_and_only_that_one_proves_anything(office, notices):
    with talking(office, {1500: "5"}, CHOOSING) as (ear, _):
        office.records(0.5)
        wait_said(ear, len(ear.heard) / RATE + 1)

    assert office.decided() == ("RECORDED", "", "")
    (proven,) = office.told("notice.proven")
    assert (proven["language"], proven["attempt"], proven["purposes"]) == ("cy", 2, ["medico-legal"])
    assert [one["choice"] for one in office.told("choice.made")] == ["language cy"]
    uid = office.house.entries("call.offered")[-1].call_uid
    evidence = json.loads((office.house.var / "evidence" / f"{uid}-2.json").read_text())["evidence"]
    assert (evidence["prompt"]["language_source"], evidence["required_language"]) == ("key 5", "cy")
    assert audio.find(ear.heard, notices["cy"]).share > 0.95


# ---------------------------------------------------------------- during the talk


def test_the_stop_keys_end_the_recording_both_hear_it_and_other_keys_reach_staff(office: Office):
    keys = dict(zip(range(0, 3000, 600), "12*5#", strict=True)) | {2600: "*", 2800: "*", 3000: "2", 6500: "9"}
    with talking(office, {}) as (ear, staff):
        office.records(1)
        begun_s = len(ear.heard) / RATE
        ear.press(keys)
        wait_said(ear, begun_s + 8)
        ports.until(lambda: staff.pressed.endswith("9"), seconds=PATIENCE_S, what="the last key")

    assert office.decided() == ("RECORDED", "", "")
    assert [(one["choice"], one["digit"]) for one in office.told("choice.made")] == [("stop", "**2")]
    assert office.told("recording.stopped")[0]["reason"] == "CALLER_STOPPED"
    assert staff.pressed == "12*5#9"
    left, right = office.recording()
    heard = ear.heard
    stopped = audio.find(heard, announcement(office))
    assert stopped.share > 0.9
    assert audio.find(staff.heard, announcement(office)).share > 0.9
    assert stopped.at_s > begun_s + 2.5, "not before the last of these keys"
    assert len(right) / RATE < len(heard) / RATE - begun_s, "it ended before the call did"
    assert ends(heard, STAFF_HZ) > stopped.at_s + 1.5, "the talk goes on"
    assert len(left) == len(right)


def test_an_operator_stops_a_recording_by_its_call_and_what_was_captured_is_kept(office: Office):
    with talking(office, {}) as (ear, staff):
        office.records(0.5)
        wait_said(ear, len(ear.heard) / RATE + 1.5)
        (up,) = json.loads(office.house.callrec("call", "list", "--json"))
        office.house.callrec("call", "stop", up["call"])
        ordered = len(ear.heard) / RATE
        office.wait_told("recording.kept")
        wait_said(ear, ordered + 3)

    assert (up["line"], up["stage"], up["recording"]) == ("advice", "bridged", "on")
    assert office.decided() == ("RECORDED", "", "")
    stopped = office.told("recording.stopped")[0]
    assert stopped["reason"] == "OPERATOR_STOPPED"
    assert stopped["stopped_by"] == f"uid:{os.getuid()}"
    left, right = office.recording()
    assert audio.share(left, CALLER_HZ) == audio.share(right, STAFF_HZ) == 0
    for kept, hz in ((left, CALLER_HZ), (right, STAFF_HZ)):
        assert audio.hears(kept, hz, dbfs=SOFT_DBFS - 6).mean() > 0.7, "half a second may be missing"
    for heard in (ear.heard, staff.heard):
        assert audio.find(heard, announcement(office)).share > 0.9
    assert audio.find(ear.heard, announcement(office)).at_s <= ordered + 1
