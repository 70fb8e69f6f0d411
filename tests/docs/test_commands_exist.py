"""The commands that were promised are there, and explain themselves."""

from __future__ import annotations

from importlib import import_module

import click
import pytest

from callrec.audit.queries import QUESTIONS

PROMISED = {
    "init": (),
    "agent": ("run", "status", "reload"),
    "demo": (),
    "call": ("list", "stop", "pause", "resume", "flag", "subject", "tag"),
    "config": ("check", "codes"),
    "prompts": ("list", "check", "add", "approve", "retire", "find", "key", "export", "import"),
    "selftest": (),
    "recordings": (
        *("list", "show", "play", "export", "copy", "tag", "withdraw", "classify"),
        *("hold", "holds", "release", "due", "dispose", "fixity", "reviews", "reviewed"),
    ),
    "keys": ("create", "list", "rotate"),
    "refusals": ("add", "remove", "list"),
    "staff": ("add", "remove", "list"),
    "subject": ("find", "pack", "forget", "decide"),
    "handover": ("export", "check"),
    "disclosure": ("request", "approve", "make", "list"),
    "ledger": ("verify", "checkpoint", "export"),
    "audit": ("call", "sample", "report", "pack", "verify", "evidence", "tag-history", "reconcile", "testcall"),
    "web": (),
}
"""Every command of the design, by group. Questions of `audit` are commands of their own besides these."""

_WITH_MORE = ("evidence", "tag-history", "reconcile")
"""Questions that need more than a period."""

BUILT = {
    "keys": ("callrec.cli.keys:keys_group", ("create", "list", "rotate")),
    "agent": ("callrec.cli.agent:agent_group", ("run", "status", "reload")),
    "call": ("callrec.cli.call:call_group", ("list", "stop", "pause", "resume", "flag", "subject", "tag")),
    "demo": ("callrec.cli.demo:demo", ()),
    "init": ("callrec.cli.init:init", ()),
    "audit": ("callrec.cli.audit:audit", ("call", "sample", "report", "pack", "testcall", "verify", *_WITH_MORE)),
    "selftest": ("callrec.cli.selftest:selftest", ()),
    "ledger": ("callrec.cli.ledger:ledger", ("verify", "checkpoint", "export")),
    "recordings": (
        "callrec.cli.recordings:recordings",
        (
            *("list", "show", "play", "export", "copy", "classify", "hold", "holds", "release", "due", "dispose"),
            *("fixity", "tag", "withdraw", "reviews", "reviewed"),
        ),
    ),
    "config": ("callrec.cli.config_check:config_group", ("check", "codes")),
    "prompts": (
        "callrec.cli.prompts:prompts",
        ("list", "check", "add", "approve", "retire", "find", "key", "export", "import"),
    ),
    "refusals": ("callrec.cli.standing:refusals", ("add", "remove", "list")),
    "staff": ("callrec.cli.standing:staff", ("add", "remove", "list")),
    "subject": ("callrec.cli.subject:subject", ("find", "pack", "forget", "decide")),
    "handover": ("callrec.cli.handover:handover", ("export", "check")),
    "disclosure": ("callrec.cli.disclosure:disclosure", ("request", "approve", "make", "list")),
}
"""What is there: group, where it is made, its commands. Grows until it is PROMISED."""


def group_at(place: str) -> click.Command:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


def every_command(command: click.Command):
    yield command
    for each in getattr(command, "commands", {}).values():
        yield from every_command(each)


@pytest.mark.parametrize("group", BUILT)
def test_what_is_built_is_there(group):
    place, names = BUILT[group]
    command = group_at(place)

    assert command.name == group
    assert set(names) <= set(getattr(command, "commands", {}))


@pytest.mark.parametrize("group", BUILT)
def test_what_is_built_was_promised(group):
    assert group in PROMISED
    assert set(BUILT[group][1]) <= set(PROMISED[group])


def test_every_question_of_the_auditor_is_a_command():
    assert set(QUESTIONS) | set(BUILT["audit"][1]) == set(group_at(BUILT["audit"][0]).commands)


@pytest.mark.parametrize("group", BUILT)
def test_every_command_and_every_option_explains_itself(group):
    commands = list(every_command(group_at(BUILT[group][0])))
    options = [o for c in commands for o in c.params if isinstance(o, click.Option)]

    assert [c.name for c in commands if not c.help] == []
    assert [o.name for o in options if not o.help] == []


def test_the_console_script_has_every_group_that_is_built():
    root = import_module("callrec.cli").root

    assert set(BUILT) <= set(root.commands) <= set(PROMISED)
