"""What staff press and operators order on a real call: pause, go on, stop, ask for consent; and who hears it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from callrec.agent.signals import HIGH_HZ, sound_of
from callrec.core.values import Signal
from callrec.notice.audio import wav_of
from tests.calls.conftest import opened
from tests.calls.house import ROOT
from tests.calls.office import CALLER_HZ, CONSENTING, PATIENCE_S, RECORDED, STAFF_HZ, Office
from tests.notice.spoken import ENGLISH
from tests.peers import audio, ports
from tests.peers.audio import RATE, Samples
from tests.peers.baresip import Ear

pytestmark = pytest.mark.calls

SOFT_DBFS = -38
CARD = "4929123456789012"


def soft(hz: float) -> Samples:
    return audio.tone(hz, 90, dbfs=SOFT_DBFS)


@pytest.fixture
def talk(office: Office) -> Iterator[tuple[Ear, Ear]]:
    """A caller and staff who talk, and are being recorded."""
    with _talking(office) as both:
        yield both


@contextmanager
def _talking(office: Office, dialled: str = RECORDED) -> Iterator[tuple[Ear, Ear]]:
    with office.staff(soft(STAFF_HZ)) as staff, office.phone(soft(CALLER_HZ)) as caller:
        caller.dial(office.house.uri(dialled))
        staff.established(within_s=PATIENCE_S)
        office.records(0.5)
        more(staff, 1)
        yield caller, staff


def more(ear: Ear, seconds: float) -> None:
    """Wait until so much more was heard: a clock that counts what was said."""
    so_far = sum(path.stat().st_size for path in ear._files("dec")) / 2 / RATE
    ear.heard_so_far(so_far + seconds, within_s=PATIENCE_S)


def announcement(office: Office, prompt_id: str = "recording-stopped") -> Samples:
    """These words, in English; else what is said to both when a recording ends."""
    listed = json.loads(office.house.callrec("prompts", "list", "--json"))
    chosen = next(one for one in listed if one["id"] == prompt_id and one["language"] == "en")
    return audio.read_wav(office.house.var / "prompts" / chosen["file"])


def beeps(signal: Signal) -> Samples:
    return np.frombuffer(sound_of(signal), "<i2")


def everything_written(office: Office) -> Iterator[Path]:
    for place in (office.house.folder, office.house.runtime):
        yield from (path for path in place.rglob("*") if path.is_file())


def card_payment(office: Office, caller: Ear, staff: Ear) -> None:
    """Staff pause, the caller types a card number, staff go on, and stop in the end."""
    staff.press("*71")
    office.wait_told("recording.paused")
    for digit in CARD:
        caller.press(digit)
    ports.until(lambda: staff.pressed == CARD, seconds=PATIENCE_S, what="the card number reaches staff")
    more(staff, 1)
    staff.press("*74")
    office.wait_told("recording.resumed")
    more(staff, 2)
    staff.press("*70")
    office.wait_told("recording.stopped")
    more(staff, 3)
    caller.hang_up()


def test_staff_pause_for_a_card_go_on_and_stop(office: Office, talk):
    caller, staff = talk
    card_payment(office, caller, staff)

    assert office.decided() == ("RECORDED", "", "")
    assert [one["why"] for one in office.told("recording.paused")] == ["paused"]
    stopped = office.told("recording.stopped")[0]
    assert (stopped["reason"], stopped["stopped_by"]) == ("STAFF_STOPPED", "staff")
    (changed,) = office.told("tag.changed")
    assert (changed["change"], changed["why"]) == ("suspended", "stopped")
    check_gap(office)
    check_heard(office, caller, staff)
    check_no_digit_was_written(office)


def check_gap(office: Office) -> None:
    """Nothing of the pause was captured, and both voices before and after it were."""
    left, right = office.recording()
    (gap,) = office.told("recording.sealed")[0]["gaps"]
    begin, end, some = gap["from_sample"], gap["to_sample"], RATE // 5
    assert gap["why"] == "paused"
    assert end - begin > RATE
    assert not left[begin + some : end - some].any()
    assert not right[begin + some : end - some].any()
    assert audio.hears(left[:begin], CALLER_HZ, dbfs=SOFT_DBFS - 10).mean() > 0.9
    assert audio.hears(right[end + some :], STAFF_HZ, dbfs=SOFT_DBFS - 10).mean() > 0.8
    for side in (left, right):
        assert not audio.hears(side, HIGH_HZ, dbfs=-30).any()


def check_heard(office: Office, caller: Ear, staff: Ear) -> None:
    """Staff alone hear codes and beeps; both hear that recording has stopped."""
    assert caller.pressed == ""
    for signal in (Signal.PAUSED, Signal.RESUMED):
        assert audio.find(staff.heard, beeps(signal)).share > 0.7
        assert audio.find(caller.heard, beeps(signal)).share < 0.4
    for ear in (caller, staff):
        assert audio.find(ear.heard, announcement(office)).share > 0.9


def check_no_digit_was_written(office: Office) -> None:
    """Not the card's number, and not its digits one after the other with something short between them."""
    assert office.told("choice.made") == []
    spaced = re.compile(rb"[^0-9]{1,40}".join(bytes([digit]) for digit in CARD.encode()))
    for path in everything_written(office):
        data = path.read_bytes()
        assert CARD.encode() not in data, path
        assert not spaced.search(data), path


