"""The auditor's questions: each finds what it is about, names it, and says nothing is wrong only where it looked."""

import json
from dataclasses import replace

import pytest

from callrec.audit.call_questions import evidence, orphans, recorded_before_notice, sample, selftest
from callrec.audit.keeping_questions import holds, retention_due
from callrec.audit.reconcile import read_records, reconcile
from callrec.audit.report import Filters
from callrec.audit.use_questions import access, choices, protected, stops, tag_history, training_consent, withdrawals
from callrec.core.bodies import missing_fields
from callrec.core.kinds import Kind
from callrec.core.reasons import Reason
from callrec.errors import ConfigError, Unavailable
from callrec.ledger.entry import commitment
from callrec.ports import Entry
from tests.audit.story import PURPOSES
from tests.core.builders import SECOND
from tests.ledger.world import entry

EVER = Filters()


def in_its_boot(story, **change):
    """Evidence of a notice that ended just now, by the ledger's own clock."""
    now = story.world.clock.ns
    return {"end_ns": now, "start_ns": now - 5 * SECOND, **change}


def a_recording(story, **change):
    """A call that is recorded after its notice; its id."""
    story.world.clock.ns += 10 * SECOND
    uid, offered = story.offer()
    answered = story.tell(Kind.CALL_ANSWERED, uid, offered_leaf=offered)
    proven = story.judged(uid, offered, answered, boot_id=story.world.clock.boot, **in_its_boot(story, **change))
    story.seal(uid, story.tell(Kind.RECORDING_STARTED, uid, proven_leaves=[proven], purposes=PURPOSES))
    story.close(uid, offered)
    return f"{uid}-0"


# ---------------------------------------------------------------- before its notice


def test_a_recording_after_its_notice_is_no_exception(story):
    recording = a_recording(story)

    report = recorded_before_notice(story.places(), EVER)

    (row,) = report.rows
    assert (row[0], row[4], report.exit_code) == (recording, "after its notice", 0)
    assert float(row[3]) >= 0


def test_a_recording_before_the_end_of_its_notice_is_named(story):
    """The evidence says that the notice ended a second after the recording began."""
    story.world.clock.ns += 10 * SECOND
    early = story.world.clock.ns + SECOND
    recording = a_recording(story, start_ns=early + 6 * SECOND, end_ns=early + 11 * SECOND)

    report = recorded_before_notice(story.places(), EVER)

    assert report.exceptions == (f"{recording}: BEFORE its notice ended",)
    assert report.exit_code == 1


def test_without_the_evidence_nobody_says_that_nothing_was_recorded_too_early(story):
    a_recording(story)

    assert recorded_before_notice(story.places(evidence=None), EVER).exit_code == 20


# ---------------------------------------------------------------- evidence, sample


def test_the_words_of_a_recording_are_told_with_prompt_time_leg_and_packets(story):
    recording = a_recording(story)

    report = evidence(story.places(), EVER, recording)

    said = "\n".join(str(row[1]) for row in report.rows)
    for words in (
        "notice played: proven (sent",
        "prompt advice-line version 1, en, sha256",
        "caller leg",
        "250 expected",
    ):
        assert words in said
    assert report.exit_code == 0
    assert "not in the register that was given" in said


def test_evidence_of_a_call_that_nobody_knows_cannot_be_told(story):
    story.day()
    with pytest.raises(Unavailable, match="knows no call"):
        evidence(story.places(), EVER, "ffff-0")
    with pytest.raises(Unavailable, match="knows no call"):
        evidence(story.places(), EVER, "../../etc")


def test_a_sample_is_drawn_again_by_its_seed_and_another_seed_draws_another(story):
    ids = {f"{uid}-0" for uid in story.day(12)}

    def drawn(seed, n=5):
        return [row[0] for row in sample(story.places(), EVER, n=n, seed=seed).rows]

    assert drawn("a") == drawn("a")
    assert drawn("a", 12) != drawn("b", 12)
    assert set(drawn("a", 99)) == ids
    assert len(set(drawn("a"))) == 5
    assert "--seed a" in sample(story.places(), EVER, n=5, seed="a").summary


def test_every_recording_is_drawn_about_as_often_as_any_other(story):
    ids = [f"{uid}-0" for uid in story.day(6)]
    report = [sample(story.places(), EVER, n=2, seed=str(seed)).rows for seed in range(3)]

    assert all({row[0] for row in rows} <= set(ids) for rows in report)


