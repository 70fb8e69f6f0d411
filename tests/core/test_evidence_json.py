"""Evidence goes to JSON and comes back the same, and nothing that is not evidence comes back at all."""

from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callrec._canonical import canonical, parse, sha256_hex
from callrec.core.evidence import Evidence
from callrec.core.evidence_json import from_json, judged_from_json, judged_to_json, to_json
from callrec.core.proof import FIRST_VERIFIER, SECOND_VERIFIER, Granted, judge
from tests.core.builders import GOOD_EVIDENCE

SINCE_3 = ("essential_ms", "acknowledges", "required_grade")
SINCE_4 = ("essential_purposes", "skips", "languages")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


def values(kind, name=""):
    """Any value that a field of this type may have."""
    if get_origin(kind) is tuple:
        return st.lists(values(get_args(kind)[0]), max_size=2).map(tuple)
    if get_args(kind):
        return st.none() | values(get_args(kind)[0], name)
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return st.builds(kind, **{name: values(hint, name) for name, hint in hints.items()})
    if issubclass(kind, Enum):
        return st.sampled_from(list(kind))
    if kind is int:
        return st.integers(0, 2**63) if name.endswith("_ns") else st.integers(-(2**53) + 1, 2**53 - 1)
    return {bool: st.booleans(), str: TEXT}[kind]


ANY_EVIDENCE = values(Evidence)


@given(ANY_EVIDENCE)
def test_evidence_comes_back_as_it_was_by_way_of_its_canonical_bytes(evidence):
    assert from_json(parse(canonical(to_json(evidence)))) == evidence


@pytest.mark.parametrize("evidence", [GOOD_EVIDENCE, replace(GOOD_EVIDENCE, complete=False, streams=())])
def test_a_judged_file_says_again_what_was_judged(evidence):
    digest = sha256_hex(canonical(to_json(evidence)))
    verdict = judge(evidence, evidence_sha256=digest)
    judged = judged_from_json(parse(canonical(judged_to_json(evidence, verdict))))
    assert judged.evidence == evidence
    assert sha256_hex(canonical(judged.evidence_json)) == digest
    if isinstance(verdict, Granted):
        assert (judged.granted, judged.grade, judged.purposes) == (True, verdict.grade, verdict.purposes)
    else:
        assert (judged.granted, judged.grade, judged.reasons) == (False, None, verdict)


def test_evidence_from_before_the_wire_could_be_tapped_is_read_as_evidence_without_it():
    second = earlier("callrec/notice-evidence/2")
    first = {name: field for name, field in second.items() if name != "wire"}

    assert from_json(first | {"schema": "callrec/notice-evidence/1"}) == replace(GOOD_EVIDENCE, verifier=FIRST_VERIFIER)
    with pytest.raises(ValueError, match="missing field wire"):
        from_json(first)
    with pytest.raises(ValueError, match="cannot have the field wire"):
        from_json(second | {"schema": "callrec/notice-evidence/1"})


def earlier(schema):
    value = to_json(GOOD_EVIDENCE) | {"schema": schema, "verifier": FIRST_VERIFIER}
    value["prompt"] = {name: field for name, field in value["prompt"].items() if name not in (*SINCE_3, *SINCE_4)}
    return {name: field for name, field in value.items() if name not in SINCE_3}


def third():
    value = to_json(GOOD_EVIDENCE) | {"schema": "callrec/notice-evidence/3", "verifier": SECOND_VERIFIER}
    value["prompt"] = {name: field for name, field in value["prompt"].items() if name not in SINCE_4}
    return value


def test_evidence_from_before_a_notice_could_be_skipped_is_read_as_of_one_that_cannot_be():
    assert from_json(third()) == replace(GOOD_EVIDENCE, verifier=SECOND_VERIFIER)
    assert isinstance(judge(from_json(third()), evidence_sha256="ff" * 32), Granted)


def test_evidence_from_before_a_caller_could_acknowledge_is_read_as_of_a_notice_that_names_no_key_for_it():
    assert from_json(earlier("callrec/notice-evidence/2")).prompt.acknowledges == ""


@pytest.mark.parametrize(
    "value",
    [
        to_json(GOOD_EVIDENCE) | {"verifier": FIRST_VERIFIER},
        earlier("callrec/notice-evidence/2") | {"verifier": GOOD_EVIDENCE.verifier},
        earlier("callrec/notice-evidence/2") | {"verifier": SECOND_VERIFIER},
        to_json(GOOD_EVIDENCE) | {"verifier": SECOND_VERIFIER},
    ],
)
def test_no_evidence_may_name_the_verifier_of_another_schema(value):
    with pytest.raises(ValueError, match="not the one of its schema"):
        from_json(value)


@pytest.mark.parametrize("name", [f.name for f in fields(Evidence)])
def test_a_missing_field_is_named(name):
    value = to_json(GOOD_EVIDENCE)
    del value[name]
    with pytest.raises(ValueError, match=f"missing field {name}"):
        from_json(value)


def test_an_unknown_field_is_named_however_deep():
    value = to_json(GOOD_EVIDENCE)
    value["streams"][0]["jitter"] = 3
    with pytest.raises(ValueError, match=r"evidence\.streams\[0\]: unknown field jitter"):
        from_json(value)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("complete", 1),
        ("complete", "true"),
        ("expected_packets", True),
        ("expected_packets", 250.0),
        ("expected_packets", float("nan")),
        ("expected_packets", 2**60),
        ("start_ns", 5),
        ("start_ns", "05"),
        ("start_ns", "-5"),
        ("interruption", "bored"),
        ("streams", {}),
        ("streams", None),
        ("binding", []),
        ("rtcp", [1]),
        ("verifier", None),
    ],
)
def test_a_value_of_another_type_is_refused_and_named(name, wrong):
    with pytest.raises(ValueError, match=name):
        from_json(to_json(GOOD_EVIDENCE) | {name: wrong})


@pytest.mark.parametrize("value", [None, [], {}, {"schema": "callrec/notice-evidence/5"}, {"schema": []}, "evidence"])
def test_what_is_no_evidence_is_refused(value):
    with pytest.raises(ValueError, match="this is not callrec/notice-evidence/4"):
        from_json(value)
    with pytest.raises(ValueError, match="this is not callrec/notice-verdict/1"):
        judged_from_json(value)


@pytest.mark.parametrize(
    "change", [{"verdict": "refused"}, {"reasons": ["NOTICE_ALTERED"]}, {"verdict": "maybe"}, {"grade": "heard"}]
)
def test_a_verdict_that_contradicts_itself_is_refused(change):
    verdict = judge(GOOD_EVIDENCE, evidence_sha256="00")
    with pytest.raises(ValueError, match=r"contradict|grade"):
        judged_from_json(judged_to_json(GOOD_EVIDENCE, verdict) | change)
