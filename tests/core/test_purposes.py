from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callrec.core.purposes import (
    SECONDARY,
    UNSUPPORTED,
    Protection,
    Role,
    TagChange,
    TagSource,
    effective,
    live_tags,
    parse_purposes,
    shared,
    why_not,
)
from callrec.core.values import Purpose

ML, AUDIT, TRAINING = Purpose.MEDICO_LEGAL, Purpose.AUDIT, Purpose.TRAINING
purposes = st.frozensets(st.sampled_from(Purpose))


def a_change(purpose=TRAINING, *, added=True, source=TagSource.CONSENT, basis_leaf="ab") -> TagChange:
    return TagChange(
        purpose=purpose,
        added=added,
        source=source,
        actor="ig-lead",
        at=datetime(2026, 11, 22, tzinfo=UTC),
        why="asked",
        basis_leaf=basis_leaf,
    )


@given(purposes, purposes, purposes, purposes, st.frozensets(st.sampled_from(Protection)))
def test_nothing_widens_past_what_the_caller_was_told_or_agreed_to(
    proposed, granted, consents, declined, protections
) -> None:
    tags = effective(
        proposed=proposed,
        granted_by_notice=granted,
        consents=consents,
        declined=declined,
        protections=protections,
    )

    assert tags <= proposed
    assert tags <= granted | consents
    assert not tags & declined


@given(purposes, purposes, st.sampled_from(Protection))
def test_a_protection_only_takes_away(proposed, granted, protection) -> None:
    without = effective(proposed=proposed, granted_by_notice=granted)

    assert effective(proposed=proposed, granted_by_notice=granted, protections=[protection]) <= without


def test_a_child_that_objects_leaves_no_purpose_whoever_else_agreed() -> None:
    tags = effective(
        proposed=Purpose, granted_by_notice=Purpose, consents=Purpose, protections=[Protection.CHILD_OBJECTS]
    )

    assert tags == frozenset()


@pytest.mark.parametrize("protection", [Protection.DISTRESS, Protection.CAPACITY_DOUBT])
def test_distress_and_doubted_capacity_leave_only_care(protection) -> None:
    assert effective(proposed=Purpose, granted_by_notice=Purpose, protections=[protection]) == {ML}
    assert {AUDIT, TRAINING} == SECONDARY


def test_leaving_out_training_leaves_the_rest() -> None:
    assert effective(proposed=Purpose, granted_by_notice=Purpose, declined=[TRAINING]) == {ML, AUDIT}


def test_a_conference_has_only_what_every_party_was_told() -> None:
    assert shared([frozenset({ML, AUDIT}), frozenset({ML, TRAINING})]) == {ML}
    assert shared([]) == frozenset()


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_a_purpose_that_is_not_offered_is_rejected_with_its_place_and_reason(name) -> None:
    with pytest.raises(ValueError, match=r"lines\.advice\.purposes") as caught:
        parse_purposes(["audit", name], at="lines.advice.purposes")

    assert UNSUPPORTED[name] in str(caught.value)


@pytest.mark.parametrize("name", ["Audit", "", None, 3, ["audit"], {"audit": 1}])
def test_an_unknown_purpose_is_rejected_naming_the_known_ones(name) -> None:
    with pytest.raises(ValueError, match="medico-legal, audit, training"):
        parse_purposes([name], at="x")


def test_configured_purposes_are_read() -> None:
    assert parse_purposes(["medico-legal", "audit", "training"], at="x") == frozenset(Purpose)


def test_tags_follow_their_history() -> None:
    history = [
        a_change(ML, source=TagSource.NOTICE),
        a_change(TRAINING, source=TagSource.NOTICE),
        a_change(TRAINING, added=False, source=TagSource.CALLER, basis_leaf=""),
    ]

    assert live_tags(history) == {ML}


@pytest.mark.parametrize("source", [TagSource.CALLER, TagSource.STAFF, TagSource.PROTECTION, TagSource.RETENTION])
def test_who_may_only_narrow_cannot_add(source) -> None:
    with pytest.raises(ValueError, match="may only remove"):
        a_change(source=source)


def test_an_addition_without_its_basis_is_refused() -> None:
    with pytest.raises(ValueError, match="needs the ledger entry"):
        a_change(basis_leaf="")


def test_a_use_outside_the_live_tags_is_denied() -> None:
    assert "not tagged audit" in why_not(AUDIT, role=Role.AUDITOR, live={ML})


def test_a_role_uses_recordings_only_for_its_own_purpose() -> None:
    allowed = {(p, r) for p in Purpose for r in Role if not why_not(p, role=r, live=Purpose, consented=Purpose)}

    assert allowed == {
        (ML, Role.MEDICO_LEGAL),
        (ML, Role.GUARDIAN),
        (AUDIT, Role.AUDITOR),
        (TRAINING, Role.TRAINER),
    }


def test_training_hears_the_voice_itself_only_with_consent() -> None:
    assert "coded" in why_not(TRAINING, role=Role.TRAINER, live={TRAINING})
    assert not why_not(TRAINING, role=Role.TRAINER, live={TRAINING}, identifiable=False)
    assert not why_not(TRAINING, role=Role.TRAINER, live={TRAINING}, consented={TRAINING})