# ---------------------------------------------------------------- use


def test_who_opened_what_and_what_was_denied_is_listed_in_order(story):
    uid = story.day()[0]
    who = {"recording_id": f"{uid}-0", "person": "os:ann", "purpose": "audit"}
    story.tell(Kind.ACCESS_DENIED, uid, **who, action="play", why="not recorded for audit")
    story.tell(Kind.ACCESS_GRANTED, uid, **who, action="export")
    story.tell(Kind.EXPORT_MADE, uid, **who, form="flac", sha256="00" * 32)

    report = access(story.places(), EVER)

    assert [row[5] for row in report.rows] == ["DENIED: not recorded for audit", "granted", "left"]
    assert report.summary == "1 granted, 1 denied, 1 copies left"
    assert report.exit_code == 0


def test_a_copy_that_left_without_an_access_before_it_is_an_exception(story):
    uid = story.day()[0]
    story.tell(Kind.EXPORT_MADE, uid, recording_id=f"{uid}-0", person="os:ann", form="flac", sha256="00" * 32)

    report = access(story.places(), EVER)

    assert f"a copy of {uid}-0 left by os:ann without" in report.exceptions[0]
    assert report.exit_code == 1


AGREED = dict.fromkeys(missing_fields(Kind.CONSENT_GIVEN, {}), "") | {
    "purposes": ["training"],
    "evidence": "AGENT_READ",
}


def test_a_voice_used_for_training_needs_a_consent_from_before(story):
    uid, other = story.day()
    use = {"person": "os:ann", "purpose": "training"}
    story.tell(Kind.CONSENT_GIVEN, uid, **AGREED)
    for each in (uid, other):
        story.tell(Kind.ACCESS_GRANTED, each, recording_id=f"{each}-0", action="play", **use)
    story.tell(Kind.ACCESS_GRANTED, other, recording_id=f"{other}-0", action="copy", **use)

    report = training_consent(story.places(), EVER)

    assert [row[1] for row in report.rows] == [f"{uid}-0", f"{other}-0"]
    assert report.exceptions == (f"{other}-0: its voice was used for training without a consent",)


def test_the_history_of_a_purpose_tells_notice_choice_and_change(story):
    uid, other = story.day()
    story.tell(Kind.CHOICE_MADE, uid, choice="decline training", digit="3", leg="caller")
    story.tell(Kind.TAG_CHANGED, uid, change="removed", purpose="training", person="ann", why="asked by the caller")
    story.tell(Kind.TAG_CHANGED, other, change="removed", purpose="audit", person="ann")

    report = tag_history(story.places(), EVER, f"{uid}-0")

    assert [row[2] for row in report.rows] == [
        "notice.proven",
        "recording.started",
        "choice.made: decline training",
        "tag.changed: removed",
    ]
    assert report.rows[0][3] == ", ".join(PURPOSES)
    assert report.rows[3][4:] == ("ann", "asked by the caller")
    assert tag_history(story.places(), EVER, "ffff-0").exit_code == 20


def test_choices_say_what_became_of_the_audio_and_a_recording_after_a_no_is_an_exception(story):
    uid, other = story.day()
    refused = story.refused_call()
    for each in (uid, refused):
        story.tell(Kind.CHOICE_MADE, each, choice="decline", digit="2", leg="caller")

    report = choices(story.places(), EVER)

    assert {row[1]: row[4].partition(",")[0] for row in report.rows} == {uid: "sealed", refused: "none was recorded"}
    assert report.exceptions == (f"call {uid}: recorded after the caller declined",)
    assert other not in str(report.rows)


