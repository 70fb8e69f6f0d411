"""A prompt from draft to retired, between two sites, and looked for in recordings: by the commands people type."""

import io
import json
import re
import shutil
import zipfile
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from callrec._canonical import canonical
from callrec.agent.clock import SystemClock
from callrec.cli.prompts import prompts
from callrec.core.kinds import Kind
from callrec.core.reasons import Reason
from callrec.core.retention import Nation
from callrec.errors import Broken, CallrecError, ConfigError, Refused
from callrec.notice import exchange, signing
from callrec.notice.announcements import Announcements
from callrec.notice.audio import wav_of
from callrec.notice.register import ApprovedPrompt, Register, Unusable
from tests.notice.conftest import Books
from tests.notice.spoken import ENGLISH, PROMPTS, STOPPED, WELSH, noise, pcm, samples, tone
from tests.notice.test_prompts_command import SCHEDULE, words_of

E4 = Register.load(PROMPTS).find("advice-line.en")
CY = Register.load(PROMPTS).find("advice-line.cy")


class Site:
    """A folder with a register, a ledger as a list, and the command line."""

    def __init__(self, folder) -> None:
        self.folder, self.books = folder, Books()
        retention = SimpleNamespace(rules=SCHEDULE, nation=Nation.ENGLAND)
        config = SimpleNamespace(retention=retention)
        self.prompts_dir, self.append, self.config = folder / "prompts", self.books.append, config
        self.status = 0

    def __call__(self, *words) -> str:
        result = CliRunner().invoke(prompts, [str(word) for word in words], obj=self)
        if isinstance(result.exception, CallrecError):
            raise result.exception
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        self.status = result.exit_code
        return result.output

    def chosen(self, language="en", at=None):
        return Register.load(self.prompts_dir).choose("advice-line", language, at or datetime.now(UTC))

    def signed_prompt(self, record=E4) -> None:
        self(*words_of(record, PROMPTS / record.file))
        self("approve", f"{record.id}.{record.language}", "--by", "ig-lead", "--key", self.folder / "lead.key")

    def kinds(self) -> list[Kind]:
        return [entry.kind for entry in self.books.entries]


@pytest.fixture
def site(tmp_path) -> Site:
    found = Site(tmp_path / "here")
    found.folder.mkdir()
    found.public = re.search(r"[0-9a-f]{64}", found("key", "ig-lead", "-o", found.folder / "lead.key"))[0]
    return found


@pytest.fixture
def other(tmp_path) -> Site:
    found = Site(tmp_path / "there")
    found.folder.mkdir()
    return found


# ---------------------------------------------------------------- signing


def test_an_approval_is_signed_by_the_approvers_own_key_and_the_ledger_has_it(site) -> None:
    site.signed_prompt()
    found = site.chosen()
    (entry,) = site.books.entries

    assert isinstance(found, ApprovedPrompt)
    said = {name: value for name, value in entry.body.items() if name != "signature"}
    assert signing.signed(site.public, entry.body["signature"], signing.APPROVAL, said)
    assert not signing.signed(site.public, entry.body["signature"], signing.BUNDLE, said)


def test_the_key_file_is_its_owners_alone_and_never_overwritten(site) -> None:
    path = site.folder / "lead.key"

    assert path.stat().st_mode & 0o777 == 0o400
    with pytest.raises(Refused, match="never overwritten"):
        site("key", "guardian", "-o", path)
    with pytest.raises(Refused, match="ig-lead has a key"):
        site("key", "ig-lead", "-o", site.folder / "second.key")
    path.chmod(0o444)
    with pytest.raises(ConfigError, match="can be read by others"):
        site.signed_prompt()


def test_nobody_approves_in_the_name_of_a_person_with_a_key(site) -> None:
    site(*words_of(E4, PROMPTS / E4.file))
    site("key", "guardian", "-o", site.folder / "guardian.key")

    with pytest.raises(Refused, match="ig-lead has a key"):
        site("approve", "advice-line", "--by", "ig-lead")
    with pytest.raises(Refused, match="is not the key that the register has of ig-lead"):
        site("approve", "advice-line", "--by", "ig-lead", "--key", site.folder / "guardian.key")
    (site.folder / "words.key").write_text("not a key", "utf-8")
    (site.folder / "words.key").chmod(0o400)
    with pytest.raises(ConfigError, match="not a readable private key"):
        site("approve", "advice-line", "--by", "ig-lead", "--key", site.folder / "words.key")
    assert site.books.entries == []


