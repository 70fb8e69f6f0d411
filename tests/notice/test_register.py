from dataclasses import replace
from datetime import UTC, datetime

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from callrec._canonical import sha256_hex
from callrec.core.bodies import missing_fields
from callrec.core.kinds import Kind
from callrec.core.reasons import Reason
from callrec.errors import ConfigError, Refused, Unavailable
from callrec.notice.approval import (
    NewPrompt,
    add,
    approve,
    check,
    install_samples,
    retire,
)
from callrec.notice.audio import wav_of
from callrec.notice.manifest import Status, dump_manifest, parse_manifest
from callrec.notice.mask import mask_from_hex, mask_to_hex
from callrec.notice.quality import speech_mask
from callrec.notice.register import ApprovedPrompt, Register, Unusable
from tests.notice.spoken import ENGLISH, PROMPTS, WELSH, pcm, samples, tone

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SHIPPED = Register.load(PROMPTS)
E4 = SHIPPED.find("advice-line.en")


def a_prompt(file, **changes) -> NewPrompt:
    new = NewPrompt(
        id="advice-line",
        language="en",
        file=file,
        text=E4.text,
        purposes=E4.purposes,
        keys=E4.keys,
        explains=E4.explains,
    )
    return replace(new, **changes)


@pytest.fixture
def installed(tmp_path, books):
    return install_samples(PROMPTS, tmp_path / "var", books.append, NOW)


def why(found) -> Reason:
    assert isinstance(found, Unusable)
    assert found.what
    assert found.next_step
    return found.reason


# ---------------------------------------------------------------- choosing


def test_an_installed_sample_is_played_from_the_very_bytes_that_were_hashed(installed) -> None:
    found = installed.choose("advice-line", "en", NOW)

    assert isinstance(found, ApprovedPrompt)
    assert found.pcm == ENGLISH
    assert sha256_hex(found.pcm) == found.record.pcm_sha256


def test_the_evidence_knows_the_prompt_by_what_will_be_played(installed) -> None:
    facts = installed.choose("advice-line", "en", NOW).facts("default")

    assert (facts.pcm_sha256, facts.samples) == (sha256_hex(ENGLISH), len(ENGLISH) // 2)
    assert (facts.prompt_id, facts.version, facts.language, facts.language_source) == (
        "advice-line",
        1,
        "en",
        "default",
    )
    assert facts.approved
    assert facts.effective
    assert facts.sample
    assert facts.names_keys == ("2", "3")
    assert facts.purposes == ("audit", "medico-legal", "training")
    assert int(facts.approval_leaf, 16) > 0


def test_the_welsh_draft_names_the_record_of_advice_and_declining_alone(installed) -> None:
    found = installed.choose("advice-line", "cy", NOW)

    assert found.pcm == WELSH
    assert found.facts("header").purposes == ("medico-legal",)
    assert found.facts("header").names_keys == ("2",)
    assert "translator" in found.record.note


@pytest.mark.parametrize("language", ["en", "cy"])
def test_the_stop_announcement_is_there_in_each_language(installed, language) -> None:
    assert isinstance(installed.choose("recording-stopped", language, NOW), ApprovedPrompt)


def test_a_shipped_sample_is_not_approved_until_it_is_installed() -> None:
    assert why(SHIPPED.choose("advice-line", "en", NOW)) is Reason.NOTICE_UNAPPROVED


@pytest.mark.parametrize(("prompt_id", "language"), [("advice", "en"), ("advice-line", "pl")])
def test_a_prompt_that_nobody_added_is_missing(installed, prompt_id, language) -> None:
    assert why(installed.choose(prompt_id, language, NOW)) is Reason.NOTICE_MISSING


def test_a_file_that_is_gone_is_missing(installed) -> None:
    (installed.folder / E4.file).unlink()

    assert why(installed.choose("advice-line", "en", NOW)) is Reason.NOTICE_MISSING


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[:-1],
        lambda data: data[:5000] + bytes([data[5000] ^ 1]) + data[5001:],
        lambda _: wav_of(WELSH),
        lambda _: wav_of(ENGLISH + bytes(320)),
        lambda _: b"",
        lambda _: b"not audio",
    ],
    ids=["cut", "one bit", "swapped", "longer", "empty", "not audio"],
)
def test_altered_bytes_are_refused_though_the_register_was_loaded_before(installed, spoil) -> None:
    path = installed.folder / E4.file
    path.write_bytes(spoil(path.read_bytes()))

    assert why(installed.choose("advice-line", "en", NOW)) is Reason.NOTICE_ALTERED


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Press 2 to say no", "Press 2 to say yes"),
        ("'2': decline\n", "'2': repeat\n"),
        ("training: train our staff", "training: You get the same help"),
        ("samples: 153440", "samples: 153441"),
        ("essential_ms: 19180", "essential_ms: 1"),
    ],
)
def test_words_edited_after_their_approval_are_not_approved_any_more(installed, old, new) -> None:
    path = installed.folder / "manifest.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")

    assert why(Register.load(installed.folder).choose("advice-line", "en", NOW)) is Reason.NOTICE_UNAPPROVED


