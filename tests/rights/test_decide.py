"""A caller's request is decided by a named person on a ground of the law; a grant takes effect, and two destroy."""

import json

import pytest

from callrec.core.decisions import GRANTED, REFUSED, Request, why_not
from callrec.core.kinds import Kind
from callrec.errors import ConfigError, Refused


def decide(office, recording, request, *words, who="guardian"):
    return office.runs(who, "subject", "decide", recording, "--request", request, *words)


def use(office, recording, purpose="medico-legal", who="claims"):
    office.uses = getattr(office, "uses", 0) + 1
    out = office.folder / f"use{office.uses}.flac"
    return office.run(who, "export", recording, "--purpose", purpose, "-o", out)


def test_a_restriction_stops_every_use_until_it_is_lifted(office):
    recording = office.record()
    decide(office, recording, "restriction", "--grant", "--ground", "accuracy-contested")

    stopped = use(office, recording)
    decide(office, recording, "lift", "--grant", "--ground", "restriction-over")

    assert isinstance(stopped, Refused)
    assert "suspended" in str(stopped)
    assert "Wrote" in use(office, recording)


def test_an_objection_that_is_upheld_ends_secondary_use_for_good_and_leaves_the_record_of_care(office):
    recording = office.record()

    decide(office, recording, "objection", "--grant", "--ground", "objection-upheld")

    assert "no longer tagged audit" in str(use(office, recording, "audit", who="checker"))
    assert "Wrote" in use(office, recording)


def test_a_refusal_names_an_exception_changes_nothing_and_says_what_to_tell_the_caller(office):
    recording = office.record()

    said = decide(office, recording, "erasure", "--refuse", "--ground", "legal-claims")

    assert "Tell the caller why" in said
    assert "Wrote" in use(office, recording)
    (entry,) = office.entries(Kind.TAG_CHANGED)
    assert (entry.body["decision"], entry.body["ground"], entry.body["person"]) == (
        "refused",
        "legal-claims",
        "guardian",
    )
    assert "nothing to propose" in str(office.run("records", "dispose", "--propose", office.folder / "l.json"))


def test_an_erasure_that_is_granted_is_destroyed_by_two_persons_before_its_day_and_certified(office):
    recording, other = office.record(), office.record()
    decide(office, recording, "erasure", "--grant", "--ground", "no-longer-needed")
    assert isinstance(use(office, recording), Refused)

    listed = office.agreed()
    office.sits("root")
    result = office.callrec("recordings", "dispose", listed, "--execute")

    assert "Destroyed and certified: 1 recordings." in result.output, result.exception
    assert {path.parent.name for path in office.config.store.path.rglob("audio.enc")} == {other}
    assert office.verified().sound
    row = json.loads(office.callrec("audit", "disposals", "--prove", "--json").output)["rows"][0]
    assert (row["recording"], row["what is left"]) == (recording, "nothing is left of it")


def test_what_is_held_is_not_erased(office):
    recording = office.record()
    office.run("claims", "hold", recording, "--kind", "claim", "--reason", "CLM-1")

    told = decide(office, recording, "erasure", "--grant", "--ground", "no-longer-needed")

    assert isinstance(told, Refused)
    assert "is held" in str(told)
    assert office.entries(Kind.TAG_CHANGED) == []


@pytest.mark.parametrize("request_", [each.value for each in Request])
def test_each_request_is_decided_on_its_own_grounds_alone(office, request_):
    asked = Request(request_)

    for ground in REFUSED.union(*GRANTED.values()):
        assert (why_not(asked, granted=True, ground=ground) == "") == (ground in GRANTED[asked])
        assert (why_not(asked, granted=False, ground=ground) == "") == (ground in REFUSED)


def test_a_wrong_ground_is_a_mistake_and_others_do_not_decide(office):
    recording = office.record()

    assert isinstance(decide(office, recording, "erasure", "--grant", "--ground", "legal-claims"), ConfigError)
    for who in ("records", "checker", "teacher", "nobody"):
        assert isinstance(decide(office, recording, "lift", "--grant", "--ground", "decided", who=who), Refused)
    assert office.entries(Kind.TAG_CHANGED) == []


def test_the_history_of_purposes_tells_every_decision(office):
    recording = office.record()
    decide(office, recording, "restriction", "--grant", "--ground", "unlawful")

    rows = json.loads(office.callrec("audit", "tag-history", recording, "--json").output)["rows"]

    assert (rows[-1]["what"], rows[-1]["by"], rows[-1]["why"]) == (
        "tag.changed: suspended",
        "guardian",
        "restriction granted: unlawful",
    )