def test_stops_are_listed_person_by_person(story):
    uid, other = story.day()
    people = ((uid, "staff", "staff sip:6000@pbx"), (other, "uid:7", "uid:7"), (other, "caller", "caller"))
    for each, by, actor in people:
        stopped = entry(Kind.RECORDING_STOPPED, each, reason="STAFF_STOPPED", stopped_by=by)
        story.ledger.append_blocking(replace(stopped, actor=actor))
    story.tell(Kind.RECORDING_STOPPED, uid, reason="", stopped_by="caller")
    early = story.refused_call()
    choice = {"choice": "stop before recording", "digit": "", "leg": "staff", "method": "order"}
    story.ledger.append_blocking(replace(entry(Kind.CHOICE_MADE, early, **choice), actor="staff sip:6000@pbx"))
    story.tell(Kind.CHOICE_MADE, uid, choice="stop", digit="**2", leg="caller", method="rfc4733")

    report = stops(story.places(), EVER)

    assert [row[0] for row in report.rows] == ["caller", "staff sip:6000@pbx", "staff sip:6000@pbx", "uid:7"]
    assert [row[3] for row in report.rows if row[2] == f"{early}-0"] == ["stop before recording"]
    assert report.summary == "4 stops: 1 by caller, 2 by staff sip:6000@pbx, 1 by uid:7"
    assert "stop before recording" not in str(choices(story.places(), EVER).rows), "that is no caller's choice"


def test_withdrawals_are_listed_with_what_became_of_them(story):
    uid = story.day()[0]
    story.tell(Kind.WITHDRAWN, uid, recording_id=f"{uid}-0", person="ann", in_window=True, list_sha256="")

    report = withdrawals(story.places(), EVER)
    assert [row[1:] for row in report.rows] == [(f"{uid}-0", "withdrawn in the window", "ann", "-")]
    assert report.exit_code == 0


def test_what_was_opened_after_its_caller_withdrew_it_is_an_exception_until_that_was_decided(story):
    uid, other = story.day()
    for each in (uid, other):
        story.tell(Kind.WITHDRAWN, each, recording_id=f"{each}-0", person="ann", list_sha256="")
    story.tell(Kind.TAG_CHANGED, other, recording_id=f"{other}-0", change="restored", purposes=["medico-legal"])
    for each in (uid, other):
        story.tell(Kind.ACCESS_GRANTED, each, recording_id=f"{each}-0", person="os:ann", purpose="audit", action="play")

    assert withdrawals(story.places(), EVER).exceptions == (f"{uid}-0 was opened after its caller withdrew it",)


def test_what_staff_flagged_has_no_secondary_use_left_and_where_it_has_that_is_an_exception(story):
    uid, other = story.day()
    flag = {"source": "protection", "why": "child objects", "change": "removed"}
    story.tell(Kind.TAG_CHANGED, uid, recording_id=f"{uid}-0", purposes=["audit", "training"], **flag)
    story.tell(Kind.TAG_CHANGED, other, recording_id=f"{other}-0", purposes=["training"], **flag)

    report = protected(story.places(), EVER)

    assert {row[0]: row[5] for row in report.rows} == {f"{uid}-0": "medico-legal", f"{other}-0": "audit, medico-legal"}
    assert report.exceptions == (f"{other}-0 was flagged, and is still to be used for audit, medico-legal",)


# ---------------------------------------------------------------- keeping


def test_audio_without_entries_is_an_orphan_and_the_evidence_contradicts(story):
    story.day()
    assert orphans(story.places(), EVER).exit_code == 0
    assert orphans(story.places(spool=None), EVER).exit_code == 20
    (story.spool / "stray.wav").write_bytes(b"voice")

    report = orphans(story.places(), EVER)

    assert report.exit_code == 30
    assert "stray.wav" in report.exceptions[0]


def test_a_hold_that_nobody_looked_at_again_is_an_exception(story):
    story.day()
    hold = {"hold_kind": "claim", "person": "ann", "login": "os:ann", "reason": "CLM-1"}
    story.tell(Kind.HOLD_PLACED, hold_id="h1", scope={"line": "advice"}, review_by="2020-01-01", **hold)
    story.tell(Kind.HOLD_PLACED, hold_id="h2", scope={"line": "other"}, review_by="2999-01-01", **hold)

    report = holds(story.places(), EVER)

    assert [(row[0], row[5]) for row in report.rows] == [("h1", "overdue"), ("h2", "open")]
    assert report.exceptions == ("the hold h1 was to be looked at again by 2020-01-01",)
    assert [row[0] for row in holds(story.places(), Filters(line="other")).rows] == ["h2"]


def test_what_has_no_rule_is_an_exception(story):
    uid = story.recorded_call()

    report = retention_due(story.places(), EVER)

    assert report.exceptions == (f"{uid}-0 has no rule",)


