"""The agent takes a decision only from the person who asks, as the kernel says, and upkeep from its own account."""

import os
import pwd
from types import SimpleNamespace

import pytest

from callrec.config.models import Person
from callrec.control_desk import DECISIONS, MAKING, UPKEEP, handlers
from callrec.core.bodies import REQUIRED
from callrec.core.kinds import Kind
from callrec.core.purposes import Role
from callrec.errors import ConfigError, Refused

DAEMON, BIN = (f"uid:{pwd.getpwnam(name).pw_uid}" for name in ("daemon", "bin"))


class Ledger:
    def __init__(self):
        self.entries = []

    async def append(self, entry, *, timeout_s):
        self.entries.append(entry)
        return SimpleNamespace(leaf="a" * 64)


@pytest.fixture
def ledger():
    return Ledger()


@pytest.fixture
def ask(ledger):
    people = (Person(name="guardian", role=Role.GUARDIAN, os_user="daemon"),)
    services = SimpleNamespace(ledger=ledger, config=SimpleNamespace(people=people))
    append = handlers(SimpleNamespace(services=services))["append"]

    async def asked(kind, actor, *, salts=None, **body):
        fields = dict.fromkeys(REQUIRED.get(kind, ()), "x") | body
        return await append({"kind": kind.value, "body": fields, "actor": actor, "salts": salts or {}})

    return asked


@pytest.mark.parametrize("kind", sorted(DECISIONS, key=lambda kind: kind.value))
async def test_a_decision_is_taken_from_the_person_it_names(ask, ledger, kind):
    await ask(kind, DAEMON, person="guardian", login="os:daemon")

    (entry,) = ledger.entries
    assert (entry.kind, entry.actor) == (kind, DAEMON)


@pytest.mark.parametrize("kind", sorted(DECISIONS, key=lambda kind: kind.value))
@pytest.mark.parametrize(
    ("actor", "claimed"),
    [
        (BIN, {"person": "guardian", "login": "os:daemon"}),
        (DAEMON, {"person": "other", "login": "os:daemon"}),
        (DAEMON, {"person": "guardian", "login": "os:bin"}),
        (DAEMON, {}),
        ("uid:0", {"person": "guardian", "login": "os:daemon"}),
        ("uid:4294967294", {"person": "guardian", "login": "os:daemon"}),
    ],
)
async def test_a_decision_in_somebody_elses_name_is_refused(ask, ledger, kind, actor, claimed):
    with pytest.raises(Refused):
        await ask(kind, actor, **claimed)

    assert ledger.entries == []


@pytest.mark.parametrize("kind", sorted(UPKEEP, key=lambda kind: kind.value))
async def test_only_the_owner_of_the_store_says_what_became_of_it(ask, ledger, kind, monkeypatch):
    with pytest.raises(Refused, match="stated by the agent's own account"):
        await ask(kind, DAEMON)
    monkeypatch.setattr(os, "getuid", lambda: pwd.getpwnam("daemon").pw_uid)
    await ask(kind, DAEMON)

    assert [entry.kind for entry in ledger.entries] == [kind]


async def test_facts_about_calls_are_the_agents_alone(ask, ledger):
    with pytest.raises(Refused, match="the agent's alone"):
        await ask(Kind.NOTICE_PROVEN, "uid:0")

    assert ledger.entries == []


def test_no_two_people_share_an_account():
    from callrec.config.people import whose  # noqa: PLC0415 - beside its only use

    twins = [Person(name=name, role=Role.GUARDIAN, os_user="daemon") for name in ("one", "two")]

    with pytest.raises(ConfigError, match="one, two share the account daemon"):
        whose(twins, "daemon")


@pytest.mark.parametrize("kind", sorted(MAKING, key=lambda kind: kind.value))
async def test_what_was_made_is_told_beside_a_running_agent(ask, ledger, kind):
    await ask(kind, DAEMON)

    assert [entry.kind for entry in ledger.entries] == [kind]


async def test_who_called_goes_sealed_beside_an_import_and_beside_nothing_else(ask, ledger):
    person = {"person": "guardian", "login": "os:daemon"}
    for kind in (Kind.RECORDING_IMPORTED, Kind.TAG_CHANGED):
        await ask(kind, DAEMON, salts={"contact": "sealed"}, **person)

    assert [dict(entry.salts) for entry in ledger.entries] == [{"contact": "sealed"}, {}]
