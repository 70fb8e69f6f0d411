from dataclasses import replace

import pytest

from callrec._canonical import canonical, sha256_hex
from callrec.core.evidence_json import judged_to_json, to_json
from callrec.core.proof import judge
from callrec.errors import Refused, Unavailable
from callrec.ports import SEALED_LEAF_FILE
from tests.core.builders import GOOD_EVIDENCE
from tests.store.builders import CALL, PROVEN, SEALED_LEAF, STARTED, LedgerOf, a_door, a_sealed

RETENTION = {"rule": "ML-A", "version": 1, "trigger": "2026-03-01", "due": "2034-03-01"}


@pytest.fixture
def sealed(tmp_path):
    return a_sealed(tmp_path)


def test_a_recording_with_all_its_entries_is_admitted(sealed):
    ledger = LedgerOf(sealed)

    a_door(ledger).check(sealed)

    assert ledger.asked == [SEALED_LEAF, STARTED, PROVEN]


@pytest.mark.parametrize("leaf", [PROVEN, STARTED, SEALED_LEAF])
def test_one_missing_entry_is_a_refusal(sealed, leaf):
    ledger = LedgerOf(sealed)
    del ledger.entries[leaf]

    with pytest.raises(Refused, match="the ledger holds no"):
        a_door(ledger).check(sealed)


@pytest.mark.parametrize("leaf", [PROVEN, STARTED, SEALED_LEAF])
@pytest.mark.parametrize(
    ("field", "value"), [("kind", "incident"), ("call_uid", "f" * 32), ("segment", 7), ("log_id", "0" * 64)]
)
def test_an_entry_of_another_kind_call_segment_or_log_is_a_refusal(sealed, leaf, field, value):
    ledger = LedgerOf(sealed)
    ledger.change(leaf, field, value)

    with pytest.raises(Refused, match="another segment"):
        a_door(ledger).check(sealed)


@pytest.mark.parametrize(
    ("leaf", "field", "value"),
    [
        (SEALED_LEAF, "manifest_sha256", "0" * 64),
        (SEALED_LEAF, "cipher_sha256", "0" * 64),
        (SEALED_LEAF, "flac_sha256", "0" * 64),
        (SEALED_LEAF, "pcm_sha256", "0" * 64),
        (SEALED_LEAF, "samples", 7999),
        (SEALED_LEAF, "started_leaf", "0" * 64),
        (STARTED, "key_id", "0" * 32),
        (STARTED, "wrapped_key_sha256", "0" * 64),
        (STARTED, "proven_leaves", []),
        (STARTED, "proven_leaves", "b" * 64),
        (STARTED, "proven_leaves", ["0" * 64]),
        (STARTED, "proven_leaves", [PROVEN, "0" * 64]),
        (PROVEN, "evidence_sha256", "0" * 64),
        (PROVEN, "purposes", ["audit"]),
        (PROVEN, "purposes", None),
        (PROVEN, "seq", 4),
        (PROVEN, "seq", 5),
        (SEALED_LEAF, "seq", 4),
        (PROVEN, "body", None),
    ],
)
def test_an_entry_that_says_something_else_is_a_refusal(sealed, leaf, field, value):
    ledger = LedgerOf(sealed)
    ledger.change(leaf, field, value)

    with pytest.raises(Refused):
        a_door(ledger).check(sealed)


@pytest.mark.parametrize("field", RETENTION)
@pytest.mark.parametrize("value", [None, ""])
def test_no_retention_rule_no_admission(tmp_path, field, value):
    sealed = a_sealed(tmp_path, retention={**RETENTION, field: value})

    with pytest.raises(Refused, match=f"no {field}"):
        a_door(LedgerOf(sealed)).check(sealed)


@pytest.mark.parametrize("changes", [{"retention": None}, {"purposes": []}, {"notice": None}, {"notice": {}}])
def test_a_manifest_without_rule_purpose_or_notice_is_refused(tmp_path, changes):
    sealed = a_sealed(tmp_path, **changes)

    with pytest.raises(Refused):
        a_door(LedgerOf(sealed)).check(sealed)


@pytest.mark.parametrize("hint", [None, "", "0" * 64, PROVEN, "é"])
def test_the_noted_leaf_is_only_a_hint(sealed, hint):
    path = sealed.folder / SEALED_LEAF_FILE
    path.unlink()
    if hint is not None:
        path.write_text(hint)

    with pytest.raises(Refused):
        a_door(LedgerOf(sealed)).check(sealed)


def test_a_ledger_that_was_not_registered_with_the_store_is_a_refusal(sealed):
    with pytest.raises(Refused, match="registered with this store"):
        a_door(LedgerOf(sealed), logs={"b" * 64}).check(sealed)


GIVEN = "9a" * 32
AGREED = {"evidence": "PLAYED", "purposes": ["training"], "proven_leaf": PROVEN, "prompt_id": "training-consent"}
ALL = ["audit", "medico-legal", "training"]


