import pytest

from callrec.errors import Refused
from callrec.ports import SEALED_LEAF_FILE
from callrec.store.admission import LedgerAdmission
from tests.store.builders import PROVEN, SEALED_LEAF, STARTED, LedgerOf, a_sealed

RETENTION = {"rule": "ML-A", "version": 1, "trigger": "2026-03-01", "due": "2034-03-01"}


@pytest.fixture
def sealed(tmp_path):
    return a_sealed(tmp_path)


async def test_a_recording_with_all_its_entries_is_admitted(sealed):
    ledger = LedgerOf(sealed)

    await LedgerAdmission(ledger).check(sealed)

    assert ledger.asked == [SEALED_LEAF, STARTED, PROVEN]


@pytest.mark.parametrize("leaf", [PROVEN, STARTED, SEALED_LEAF])
async def test_one_missing_entry_is_a_refusal(sealed, leaf):
    ledger = LedgerOf(sealed)
    del ledger.entries[leaf]

    with pytest.raises(Refused, match="the ledger holds no"):
        await LedgerAdmission(ledger).check(sealed)


@pytest.mark.parametrize("leaf", [PROVEN, STARTED, SEALED_LEAF])
@pytest.mark.parametrize(
    ("field", "value"), [("kind", "incident"), ("call_uid", "f" * 32), ("segment", 7), ("log_id", "0" * 64)]
)
async def test_an_entry_of_another_kind_call_segment_or_log_is_a_refusal(sealed, leaf, field, value):
    ledger = LedgerOf(sealed)
    ledger.change(leaf, field, value)

    with pytest.raises(Refused, match="another segment"):
        await LedgerAdmission(ledger).check(sealed)


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
async def test_an_entry_that_says_something_else_is_a_refusal(sealed, leaf, field, value):
    ledger = LedgerOf(sealed)
    ledger.change(leaf, field, value)

    with pytest.raises(Refused):
        await LedgerAdmission(ledger).check(sealed)


@pytest.mark.parametrize("field", RETENTION)
@pytest.mark.parametrize("value", [None, ""])
async def test_no_retention_rule_no_admission(tmp_path, field, value):
    sealed = a_sealed(tmp_path, retention={**RETENTION, field: value})

    with pytest.raises(Refused, match=f"no {field}"):
        await LedgerAdmission(LedgerOf(sealed)).check(sealed)


@pytest.mark.parametrize("changes", [{"retention": None}, {"purposes": []}, {"notice": None}, {"notice": {}}])
async def test_a_manifest_without_rule_purpose_or_notice_is_refused(tmp_path, changes):
    sealed = a_sealed(tmp_path, **changes)

    with pytest.raises(Refused):
        await LedgerAdmission(LedgerOf(sealed)).check(sealed)


@pytest.mark.parametrize("hint", [None, "", "0" * 64, PROVEN, "é"])
async def test_the_noted_leaf_is_only_a_hint(sealed, hint):
    path = sealed.folder / SEALED_LEAF_FILE
    path.unlink()
    if hint is not None:
        path.write_text(hint)

    with pytest.raises(Refused):
        await LedgerAdmission(LedgerOf(sealed)).check(sealed)
