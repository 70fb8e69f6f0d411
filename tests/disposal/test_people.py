"""Whom a call is about, after the call: doubts are looked at, children who grew up are asked again."""

import json
from datetime import UTC, date, datetime, timedelta

import pytest

from callrec.core.kinds import Kind
from callrec.errors import ConfigError, Refused
from tests.ledger.world import entry

GROUNDS = ("--necessity", "n-1", "--benefit", "b-1", "--less-restrictive", "l-1")


def said(office, name, **body):
    """What stands in the ledger of this recording, as the agent writes it in a call."""
    uid = name.rpartition("-")[0]
    ledger = office.ledger()
    ledger.append_blocking(entry(Kind.TAG_CHANGED, uid, recording_id=name, **body))
    ledger.close()


@pytest.fixture
def doubted(office):
    name = office.record(purposes=("audit", "medico-legal", "training"))
    purposes = ["audit", "training"]
    said(office, name, change="suspended", purposes=purposes, source="protection", why="capacity doubt")
    return name


def restore(office, who, name, *more, purpose="audit"):
    return office.run(who, "tag", name, "--restore", purpose, "--reason", "seen", *more)


def usable(office, name):
    return json.loads(office.run("claims", "tag", name, "--json"))["usable_for"]


def refused(answer, words):
    assert isinstance(answer, Refused), answer
    assert words in str(answer)


def test_a_doubt_is_lifted_by_whoever_may_decide_and_the_ledger_says_on_what_it_rests(office, doubted):
    refused(restore(office, "claims", doubted), "a doubt about capacity is lifted by")
    refused(restore(office, "claims", doubted, "--proxy", "welfare-guardian", "--seen", "d-7"), "by the law of england")
    refused(restore(office, "claims", doubted, "--proxy", "parental-responsibility", "--seen", "d-7"), "is for a child")
    refused(restore(office, "claims", doubted, "--proxy", "deputy"), "seen must be said")
    assert usable(office, doubted) == ["medico-legal"]

    assert "again" in restore(office, "claims", doubted, "--proxy", "deputy", "--seen", "d-7")
    assert "again" in restore(office, "guardian", doubted, "--finding", "note-3", purpose="training")

    assert usable(office, doubted) == ["audit", "medico-legal", "training"]
    bases = [each.body["basis"] for each in office.entries(Kind.TAG_CHANGED) if "basis" in each.body]
    assert bases == [{"kind": "proxy", "role": "deputy", "seen": "d-7"}, {"kind": "capable", "finding": "note-3"}]
    assert "1 recording flagged" in office.runs("claims", "audit", "protected")


def test_without_anybody_who_may_decide_two_persons_must_find_it_necessary(office, doubted):
    refused(restore(office, "claims", doubted, *GROUNDS[:4]), "less-restrictive must be said")
    refused(restore(office, "guardian", doubted, "--agree"), "nothing of another person's to agree to")

    assert "Asked" in restore(office, "claims", doubted, *GROUNDS)
    assert usable(office, doubted) == ["medico-legal"], "one person alone lifts nothing"
    refused(restore(office, "claims", doubted, "--agree"), "another person's")
    assert "again" in restore(office, "guardian", doubted, "--agree")

    assert usable(office, doubted) == ["audit", "medico-legal"]
    assert isinstance(restore(office, "claims", doubted, "--finding", "x", *GROUNDS, purpose="training"), ConfigError)


def test_an_auditor_is_shown_a_doubt_that_was_lifted_on_nothing_or_by_one_person(office, doubted):
    alone = {"person": "claims", "login": "os:bin"}
    grounds = {"kind": "necessity", "necessity": "n", "benefit": "b", "less_restrictive": "l"}
    said(office, doubted, change="restored", purposes=["audit"], **alone)
    said(office, doubted, change="asked", purposes=["training"], basis=grounds, **alone)
    said(office, doubted, change="restored", purposes=["training"], basis=grounds, **alone)

    report = office.runs("checker", "audit", "protected")

    assert "audit was lifted without anything that it rests on" in report
    assert "training was lifted as necessary by one person alone" in report


def test_a_doubt_waits_for_somebody_to_look_at_it_and_is_overdue_after_that(office, doubted):
    (task,) = json.loads(office.run("claims", "reviews", "--json"))
    due = datetime.now(UTC).date() + timedelta(days=office.config.retention.review_days)
    assert task == {"recording_id": doubted, "what": "review the doubt about capacity", "due": due.isoformat()}

    refused(
        office.run("records", "reviewed", doubted, "--of", "doubt", "--outcome", "unchanged", "--reason", "m-1"),
        "may not",
    )
    office.run("claims", "reviewed", doubted, "--of", "doubt", "--outcome", "unchanged", "--reason", "m-1")

    assert "Nothing waits." in office.run("claims", "reviews")
    assert usable(office, doubted) == ["medico-legal"], "a review alone lifts nothing"


def test_what_a_parent_let_be_kept_is_asked_about_again_at_sixteen_and_eighteen(office, tmp_path):
    by_age, by_birth, own = (office.record() for _ in range(3))
    said(office, by_age, change="subject", subject="child", age=15, caller="parent")
    said(office, by_birth, change="subject", subject="child", caller="parent")
    said(office, own, change="subject", subject="child", age=15, caller="subject")
    table = tmp_path / "births.csv"
    table.write_text(f"recording_id,born\n{by_birth},2010-05-01\n")
    assert "Classified" in office.run("claims", "classify", "--from", table)

    tasks = json.loads(office.run("claims", "reviews", "--json"))

    today = datetime.now(UTC).date()
    tomorrow = {each["due"] for each in tasks if each["recording_id"] == by_age and " 16" in each["what"]}
    assert tomorrow == {(today + timedelta(days=1)).isoformat()}, "the earliest day on which they can be sixteen"
    born = {each["what"][:12]: each["due"] for each in tasks if each["recording_id"] == by_birth}
    ahead = {16: date(2026, 5, 1), 18: date(2028, 5, 1)}
    assert born == {f"ask again at {age}"[:12]: day.isoformat() for age, day in ahead.items() if day > today}
    assert own not in {each["recording_id"] for each in tasks}, "a child who let it be kept themselves"

    office.run("claims", "reviewed", by_age, "--of", "16", "--outcome", "withdrawn", "--reason", "letter-2")
    left = [
        each["what"] for each in json.loads(office.run("claims", "reviews", "--json")) if each["recording_id"] == by_age
    ]
    assert left == ["ask again at 18: a parent let it be kept"]