def test_somebody_without_a_key_is_told_that_nothing_is_signed(site) -> None:
    site(*words_of(E4, PROMPTS / E4.file))

    assert "not signed, because guardian has no key" in site("approve", "advice-line", "--by", "guardian")
    assert "approved by guardian without a signature" in site("check")
    with pytest.raises(Refused, match=r"guardian approved advice-line\.en\.1 without a key"):
        site("key", "guardian", "-o", site.folder / "guardian.key")


@pytest.mark.parametrize(
    ("pattern", "new"),
    [
        (r"\n    signature: \w+", ""),
        (r"(signature: )\w{8}", r"\g<1>12345678"),
        (r"(ig-lead: )'?\w+'?", r"\g<1>" + "'" + "0" * 64 + "'"),
        (r"approvers:\n  ig-lead: \S+\n", ""),
        (r"effective_from: \S+", "effective_from: '2020-01-01T00:00:00Z'"),
    ],
    ids=["no signature", "another signature", "another key", "no key", "other dates"],
)
def test_whatever_is_changed_about_a_signed_approval_it_does_not_count_any_more(site, pattern, new) -> None:
    site(*words_of(E4, PROMPTS / E4.file))
    site("approve", "advice-line", "--by", "ig-lead", "--key", site.folder / "lead.key", "--from", "now")
    path = site.prompts_dir / "manifest.yaml"
    text = path.read_text("utf-8")
    changed = re.sub(pattern, new, text, count=1)
    assert changed != text
    path.write_text(changed, "utf-8")

    found = site.chosen()

    assert isinstance(found, Unusable)
    assert found.reason is Reason.NOTICE_UNAPPROVED


# ---------------------------------------------------------------- in force and out of it


def test_an_approved_prompt_becomes_effective_on_its_day(site) -> None:
    site(*words_of(E4, PROMPTS / E4.file))
    said = site("approve", "advice-line", "--by", "ig-lead", "--key", site.folder / "lead.key", "--from", "2099-01-01")

    assert "in force from 2099-01-01 00:00 UTC" in said
    assert "approved, not in force today" in site("list")
    assert isinstance(site.chosen(), Unusable)
    assert isinstance(site.chosen(at=datetime(2099, 1, 1, tzinfo=UTC)), ApprovedPrompt)


def test_from_now_on_is_from_now_on(site) -> None:
    site(*words_of(E4, PROMPTS / E4.file))
    site("approve", "advice-line", "--by", "ig-lead", "--key", site.folder / "lead.key", "--from", "now")

    assert isinstance(site.chosen(), ApprovedPrompt)
    assert isinstance(site.chosen(at=datetime.now(UTC) - timedelta(days=1)), Unusable)
    assert json.loads(site("list", "--json"))[0]["effective"] is True


def test_the_earlier_version_comes_back_when_the_later_one_is_retired(site) -> None:
    site.signed_prompt()
    site.signed_prompt()
    assert site.chosen().record.version == 2

    said = site(
        "retire", "advice-line.en.2", "--by", "ig-lead", "--reason", "wrong-words", "--back-to", "advice-line.en.1"
    )

    assert "From now on advice-line.en.1 is played." in said
    assert site.chosen().record.version == 1
    body = site.books.entries[-1].body
    assert (site.kinds()[-1], body["why"], body["back_to"]) == (Kind.PROMPT_RETIRED, "wrong-words", "advice-line.en.1")


@pytest.mark.parametrize("named", ["advice-line.en.3", "advice-line.en.1", "advice-line.cy.1"])
def test_going_back_to_what_would_not_be_played_changes_nothing(site, named) -> None:
    for record in (E4, E4, E4, CY):
        site.signed_prompt(record)
    before = site.kinds()

    with pytest.raises(Refused, match="would be played once"):
        site("retire", "advice-line.en.3", "--by", "ig-lead", "--back-to", named)

    assert site.kinds() == before
    assert site.chosen().record.version == 3


def test_without_a_version_to_go_back_to_it_is_said_that_nothing_is_recorded(site) -> None:
    site.signed_prompt()

    with pytest.raises(Refused, match="cannot take over"):
        site("retire", "advice-line", "--by", "ig-lead", "--back-to", "advice-line.en.1")
    assert "calls go through unrecorded" in site("retire", "advice-line", "--by", "ig-lead")