def test_staff_alone_hear_by_a_code_whether_the_call_is_recorded(office: Office, talk):
    caller, staff = talk
    staff.press("*7*")
    more(staff, 4)
    staff.press("*70")
    office.wait_told("recording.stopped")
    more(staff, 3)
    staff.press("*7*")
    more(staff, 4)
    caller.hang_up()

    office.wait_told("recording.kept")
    for words in (announcement(office, "staff-recorded"), announcement(office, "staff-not-recorded")):
        assert audio.find(staff.heard, words).share > 0.9
        in_silence = audio.find(audio.silence(10), words).share
        for elsewhere in (caller.heard, *office.recording()):
            assert audio.find(elsewhere, words).share < in_silence + 0.1


def test_what_was_stopped_by_staff_is_not_used_until_somebody_looked_at_it(office: Office, talk):
    caller, staff = talk
    staff.press("*70")
    office.wait_told("recording.kept")
    more(staff, 1)
    caller.hang_up()
    name = f"{office.house.entries('call.offered')[-1].call_uid}-0"

    said = office.house.callrec("recordings", "export", name, "--purpose", "audit", "-o", "audit.flac", code=10)
    shown = json.loads(office.house.callrec("recordings", "show", name, "--json"))

    assert "suspended until somebody has looked at it" in said
    assert shown["usable_for"] == []
    assert office.told("access.denied")[-1]["why"].startswith("its use for audit is suspended")


def test_an_operator_pauses_goes_on_and_says_that_it_is_about_a_child(office: Office, talk):
    caller, staff = talk
    (up,) = json.loads(office.house.callrec("call", "list", "--json"))
    office.house.callrec("call", "pause", up["call"])
    (paused,) = json.loads(office.house.callrec("call", "list", "--json"))
    more(staff, 1)
    office.house.callrec("call", "resume", up["call"])
    office.house.callrec("call", "flag", up["call"], "child")
    refused = office.house.callrec("call", "flag", up["call"], "adult", code=2)
    more(staff, 1)
    caller.hang_up()

    assert (paused["recording"], paused["paused"]) == ("suspended", True)
    assert "adult" in refused
    me = f"uid:{os.getuid()}"
    uid = office.house.entries("call.offered")[-1].call_uid
    by = {entry.kind: entry.actor for entry in office.house.entries() if entry.call_uid == uid}
    office.wait_told("recording.kept")
    assert (by["recording.paused"], by["recording.resumed"], by["tag.changed"]) == (me, me, me)
    shown = json.loads(office.house.callrec("recordings", "show", f"{uid}-0", "--json"))
    assert shown["manifest"]["retention"]["facts"]["subject"] == "child"


