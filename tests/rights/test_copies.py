"""Coded and anonymised copies: nobody is known in them, a person signed for what is heard, and the key stays apart."""

import io
import json
import pwd
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from callrec.core.kinds import Kind
from callrec.errors import ConfigError, Refused
from callrec.recording.audio import RATE
from callrec.recording.copies import FORMS, Span, altered, bleeped, encoded, mixed, parse_span
from callrec.rights.coding import begin_project, open_project
from tests.disposal.office import dated

CALLER = "sip:+441632960001@192.0.2.5"
EVERY = ("audit", "medico-legal", "training")
TAGGED = dated(trigger="2026-03-01", due="2034-03-01")


def recorded(office, caller=CALLER):
    return office.record(purposes=EVERY, caller=caller, retention=TAGGED)


def reviewed(office, recording, who="guardian", purpose="training"):
    """Whoever will sign has listened, on another machine that has sound."""
    office.reviews = getattr(office, "reviews", 0) + 1
    out = office.folder / f"review{office.reviews}.flac"
    said = office.run(who, "export", recording, "--review", "--purpose", purpose, "-o", out)
    assert "Wrote" in str(said), said


def copied(office, recording, *words, who="guardian", purpose="training"):
    office.copies = getattr(office, "copies", 0) + 1
    out = office.folder / f"copy{office.copies}.flac"
    said = office.run(who, "copy", recording, "--purpose", purpose, "-o", out, *words)
    return out if isinstance(said, str) else said


def manifest(out):
    return json.loads(out.with_name(f"{out.name}.manifest.json").read_bytes())


def code(office, recording, project, *words):
    reviewed(office, recording)
    return manifest(copied(office, recording, "--project", project, "--nothing-heard", *words))


# ---------------------------------------------------------------- what is in a copy


def test_nothing_of_a_coded_copy_names_caller_call_line_time_or_path(office):
    recording = recorded(office)
    reviewed(office, recording)

    out = copied(office, recording, "--project", "induction", "--new-project", "--nothing-heard")

    told = manifest(out)
    whole = out.read_bytes() + json.dumps(told).encode()
    uid = recording.partition("-")[0]
    for secret in (
        uid,
        "632960001",
        "192.0.2.5",
        "@pbx",
        "advice",
        "2026-03-01",
        "10:00",
        str(office.folder),
        "guardian",
    ):
        assert secret.encode() not in whole, secret
    assert (told["kind"], told["code_is_of"], told["project"]) == ("coded", "caller", "induction")
    with soundfile.SoundFile(io.BytesIO(out.read_bytes())) as file:
        assert set(file.copy_metadata()) <= {"software"}


def test_a_caller_has_one_code_in_a_project_and_another_in_the_next(office):
    first, second, other = (
        recorded(office),
        recorded(office, "sip:01632960001@pbx"),
        recorded(office, "sip:07700900002@h"),
    )

    one = code(office, first, "induction", "--new-project")
    again, another = code(office, second, "induction"), code(office, other, "induction")
    next_project = code(office, first, "standards", "--new-project")

    assert one["code"] == again["code"]
    assert len({one["code"], another["code"], next_project["code"]}) == 3


def test_a_caller_without_a_number_has_a_code_of_the_call_alone_and_the_copy_says_so(office):
    told = [code(office, recorded(office, caller), "p", *new) for caller, new in [("", ["--new-project"]), ("", [])]]

    assert [each["code_is_of"] for each in told] == ["call", "call"]
    assert told[0]["code"] != told[1]["code"]


def test_a_copy_is_told_to_the_ledger_with_what_it_was_made_from_and_until_when(office):
    recording = recorded(office)
    reviewed(office, recording)
    out = copied(office, recording, "--project", "induction", "--new-project", "--bleep", "0.5-0.8", "--bleep", "1-1.2")

    made = office.entries(Kind.EXPORT_MADE)[-1]
    assert office.entries(Kind.ACCESS_GRANTED)[-1].body["action"] == "copy"
    assert made.body["recording_id"] == recording
    assert (made.body["copy"], made.body["project"], made.body["bleeps"], made.body["signed"]) == (
        "coded",
        "induction",
        2,
        True,
    )
    assert made.body["copy_id"] == manifest(out)["copy_id"]
    assert "code" not in made.body
    assert office.verified().sound


def test_what_was_signed_to_be_bleeped_is_a_tone_on_both_legs_and_the_rest_is_untouched(office):
    recording = recorded(office)
    reviewed(office, recording)
    original, _ = soundfile.read(office.folder / "review1.flac", dtype="int16")

    copy, _ = soundfile.read(
        copied(office, recording, "--project", "p", "--new-project", "--bleep", "0.5-1"), dtype="int16"
    )

    bleep = copy[4000:8000].astype(float)
    assert np.array_equal(copy[:3900], original[:3900])
    assert np.array_equal(copy[8100:], original[8100:])
    for leg in (0, 1):
        spectrum = np.abs(np.fft.rfft(bleep[:, leg])) ** 2
        assert spectrum[round(1000 * len(bleep) / RATE)] / spectrum.sum() > 0.95


# ---------------------------------------------------------------- who may, and what must be signed


def test_a_training_copy_leaves_only_once_somebody_who_listened_has_signed(office):
    recording = recorded(office)

    unsigned = copied(office, recording, "--project", "p", "--new-project")
    unheard = copied(office, recording, "--project", "p", "--new-project", "--nothing-heard")
    reviewed(office, recording, who="claims")
    heard_by_another = copied(office, recording, "--project", "p", "--new-project", "--nothing-heard")

    for refusal, why in ((unsigned, "nobody signed"), (unheard, "must have listened"), (heard_by_another, "of yours")):
        assert isinstance(refusal, Refused)
        assert why in str(refusal)
    assert [e.body["form"] for e in office.entries(Kind.EXPORT_MADE)] == ["flac"]  # the review alone
    assert list(office.folder.glob("copy*")) == []
    assert list(office.folder.rglob("*.key.*")) == []