def test_a_running_agent_says_no_announcement_that_was_retired(site) -> None:
    spoken = Register.load(PROMPTS).find("recording-stopped.en")
    running = Announcements(site.prompts_dir, SystemClock().utc)
    site(*words_of(spoken, PROMPTS / spoken.file), "--announcement")
    assert running.get("en") is None
    assert dict(running) == {}
    site("approve", "recording-stopped", "--by", "ig-lead", "--key", site.folder / "lead.key")
    assert running.get("en") == STOPPED
    site("retire", "recording-stopped", "--by", "ig-lead")

    assert running.get("en") is None


# ---------------------------------------------------------------- what is brought, and what it says


def written(path, data: bytes) -> None:
    path.write_bytes(data)


def at_44_khz(path) -> None:
    sound = samples(ENGLISH)
    wide = np.interp(np.arange(0, len(sound) - 1, 8000 / 44100), np.arange(len(sound)), sound)
    soundfile.write(path, wide / 32768, 44100, subtype="PCM_16")


BRINGING = {
    "truncated": lambda path: written(path, wav_of(ENGLISH)[:-1000]),
    "renamed text": lambda path: written(path, b"these are words, not sound\n" * 50),
    "empty": lambda path: written(path, b""),
    "one hour": lambda path: soundfile.write(path, np.zeros(3600 * 8000, np.int16), 8000),
    "gone": lambda path: None,
    "stereo": lambda path: soundfile.write(path, np.stack([samples(ENGLISH)] * 2, axis=1) / 32768, 8000),
    "44.1 kHz": at_44_khz,
    "MP3 named WAV": lambda path: soundfile.write(path, samples(ENGLISH) / 32768, 8000, format="MP3"),
}


def brought(kind: str, folder):
    BRINGING[kind](folder / "notice.wav")
    return folder / "notice.wav"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("truncated", "cut short"),
        ("renamed text", "not audio"),
        ("empty", "is empty"),
        ("one hour", "lasts 3600 seconds"),
        ("gone", "does not exist"),
    ],
)
def test_a_file_that_is_no_good_is_told_in_a_sentence_with_what_to_do(site, kind, words) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        site(*words_of(E4, brought(kind, site.folder)))

    assert caught.value.next_step


@pytest.mark.parametrize("kind", ["stereo", "44.1 kHz", "MP3 named WAV"])
def test_any_audio_that_can_be_read_is_made_into_a_prompt(site, kind) -> None:
    assert "Added advice-line.en.1 as a draft: 19" in site(*words_of(E4, brought(kind, site.folder)))


@pytest.mark.parametrize(
    ("sentence", "fault"),
    [
        ("We keep it for eight years.", ""),
        ("We store it eight years, copies six months.", ""),
        ("We are open seven days a week.", ""),
        ("We keep it for five years.", "'five years'"),
        ("It is deleted after thirty days.", "'thirty days'"),
        ("Rydym yn cadw hwn am bedair neu pum mlynedd.", "'pum mlynedd'"),
    ],
)
def test_a_period_that_is_spoken_is_the_schedules(site, sentence, fault) -> None:
    shorter = E4.text.replace("In an emergency, hang up and call 999. ", "")
    words = [f"{shorter} {sentence}" if word == E4.text else word for word in words_of(E4, PROMPTS / E4.file)]

    if not fault:
        assert "Added" in site(*words)
        return
    with pytest.raises(Refused, match=f"the text says {fault} of keeping") as caught:
        site(*words)
    assert "training 6 months" in str(caught.value)


# ---------------------------------------------------------------- two sites


def exported(site: Site) -> bytes:
    path = site.folder / f"bundle-{len(list(site.folder.iterdir()))}.zip"
    site("export", path, "--by", "ig-lead", "--key", site.folder / "lead.key")
    return path.read_bytes()


def take_in(other: Site, data: bytes, trust: str) -> str:
    path = other.folder / "bundle.zip"
    path.write_bytes(data)
    return other("import", path, "--by", "night-lead", "--trust", trust)


def test_two_sites_have_one_register(site, other) -> None:
    site.signed_prompt()
    site.signed_prompt(CY)

    said = take_in(other, exported(site), site.public)

    assert "Added advice-line.en.1, advice-line.cy.1; retired nothing." in said
    assert other.chosen().pcm == ENGLISH
    assert other.kinds() == [Kind.PROMPT_APPROVED] * 2
    assert {entry.body["by"] for entry in other.books.entries} == {"ig-lead"}
    assert {entry.actor for entry in other.books.entries} == {"night-lead"}