def test_nobody_but_the_caller_widens_what_a_call_is_for_and_who_tried_is_written_down(office: Office, talk):
    caller, staff = talk
    (up,) = json.loads(office.house.callrec("call", "list", "--json"))
    said = office.house.callrec("call", "tag", up["call"], "--add", "training", code=10)
    office.house.callrec("call", "tag", up["call"], "--add", "publication", code=10)
    unknown = office.house.callrec("call", "tag", up["call"], "--add", "science", code=2)
    more(staff, 1)
    caller.hang_up()

    assert "needs the caller's consent" in said
    assert "staff_codes.training" in said
    assert "'science' is not one of" in unknown
    office.wait_told("recording.kept")
    written = office.told("access.denied")
    assert [(one["purpose"], one["action"], one["person"]) for one in written] == [
        (word, "propose", f"uid:{os.getuid()}") for word in ("training", "publication")
    ]
    assert "that publication" in written[1]["why"]
    assert office.told("tag.changed") == []


def test_a_code_that_means_nothing_changes_nothing_and_is_written_down(office: Office, talk):
    caller, staff = talk
    staff.press("*7#")
    written = office.wait_told("choice.made")
    more(staff, 1)
    caller.hang_up()

    assert (written["leg"], written["choice"], written["digit"]) == ("staff", "unknown code", "*7#")
    assert written["method"] == "rfc4733"
    assert office.decided() == ("RECORDED", "", "")
    assert audio.find(staff.heard, beeps(Signal.REFUSED)).share > 0.7


# ---------------------------------------------------------------- consent

TELLING = [
    *("--text", "Test line. We record calls to help and check. Press 2 to say no. Same care. See example.org."),
    *("--purposes", "medico-legal=help", "--purposes", "audit=check", "--key", "2=decline"),
    *("--explains", "who=Test line", "--explains", "recorded=We record calls"),
    *("--explains", "decline=Press 2 to say no", "--explains", "same_help=Same care"),
    *("--explains", "more=See example.org"),
]
ASKING = [
    "--text",
    (
        "We record to help and check. May we keep it for teaching? Only trainers hear it. We store it safely for "
        "twelve months. You can say no, or change your mind later. Same care. Press 1 for yes, 2 for no."
    ),
    *("--purposes", "medico-legal=help", "--purposes", "audit=check", "--asks", "training=keep it for teaching"),
    *("--key", "1=agree", "--key", "2=refuse", "--explains", "purpose=for teaching"),
    *("--explains", "use=Only trainers hear it", "--explains", "period=for twelve months"),
    *("--explains", "storage=store it safely", "--explains", "refuse=You can say no"),
    *("--explains", "withdraw=change your mind later", "--explains", "same_care=Same care"),
]
"""The machine cannot hear whether these are the words."""
QUESTION = np.frombuffer(ENGLISH, "<i2")[: 4 * RATE]
NONE_OF_IT = 0.1 + float((np.abs(QUESTION) <= audio.NEAR_LSB).mean())
"""A share of it that silence has as well, for it has pauses itself."""


@pytest.fixture(scope="module")
def running_office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """As elsewhere, and a line whose notice names no training, with a prompt that asks for it."""
    folder = tmp_path_factory.mktemp("office")
    office = Office(folder, consenting=True)
    office.house.prepare()
    asking = folder / "asking.wav"
    asking.write_bytes(wav_of(QUESTION.tobytes()))
    telling = ROOT / "tests" / "assets" / "short-notice.wav"
    for name, path, words in (("telling", telling, TELLING), ("training-consent", asking, ASKING)):
        office.house.callrec("prompts", "add", str(path), "--id", name, "--lang", "en", *words)
        office.house.callrec("prompts", "approve", f"{name}.en", "--by", "tester", "--from", "now")
    yield from opened(office)


