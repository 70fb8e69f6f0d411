import json
import re
import shutil
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from callrec.cli.prompts import prompts
from callrec.core.kinds import Kind
from callrec.core.retention import Nation
from callrec.errors import ConfigError, Refused
from callrec.notice.audio import wav_of
from callrec.notice.manifest import PromptKind
from callrec.notice.register import Register
from tests.notice.asking import QUESTION, SPEAKS
from tests.notice.spoken import PROMPTS
from tests.notice.test_quality import PAUSE, WORD, seconds
from tests.notice.test_wording import ESSENTIAL, SAYS, SKIPPABLE

SCHEDULE = PROMPTS.parent / "config" / "retention.yaml"
PAUSE_S, WORD_S = round(seconds(PAUSE), 2), round(seconds(WORD), 2)
E4 = Register.load(PROMPTS).find("advice-line.en")


@pytest.fixture
def desk(tmp_path, books):
    retention = SimpleNamespace(rules=SCHEDULE, nation=Nation.ENGLAND)
    config = SimpleNamespace(retention=retention)
    return SimpleNamespace(prompts_dir=tmp_path / "prompts", append=books.append, entries=books.entries, config=config)


@pytest.fixture
def call(desk):
    def run(*words: str) -> str:
        result = CliRunner().invoke(prompts, list(words), obj=desk)
        if isinstance(result.exception, ConfigError | Refused):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.output

    return run


def words_of(record, file) -> list[str]:
    return [
        "add",
        str(file),
        *("--id", record.id, "--lang", record.language, "--text", record.text),
        *[word for purpose, phrase in record.purposes.items() for word in ("--purposes", f"{purpose.value}={phrase}")],
        *[word for key, meaning in record.keys.items() for word in ("--key", f"{key}={meaning}")],
        *[word for name, phrase in record.explains.items() for word in ("--explains", f"{name}={phrase}")],
    ]


def test_a_prompt_is_added_approved_listed_and_retired(call, desk, english) -> None:
    assert "callrec prompts approve advice-line.en.1 --by PERSON --key FILE --from now" in call(*words_of(E4, english))
    assert "advice-line.en.1: draft; notice, 19.2 s; medico-legal, audit, training" in call("list")
    assert "Approved advice-line.en.1." in call("approve", "advice-line", "--by", "ig-lead")
    assert "advice-line.en.1: effective, approved by ig-lead" in call("list")
    assert "Retired advice-line.en.1." in call("retire", "advice-line", "--by", "ig-lead")
    assert [entry.kind for entry in desk.entries] == [Kind.PROMPT_APPROVED, Kind.PROMPT_RETIRED]


def test_the_list_as_json_says_what_the_register_says(call, english) -> None:
    call(*words_of(E4, english))
    call("approve", "advice-line", "--by", "ig-lead")

    (found,) = json.loads(call("list", "--json"))

    assert (found["name"], found["status"], found["pcm_sha256"]) == ("advice-line.en.1", "approved", E4.pcm_sha256)
    assert found["approved"]["by"] == "ig-lead"
    assert found["text"] == E4.text


def test_the_text_may_stand_in_a_file(call, english, tmp_path) -> None:
    (tmp_path / "text.txt").write_text(E4.text, encoding="utf-8")
    words = [f"@{tmp_path / 'text.txt'}" if word == E4.text else word for word in words_of(E4, english)]

    assert "Added" in call(*words)


def test_check_is_content_with_the_shipped_prompts_and_says_they_are_samples(call, desk) -> None:
    shutil.copytree(PROMPTS, desk.prompts_dir)

    said = call("check")

    assert f"All {len(Register.load(PROMPTS).records)} prompts are in order." in said
    assert "our sample, not your words: record your own" in said


def test_check_refuses_a_register_in_which_a_file_changed(call, desk) -> None:
    shutil.copytree(PROMPTS, desk.prompts_dir)
    (desk.prompts_dir / E4.file).write_bytes(wav_of(bytes(160000)))

    with pytest.raises(Refused, match="not the audio that was registered"):
        call("check")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--purposes", "marketing=to sell"], "'marketing' is not offered"),
        (["--purposes", "audit"], "expected NAME=value"),
        (["--key", "2=never"], "known meanings are acknowledge, agree, decline"),
        (["--key", "2=decline", "--key", "2=repeat"], "stands there twice"),
        (["--explains", "why=because"], "known are decline, more"),
        (["--from", "soon"], "--from: expected a date"),
        (["--text", "@nowhere.txt"], "cannot be read as text"),
    ],
)
def test_a_mistaken_option_is_named(call, english, words, message) -> None:
    with pytest.raises(ConfigError, match=message):
        call("add", str(english), "--id", "x", "--lang", "en", "--text", "Hello", *words)