@pytest.mark.parametrize(
    ("at", "works"),
    [
        (datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC), False),
        (datetime(2026, 12, 1, tzinfo=UTC), True),
        (datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC), True),
        (datetime(2027, 1, 1, tzinfo=UTC), False),
    ],
)
def test_outside_its_dates_a_prompt_is_not_used(tmp_path, books, english, at, works) -> None:
    dates = {"effective_from": datetime(2026, 12, 1, tzinfo=UTC), "effective_to": datetime(2027, 1, 1, tzinfo=UTC)}
    add(tmp_path, a_prompt(english, **dates))
    approve(tmp_path, "advice-line", by="ig-lead", now=NOW, append=books.append)

    found = Register.load(tmp_path).choose("advice-line", "en", at)

    assert isinstance(found, ApprovedPrompt) if works else why(found) is Reason.NOTICE_UNAPPROVED


# ---------------------------------------------------------------- adding


def test_what_is_added_is_a_draft_and_not_played(tmp_path, english) -> None:
    record = add(tmp_path, a_prompt(english))

    assert (record.status, record.name) == (Status.DRAFT, "advice-line.en.1")
    assert why(Register.load(tmp_path).choose("advice-line", "en", NOW)) is Reason.NOTICE_UNAPPROVED


def test_a_change_is_a_new_version_and_the_old_one_serves_until_it_is_approved(tmp_path, books, english) -> None:
    add(tmp_path, a_prompt(english))
    approve(tmp_path, "advice-line", by="ig-lead", now=NOW, append=books.append)
    add(tmp_path, a_prompt(english))

    before = Register.load(tmp_path).choose("advice-line", "en", NOW)
    approve(tmp_path, "advice-line", by="ig-lead", now=NOW, append=books.append)
    after = Register.load(tmp_path).choose("advice-line", "en", NOW)

    assert (before.record.version, after.record.version) == (1, 2)


def test_everything_wrong_is_said_at_once_and_nothing_is_written(tmp_path) -> None:
    path = tmp_path / "bad.wav"
    path.write_bytes(wav_of(pcm(tone(seconds=8))))

    with pytest.raises(Refused) as caught:
        add(tmp_path / "register", a_prompt(path, keys={}, purposes={}))

    for words in ("level varies", "flatness", "names no purpose", "text names 2"):
        assert words in str(caught.value)
    assert not (tmp_path / "register").exists()


def test_two_languages_with_the_same_audio_are_refused(tmp_path, english) -> None:
    add(tmp_path, a_prompt(english))

    with pytest.raises(Refused, match="two languages cannot sound alike"):
        add(tmp_path, a_prompt(english, language="cy"))


def test_a_manifest_with_two_languages_alike_does_not_load(shipped) -> None:
    records = Register.load(shipped).records
    alike = [replace(each, pcm_sha256=E4.pcm_sha256) if each.language == "cy" else each for each in records]
    (shipped / "manifest.yaml").write_bytes(dump_manifest(tuple(alike)))

    with pytest.raises(ConfigError, match=r"advice-line\.cy\.1 and advice-line\.en\.1 are two languages"):
        Register.load(shipped)


@pytest.mark.parametrize("name", ["", "../etc", "Advice Line", "a" * 41, "-x", "x/y", "läuft"])
def test_an_id_that_would_be_a_strange_file_name_is_refused(tmp_path, english, name) -> None:
    with pytest.raises(ConfigError, match="id: expected"):
        add(tmp_path, a_prompt(english, id=name))


# ---------------------------------------------------------------- approving


def test_approval_is_a_ledger_entry_that_names_exactly_these_bytes_and_words(tmp_path, books, english) -> None:
    add(tmp_path, a_prompt(english))
    record = approve(tmp_path, "advice-line.en", by="ig-lead", now=NOW, append=books.append)

    (entry,) = books.entries
    assert entry.kind is Kind.PROMPT_APPROVED
    assert missing_fields(entry.kind, entry.body) == ()
    assert entry.body["pcm_sha256"] == sha256_hex(ENGLISH)
    assert entry.body["text_sha256"] == sha256_hex(E4.text.encode())
    assert entry.body["by"] == entry.actor == "ig-lead"
    assert record.approved.leaf == f"{1:064x}"
    assert Register.load(tmp_path).records == (record,)


