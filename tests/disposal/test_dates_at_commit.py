"""What is written into a manifest when a recording is kept: by the line's own kind, each purpose with its date."""

from dataclasses import replace
from datetime import date
from types import SimpleNamespace

import pytest

from callrec.agent.segment_facts import retention_of
from callrec.config import loads
from callrec.core.retention import LineKind, Nation, Subject
from callrec.core.values import Purpose
from tests.config.test_loading import SMALLEST
from tests.core.test_retention import RULES

ADVICE = loads(SMALLEST, "c").lines[0]


def written(*, nation=Nation.ENGLAND, subject=Subject.ADULT, **line):
    services = SimpleNamespace(rules=RULES)
    known = replace(ADVICE, nation=nation, **line)
    return retention_of(services, known, frozenset(Purpose), subject, date(2026, 11, 22))


@pytest.mark.parametrize(
    ("line", "rule", "due"),
    [
        ({}, "ML-A", "2034-11-22"),
        ({"health_record": False}, "ML-A6", "2032-11-22"),
        ({"kind": LineKind.MENTAL_HEALTH}, "ML-MH", "2046-11-22"),
        ({"kind": LineKind.MATERNITY}, "ML-MAT", "2051-11-22"),
        ({"subject": Subject.CHILD}, "ML-C?", "2051-11-22"),
        ({"subject": Subject.UNKNOWN, "kind": LineKind.MENTAL_HEALTH}, "ML-U", "2046-11-22"),
    ],
)
def test_a_recording_is_dated_by_the_kind_of_its_line(line, rule, due):
    found = written(**line)

    assert (found["rule"], found["due"]) == (rule, due)


def test_each_purpose_has_its_own_date_beside_the_files():
    found = written()

    assert {name: tag["due"] for name, tag in found["tags"].items()} == {
        "audit": "2027-11-22",
        "medico-legal": "2034-11-22",
        "training": "2027-05-22",
    }
    assert found["facts"]["call"] == date(2026, 11, 22).isoformat()


def test_what_has_no_rule_is_not_kept():
    with pytest.raises(ValueError, match="no retention rule"):
        written(nation=Nation.SCOTLAND)
