"""Every command that prompts/README.md shows is tried, in the order in which it stands there."""

import re
import shlex
import shutil
from datetime import UTC, datetime

import pytest

from callrec.cli.root import root
from callrec.notice.register import ApprovedPrompt, Register
from tests.notice.spoken import PROMPTS
from tests.notice.test_prompt_life import Site

README = (PROMPTS / "README.md").read_text("utf-8")
WORDS = (
    "This is the Anytown advice line. In an emergency, hang up and call 999. We record calls to keep a record of our "
    "advice and to check our standards. Press 2 to say no. You get the same help. Details: anytown.example slash calls."
)
ELSEWHERE = ("agent reload", "recordings list")
"""Tried where an agent runs and where recordings are."""


def shown() -> list[list[str]]:
    blocks = re.findall(r"^```\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line.removeprefix("callrec ")) for line in lines]


@pytest.fixture
def here(tmp_path, monkeypatch) -> Site:
    site = Site(tmp_path / "site")
    site.folder.mkdir()
    monkeypatch.chdir(site.folder)
    shutil.copy(PROMPTS / "advice-line.en.1.wav", "notice.wav")
    (site.folder / "notice.txt").write_text(WORDS, "utf-8")
    shutil.copy("notice.wav", "consent.wav")
    (site.folder / "consent.txt").write_text(" ".join(re.findall(r"^> (.*)$", README, re.MULTILINE)), "utf-8")
    (site.folder / "old-recorder").mkdir()
    for name in ("call-1.wav", "call-2.wav"):
        shutil.copy("notice.wav", site.folder / "old-recorder" / name)
    return site


def second_version(site: Site, commands: list[list[str]]) -> None:
    site(*next(words for words in commands if words[1:3] == ["add", "notice.wav"])[1:])
    site("approve", "advice-line.en.2", "--by", "ig-lead", "--key", "ig-lead.key")


def test_the_readme_works_from_the_first_command_to_the_last(here, tmp_path) -> None:
    commands, said, night = shown(), {}, Site(tmp_path / "night")
    for words in (each for each in commands if each[0] == "prompts"):
        if words[1] == "retire":
            second_version(here, commands)
        site = night if words[1] == "import" else here
        key = re.search(r"[0-9a-f]{64}", said.get("key", ""))
        said[words[1]] = site(*(key[0] if word == "PUBLIC-KEY" else word for word in words[1:]))
        assert site.status == 0, words

    assert set(said) == {"add", "check", "key", "approve", "list", "retire", "find", "export", "import"}
    assert "From now on advice-line.en.1 is played." in said["retire"]
    assert said["find"].count("whole, 100.0% of its speech") >= 2
    assert isinstance(Register.load(night.prompts_dir).choose("advice-line", "en", datetime.now(UTC)), ApprovedPrompt)


def test_the_other_commands_it_shows_are_there() -> None:
    others = [words for words in shown() if words[0] != "prompts"]

    assert {" ".join(words[:2]) for words in others} == set(ELSEWHERE)
    for group, name, *rest in others:
        options = {option for each in root.commands[group].commands[name].params for option in each.opts}
        assert {word for word in rest if word.startswith("--")} <= options