def test_an_anonymised_copy_must_be_signed_for_any_purpose_and_its_voices_are_altered(office):
    recording = recorded(office)
    assert isinstance(copied(office, recording, "--kind", "anonymised", purpose="audit"), Refused)
    reviewed(office, recording, purpose="audit")

    out = copied(office, recording, "--kind", "anonymised", "--nothing-heard", purpose="audit")

    told = manifest(out)
    assert (told["kind"], told["voices"], told["code"], told["use_until"]) == ("anonymised", "altered", "", "")
    kept = office.run(
        "guardian", "copy", recording, "--purpose", "audit", "--kind", "anonymised", "--nothing-heard", "--keep-voice",
        "-o", office.folder / "kept.flac",
    )  # fmt: skip
    assert "whoever knows one of them knows who speaks" in kept


@pytest.mark.parametrize("who", ["teacher", "checker", "records"])
def test_whoever_gets_copies_neither_makes_them_nor_hears_the_voices(office, who):
    recording = recorded(office)

    for words in (("copy", recording, "--project", "p", "--new-project"), ("export", recording, "--review")):
        told = office.run(who, *words, "--purpose", "training", "-o", office.folder / "x.flac")
        assert isinstance(told, Refused)
    assert [entry.kind for entry in office.entries(Kind.ACCESS_GRANTED, Kind.ACCESS_DENIED)] == ["access.denied"] * 2


def test_a_purpose_that_the_recording_does_not_have_serves_for_no_copy(office):
    recording = office.record(purposes=("audit", "medico-legal"), caller=CALLER)

    told = copied(office, recording, "--project", "p", "--new-project", "--nothing-heard")

    assert isinstance(told, Refused)
    assert "not recorded for training" in str(told)


def test_the_export_role_cannot_read_a_projects_key(tmp_path):
    """Not a rule of ours alone: the operating system denies it to another account."""
    folder = tmp_path / "projects"
    begin_project(folder, "induction")
    for place in (folder, *folder.parents):
        place.chmod(place.stat().st_mode | 0o055)
    man = pwd.getpwnam("man").pw_uid
    code = "import os, sys; os.setuid(int(sys.argv[1])); open(sys.argv[2], 'rb').read()"

    done = subprocess.run(
        [sys.executable, "-c", code, str(man), folder / "induction.key"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert "Permission denied" in done.stderr
    assert "induction.key" in done.stderr


def test_a_key_that_others_may_read_or_that_is_not_there_makes_no_code(tmp_path):
    begin_project(tmp_path / "p", "induction")
    (tmp_path / "p/induction.key").chmod(0o440)
    with pytest.raises(ConfigError, match="read by others"):
        open_project(tmp_path / "p", "induction")
    with pytest.raises(ConfigError, match="no project"):
        open_project(tmp_path / "p", "other")
    with pytest.raises(ConfigError, match="no name"):
        open_project(tmp_path / "p", "../keeper")
    with pytest.raises(Refused):
        begin_project(tmp_path / "p", "induction")


@pytest.mark.parametrize(
    "words",
    [
        ("--project", "p", "--bleep", "1-2", "--nothing-heard"),
        ("--kind", "anonymised", "--project", "p"),
        (),
        ("--project", "p", "--bleep", "2-1"),
        ("--project", "p", "--bleep", "soon"),
    ],
)
def test_what_contradicts_itself_is_a_mistake(office, words):
    assert isinstance(copied(office, recorded(office), *words), ConfigError)


# ---------------------------------------------------------------- sound


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mono", [False, True])
def test_every_form_can_be_heard_again(form, mono):
    time = np.arange(2 * RATE) / RATE
    tones = np.stack([8000 * np.sin(2 * np.pi * hz * time) for hz in (440, 880)], axis=1).astype(np.int16)

    data = encoded(mixed(tones) if mono else tones, form)

    heard, rate = soundfile.read(io.BytesIO(data), dtype="float64", always_2d=True)
    assert heard.shape[1] == (1 if mono else 2)
    assert abs(len(heard) / rate - 2) < 0.1
    spectrum = np.abs(np.fft.rfft(heard[:, 0]))
    loudest = {round(hz / 10) * 10 for hz in np.argsort(spectrum)[-2:] * rate / len(heard)}
    assert 440 in loudest
    assert (880 in loudest) == mono
    if form in ("flac", "wav") and not mono:
        assert np.array_equal(soundfile.read(io.BytesIO(data), dtype="int16")[0], tones)


def test_an_altered_voice_is_deeper_and_as_long(office):
    time = np.arange(RATE) / RATE
    voice = np.stack([8000 * np.sin(2 * np.pi * 1000 * time)] * 2, axis=1).astype(np.int16)

    found = altered(voice)

    hz = int(np.argmax(np.abs(np.fft.rfft(found[:, 0].astype(float)))))
    assert found.shape == voice.shape
    assert 700 < hz < 900


def test_a_bleep_beyond_the_end_is_a_mistake_and_one_across_it_ends_there():
    sound = np.ones((RATE, 2), dtype=np.int16)

    assert np.array_equal(bleeped(sound, [Span(0.9, 5)])[: round(0.89 * RATE)], sound[: round(0.89 * RATE)])
    with pytest.raises(ConfigError, match=r"ends at 1\.0 s"):
        bleeped(sound, [Span(1, 2)])
    assert parse_span("12.5-14") == Span(12.5, 14)