def test_without_a_self_test_the_control_is_not_said_to_work(story):
    story.day()
    assert selftest(story.places(), EVER).exit_code == 20
    story.tell(Kind.SELFTEST_DONE, line="advice", outcome="held")
    assert selftest(story.places(), EVER).exit_code == 0
    story.tell(Kind.SELFTEST_DONE, line="advice", outcome="the notice was not heard")
    report = selftest(story.places(), EVER)
    assert report.exit_code == 1
    assert "the notice was not heard" in report.exceptions[0]


# ---------------------------------------------------------------- call records


def offered(story, call_id, *, salted=True):
    """A call with a committed Call-ID; when it was offered."""
    story.number += 1
    uid = f"{story.number:032x}"
    committed, salt = commitment(call_id)
    said = entry(Kind.CALL_OFFERED, uid, number=story.number, line="advice", commitments={"sip_call_id": committed})
    salts = {"sip_call_id": salt} if salted else {}
    leaf = story.ledger.append_blocking(
        Entry(kind=said.kind, body=said.body, call_uid=uid, segment=0, actor=said.actor, salts=salts)
    ).leaf
    story.close(uid, leaf, Reason.CALLER_DECLINED)
    story.world.clock.ns += SECOND
    return uid


def records(*rows, head="start,call_id"):
    return read_records("\n".join([head, *rows]))


def test_calls_are_matched_by_their_call_id_whatever_their_order(story):
    first, second = offered(story, "a@pbx"), offered(story, "b@pbx")

    report = reconcile(
        story.places(), EVER, records("2026-03-01 12:00:03,b@pbx", "2026-03-01 12:00:02,a@pbx"), tolerance_s=30
    )

    assert [(row[2], row[4]) for row in report.rows] == [(second, "by Call-ID"), (first, "by Call-ID")]
    assert report.summary == "2 calls in both, 0 in the call records only, 0 in the ledger only"
    assert report.exit_code == 0


def test_a_call_that_was_routed_around_is_found_and_so_is_one_that_the_records_lack(story):
    uid = offered(story, "a@pbx")

    report = reconcile(story.places(), EVER, records("2026-03-01 12:00:02,around@pbx"), tolerance_s=30)

    assert report.exit_code == 1
    assert report.exceptions == (
        "line 2: a call at 2026-03-01T12:00:02 never came through here",
        f"call {uid} at {report.rows[1][3]} is not in the call records",
    )


def test_without_a_call_id_or_once_its_salt_was_erased_the_nearest_in_time_is_taken_and_said(story):
    erased, named = offered(story, "a@pbx", salted=False), offered(story, "b@pbx")

    by_time = reconcile(story.places(), EVER, records("2026-03-01 12:00:02,a@pbx", "2026-03-01 12:00:02,b@pbx"))
    assert [(row[2], row[4]) for row in by_time.rows] == [(erased, "by time"), (named, "by Call-ID")]

    without = reconcile(story.places(), EVER, records("2026-03-01 12:00:02", "2026-03-01T12:00:03", head="calldate"))
    assert [row[4] for row in without.rows] == ["by time", "by time"]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "do not say when"),
        ("dst,callid\n1,2", "do not say when"),
        ("start\nyesterday", "line 2"),
        ("start", "no call records in it"),
        ('start\n"2026', "no CSV"),
    ],
)
def test_a_file_that_is_no_table_of_calls_is_told_by_its_line(text, named):
    with pytest.raises(ConfigError, match=named):
        read_records(text)


def test_a_local_clock_is_brought_to_utc():
    (record,) = read_records("start\n2026-07-01 13:00:00", utc_offset_h=1)
    (zoned,) = read_records("start\n2026-07-01T13:00:00+01:00", utc_offset_h=5)

    assert record.start == zoned.start
    assert record.start.hour == 12


# ---------------------------------------------------------------- forms


def test_a_report_as_csv_says_first_how_far_it_can_be_trusted_and_holds_no_formula(story):
    uid = story.day()[0]
    story.tell(Kind.ACCESS_GRANTED, uid, recording_id="=1+1", person="@ann", action="play", purpose="audit")

    lines = access(story.places(), EVER).to_csv().splitlines()

    assert lines[0] == "# anchored outside: never"
    assert any(line.startswith("# verification: ") for line in lines)
    assert lines[-2] == "when,who,recording,what,purpose,outcome"
    assert lines[-1].split(",")[1:] == ["'@ann", "'=1+1", "play", "audit", "granted"]
    assert json.loads(access(story.places(), EVER).to_json())["row_count"] == 1
