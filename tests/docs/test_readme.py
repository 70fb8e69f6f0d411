"""What README.md says is so: its configuration loads, its commands and the documents it names are there."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from callrec.cli.root import root
from callrec.config.load import loads
from callrec.core.values import Purpose
from callrec.errors import Broken, ConfigError, Refused, Unavailable

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")


def test_the_configuration_of_the_page_is_valid_as_it_stands():
    (text,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    config = loads(text, "README.md", folder=ROOT)

    assert config.line_for("5000").purposes == set(Purpose)
    assert config.retention.rules.is_file()


COMMANDS = sorted(set(re.findall(r"^    \.venv/bin/callrec (.+?)(?: {2,}#.*)?$", README, re.MULTILINE)))


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_of_the_page_is_there(words):
    command, rest = root, words.split()
    while rest and isinstance(command, click.Group):
        assert rest[0] in command.commands, words
        command = command.commands[rest.pop(0)]

    assert not isinstance(command, click.Group)
    assert set(rest) <= {option for each in command.params for option in each.opts}


def test_the_page_names_commands():
    assert {"init", "agent run", "agent status", "audit verify"} <= set(COMMANDS)


def test_every_document_that_the_page_names_is_there():
    named = set(re.findall(r"`([\w./-]+\.(?:md|yaml))`", README)) - {"callrec.yaml"}

    assert len(named) > 5
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []


@pytest.mark.parametrize("outcome", [ConfigError, Refused, Unavailable, Broken])
def test_every_exit_status_is_explained(outcome):
    explained = README[README.index("Exit status:") :].partition("\n\n")[0]

    assert re.search(rf"\b{outcome.exit_code} \w+", explained)


def test_the_page_promises_no_more_than_was_proven():
    assert not re.search(r"caller (was )?informed|delivered to the caller|guarantee", README, re.IGNORECASE)