def test_without_the_ledger_there_is_no_approval(tmp_path, english) -> None:
    def hangs(_entry) -> str:
        raise Unavailable("the ledger does not answer")

    add(tmp_path, a_prompt(english))

    with pytest.raises(Unavailable):
        approve(tmp_path, "advice-line", by="ig-lead", now=NOW, append=hangs)

    assert Register.load(tmp_path).find("advice-line").status is Status.DRAFT


def test_a_draft_whose_file_was_swapped_is_not_approved(tmp_path, books, english) -> None:
    record = add(tmp_path, a_prompt(english))
    (tmp_path / record.file).write_bytes(wav_of(WELSH))

    with pytest.raises(Refused, match="not the audio that was registered"):
        approve(tmp_path, "advice-line", by="ig-lead", now=NOW, append=books.append)

    assert books.entries == []


def test_what_was_approved_cannot_be_approved_again(installed, books) -> None:
    with pytest.raises(ConfigError, match="there is no draft prompt"):
        approve(installed.folder, "advice-line.en", by="ig-lead", now=NOW, append=books.append)


def test_a_persons_name_is_kept_out_of_the_ledger(tmp_path, books, english) -> None:
    add(tmp_path, a_prompt(english))

    with pytest.raises(ConfigError, match="--by: expected small letters"):
        approve(tmp_path, "advice-line", by="Dr Jane Example", now=NOW, append=books.append)

    assert books.entries == []


def test_a_name_that_means_two_drafts_lists_them(tmp_path, books, english) -> None:
    add(tmp_path, a_prompt(english))
    add(tmp_path, a_prompt(english))

    with pytest.raises(ConfigError, match=r"advice-line\.en\.1, advice-line\.en\.2"):
        approve(tmp_path, "advice-line", by="ig-lead", now=NOW, append=books.append)


def test_a_retired_prompt_is_not_played_and_its_audio_stays(installed, books) -> None:
    record = retire(installed.folder, "advice-line.en", by="ig-lead", why="replaced", append=books.append)

    assert books.entries[-1].kind is Kind.PROMPT_RETIRED
    assert missing_fields(Kind.PROMPT_RETIRED, books.entries[-1].body) == ()
    assert (installed.folder / record.file).exists()
    assert why(Register.load(installed.folder).choose("advice-line", "en", NOW)) is Reason.NOTICE_UNAPPROVED


# ---------------------------------------------------------------- samples


def test_installing_the_samples_approves_each_in_the_ledger(installed, books) -> None:
    assert [entry.kind for entry in books.entries] == [Kind.PROMPT_APPROVED] * 8
    assert {entry.body["by"] for entry in books.entries} == {"sample"}
    assert all(entry.body["sample"] for entry in books.entries)


def test_installing_twice_leaves_what_is_there(installed, books, tmp_path) -> None:
    retire(installed.folder, "advice-line.cy", by="ig-lead", why="replaced", append=books.append)
    count = len(books.entries)

    again = install_samples(PROMPTS, tmp_path / "var", books.append, NOW)

    assert len(books.entries) == count
    assert again.find("advice-line.cy").status is Status.RETIRED


def test_damaged_samples_are_not_installed(shipped, tmp_path, books) -> None:
    (shipped / E4.file).write_bytes(wav_of(WELSH))

    with pytest.raises(ConfigError, match="not the audio that was registered"):
        install_samples(shipped, tmp_path / "var", books.append, NOW)

    assert books.entries == []
    assert not (tmp_path / "var" / "prompts" / "manifest.yaml").exists()


def test_the_shipped_register_is_in_order() -> None:
    assert check(PROMPTS) == ()


def test_the_register_says_that_samples_are_samples_and_what_welsh_leaves_out() -> None:
    remarks = "\n".join(SHIPPED.remarks())

    assert "advice-line.en.1 is our sample" in remarks
    assert "advice-line.cy.1 does not name audit, training" in remarks


def test_check_names_the_prompt_that_is_not_in_order(shipped) -> None:
    (shipped / E4.file).write_bytes(wav_of(pcm(samples(ENGLISH) / 2)))

    (fault,) = check(shipped)

    assert fault.startswith("advice-line.en.1")


# ---------------------------------------------------------------- the manifest

RAW = yaml.safe_load((PROMPTS / "manifest.yaml").read_text(encoding="utf-8"))["prompts"][0]


def manifest_with(**changes) -> bytes:
    return yaml.safe_dump({"prompts": [{**RAW, **changes}]}).encode()