def consenting(tmp_path, *, held=None, **changes):
    """A recording that is tagged for what only its caller's consent adds, and the ledger that holds that."""
    record = {**AGREED, **changes}
    details = {"details": {"consent": {**record, "leaf": GIVEN} if held is None else held}} if held != {} else {}
    sealed = a_sealed(tmp_path, purposes=ALL, **details)
    ledger = LedgerOf(sealed)
    ledger.change(PROVEN, "purposes", ["audit", "medico-legal"])
    ledger.change(PROVEN, "grade", "acknowledged")
    ledger.change(STARTED, "consent_leaves", [GIVEN])
    ledger.entries[GIVEN] = {**ledger.entries[PROVEN], "kind": "consent.given", "body": record}
    return ledger, sealed


def test_a_purpose_beyond_the_notice_needs_the_consent_that_lies_in_the_object(tmp_path):
    ledger, sealed = consenting(tmp_path)

    a_door(ledger).check(sealed)

    ledger, sealed = consenting(tmp_path / "without", held={})
    ledger.change(STARTED, "consent_leaves", [])
    with pytest.raises(Refused, match="did not name"):
        a_door(ledger).check(sealed)


@pytest.mark.parametrize(
    ("made", "spoil", "why"),
    [
        ({"held": {}}, (), "missing, or is another"),
        ({"held": {**AGREED, "leaf": "0" * 64}}, (), "missing, or is another"),
        ({"held": {**AGREED, "leaf": GIVEN, "prompt_id": "another"}}, (), "not the one in the ledger"),
        ({"purposes": []}, (), "did not name"),
        ({"proven_leaf": "0" * 64}, (), "nothing shows"),
        ({}, (PROVEN, "grade", "received"), "nothing shows"),
        ({}, (STARTED, "consent_leaves", []), "missing, or is another"),
        ({}, (STARTED, "consent_leaves", [GIVEN, "0" * 64]), "missing, or is another"),
        ({}, (GIVEN, "seq", 99), "before its caller's consent"),
        ({}, (GIVEN, "segment", 7), "another segment"),
        ({}, (GIVEN, "kind", "tag.changed"), "another segment"),
    ],
)
def test_a_consent_that_is_missing_or_shows_nothing_is_a_refusal(tmp_path, made, spoil, why):
    ledger, sealed = consenting(tmp_path, **made)
    if spoil:
        ledger.change(*spoil)

    with pytest.raises(Refused, match=why):
        a_door(ledger).check(sealed)


class WithEvidence:
    """A proof whose evidence lies in a folder, as the recorder judged it."""

    def __init__(self, tmp_path, **changes):
        self.folder = tmp_path / "evidence"
        self.folder.mkdir()
        evidence = replace(GOOD_EVIDENCE, **changes)
        self.digest = sha256_hex(canonical(to_json(evidence)))
        self.path = self.folder / f"{CALL}-1.json"
        self.path.write_bytes(canonical(judged_to_json(evidence, judge(GOOD_EVIDENCE, evidence_sha256=self.digest))))
        self.sealed = a_sealed(tmp_path, notice={"evidence_sha256": self.digest})
        self.ledger = LedgerOf(self.sealed)
        self.ledger.change(PROVEN, "evidence_sha256", self.digest)
        self.ledger.change(PROVEN, "attempt", 1)

    def check(self):
        a_door(self.ledger, evidence=self.folder).check(self.sealed)


def test_evidence_that_is_enough_is_admitted(tmp_path):
    given = WithEvidence(tmp_path)

    given.check()

    assert given.path.exists()


async def test_evidence_that_the_recorder_thought_enough_and_that_is_not_is_a_refusal(tmp_path):
    """A recorder whose floors were lowered says granted; the store judges by its own."""
    with pytest.raises(Refused, match="judged again, is not enough"):
        await WithEvidence(tmp_path, renegotiations=1).check()


def test_evidence_that_was_changed_is_a_refusal(tmp_path):
    given = WithEvidence(tmp_path)
    given.ledger.change(PROVEN, "evidence_sha256", "0" * 64)
    given.sealed.manifest["notice"]["evidence_sha256"] = "0" * 64

    with pytest.raises(Refused, match="is not what was proven"):
        given.check()


@pytest.mark.parametrize("data", [b"", b"{}", b"[", b"null"])
def test_evidence_that_cannot_be_read_is_a_refusal(tmp_path, data):
    given = WithEvidence(tmp_path)
    given.path.write_bytes(data)

    with pytest.raises(Refused, match="cannot be read"):
        given.check()


def test_evidence_that_is_not_there_now_is_waited_for(tmp_path):
    given = WithEvidence(tmp_path)
    given.path.unlink()

    with pytest.raises(Unavailable, match="evidence"):
        given.check()
