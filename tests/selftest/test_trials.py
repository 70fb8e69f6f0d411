"""What a trial says of a call that was not dealt with as promised: a self-test that cannot fail tests nothing."""

from __future__ import annotations

import pytest

from callrec.config import loads
from callrec.core.reasons import Reason
from callrec.notice.verify import Verification
from callrec.selftest.house import subjects
from callrec.selftest.run import in_default_language
from callrec.selftest.trials import REFUSED_FOR, Trial, outcome_of, spoil
from tests.config.test_outbound_lines import TEXT as OUTBOUND

WHOLE = Verification(verifier="a", coverage=1.0)
NOT_WHOLE = Verification(verifier="a", reasons=("half is missing",))


def closed(reason: Reason | None, *, connected: bool = True):
    decision = "NOT_RECORDED" if reason else "RECORDED"
    return {"decision": decision, "reason": reason.value if reason else "", "connected": connected}


def test_a_notice_that_was_heard_and_recorded_passes():
    assert outcome_of(Trial.HEARD, closed(None), WHOLE).passed


@pytest.mark.parametrize(
    ("summary", "heard", "said"),
    [
        (closed(None), NOT_WHOLE, "half is missing"),
        (closed(Reason.NOTICE_ALTERED), WHOLE, "nothing was recorded: NOTICE_ALTERED"),
        (closed(None, connected=False), WHOLE, "did not reach the line"),
    ],
)
def test_a_notice_that_was_not_heard_or_not_recorded_fails(summary, heard, said):
    found = outcome_of(Trial.HEARD, summary, heard)

    assert not found.passed
    assert said in found.what


@pytest.mark.parametrize("trial", REFUSED_FOR)
def test_sabotage_passes_only_where_it_was_refused_for_its_own_reason_and_the_caller_connected(trial):
    assert outcome_of(trial, closed(REFUSED_FOR[trial]), NOT_WHOLE).passed
    assert not outcome_of(trial, closed(None), NOT_WHOLE).passed
    assert not outcome_of(trial, closed(Reason.LEDGER_UNAVAILABLE), NOT_WHOLE).passed
    assert not outcome_of(trial, closed(REFUSED_FOR[trial], connected=False), NOT_WHOLE).passed


def test_every_sabotage_has_a_reason_that_refuses_it():
    assert set(Trial) - set(REFUSED_FOR) == {Trial.HEARD}


def test_a_spoiled_prompt_differs_in_one_octet_and_what_it_was_is_given_back(tmp_path):
    file = tmp_path / "a.wav"
    file.write_bytes(bytes(100))
    before = spoil(file)

    assert before == bytes(100)
    assert sum(octet != 0 for octet in file.read_bytes()) == 1


def test_a_line_that_calls_outside_is_not_tried_through_the_running_agent():
    tried = subjects(loads(OUTBOUND, "c"), None)

    assert [each.line.name for each in tried] == ["out", "advice"]
    assert [each.line.name for each in in_default_language(tried)] == ["advice"]