@contextmanager
def asked(office: Office) -> Iterator[tuple[Ear, Ear]]:
    """Staff asked the caller for consent in a talk that is recorded, and the question is out."""
    with _talking(office, CONSENTING) as (caller, staff):
        staff.press("*79")
        office.wait_told("recording.paused")
        heard = lambda: audio.find(caller.heard, QUESTION).share > 0.9  # noqa: E731
        ports.until(heard, seconds=PATIENCE_S, what="the caller hears the question")
        more(caller, 1)
        yield caller, staff


def choices(office: Office) -> list[tuple[str, str]]:
    return [(one["choice"], one["digit"]) for one in office.told("choice.made")]


def test_a_caller_who_agrees_by_key_is_recorded_for_training_from_then_on_and_not_before(office: Office):
    with asked(office) as (caller, staff):
        caller.press("1")
        ports.until(lambda: len(office.told("recording.started")) > 1, seconds=PATIENCE_S, what="the next segment")
        more(staff, 2)
        caller.hang_up()

    assert office.decided() == ("RECORDED", "", "")
    assert audio.find(caller.heard, QUESTION).share > 0.9
    before, after = office.told("recording.started")
    assert (before["purposes"], after["purposes"]) == (["audit", "medico-legal"], ["audit", "medico-legal", "training"])
    assert choices(office) == [("consent", "1")]
    (given,) = office.told("consent.given")
    uid = office.house.entries("call.offered")[-1].call_uid
    assert [proven["grade"] for proven in office.told("notice.proven")][-1] == "acknowledged"
    for side in (*office.recording(), *office.recording(1)):
        assert audio.find(side, QUESTION).share < NONE_OF_IT
    left, right = office.recording(1)
    assert audio.hears(left, CALLER_HZ, dbfs=SOFT_DBFS - 10).mean() > 0.7
    assert audio.hears(right, STAFF_HZ, dbfs=SOFT_DBFS - 10).mean() > 0.7
    first, second = (json.loads(office.house.callrec("recordings", "show", f"{uid}-{n}", "--json")) for n in (0, 1))
    carried = second["manifest"]["details"]["consent"]
    assert {name: carried[name] for name in given} == given
    assert (given["consent"], given["prompt_id"], given["taker"][:5]) == ("keypress", "training-consent", "staff")
    assert "consent" not in first["manifest"]["details"]
    assert second["manifest"]["retention"]["tags"]["training"]["rule"] == "TR-C"
    told = office.house.callrec("audit", "pack", uid, "-o", str(office.folder / "pack.zip"))
    assert "every check that this pack allows holds" in told


def test_a_caller_who_does_not_answer_is_recorded_as_before_and_nothing_is_added(office: Office):
    with asked(office) as (caller, staff):
        office.wait_told("recording.resumed")
        staff.press("*79")
        ports.until(lambda: office.told("access.denied"), seconds=PATIENCE_S, what="it is not asked again")
        more(staff, 2)
        caller.hang_up()

    assert office.decided() == ("RECORDED", "", "")
    assert choices(office) == [("no consent: no answer", "")]
    assert [one["purposes"] for one in office.told("recording.started")] == [["audit", "medico-legal"]]
    assert office.told("consent.given") == []
    assert office.told("access.denied")[0]["purpose"] == "training"
    assert audio.find(staff.heard, beeps(Signal.REFUSED)).share > 0.7
    (gap,) = office.told("recording.sealed")[0]["gaps"]
    assert gap["why"] == "the caller is asked for consent"
    left, right = office.recording()
    assert audio.hears(left[gap["to_sample"] + RATE // 5 :], CALLER_HZ, dbfs=SOFT_DBFS - 10).mean() > 0.7
    assert audio.find(right, QUESTION).share < NONE_OF_IT
