"""R37: what a parent let be kept of a child is asked about again on any later call, as far as a number tells."""

import json

import pytest

from callrec.core.kinds import Kind
from callrec.errors import Refused
from tests.ledger.world import entry

FAMILY, OTHERS = "sip:+441632960001@192.0.2.5", "sip:+441632960002@192.0.2.5"
LOOKED = "reviews.later-calls"


@pytest.fixture
def held(office):
    """A recording about a child that a parent let be kept."""
    name = office.record(caller=FAMILY)
    ledger = office.ledger()
    body = {"recording_id": name, "change": "subject", "subject": "child", "caller": "parent"}
    ledger.append_blocking(entry(Kind.TAG_CHANGED, name.rpartition("-")[0], **body))
    ledger.close()
    return name


def waiting(office, *options, who="guardian"):
    said = office.run(who, "reviews", "--json", *options)
    assert isinstance(said, str), said
    return {each["recording_id"] for each in json.loads(said) if "their number called" in each["what"]}


def test_a_later_call_of_the_same_number_is_a_task_until_somebody_has_asked_and_so_is_the_next(office, held):
    office.record(caller=OTHERS)
    assert waiting(office, "--later-calls") == set()

    later = office.record(caller=FAMILY)
    assert waiting(office, "--later-calls") == {held}
    assert later not in waiting(office, "--later-calls"), "nobody said that it is about a child"
    assert waiting(office) == set(), "numbers are looked at where somebody asks for it"

    office.run("guardian", "reviewed", held, "--of", "later-call", "--outcome", "unchanged", "--reason", "note-4")
    assert waiting(office, "--later-calls") == set()

    office.refuse(caller="sip:01632960001@pbx")
    assert waiting(office, "--later-calls") == {held}, "any later call, recorded or not"


def test_only_who_may_search_by_number_sees_later_calls_and_the_ledger_is_told(office, held):
    waiting(office, "--later-calls")
    refused = office.run("checker", "reviews", "--later-calls")

    assert isinstance(refused, Refused)
    granted = [body for each in office.entries(Kind.ACCESS_GRANTED) if (body := each.body)["action"] == LOOKED]
    assert [(each["by"], each["found"]) for each in granted] == [("number", 1)]
    assert office.entries(Kind.ACCESS_DENIED)[-1].body["action"] == LOOKED
    assert "1632960001" not in str([each.body for each in office.entries(Kind.ACCESS_GRANTED)])
