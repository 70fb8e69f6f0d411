"""Another recorder's archive: kept apart, usable for nothing without evidence, and never called proven (R31)."""

import json
import shutil

import numpy as np
import pytest
import soundfile

from callrec.core.imported import LastUse, Standing, why_not
from callrec.core.kinds import Kind
from callrec.core.purposes import Role
from callrec.core.values import Purpose
from callrec.errors import ConfigError, Refused, Unavailable
from callrec.notice.audio import RATE
from callrec.notice.register import Register
from callrec.ports import Entry
from tests.disposal.office import Office

STARTED = "2012-03-01T10:00:00+00:00"
HEADER = "file,started,line,number,subject"


@pytest.fixture
def office(tmp_path, monkeypatch):
    return Office(tmp_path, monkeypatch)


@pytest.fixture
def archive(office):
    """A folder with three calls in three forms; nobody was told anything in them."""
    folder = office.folder / "archive"
    (folder / "2012").mkdir(parents=True)
    noise = np.random.default_rng(3).normal(0, 0.05, (RATE, 2))
    soundfile.write(folder / "2012/one.wav", noise, RATE)
    soundfile.write(folder / "2012/two.flac", noise[: RATE // 2], RATE)
    soundfile.write(folder / "three.mp3", noise[:, 0], RATE)
    return folder


def table(office, *rows, header=HEADER):
    path = office.folder / "table.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def row(file, *, started=STARTED, line="advice", number="", subject=""):
    return f"{file},{started},{line},{number},{subject}"


def imported(office, archive, *rows, who="records"):
    return office.run(who, "import", archive, "--from", table(office, *rows))


def listed(office):
    return json.loads(office.run("records", "list", "--json"))


def exported(office, who, name, purpose, file="out.wav"):
    words = ("export", name, "--purpose", purpose, "--format", "original", "-o", office.folder / file)
    return office.run(who, *words)


def with_notice(office, folder):
    """A file in which the approved notice of the line is heard whole, after a second."""
    office.sits("root")
    found = Register.load(office.config.notice.register)
    (record,) = [each for each in found.records if each.name == "advice-line.en.1"]
    if not record.approved:
        office.runs("root", "prompts", "approve", record.name, "--by", "tester")
        found = Register.load(office.config.notice.register)
        (record,) = [each for each in found.records if each.name == "advice-line.en.1"]
    pcm = np.frombuffer(found.read(record).pcm, "<i2").astype(float) / 32768
    quiet = np.random.default_rng(5).normal(0, 0.0005, RATE)
    soundfile.write(folder / "told.wav", np.concatenate([quiet, pcm, quiet]), RATE, subtype="PCM_16")


# ---------------------------------------------------------------- what comes


def test_every_form_is_kept_to_the_byte_apart_from_the_store_and_stands_as_no_evidence(office, archive):
    said = imported(office, archive, row("2012/one.wav"), row("2012/two.flac"), row("three.mp3"))

    assert str(said).count("NO_EVIDENCE") == 3
    rows = listed(office)
    assert {each["standing"] for each in rows} == {"NO_EVIDENCE"}
    assert {each["started_utc"] for each in rows} == {"2012-03-01T10:00:00.000Z"}
    assert [round(each["seconds"], 1) for each in sorted(rows, key=lambda one: -one["seconds"])][1:] == [1.0, 0.5]
    assert office.audio() == set(), "nothing of it is in the store"
    told = [entry.body for entry in office.entries(Kind.RECORDING_IMPORTED)]
    assert {body["recording_id"] for body in told} == {each["recording_id"] for each in rows}
    assert {body["person"] for body in told} == {"records"}
    assert verified(office).counts == {}
    assert office.callrec("audit", "report").exit_code in (0, 1, 20)
    assert "Read 3 recordings" in office.run("records", "fixity")
    name = told[0]["recording_id"]
    no_pack = office.callrec("audit", "pack", name, "-o", office.folder / "call.zip")
    assert isinstance(no_pack.exception, Unavailable)
    assert "NO_EVIDENCE" in office.run("records", "show", name)
    assert exported(office, "guardian", name, "disposal-review")
    assert (office.folder / "out.wav").read_bytes() == (archive / "2012/one.wav").read_bytes()


def verified(office):
    """As `callrec audit verify` looks at everything, the shelf included."""
    result = office.callrec("audit", "verify", "--json")
    value = json.loads(result.output)

    class Found:
        counts = {} if result.exit_code == 0 else {1: value}

    return Found


def test_the_same_file_twice_is_one_item(office, archive):
    (archive / "copy.wav").write_bytes((archive / "2012/one.wav").read_bytes())
    imported(office, archive, row("2012/one.wav"))

    again = imported(office, archive, row("2012/one.wav"), row("copy.wav"))

    assert again.count("was imported before") == 2
    assert len(listed(office)) == len(office.entries(Kind.RECORDING_IMPORTED)) == 1


BAD = {
    "no such file": (row("none.wav"), "there is no file"),
    "no such line": (row("three.mp3", line="elsewhere"), "the configuration has no line"),
    "a time without its zone": (row("three.mp3", started="2012-03-01T10:00:00"), "is no time with its zone"),
    "a time to come": (row("three.mp3", started="2999-03-01T10:00:00Z"), "started lies in the future"),
    "no number": (row("three.mp3", number="12"), "its number is no whole telephone number"),
    "no subject": (row("three.mp3", subject="horse"), "subject 'horse' is none of"),
    "twice": (row("2012/one.wav"), "its file stands on line 2 already"),
    "too many cells": (row("three.mp3") + ",more", "more or fewer cells than columns"),
}


def test_every_bad_line_is_named_and_nothing_is_imported(office, archive):
    found = imported(office, archive, row("2012/one.wav"), *(bad for bad, _ in BAD.values()))

    assert isinstance(found, ConfigError)
    for at, (_, told) in enumerate(BAD.values(), 3):
        assert f"line {at}: " in str(found)
        assert told in str(found)
    assert "nothing was imported" in found.next_step
    assert nothing_came(office)


@pytest.mark.parametrize("bad", ["text.wav", "cut.wav"])
def test_one_file_that_is_no_whole_sound_is_a_sentence_and_nothing_is_imported(office, archive, bad):
    (archive / "text.wav").write_text("this is no sound")
    (archive / "cut.wav").write_bytes((archive / "2012/one.wav").read_bytes()[:9000])

    found = imported(office, archive, row("2012/one.wav"), row(bad))

    assert isinstance(found, ConfigError)
    assert "line 3: " in str(found)
    assert nothing_came(office)


def nothing_came(office):
    shelf = office.config.agent.data_dir / "imported"
    return office.entries(Kind.RECORDING_IMPORTED) == [] and not list(shelf.glob("objects/*/*"))


def test_only_who_may_imports(office, archive):
    assert isinstance(imported(office, archive, row("2012/one.wav"), who="teacher"), Refused)
    assert isinstance(imported(office, archive, row("2012/one.wav"), who="checker"), Refused)


@pytest.mark.parametrize("after", ["sealed", "told", "kept"])
def test_killed_at_any_step_the_next_run_finishes_and_says_it_once(office, archive, monkeypatch, after):
    class KilledError(Exception):
        pass

    def killed(*_):
        raise KilledError

    place = {
        "sealed": "callrec.cli.imports._Importer._told",
        "told": "callrec.cli.imports.write_file",
        "kept": "callrec.cli.imports.fsync_dir",
    }[after]
    with monkeypatch.context() as patch:
        patch.setattr(place, killed)
        with pytest.raises(AssertionError):
            imported(office, archive, row("2012/one.wav"))

    imported(office, archive, row("2012/one.wav"))

    assert len(listed(office)) == len(office.entries(Kind.RECORDING_IMPORTED)) == 1
    assert verified(office).counts == {}
    assert not list((office.config.agent.data_dir / "imported/arriving").iterdir())


# ---------------------------------------------------------------- what may be done with it


def test_nobody_hears_it_for_anything_and_each_attempt_is_kept_with_its_reason(office, archive):
    imported(office, archive, row("2012/one.wav"))
    (name,) = [each["recording_id"] for each in listed(office)]

    for who, purpose in (("guardian", "medico-legal"), ("checker", "audit"), ("teacher", "training")):
        refused = exported(office, who, name, purpose)
        assert isinstance(refused, Refused)
        assert "NO_EVIDENCE" in str(refused)
        assert "disposal-review" in refused.next_step
    assert isinstance(exported(office, "checker", name, "disposal-review"), Refused)
    assert isinstance(exported(office, "guardian", name, "legal-hold"), Refused)
    denied = [entry.body["why"] for entry in office.entries(Kind.ACCESS_DENIED)]
    assert len(denied) == 5
    assert sum("NO_EVIDENCE" in why for why in denied) == 3
    assert not (office.folder / "out.wav").exists()


def test_a_hold_opens_it_for_the_hold_and_keeps_it_from_disposal(office, archive):
    imported(office, archive, row("2012/one.wav"))
    (name,) = [each["recording_id"] for each in listed(office)]
    hold = ("hold", name, "--kind", "claim", "--reason", "CLM-7")
    assert not isinstance(office.run("claims", *hold), Exception)

    assert not isinstance(exported(office, "claims", name, "legal-hold"), Exception)
    assert office.entries(Kind.ACCESS_GRANTED)[-1].body["purpose"] == "legal-hold"
    assert isinstance(office.run("records", "dispose", "--propose", office.folder / "l.json"), Refused)


def test_it_falls_due_by_its_rule_and_two_persons_destroy_it_with_a_certificate(office, archive):
    imported(office, archive, row("2012/one.wav"))
    (name,) = [each["recording_id"] for each in listed(office)]

    assert name in office.callrec("audit", "retention-due", "--json").output
    assert "Destroyed" in str(office.run("guardian", "dispose", office.agreed(), "--execute"))
    assert office.callrec("audit", "disposals", "--prove").exit_code == 0

    assert listed(office)[0]["state"] == "disposed"
    assert office.entries(Kind.DISPOSAL_DONE)[-1].body["recording_id"] == name
    assert verified(office).counts == {}
    shelf = office.config.agent.data_dir / "imported"
    assert not list(shelf.rglob("audio.enc"))
    assert imported(office, archive, row("2012/one.wav")).count("was imported before") == 1


def test_facts_that_arrive_later_date_it_anew(office, archive):
    imported(office, archive, row("2012/one.wav"))
    (one,) = listed(office)
    facts = office.folder / "facts.csv"
    facts.write_text(f"recording_id,subject,born\n{one['recording_id']},child,2010-01-01\n")

    said = office.run("records", "classify", "--from", facts)
    assert "Classified 1" in said

    assert listed(office)[0]["due"] > one["due"]


def test_a_caller_finds_what_another_recorder_made_of_their_call(office, archive):
    imported(office, archive, row("2012/one.wav", number="01632 960111"), row("three.mp3", number="+441632960222"))

    found = json.loads(office.runs("guardian", "subject", "find", "--number", "+441632960111", "--json"))

    text = json.dumps(found)
    assert text.count("NO_EVIDENCE") == 1
    assert office.entries(Kind.RECORDING_IMPORTED)[0].call_uid in text
    packed = office.runs(
        "guardian", "subject", "pack", "--number", "+441632960111", "-o", office.folder / "subject.zip"
    )
    assert "Held while the request is open" in str(packed)
    bodies = json.dumps([entry.body for entry in office.entries()])
    assert "960111" not in bodies


def test_keys_of_what_was_imported_are_wrapped_for_another_keeper_too(office, archive):
    imported(office, archive, row("2012/one.wav"))
    (office.folder / "second").mkdir()
    office.runs("records", "keys", "create", office.folder / "second")
    office.change("wrap_to: file:keys/keeper.pub", "wrap_to: file:second/keeper.pub")

    said = office.runs("records", "keys", "rotate", "--key", office.folder / "keys/keeper.key")

    assert "1 keys wrapped anew" in said


# ---------------------------------------------------------------- a notice in its audio


def test_a_notice_that_is_whole_in_its_audio_is_told_as_found_never_as_proven(office, archive):
    with_notice(office, archive)
    said = imported(office, archive, row("told.wav", started="2026-03-01T10:00:00Z"))

    assert "NOTICE_FOUND: an approved notice was found in the audio, not proven on the wire" in said
    (one,) = listed(office)
    name = one["recording_id"]
    shown = office.run("records", "show", name)
    assert "advice-line.en.1 at 1.0" in shown
    assert "found in the audio, not proven on the wire" in shown
    assert "notice played: proven" not in shown
    assert not isinstance(exported(office, "checker", name, "audit"), Exception)
    assert isinstance(exported(office, "teacher", name, "training", "t.wav"), Refused)
    assert isinstance(office.run("checker", "export", name, "--purpose", "audit", "-o", office.folder / "o"), Refused)


# ---------------------------------------------------------------- the door, and the auditor


def test_the_shelf_takes_nothing_that_the_ledger_does_not_name_and_the_store_takes_nothing_imported(office, archive):
    imported(office, archive, row("2012/one.wav"))
    (entry,) = office.entries(Kind.RECORDING_IMPORTED)
    twice = Entry(kind=Kind.RECORDING_IMPORTED, body=dict(entry.body), call_uid=entry.call_uid)
    ledger = office.ledger()
    ledger.append_blocking(twice)
    ledger.close()

    found = office.callrec("audit", "verify")
    assert found.exit_code == 30
    assert "was imported and is known already" in found.output


@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_an_auditor_finds_what_was_changed_or_is_gone_on_the_shelf(office, archive, damage):
    imported(office, archive, row("2012/one.wav"))
    (audio,) = (office.config.agent.data_dir / "imported").rglob("audio.enc")
    if damage == "gone":
        audio.unlink()
    else:
        audio.chmod(0o600)
        audio.write_bytes(audio.read_bytes()[:-1] + b"!")

    assert office.callrec("audit", "verify").exit_code == 30


def test_what_was_imported_is_found_where_it_does_not_belong_in_the_store(office, archive):
    imported(office, archive, row("2012/one.wav"))
    (audio,) = (office.config.agent.data_dir / "imported").rglob("audio.enc")
    shutil.copytree(audio.parent, office.config.store.path / "objects" / audio.parent.parent.name / audio.parent.name)

    found = office.callrec("audit", "verify")

    assert found.exit_code == 30
    assert "is stored, and no entry sealed it" in found.output


def test_it_is_handed_over_on_a_shelf_of_its_own_there_too(office, archive):
    office.record()
    imported(office, archive, row("2012/one.wav"))
    out = office.folder / "out"

    assert "2 recordings" in office.runs("guardian", "handover", "export", "-o", out)

    assert len(list((out / "imported").rglob("audio.enc"))) == len(list((out / "store").rglob("audio.enc"))) == 1
    checked = office.callrec("handover", "check", out, configured=False)
    assert checked.exit_code == 0, checked.output
    next((out / "imported").rglob("audio.enc")).unlink()
    copies = ("--ledger", out / "ledger.db", "--store", out / "store")
    assert office.callrec("audit", "verify", *copies, configured=False).exit_code == 0
    assert office.callrec("audit", "verify", *copies, "--imported", out / "imported", configured=False).exit_code == 30


# ---------------------------------------------------------------- the rule itself


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("use", [*Purpose, *LastUse])
def test_without_evidence_nothing_but_its_end_and_a_hold_open_it(role, use):
    why = why_not(Standing.NO_EVIDENCE, frozenset(Purpose), use, role=role, held=True)

    assert (why == "") == (use in LastUse and role in (Role.GUARDIAN, Role.MEDICO_LEGAL))


def test_a_notice_that_was_found_allows_what_it_names_to_who_may_and_nothing_else():
    named = frozenset({Purpose.AUDIT})

    assert why_not(Standing.NOTICE_FOUND, named, Purpose.AUDIT, role=Role.AUDITOR, held=False) == ""
    assert why_not(Standing.NOTICE_FOUND, named, Purpose.AUDIT, role=Role.TRAINER, held=False)
    assert why_not(Standing.NOTICE_FOUND, named, Purpose.TRAINING, role=Role.TRAINER, held=False)
    assert why_not(Standing.NOTICE_FOUND, named, LastUse.LEGAL_HOLD, role=Role.GUARDIAN, held=False)
