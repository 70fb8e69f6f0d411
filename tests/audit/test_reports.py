"""The auditor's questions: what is asked, how far it can be trusted, and the answer."""

import json

import pytest

from callrec.audit.casefile import gather
from callrec.audit.queries import QUESTIONS, coverage, purpose_ceiling, refusals
from callrec.audit.report import Filters, verification_json, verification_text
from callrec.core.kinds import Kind
from callrec.errors import Unavailable

EVER = Filters()
ANSWERS = {"recorded-before-notice": 1, "notices": 20, "disposals": 20, "selftest": 20, "retention-due": 1}
"""Exit codes on a day whose notices are of another boot, whose manifests are empty, and without what these look at."""


def test_coverage_counts_parties_matched_and_unmatched(story):
    story.day()
    report = coverage(story.places(), EVER)
    assert report.summary == "2 recordings, 2 parties, 2 matched, 0 unmatched"
    assert report.exit_code == 0
    assert {row[5] for row in report.rows} == {"proven (sent; evaluation tap)"}


def test_coverage_names_a_recording_without_a_proof_and_the_evidence_contradicts_itself(story):
    uid, _ = story.offer()
    story.tell(Kind.RECORDING_STARTED, uid, proven_leaves=["ab" * 32], purposes=[])
    report = coverage(story.places(), EVER)
    assert len(report.exceptions) == 1
    assert uid in report.exceptions[0]
    assert report.exit_code == 30


def test_refusals_are_counted_by_day_line_class_and_reason(story):
    story.day()
    story.refused_call()
    report = refusals(story.places(), EVER)
    assert report.rows == (("2026-03-01", "advice", "our fault", "NOTICE_INTERRUPTED", 2),)
    assert report.summary == "4 calls, 2 not recorded"
    assert report.exit_code == 0


def test_purposes_beyond_the_notice_are_exceptions(story):
    story.day()
    assert purpose_ceiling(story.places(), EVER).exceptions == ()
    uid, offered = story.offer()
    answered = story.tell(Kind.CALL_ANSWERED, uid, offered_leaf=offered)
    proven = story.judged(uid, offered, answered)
    story.tell(Kind.RECORDING_STARTED, uid, proven_leaves=[proven], purposes=["marketing"])
    assert "marketing" in purpose_ceiling(story.places(), EVER).exceptions[0]


@pytest.mark.parametrize("name", QUESTIONS)
def test_every_report_says_first_how_far_it_can_be_trusted(story, name):
    story.day()
    ask = QUESTIONS[name]
    text = ask(story.places(), EVER).to_text().splitlines()
    assert text[0] == "anchored outside: never"
    story.ship()
    text = ask(story.places(), EVER).to_text()
    assert text.startswith("anchored outside: 2026-03-01T12:00:")
    for word in ("asked about:", "rows:", "verification: 15 of 15 checks hold", "clock:", "software:", "Not shown:"):
        assert word in text
    value = json.loads(ask(story.places(), EVER).to_json())
    assert value["row_count"] == len(value["rows"])
    assert value["verification"]["sound"]
    assert value["exit_code"] == ANSWERS.get(name, 0)


def test_a_period_of_which_the_ledger_says_nothing_is_not_a_clean_one(story):
    story.day()
    report = refusals(story.places(), Filters(since="2027-01-01"))
    assert report.exit_code == 20
    assert "cannot be answered" in report.to_text()


def test_filters_choose_the_period_and_the_line(story):
    story.day()
    assert coverage(story.places(), Filters(line="other")).rows == ()
    assert len(coverage(story.places(), Filters(line="advice", since="2026-03-01", until="2026-03-02")).rows) == 2
    assert coverage(story.places(), Filters(until="2026-03-01")).exit_code == 20


def test_nothing_is_said_to_be_clean_where_the_ledger_is_not_sound(story):
    story.day()
    story.attack(("UPDATE entries SET body = replace(body, 'advice', 'advicf') WHERE seq = 1", ()))
    report = refusals(story.places(), EVER)
    assert report.exit_code == 30
    assert "nothing below can be relied on" in report.to_text()


def test_a_verification_prints_every_check_with_its_outcome(story):
    story.day()
    (story.store / "stray.wav").write_bytes(b"voice")
    result = story.verify(evidence=None, vkey=None)
    text = verification_text(result)
    assert "not looked at   9." in text
    assert "1 found  12." in text
    assert "stray.wav is audio that belongs to no recording" in text
    assert "the key was taken from the ledger itself" in text
    value = verification_json(result)
    assert value["counts"] == {"12": 1}
    assert value["skipped"] == [4, 9]  # nothing was shipped to the anchor yet


def test_a_case_holds_every_entry_the_evidence_and_the_object_of_its_call_and_no_other(story):
    uid, other = story.day()
    case = gather(story.places(), uid)
    assert [entry.kind for entry in case.entries] == [
        "call.offered",
        "call.answered",
        "notice.proven",
        "recording.started",
        "recording.sealed",
        "recording.kept",
        "call.closed",
    ]
    assert [each.recording_id for each in case.objects] == [f"{uid}-0"]
    text = case.to_text()
    assert "notice played: proven (sent to the next hop 127.0.0.1:5062; evaluation tap)" in text
    assert "judged again gives the same verdict" in text
    assert other not in text
    assert json.loads(case.to_json())["evidence"][0]["judged_again"]["verdict"] == "granted"
    assert case.exit_code == 0


def test_a_case_of_a_refused_call_says_why(story):
    uid = story.refused_call()
    case = gather(story.places(), uid)
    assert "not proven (NOTICE_INTERRUPTED)" in case.to_text()
    assert "NOT_RECORDED NOTICE_INTERRUPTED" in case.to_text()


def test_a_case_whose_evidence_does_not_fit_contradicts_itself(story):
    uid = story.day()[0]
    (story.evidence / f"{uid}-1.json").unlink()
    case = gather(story.places(), uid)
    assert case.exit_code == 30
    assert "cannot be read" in case.to_text()
    assert json.loads(case.to_json())["evidence"][0]["judged_again"] is None


def test_a_call_that_the_ledger_does_not_know_cannot_be_answered(story):
    with pytest.raises(Unavailable, match="knows no call"):
        gather(story.places(), "ab" * 16)