def test_what_is_new_is_added_what_is_retired_there_is_retired_here_and_twice_is_once(site, other) -> None:
    site.signed_prompt()
    take_in(other, exported(site), site.public)
    site.signed_prompt()
    site("retire", "advice-line.en.1", "--by", "ig-lead")
    data = exported(site)

    assert "Added advice-line.en.2; retired advice-line.en.1." in take_in(other, data, "ig-lead")
    assert "Added nothing; retired nothing." in take_in(other, data, "ig-lead")
    assert other.chosen().record.version == 2


def test_an_effective_prompt_is_never_overwritten(site, other) -> None:
    site.signed_prompt()
    other(*words_of(E4, PROMPTS / E4.file))
    other("approve", "advice-line", "--by", "night-lead")
    before = (other.prompts_dir / "manifest.yaml").read_bytes()

    with pytest.raises(Refused, match="stands in this register with other words, audio or approval"):
        take_in(other, exported(site), site.public)

    assert (other.prompts_dir / "manifest.yaml").read_bytes() == before


def test_a_person_has_one_key_on_every_site(site, other) -> None:
    site.signed_prompt()
    other("key", "ig-lead", "-o", other.folder / "lead.key")

    with pytest.raises(Refused, match="another key of ig-lead"):
        take_in(other, exported(site), site.public)


def test_only_the_key_that_is_trusted_counts(site, other) -> None:
    site.signed_prompt()

    with pytest.raises(Broken, match="not signed by the key that is trusted"):
        take_in(other, exported(site), "0" * 64)
    other("key", "guardian", "-o", other.folder / "guardian.key")
    with pytest.raises(ConfigError, match="has no key of nobody"):
        take_in(other, exported(site), "nobody")