def test_the_manifest_reads_back_as_it_was_written(installed) -> None:
    assert parse_manifest(dump_manifest(installed.records), at="m") == installed.records


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"langauge": "en"}, r"prompts\[0\]: unknown key 'langauge'; known keys are approved, asks, effective_from"),
        ({"version": 0}, r"prompts\[0\]\.version: expected a whole number"),
        ({"version": True}, r"version: expected a whole number"),
        ({"file": "../secret.wav"}, r"file: expected the name of a file"),
        ({"file": "/etc/passwd"}, r"file: expected the name of a file"),
        ({"status": "aproved"}, r"status: 'aproved' is none of draft, sample, approved, retired"),
        ({"purposes": {"marketing": "sell"}}, r"purposes: 'marketing' is not offered"),
        ({"purposes": ["audit"]}, r"purposes: expected keys and values"),
        ({"keys": {"9": "decline"}}, r"keys: unknown key '9'"),
        ({"keys": {2: "decline"}}, r"keys: unknown key 2"),
        ({"keys": {"2": "no"}}, r"keys\.2: 'no' is none of decline"),
        ({"keys": {"2": ["decline"]}}, r"keys\.2"),
        ({"explains": {"why": "x"}}, r"explains: unknown key 'why'"),
        ({"pcm_sha256": "abc"}, r"pcm_sha256: expected a SHA-256"),
        ({"sample": "yes"}, r"sample: expected true or false"),
        ({"approved": {"by": "x"}}, r"approved: at is missing"),
        ({"effective_from": "soon"}, r"effective_from: expected a date"),
        ({"effective_from": "2026-01-01T10:00:00"}, r"needs its time zone"),
        ({"text": 5}, r"text: expected words"),
    ],
)
def test_a_mistake_in_the_manifest_is_named_with_its_place(changes, message) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse_manifest(manifest_with(**changes), at="prompts/manifest.yaml")

    assert str(caught.value).startswith("prompts/manifest.yaml: prompts[0]")


@pytest.mark.parametrize("key", ["id", "language", "text", "pcm_sha256", "status", "sample"])
def test_a_missing_key_is_named(key) -> None:
    raw = {name: value for name, value in RAW.items() if name != key}

    with pytest.raises(ConfigError, match=f"{key} is missing"):
        parse_manifest(yaml.safe_dump({"prompts": [raw]}).encode(), at="m")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"prompts: []\nprompts: []\n", "'prompts' stands here twice"),
        (b"prompts: [&a {x: 1}, *a]\n", "references"),
        (b"prompts: {\n", "is not YAML"),
        (b"\xff\xfe\x00", "is not YAML"),
        (b"", "expected keys and values"),
        (b"prompts: 3\n", "expected a list"),
        (b"promts: []\n", "unknown key 'promts'; known keys are approvers, prompts"),
        (b"prompts: !!python/object:os.system {}\n", "is not YAML"),
        (b"? [a, b]\n: 1\n", "a key is a single word"),
        (b"prompts: !!bool maybe\n", "is not YAML"),
        (b"prompts: !!int x\n", "is not YAML"),
        (b"prompts: " + b"[" * 5000, "is not YAML"),
    ],
)
def test_what_is_no_manifest_is_refused_in_one_sentence(data, message) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_manifest(data, at="m")


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_whatever_stands_in_the_manifest_it_is_records_or_a_sentence(junk) -> None:
    for data in (junk, b"prompts: " + junk, b"prompts:\n- " + junk):
        assert refused(data) or isinstance(parse_manifest(data, at="m"), tuple)


def refused(data: bytes) -> str:
    try:
        parse_manifest(data, at="m")
    except ConfigError as error:
        return str(error)
    return ""


def test_a_register_that_is_not_there_says_how_to_make_one(tmp_path) -> None:
    with pytest.raises(ConfigError, match="does not exist") as caught:
        Register.load(tmp_path)

    assert "callrec init" in caught.value.next_step


def test_one_prompt_cannot_stand_there_twice(shipped) -> None:
    records = Register.load(shipped).records
    (shipped / "manifest.yaml").write_bytes(dump_manifest((*records, records[0])))

    with pytest.raises(ConfigError, match=r"advice-line\.en\.1 stands there twice"):
        Register.load(shipped)


# ---------------------------------------------------------------- the speech mask


def test_the_speech_mask_of_approval_comes_back_from_the_register() -> None:
    mask = mask_from_hex(E4.speech, E4.samples // 160)

    assert mask.tolist() == speech_mask(ENGLISH).tolist()


@given(st.lists(st.booleans(), max_size=50))
def test_a_speech_mask_survives_being_written_down(bits) -> None:
    import numpy as np  # noqa: PLC0415 - only here

    mask = np.array(bits, bool)

    assert mask_from_hex(mask_to_hex(mask), len(bits)).tolist() == bits


def test_a_speech_mask_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="not for a prompt"):
        mask_from_hex("ffff", 5)
