"""The closed lists are what the design says, and nobody renames what an append-only ledger may hold already."""

from __future__ import annotations

from callrec.core.bodies import REQUIRED, missing_fields
from callrec.core.kinds import Kind
from callrec.core.reasons import _CLASSES, REASON_CLASS, Reason, ReasonClass
from callrec.core.values import Grade, Purpose, Tap

KINDS = (
    "call.offered call.answered call.closed leg.changed notice.proven notice.refused choice.made recording.started "
    "recording.paused recording.resumed recording.progress recording.stopped recording.sealed recording.discarded "
    "recording.lost recording.kept recording.damaged recording.imported store.intent tag.changed consent.given "
    "access.granted access.denied export.made disclosure hold.placed hold.released disposal.proposed disposal.approved "
    "disposal.done withdrawn incident agent.started agent.heartbeat agent.stopped clock.stepped traffic.dropped "
    "checkpoint.shipped config.changed prompt.approved prompt.retired key.created key.rotated salt.erased "
    "selftest.done testcall.matched fixity.ok"
)

REASONS = {
    "caller's choice": "CALLER_DECLINED CALLER_STOPPED CALLER_WITHDREW",
    "caller left": "CALLER_HUNG_UP",
    "not answered": "NOT_ANSWERED ENDED_BEFORE_CAPTURE",
    "emergency": "EMERGENCY_BYPASS",
    "bypassed": (
        "LINE_NOT_RECORDED AT_CAPACITY NO_LINE NO_COMMON_CODEC REQUEST_REFUSED DRAINING STAFF_STOPPED OPERATOR_STOPPED "
        "NO_PURPOSE STAFF_NOT_INFORMED SUBJECT_PROTECTED MAX_LENGTH NOTICE_NOT_ORDERED"
    ),
    "our fault": (
        "NOTICE_MISSING NOTICE_UNAPPROVED NOTICE_INTERRUPTED NOTICE_NOT_SENT NOTICE_ALTERED NOTICE_UNDECIDED "
        "EARLY_MEDIA_ONLY UNHEARD_SUSPECT MEDIA_FOREIGN CHOICE_UNAVAILABLE GRADE_TOO_LOW PROOF_CONTRADICTED WRONG_LEG "
        "WRONG_LANGUAGE PARTY_WITHOUT_NOTICE LEDGER_UNAVAILABLE STORE_UNAVAILABLE CAPTURE_FAILED MEMORY_UNSAFE "
        "AGENT_FAILED CONFIG_ERROR"
    ),
}
"""Golden: a name may be added here, never changed and never removed."""


def test_the_kinds_of_entry_are_the_closed_list():
    assert " ".join(kind.value for kind in Kind) == KINDS


def test_the_reasons_are_the_closed_list_each_in_its_class():
    grouped = {group: set(names.split()) for group, names in REASONS.items()}

    assert {g.value: {r.value for r, c in REASON_CLASS.items() if c is g} for g in ReasonClass} == grouped


def test_every_reason_is_in_exactly_one_class():
    placed = [reason for members in _CLASSES.values() for reason in members]

    assert len(placed) == len(set(placed))
    assert ReasonClass.OUR_FAULT not in _CLASSES
    assert set(REASON_CLASS) == set(Reason)


def test_a_name_in_the_code_is_the_name_in_the_ledger():
    assert [reason.name for reason in Reason] == [reason.value for reason in Reason]
    assert [kind.name.lower() for kind in Kind] == [kind.value.replace(".", "_") for kind in Kind]


def test_other_words_that_entries_carry_keep_their_spelling():
    assert [p.value for p in Purpose] == ["medico-legal", "audit", "training"]
    assert [g.value for g in Grade] == ["sent", "received", "acknowledged"]
    assert [t.value for t in Tap] == ["player", "wire"]


def test_grades_are_ordered_from_weakest_to_strongest():
    assert [grade.rank for grade in (Grade.SENT, Grade.RECEIVED, Grade.ACKNOWLEDGED)] == [0, 1, 2]


def test_no_entry_must_carry_a_name_or_a_number_of_a_caller():
    fields = {field for names in REQUIRED.values() for field in names}

    assert not fields & {"caller", "called", "dialled", "from", "to", "phone", "display", "uri"}


def test_a_body_that_lacks_a_required_field_is_told_which():
    assert missing_fields(Kind.AGENT_STOPPED, {"why": "asked"}) == ("calls_offered",)
    assert missing_fields(Kind.AGENT_STOPPED, {"why": "asked", "calls_offered": 3}) == ()
    assert missing_fields(Kind.CLOCK_STEPPED, {}) == ()