def test_nine_is_refused_as_a_key_with_the_reason(call, english) -> None:
    with pytest.raises(Refused, match="999, which always means emergency"):
        call(*words_of(E4, english), "--key", "9=repeat")


def test_an_empty_register_says_how_to_begin(call, desk) -> None:
    desk.prompts_dir.mkdir()
    (desk.prompts_dir / "manifest.yaml").write_text("prompts: []\n", encoding="utf-8")

    assert "callrec prompts add" in call("list")


# ---------------------------------------------------------------- a part that no caller can skip


def skippable(file, *, essential=ESSENTIAL, until=PAUSE_S) -> list[str]:
    explains = [word for name, phrase in SAYS.items() for word in ("--explains", f"{name}={phrase}")]
    part = ["--essential", essential] if essential else []
    return [
        *("add", str(file), "--id", "skippable", "--lang", "en", "--text", SKIPPABLE),
        *("--purposes", "medico-legal=keep a record of our advice", "--purposes", "training=train our staff"),
        *("--key", "2=decline", "--key", "7=shorten", "--key", "0=repeat", *explains, *part),
        *(["--until", str(until)] if until else []),
    ]


def test_what_is_named_before_a_caller_can_skip_the_rest_is_registered(call, english) -> None:
    assert "Added skippable.en.1" in call(*skippable(english))

    (found,) = json.loads(call("list", "--json"))
    assert (found["essential_s"], found["essential_purposes"]) == (PAUSE_S, ["medico-legal"])
    assert "in order" in call("check")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"essential": ESSENTIAL.replace("Press 2 to say no, ", "")}, "does not begin with its essential words"),
        ({"essential": "This is the advice line."}, "its essential part names no purpose"),
        ({"essential": ""}, "say which words are, or take the key out"),
        ({"until": 0}, "essential words and the second by which they were spoken go together"),
        ({"until": WORD_S}, "choose a pause, such as"),
        ({"until": 60}, "ends at 60 s, and it lasts 19.2 s"),
    ],
)
def test_a_part_that_is_not_enough_or_ends_in_a_word_is_refused_and_nothing_is_added(
    call, desk, english, change, fault
) -> None:
    with pytest.raises(Refused, match=re.escape(fault)):
        call(*skippable(english, **change))

    assert not desk.prompts_dir.exists()


# ---------------------------------------------------------------- consent


def asking(file, *, text=QUESTION, without="", keys=("1=agree", "2=refuse")) -> list[str]:
    said = [f"{name}={phrase}" for name, phrase in SPEAKS.items() if name != without]
    return [
        "add",
        str(file),
        *("--id", "training-consent", "--lang", "en", "--text", text),
        *("--purposes", "medico-legal=record of our advice", "--asks", "training=for teaching our staff"),
        *[word for each in keys for word in ("--key", each)],
        *[word for each in said for word in ("--explains", each)],
    ]


def test_a_prompt_that_asks_for_consent_says_all_seven_things_and_the_schedules_period(call, desk, english) -> None:
    for name in SPEAKS:
        with pytest.raises(Refused, match=rf"\({name}\)"):
            call(*asking(english, without=name))
    with pytest.raises(Refused, match=r"training 1 years"):
        call(*asking(english, text=QUESTION.replace("twelve", "eighteen")))
    with pytest.raises(Refused, match="one key must mean refuse"):
        call(*asking(english, text=QUESTION.replace(", 2 for no", ""), keys=("1=agree",)))

    call(*asking(english))
    call("approve", "training-consent", "--by", "ig-lead")

    assert "consent, 19.2 s; medico-legal; asks for training" in call("list")
    (entry,) = desk.entries
    assert (entry.body["asks"], entry.body["purposes"], entry.body["kind"]) == (
        ["training"],
        ["medico-legal"],
        "consent",
    )


def test_what_asks_for_consent_is_no_notice_and_no_notice_asks(call, desk, english) -> None:
    call(*asking(english))
    call("approve", "training-consent", "--by", "ig-lead")
    register = Register.load(desk.prompts_dir)
    now = register.records[0].approved.at

    assert "there is no prompt" in register.choose("training-consent", "en", now).what
    found = register.choose("training-consent", "en", now, PromptKind.CONSENT)
    assert found.facts("line default").acknowledges == "1"
    assert found.facts("line default").purposes == ("medico-legal",)
    with pytest.raises(Refused, match="answers a question"):
        call(*(word.replace("2=decline", "2=agree") for word in words_of(E4, english)))
