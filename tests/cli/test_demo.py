"""`callrec demo`: its parts, and once the whole of it as a new user sees it."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from inspect import getmembers, isclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callrec.core import commands as c
from callrec.core import events as e
from callrec.demo.house import fresh_folder
from callrec.demo.messages import answer_to, parse, sdp
from callrec.demo.phone import LOOPBACK, Phone
from callrec.demo.picture import WIDTH, Part, bar, drawing, parts
from callrec.demo.speech import FRAME, from_alaw, share_of_tone, to_alaw, voice
from callrec.demo.story import WORDS
from callrec.errors import Refused
from tests.peers.ports import until

CALLREC = Path(sys.executable).with_name("callrec")

# ---------------------------------------------------------------- audio


def test_a_sample_survives_a_law_within_half_a_step():
    samples = np.arange(-32000, 32000, 7, dtype=np.int16)
    error = np.abs(from_alaw(to_alaw(samples)).astype(int) - samples)

    assert (error <= np.maximum(16, np.abs(samples.astype(int)) // 16)).all()


def test_every_a_law_octet_comes_back():
    octets = bytes(range(256))

    assert to_alaw(from_alaw(octets)) == octets


def test_the_known_octets_of_g711():
    assert from_alaw(bytes([0xD5, 0x55, 0xAA, 0x2A])).tolist() == [8, -8, 32256, -32256]


def test_a_voice_is_its_own_tone_and_no_other():
    heard = from_alaw(voice(440.0) * 4)

    assert share_of_tone(heard, 440.0) > 0.9
    assert share_of_tone(heard, 660.0) < 0.01


# ---------------------------------------------------------------- telephones


def test_two_telephones_hear_each_other_until_one_hangs_up():
    with Phone("line", says=voice(660.0), rings_s=0.0) as line, Phone("caller", says=voice(440.0)) as caller:
        caller.call(f"sip:line@{LOOPBACK}:{line.port}", (LOOPBACK, line.port))
        assert caller.answered.wait(5)
        until(lambda: min(len(line.heard), len(caller.heard)) >= 50 * FRAME, seconds=10, what="a second of audio")
        caller.hang_up()

        assert caller.over.wait(5)
        assert line.over.wait(5)
    assert share_of_tone(line.heard, 440.0) > 0.9
    assert share_of_tone(caller.heard, 660.0) > 0.9


def test_a_telephone_that_is_busy_says_so():
    with Phone("line", says=b"", rings_s=60.0) as line, Phone("one", says=b"") as one, Phone("two", says=b"") as two:
        where = (LOOPBACK, line.port)
        one.call(f"sip:line@{LOOPBACK}:{line.port}", where)
        until(lambda: line._dialog, seconds=5, what="the line rings")
        two.call(f"sip:line@{LOOPBACK}:{line.port}", where)

        assert two.over.wait(5)
        assert not two.answered.is_set()


@given(st.binary(max_size=400))
def test_no_datagram_stops_a_telephone(datagram):
    message = parse(datagram)

    assert message is None or isinstance(message.start, str)


@pytest.mark.parametrize("broken", [b"", b"\r\n\r\n", b"SIP/2.0 abc\r\n\r\n", b"BYE sip:a SIP/2.0\r\n\r\n"])
def test_a_telephone_outlives_what_it_cannot_read(broken):
    with Phone("line", says=b"", rings_s=0.0) as line, Phone("caller", says=b"") as caller:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.sendto(broken, (LOOPBACK, line.port))
        caller.call(f"sip:line@{LOOPBACK}:{line.port}", (LOOPBACK, line.port))

        assert caller.answered.wait(5)


def test_an_answer_carries_what_names_the_request():
    invite = parse(
        b"INVITE sip:line@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP a\r\nVia: SIP/2.0/UDP b\r\nFrom: <sip:x>;tag=1\r\n"
        b"To: <sip:y>\r\nCall-ID: z\r\nCSeq: 7 INVITE\r\n\r\n"
    )
    answer = parse(answer_to(invite, "200 OK", tag="t", contact="<sip:y@127.0.0.1:9>", body=sdp("127.0.0.1", 4000)))

    assert answer.headers["via"] == ("SIP/2.0/UDP a", "SIP/2.0/UDP b")
    assert (answer.status, answer.method, answer.first("to")) == (200, "INVITE", "<sip:y>;tag=t")
    assert (answer.media, answer.contact) == (("127.0.0.1", 4000), "sip:y@127.0.0.1:9")


# ---------------------------------------------------------------- words and picture

SILENT = {
    e.CallerAnswered, e.LegResumed, e.LegRenegotiated, e.TimerExpired, e.StaffJoined, e.StopRequested,
    c.StopNotice, c.JudgeNotice, c.RecordProof, c.RecordRefusal, c.StartTimer, c.Bridge, c.SuspendRecording,
    c.ResumeRecording, c.HangUp, c.CloseCall,
    e.OrderGiven, e.PartyChanged, e.OutsideJoined, e.OutsideLeft, e.HeldBehind, e.ResumedBehind, e.StaffLeft,
    e.StaffTransferred, e.ReportsHeard, e.ProofContradicted, c.SignalStaff, c.ChangeTags, c.ClassifySubject,
    c.RecordWithdrawal, e.SubjectTold, e.WideningAsked, c.SkipNotice, c.ChooseLanguage, c.RecordStop,
    c.RecordConsent, c.RecordDenial, e.ConsentRecorded, e.ConsentUnrecorded,
}  # fmt: skip
"""What says nothing to a listener that another line does not say, or does not happen in these two calls."""


def test_every_event_and_order_is_told_or_left_out_on_purpose():
    events = {kind for _, kind in getmembers(e, isclass) if issubclass(kind, e.Event)} - {e.Event}
    orders = set(c.Command.__args__)

    assert events | orders == set(WORDS) | SILENT
    assert not set(WORDS) & SILENT


def test_a_recorded_call_is_drawn_to_scale():
    at = {c.PlayNotice: 0.0, c.Dial: 20.0, e.LegsBridged: 25.0, c.StartRecording: 25.0, e.LegEnded: 40.0}
    drawn = bar(parts(at), 40.0)

    assert drawn == f"|{'n' * 37}{'r' * 9}{'#' * 28}|"


def test_a_call_that_was_not_recorded_has_no_recorded_part():
    stretches = parts({c.PlayNotice: 0.0, c.Dial: 3.0, e.LegsBridged: 5.0, e.LegEnded: 9.0})

    assert [part.mark for part in stretches] == ["n", "r", "-"]
    assert not any(part.recorded for part in stretches)
    assert "RECORDED" not in "".join(drawing(stretches, 9.0))


@given(st.lists(st.floats(0.06, 100), min_size=1, max_size=5))
def test_a_bar_has_its_width_and_leaves_no_part_out(lengths):
    edges = np.cumsum([0.0, *lengths])
    stretches = [Part(mark="abcde"[n], what="", begin=edges[n], end=edges[n + 1]) for n in range(len(lengths))]
    drawn = bar(stretches, float(edges[-1]))

    assert WIDTH <= len(drawn) - 2 <= WIDTH + len(lengths)
    assert sorted(set(drawn[1:-1])) == list("abcde"[: len(lengths)])


# ---------------------------------------------------------------- folder


def test_a_demonstration_never_takes_a_folder_that_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "callrec-demo").mkdir()
    (tmp_path / "callrec-demo-2").mkdir()

    assert fresh_folder(None) == Path("callrec-demo-3")


def test_a_folder_with_something_in_it_is_refused(tmp_path):
    (tmp_path / "something").mkdir()

    with pytest.raises(Refused, match="never overwritten"):
        fresh_folder(tmp_path)


# ---------------------------------------------------------------- the whole


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """One demonstration, as a new user has it: (folder, what was printed)."""
    folder = tmp_path_factory.mktemp("demo")
    done = subprocess.run([CALLREC, "demo"], cwd=folder, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout


def callrec(folder, *words):
    command = [CALLREC, "-c", "callrec-demo/callrec.yaml", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=True).stdout


@pytest.mark.calls
def test_the_demonstration_tells_things_in_their_order(shown):
    _, printed = shown
    expected = (
        "a caller rings", "callrec answers", "the recording notice plays", "the notice ends", "proven:",
        "it rings", "the line answers", "recording starts", "the caller hangs up", "in the store",
        "Second call", "the caller presses 2", "the caller said no", "the line answers",
        "First call: RECORDED", "Second call: connected, NOT_RECORDED (CALLER_DECLINED)",
        "notice played: proven (sent to the next hop 127.0.0.1", "tap: ", "not proven",
    )  # fmt: skip
    places = [printed.find(expected[0])]
    for words in expected[1:]:
        places.append(printed.find(words, places[-1] + 1))

    assert -1 not in places, dict(zip(expected, places, strict=True))


@pytest.mark.calls
def test_the_demonstration_fits_a_terminal(shown):
    _, printed = shown
    ours = [line.replace(os.path.relpath(CALLREC, shown[0]), ".venv/bin/callrec") for line in printed.splitlines()]

    assert [line for line in ours if len(line) > 80] == []


@pytest.mark.calls
def test_the_recorded_bar_is_drawn_and_the_declined_one_has_no_recording(shown):
    _, printed = shown
    recorded, declined = re.findall(r"^\|.*\|$", printed, re.MULTILINE)

    assert set(recorded) >= set("nr#")
    assert "#" not in declined


@pytest.mark.calls
def test_what_the_demonstration_left_passes_every_check(shown):
    folder, _ = shown
    checked = json.loads(callrec(folder, "audit", "verify", "--json"))
    listed = json.loads(callrec(folder, "recordings", "list", "--json"))

    assert checked["exit_code"] == 0
    assert len(listed) == 1


@pytest.mark.calls
def test_the_commands_that_are_named_work_as_printed(shown):
    folder, printed = shown
    commands = re.findall(r"^  (\S*callrec -c .*(?:(?<=\\)\n.*)?)$", printed, re.MULTILINE)
    assert len(commands) == 2

    for command in commands:
        words = command.replace("\\\n", " ").split()
        done = subprocess.run([CALLREC, *words[1:]], cwd=folder, capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
    assert (folder / "talk.wav").stat().st_size > 100_000


@pytest.mark.calls
def test_nothing_of_the_demonstration_stays_in_memory(shown):
    folder, _ = shown
    memory = re.search(r"runtime_dir: (\S+)", (folder / "callrec-demo" / "callrec.yaml").read_text())[1]

    assert not Path(memory).exists()
