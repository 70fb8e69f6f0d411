"""Codes of staff and callers against the in-call features of a PBX: each clash is listed, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from callrec.cli.config_check import config_group
from callrec.config import load, loads
from callrec.config.codes import clashes, our_words, pbx_words
from callrec.errors import ConfigError
from tests.config.test_loading import EXAMPLE, SMALLEST, changed
from tests.peers import asterisk

OURS = our_words(load(EXAMPLE))


def listed(features):
    return {(each.ours.keys, each.theirs.keys) for each in clashes(OURS, pbx_words(features)) if each.written}


def test_every_code_and_the_callers_stop_are_compared():
    assert {word.keys for word in OURS} >= {"*70", "*71", "*7*", "**2"}
    without = loads(changed("pbx_events: none", "pbx_events: none\nstaff_codes: {prefix: null}", SMALLEST), "c")
    assert [word.keys for word in our_words(without)] == ["**2"]


@pytest.mark.parametrize(
    ("features", "clash"),
    [
        ("[featuremap]\nparkcall => #72", set()),
        ("[featuremap]\natxfer=*70", {("*70", "*70")}),
        ("[featuremap]\nautomixmon => *7 ; record", {(word.keys, "*7") for word in OURS if word.keys[:2] == "*7"}),
        ("[featuremap]\n;automixmon => *7", set()),
        ("[featuremap]\n;-- all of\nautomixmon => *7\nthis --;\natxfer => *2", set()),
        ("[applicationmap]\nmine => **25,self,Playback,x", {("**2", "**25")}),
        ("[general]\natxferswap = *71\npickupexten = *7", {("*71", "*71")}),
        ("[other]\natxfer => *7", set()),
        ("[featuremap]\natxfer => nonsense\n=\n[\n", set()),
    ],
)
def test_a_word_clashes_where_one_begins_with_the_other(features, clash):
    assert listed(features) == clash


def test_what_the_file_leaves_to_asterisk_is_a_note_with_when_it_is_in_force():
    notes = {each.theirs.what: each.theirs.when for each in clashes(OURS, pbx_words("")) if not each.written}

    assert notes == {"disconnect": "where Dial or Queue has h or H"}
    assert "disconnect" not in {word.what for word in pbx_words("[featuremap]\ndisconnect => *0") if word.when}


def run(*words):
    return CliRunner().invoke(config_group, ["codes", *map(str, words)], obj=SimpleNamespace(config_path=EXAMPLE))


def test_the_command_lists_clashes_and_ends_with_1(tmp_path):
    file = tmp_path / "features.conf"
    file.write_text("[featuremap]\ndisconnect => *0\natxfer => *71\n")

    told = run("--pbx", file)

    assert told.exit_code == 1
    assert "CLASH" in told.output
    assert [(one["ours"], one["theirs"]) for one in json.loads(run("--pbx", file, "--json").output)] == [("*71", "*71")]
    assert isinstance(run("--pbx", tmp_path / "none").exception, ConfigError)


@pytest.mark.asterisk
def test_the_features_of_a_real_asterisk_take_none_of_the_codes():
    """As Debian ships it: what it has beside is a default that the recipe's Dial does not switch on."""
    file = Path(asterisk.ROOT) / "etc/asterisk/features.conf"

    told = run("--pbx", file)

    assert told.exit_code == 0
    assert "CLASH" not in told.output
    recipe = (Path(__file__).parents[2] / "deploy/asterisk/extensions_callrec.conf").read_text()
    dialled = [line.partition("Dial(")[2].rpartition(")")[0] for line in recipe.splitlines() if "n,Dial(" in line]
    options = "".join(each.split(",")[2].partition("(")[0] for each in dialled)
    assert options
    assert not {"h", "H"} & set(options)