def repacked(data: bytes, **changes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as bundle:
        files = {name: bundle.read(name) for name in bundle.namelist()}
    files |= {name.replace("__", "."): value for name, value in changes.items()}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, value in files.items():
            if value is not None:
                bundle.writestr(name, value)
    return out.getvalue()


SPOILED = {
    "other audio": lambda data: repacked(data, **{E4.file: wav_of(WELSH)}),
    "audio missing": lambda data: repacked(data, **{E4.file: None}),
    "signature missing": lambda data: repacked(data, signature=None),
    "register missing": lambda data: repacked(data, register__json=None),
    "register changed": lambda data: repacked(data, register__json=canonical({"prompts": [], "approvers": {}})),
    "register not a number": lambda data: repacked(data, register__json=b'{"prompts": NaN}'),
    "a path": lambda data: repacked(data, **{"../../evil.wav": b"x"}),
    "a bomb": lambda data: repacked(data, bomb=bytes(3_000_000)),
    "cut short": lambda data: data[: len(data) // 2],
    "empty": lambda _: b"",
    "no zip": lambda _: b"PK\x03\x04 and nothing",
}


@pytest.mark.parametrize("kind", SPOILED)
def test_a_bundle_that_does_not_verify_is_refused_whole(site, other, kind) -> None:
    site.signed_prompt()

    with pytest.raises(Broken, match="bundle"):
        take_in(other, SPOILED[kind](exported(site)), site.public)

    assert not other.prompts_dir.exists()
    assert other.books.entries == []


def test_no_changed_byte_makes_a_bundle_say_something_else(site, other) -> None:
    site.signed_prompt()
    data, seen = exported(site), []

    @settings(max_examples=150)
    @given(st.integers(0, len(data) - 1), st.integers(1, 255))
    def spoil(at, by) -> None:
        changed = data[:at] + bytes([data[at] ^ by]) + data[at + 1 :]
        try:
            exchange.take_in(other.folder / "p", changed, trusted=site.public, actor="x", append=other.append)
        except (Broken, Refused):
            return
        found = Register.load(other.folder / "p").choose("advice-line", "en", datetime.now(UTC))
        seen.append(found.pcm == ENGLISH and found.record.text == E4.text)
        shutil.rmtree(other.folder / "p")

    spoil()

    assert all(seen)


def test_nothing_that_is_unsigned_leaves(site) -> None:
    site(*words_of(E4, PROMPTS / E4.file))

    with pytest.raises(Refused, match="no prompt was approved with a signature"):
        exported(site)


# ---------------------------------------------------------------- find


@pytest.fixture
def archive(site):
    site.signed_prompt()
    site.signed_prompt(CY)

    def write(name: str, *parts, rate: int = 8000, **how):
        path = site.folder / name
        soundfile.write(path, np.clip(np.concatenate(parts) / 32768, -1, 1), rate, **how)
        return path

    return write


def quiet(seconds: float) -> np.ndarray:
    return noise(seconds=seconds, level=30)


def test_where_each_notice_is_in_a_recording_is_told(site, archive) -> None:
    talk = archive("talk.wav", quiet(7), samples(ENGLISH), quiet(71.5), samples(WELSH) / 2, quiet(3))

    (found,) = json.loads(site("find", talk, "--json"))

    assert [(place["prompt"], place["whole"]) for place in found["places"]] == [
        ("advice-line.en.1", True),
        ("advice-line.cy.1", True),
    ]
    assert [place["at_s"] for place in found["places"]] == pytest.approx(
        [7, 7 + len(ENGLISH) / 16000 + 71.5], abs=0.001
    )
    assert site.status == 0


def test_a_recording_without_it_or_with_half_of_it_is_told_and_the_status_is_1(site, archive) -> None:
    whole = archive("whole.wav", quiet(1), samples(ENGLISH))
    half = archive("half.wav", quiet(1), samples(ENGLISH)[: len(ENGLISH) * 2 // 5], quiet(5))
    none = archive("none.wav", tone(seconds=9), quiet(9))

    said = site("find", whole, half, none)

    assert "whole.wav: advice-line.en.1 at 0:01.000, channel 1: whole, 100.0% of its speech" in said
    assert re.search(r"half.wav: advice-line.en.1 at 0:01.*NOT whole: .*of its speech was there", said)
    assert "none.wav: none of the approved notices is in it" in said
    assert site.status == 1


def test_a_recording_of_two_channels_at_another_rate_is_searched_on_each(site, archive) -> None:
    line = np.repeat(np.concatenate([quiet(2), samples(ENGLISH), quiet(2)]), 2)
    both = archive("both.flac", np.stack([np.zeros(len(line)), line], axis=1), rate=16000)

    (found,) = json.loads(site("find", both, "--json"))

    assert [(place["channel"], place["whole"]) for place in found["places"]] == [(2, True)]


def test_what_came_through_a_lossy_codec_is_called_so(site, archive) -> None:
    gsm = archive("old.wav", quiet(2), samples(ENGLISH), quiet(2), subtype="GSM610")

    assert "after a lossy codec" in site("find", gsm)


@pytest.mark.parametrize("kind", ["truncated", "renamed text", "empty", "gone"])
def test_a_recording_that_cannot_be_searched_gets_a_sentence_and_the_others_are_searched(site, archive, kind) -> None:
    bad, good = brought(kind, site.folder), archive("good.wav", quiet(1), samples(ENGLISH))

    said = site("find", bad, good)

    assert "notice.wav: cannot be searched: " in said
    assert "good.wav: advice-line.en.1" in said
    assert site.status == 1


def test_a_retired_notice_is_still_found_because_recordings_are_older(site, archive) -> None:
    site("retire", "advice-line.en", "--by", "ig-lead")

    assert "advice-line.en.1 at 0:01.000" in site("find", archive("old.wav", quiet(1), samples(ENGLISH)))


def test_a_register_without_an_approved_notice_says_what_to_do(other, archive) -> None:
    other(*words_of(E4, PROMPTS / E4.file))

    with pytest.raises(Refused, match="no approved notice to look for"):
        other("find", archive("any.wav", quiet(5)))


@settings(max_examples=3)
@given(st.binary(min_size=1, max_size=300))
def test_whatever_a_file_holds_it_is_searched_or_gets_a_sentence(tmp_path_factory, junk) -> None:
    here = Site(tmp_path_factory.mktemp("any"))
    here("key", "ig-lead", "-o", here.folder / "lead.key")
    here.signed_prompt()
    (here.folder / "any.wav").write_bytes(wav_of(pcm(quiet(1)))[:44] + junk)

    (found,) = json.loads(here("find", here.folder / "any.wav", "--json"))

    assert found["error"] or found["places"] == []
