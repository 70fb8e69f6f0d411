"""Every numbered check finds what it is for, and a good day has nothing to be found."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callrec.audit.findings import CHECKS, KEPT_PER_CHECK
from callrec.audit.queries import QUESTIONS
from callrec.audit.report import Filters
from callrec.audit.verify import verify
from callrec.core.kinds import Kind
from callrec.core.reasons import Reason
from callrec.errors import Broken, ConfigError
from callrec.ledger.reading import open_log
from callrec.ports import AUDIO_FILE, MANIFEST_FILE
from tests.audit.story import Story, checks
from tests.ledger.world import World


def sentences(verification):
    return " | ".join(finding.sentence for finding in verification.findings)


def test_a_good_day_is_sound_and_every_check_was_made(story):
    story.day()
    story.ship()
    story.recorded_call()
    story.tell(Kind.AGENT_STOPPED)
    result = story.verify()
    assert result.findings == ()
    assert (result.sound, result.exit_code, result.skipped, result.open) == (True, 0, (), ())
    assert result.size == len(story.bodies())
    assert result.anchored_size == result.size - 8
    assert result.clock == "synchronised throughout"
    assert "15 of 15 checks hold" in result.summary()


def test_what_was_not_given_is_said_to_be_skipped(story):
    story.day()
    result = story.verify(anchors=(), evidence=None, store=None, spool=None, vkey=None)
    assert result.sound
    assert result.skipped == (4, 9, 11, 12)
    assert not result.key_was_given
    assert result.anchored_size is None


# ---------------------------------------------------------------- the chain, attacked


def edited(story):
    bodies = story.bodies()
    bodies[5]["body"] = bodies[5]["body"] | {"edited": True}
    return bodies


def test_a_row_edited_in_place_is_found(story):
    story.day()
    story.attack(("UPDATE entries SET body = replace(body, 'advice', 'advicf') WHERE seq = 1", ()))
    result = story.verify()
    assert {1, 2} <= checks(result)
    assert any(finding.check == 1 and finding.seq == 1 for finding in result.findings)
    assert result.exit_code == 30


def test_a_row_edited_with_every_hash_recomputed_is_found_by_the_signed_roots(story):
    story.day()
    story.rewrite(edited(story))
    result = story.verify(anchors=())
    assert 1 not in checks(result)
    assert 2 in checks(result)


def test_a_row_edited_and_signed_anew_with_the_real_key_is_found_by_the_anchor_alone(story):
    story.day()
    story.ship()
    story.rewrite(edited(story), signed=True)
    assert story.verify(anchors=(), evidence=None).counts.keys() <= {5, 6, 7}
    assert 4 in checks(story.verify())


def test_two_rows_swapped_are_found(story):
    story.day()
    bodies = story.bodies()
    bodies[3], bodies[4] = bodies[4], bodies[3]
    story.rewrite(bodies)
    assert 2 in checks(story.verify())


def test_a_tail_cut_off_cleanly_is_found_by_the_anchor_and_by_nothing_else(story):
    story.day(1)
    story.recorded_call()
    story.ship()
    whole = story.bodies()
    story.rewrite(whole[:-7])
    assert checks(story.verify(anchors=(), evidence=None, store=None, spool=None)) == set()
    result = story.verify()
    assert 4 in checks(result)
    assert "shorter than" in sentences(result)


def test_a_tail_cut_off_without_its_checkpoints_is_found(story):
    story.day()
    story.attack(("DELETE FROM entries WHERE seq > 9", ()))
    assert 2 in checks(story.verify(anchors=()))


def test_a_fork_signed_with_the_real_key_is_found_where_two_hold_checkpoints_of_one_size(story, tmp_path):
    story.day()
    story.ship()
    size = len(story.bodies())
    story.rewrite(edited(story), signed=True)
    other = tmp_path / "other"
    other.mkdir()
    with open_log(story.world.path) as log:
        (other / f"{size:016d}.checkpoint").write_bytes(log.newest_note())
    result = story.verify(anchors=(story.anchor.path, other))
    assert 4 in checks(result)
    assert "forked" in sentences(result)


def test_a_row_inserted_with_an_old_date_is_found_by_the_anchor(story):
    story.day()
    story.ship()
    bodies = story.bodies()
    bodies.insert(4, bodies[3])
    story.rewrite(bodies, signed=True)
    assert 4 in checks(story.verify())


def test_an_entry_that_says_it_is_older_than_the_one_before_is_found(story):
    story.day()
    story.world.clock.ns -= 10_000_000_000
    story.tell(Kind.INCIDENT)
    result = story.verify()
    assert checks(result) == {5}
    assert "backwards" in sentences(result)


def test_the_ledger_of_another_key_is_found(story, tmp_path):
    story.day()
    other = tmp_path / "other"
    other.mkdir()
    assert 2 in checks(story.verify(vkey=World(other).key.vkey()))


def test_a_forged_signature_is_found(story):
    story.day()
    note = story.ledger.newest_checkpoint()
    forged = note[:-20] + (b"A" if note[-20:-19] != b"A" else b"B") + note[-19:]
    story.attack(("UPDATE checkpoints SET note = ? WHERE size = (SELECT max(size) FROM checkpoints)", (forged,)))
    assert checks(story.verify(anchors=())) == {2}


def test_a_checkpoint_of_somebody_else_among_the_anchors_is_found(story):
    story.day()
    story.ship()
    (story.anchor.path / f"{1:016d}.checkpoint").write_bytes(b"not a checkpoint")
    assert checks(story.verify()) == {4}


def test_a_row_filed_under_another_call_is_found(story):
    story.day()
    story.attack(("UPDATE entries SET call_uid = 'another' WHERE seq = 3", ()))
    assert checks(story.verify()) == {1}


def test_nothing_in_a_row_stops_the_verifier(story):
    story.day()
    junk = [b"", b"[]", b"{}", b"\xff", b'{"seq":0}', "text", 7, b'{"a":1,"a":2}', b"[" * 100_000]
    story.attack(*(("UPDATE entries SET body = ? WHERE seq = ?", (value, 2 + n)) for n, value in enumerate(junk)))
    result = story.verify()
    assert {1, 2} <= checks(result)
    assert len([f for f in result.findings if f.check == 1 and "not strict" in f.sentence]) >= 4


def test_what_is_no_ledger_is_told_apart(story, tmp_path):
    with pytest.raises(ConfigError):
        story.verify(ledger=tmp_path / "none.db")
    (tmp_path / "junk.db").write_bytes(b"junk" * 2000)
    with pytest.raises(Broken):
        story.verify(ledger=tmp_path / "junk.db")
    with pytest.raises(Broken, match="verifier key"):
        story.verify(vkey="no key")


# ---------------------------------------------------------------- what entries say


def tampered(story, kind, change):
    """Rewrite the log, signed with the real key, with one body changed: what a dishonest agent would have written."""
    bodies = story.bodies()
    found = next(body for body in bodies if body["kind"] == kind.value)
    change(found)
    story.rewrite(bodies, signed=True)
    return story.verify(anchors=(), evidence=None, store=None, spool=None)


def test_an_unknown_kind_is_found(story):
    story.day()
    result = tampered(story, Kind.CALL_CLOSED, lambda entry: entry.update(kind="call.forgotten"))
    assert 3 in checks(result)


def test_a_body_that_lacks_a_field_is_found(story):
    story.day()
    result = tampered(story, Kind.AGENT_STARTED, lambda entry: entry["body"].pop("engine"))
    assert checks(result) >= {3}
    assert "agent.started lacks engine" in sentences(result)


def test_a_recording_without_any_proof_is_found(story):
    story.day()
    assert 6 in checks(tampered(story, Kind.RECORDING_STARTED, lambda e: e["body"].update(proven_leaves=[])))


def test_a_recording_that_refers_to_no_proof_is_found(story):
    uid, offered = story.offer()
    started = story.tell(Kind.RECORDING_STARTED, uid, proven_leaves=["ab" * 32], purposes=[])
    story.seal(uid, started)
    story.close(uid, offered)
    result = story.verify()
    assert checks(result) == {6}
    assert "no earlier notice.proven" in sentences(result)


def answered_call(story):
    uid, offered = story.offer()
    answered = story.tell(Kind.CALL_ANSWERED, uid, offered_leaf=offered)
    return uid, offered, story.judged(uid, offered, answered)


def test_a_proof_used_twice_is_found(story):
    uid, offered, proven = answered_call(story)
    for _ in range(2):
        started = story.tell(Kind.RECORDING_STARTED, uid, proven_leaves=[proven], purposes=[])
        story.tell(Kind.RECORDING_DISCARDED, uid, started_leaf=started)
    story.close(uid, offered)
    result = story.verify()
    assert checks(result) == {6}
    assert "before" in sentences(result)


def test_a_proof_of_another_segment_is_found(story):
    uid, offered, proven = answered_call(story)
    started = story.tell(Kind.RECORDING_STARTED, uid, 1, proven_leaves=[proven], purposes=[])
    story.tell(Kind.RECORDING_LOST, uid, 1, started_leaf=started)
    story.close(uid, offered)
    assert "for segment 0, not 1" in sentences(story.verify())


def test_a_proof_of_another_call_is_found(story):
    _, _, proven = answered_call(story)
    uid, offered = story.offer()
    started = story.tell(Kind.RECORDING_STARTED, uid, proven_leaves=[proven], purposes=[])
    story.tell(Kind.RECORDING_LOST, uid, started_leaf=started)
    story.close(uid, offered)
    assert 6 in checks(story.verify())


def test_a_purpose_that_the_notice_did_not_name_is_found(story):
    uid, offered, proven = answered_call(story)
    started = story.tell(Kind.RECORDING_STARTED, uid, proven_leaves=[proven], purposes=["audit", "marketing"])
    story.tell(Kind.RECORDING_LOST, uid, started_leaf=started)
    story.close(uid, offered)
    result = story.verify()
    assert checks(result) == {10}
    assert "marketing" in sentences(result)


def test_a_recording_that_ended_twice_is_found(story):
    uid, offered, proven = answered_call(story)
    started = story.tell(Kind.RECORDING_STARTED, uid, proven_leaves=[proven], purposes=[])
    story.tell(Kind.RECORDING_LOST, uid, started_leaf=started)
    story.tell(Kind.RECORDING_DISCARDED, uid, started_leaf=started)
    story.close(uid, offered)
    assert checks(story.verify()) == {7}


def test_what_is_not_finished_is_open_while_the_agent_runs_and_a_finding_after_it_stopped(story):
    uid, _, proven = answered_call(story)
    story.tell(Kind.RECORDING_STARTED, uid, proven_leaves=[proven], purposes=[])
    running = story.verify()
    assert running.sound
    assert len(running.open) == 2
    story.tell(Kind.AGENT_STOPPED)
    stopped = story.verify()
    assert checks(stopped) == {7, 8}
    assert stopped.open == ()


def test_what_a_crashed_agent_left_is_a_finding_once_the_next_one_has_settled_down(story):
    answered_call(story)
    story.ledger.close()
    story.ledger = story.world.ledger()
    story.tell(Kind.AGENT_STARTED)
    assert story.verify().sound
    story.tell(Kind.AGENT_HEARTBEAT)
    assert checks(story.verify()) == {8}


def test_a_number_left_out_or_given_twice_is_found(story):
    story.day(1)
    story.number += 2
    story.recorded_call()
    story.tell(Kind.AGENT_STOPPED)
    result = story.verify()
    assert checks(result) == {8}
    assert "number 3" in sentences(result)
    assert "number 4" in sentences(result)


def test_numbers_may_begin_anew_with_each_run_and_may_go_on(story):
    story.day(1)
    for first in (0, story.number):
        story.ledger.close()
        story.ledger = story.world.ledger()
        story.number = first
        uid = f"{'ab' * 15}{first:02d}"
        story.number += 1
        offered = story.tell(Kind.CALL_OFFERED, uid, number=story.number)
        story.close(uid, offered)
    assert 8 not in checks(story.verify())


def test_a_call_closed_or_offered_twice_or_never_offered_is_found(story):
    uid, offered = story.offer()
    story.close(uid, offered)
    story.close(uid, offered)
    story.tell(Kind.CALL_CLOSED, "ef" * 16, number=9, offered_leaf="")
    text = sentences(story.verify())
    assert "closed twice" in text
    assert "never offered" in text


RECORDED, NOT = ({"decision": decision, "reason": ""} for decision in ("RECORDED", "NOT_RECORDED"))


@pytest.mark.parametrize(
    ("segments", "what"),
    [
        ([], "one after the other, from 0 on"),
        ("all", "one after the other, from 0 on"),
        ([{"segment": 1, **RECORDED}], "one after the other, from 0 on"),
        ([{"segment": 0, **NOT}, {"segment": 0, **RECORDED}], "one after the other, from 0 on"),
        ([{"segment": True, **RECORDED}], "one after the other, from 0 on"),
        ([{"segment": 0, **RECORDED}, {"segment": 2, **NOT}], "one after the other, from 0 on"),
        ([{"segment": 0, **RECORDED}], "decides nothing of segment 1"),
        (
            [{"segment": 0, **RECORDED}, {"segment": 1, **RECORDED}],
            "segment 1 is said to be recorded, and no recording",
        ),
        ([{"segment": 0, **NOT}, {"segment": 1, **NOT}], "another thing of the call than of its segments"),
        ([{"segment": 0, **NOT}, {"segment": 1, **NOT}], "segment 0 is said not to be recorded, and a recording"),
    ],
)
def test_a_summary_that_does_not_decide_every_segment_as_it_was_is_found(story, segments, what):
    uid, offered = story.offer()
    answered = story.tell(Kind.CALL_ANSWERED, uid, offered_leaf=offered)
    proven = story.judged(uid, offered, answered)
    story.seal(uid, story.tell(Kind.RECORDING_STARTED, uid, proven_leaves=[proven], purposes=[]))
    story.tell(Kind.NOTICE_REFUSED, uid, segment=1, evidence_sha256="", offered_leaf=offered, reasons=[])
    common = {"number": story.number, "offered_leaf": offered, "decision": "RECORDED"}
    story.tell(Kind.CALL_CLOSED, uid, segments=segments, **common)

    result = story.verify()
    assert 13 in checks(result)
    assert what in sentences(result)


def test_links_to_another_call_are_found(story):
    _, offered = story.offer()
    uid, own = story.offer()
    story.tell(Kind.CALL_ANSWERED, uid, offered_leaf=offered)
    story.close(uid, own)
    assert 5 in checks(story.verify())


def test_a_call_answered_while_the_ledger_was_away_refers_to_no_offer_and_so_proves_nothing(story):
    uid, offered = story.offer()
    answered = story.tell(Kind.CALL_ANSWERED, uid, offered_leaf="")
    story.close(uid, offered, Reason.LEDGER_UNAVAILABLE)
    assert checks(story.verify()) == set()
    other, own = story.offer()
    story.judged(other, own, answered)
    story.close(other, own)
    assert 5 in checks(story.verify())


def test_the_findings_of_one_check_are_counted_but_not_kept_without_end(story):
    story.day()
    numbers = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 1999)"
    junk = f"INSERT INTO entries {numbers} SELECT i, x'00', '', x'00' FROM n"
    story.attack(("DELETE FROM entries", ()), (junk, ()))
    result = story.verify()
    assert result.counts[1] >= 2000
    assert len([f for f in result.findings if f.check == 1]) == KEPT_PER_CHECK


# ---------------------------------------------------------------- the files beside


def test_evidence_that_was_changed_is_found(story):
    uid = story.day()[0]
    path = story.evidence / f"{uid}-1.json"
    path.write_bytes(path.read_bytes().replace(b'"expected_packets":250', b'"expected_packets":249'))
    result = story.verify()
    assert checks(result) == {9}
    assert "not the one in the log" in sentences(result)


def test_evidence_that_does_not_carry_its_verdict_is_found(story):
    uid = story.day()[0]
    path = story.evidence / f"{uid}-1.json"
    path.write_bytes(path.read_bytes().replace(b'"complete":true', b'"complete":false'))
    assert "judged again is refused" in sentences(story.verify())


def test_evidence_of_another_call_is_found(story):
    one, two = story.day()
    (story.evidence / f"{one}-1.json").write_bytes((story.evidence / f"{two}-1.json").read_bytes())
    assert "belongs to another call" in sentences(story.verify())


@pytest.mark.parametrize("data", [None, b"", b"{}", b"\xff"])
def test_evidence_that_is_missing_or_unreadable_is_found(story, data):
    path = story.evidence / f"{story.day()[0]}-1.json"
    if data is None:
        path.unlink()
    else:
        path.write_bytes(data)
    assert checks(story.verify()) == {9}


def test_evidence_without_an_entry_is_open(story):
    (story.evidence / "stray-1.json").write_bytes(b"{}")
    result = story.verify()
    assert result.sound
    assert result.open == ("the evidence stray-1.json has no entry",)


@pytest.mark.parametrize("name", [AUDIO_FILE, MANIFEST_FILE])
def test_an_object_that_was_changed_is_found(story, name):
    uid = story.day()[0]
    (story.store / f"{uid}-0" / name).write_bytes(b"other")
    result = story.verify()
    assert checks(result) == {11}
    assert f"{name} of {uid}-0" in sentences(result)


def test_an_object_that_is_gone_is_found_unless_it_was_disposed_of(story):
    uid = story.day()[0]
    (story.store / f"{uid}-0" / AUDIO_FILE).unlink()
    assert checks(story.verify()) == {11}
    dispose_of(story, f"{uid}-0")
    assert story.verify().sound


@pytest.mark.parametrize("second", [("guardian", "os:proposer"), ("proposer", "os:guardian"), ("", "")])
def test_an_object_that_one_person_disposed_of_alone_is_found(story, second):
    uid = story.day()[0]
    (story.store / f"{uid}-0" / AUDIO_FILE).unlink()
    dispose_of(story, f"{uid}-0", approver=second)
    assert checks(story.verify()) == {11}


def test_a_disposal_under_a_hold_is_found(story):
    uid = story.day()[0]
    (story.store / f"{uid}-0" / AUDIO_FILE).unlink()
    story.tell(Kind.HOLD_PLACED, hold_id="hold-1", scope={"line": "advice"}, person="guardian", login="os:guardian")
    dispose_of(story, f"{uid}-0")
    assert "while a hold forbade it" in sentences(story.verify())


def test_audio_that_was_certified_as_destroyed_and_is_there_is_found(story):
    uid = story.day()[0]
    dispose_of(story, f"{uid}-0")
    assert "its audio is there" in sentences(story.verify())


def test_a_disposal_that_was_agreed_to_and_not_finished_is_open(story):
    uid = story.day()[0]
    (story.store / f"{uid}-0" / AUDIO_FILE).unlink()
    dispose_of(story, f"{uid}-0", done=False)
    result = story.verify()
    assert result.sound
    assert any("was begun and is not finished" in sentence for sentence in result.open)


def dispose_of(story, recording_id, *, approver=("guardian", "os:guardian"), done=True):
    """What the ledger says of a disposal; no certificate is beside it."""
    known = {"list_sha256": "a" * 64}
    by = {"person": "proposer", "login": "os:proposer"}
    proposed = story.tell(Kind.DISPOSAL_PROPOSED, **known, **by, recordings=[recording_id])
    person, login = approver
    approved = story.tell(Kind.DISPOSAL_APPROVED, **known, proposed_leaf=proposed, person=person, login=login)
    if done:
        story.tell(Kind.DISPOSAL_DONE, **known, recording_id=recording_id, approved_leaf=approved)


def test_audio_that_no_entry_knows_is_found_wherever_it_lies(story):
    story.day()
    stray = f"{'cd' * 16}-0"
    for folder in (story.store / stray, story.spool / "ready" / stray, story.spool / "tmp" / f"{'ce' * 16}-0"):
        folder.mkdir(parents=True)
        (folder / AUDIO_FILE).write_bytes(b"voice")
    (story.store / "copy.WAV").write_bytes(b"voice")
    result = story.verify()
    assert checks(result) == {12}
    assert result.counts[12] == 5


def test_a_recording_in_the_spool_is_open_until_its_entry_came_and_then_must_be_the_one(story):
    uid, offered, proven = answered_call(story)
    started = story.tell(Kind.RECORDING_STARTED, uid, proven_leaves=[proven], purposes=[])
    folder = story.spool / "ready" / f"{uid}-0"
    folder.mkdir(parents=True)
    (folder / AUDIO_FILE).write_bytes(b"voice")
    result = story.verify()
    assert result.sound
    assert any("still to come" in sentence for sentence in result.open)
    story.tell(Kind.RECORDING_SEALED, uid, started_leaf=started, cipher_sha256="00", manifest_sha256="00")
    story.close(uid, offered)
    assert checks(story.verify()) == {11}


def test_every_check_has_its_sentence_and_its_number():
    assert list(CHECKS) == list(range(1, 16))


WORDS = st.none() | st.booleans() | st.integers(-1, 3) | st.sampled_from(["", "x", "../../etc", "audit"])
VALUES = st.recursive(WORDS, lambda v: st.lists(v, max_size=2) | st.dictionaries(st.sampled_from("ab"), v, max_size=2))


@settings(max_examples=40, deadline=None)
@given(changes=st.lists(st.tuples(st.integers(0, 99), st.integers(0, 30), VALUES), min_size=1, max_size=6))
def test_whatever_an_entry_says_the_verifier_comes_to_an_end(tmp_path_factory, changes):
    story = Story(tmp_path_factory.mktemp("story"))
    story.day(1)
    bodies = story.bodies()
    for which, name, value in changes:
        body = bodies[which % len(bodies)]
        names = [(holder, key) for holder in (body, body["body"]) if isinstance(holder, dict) for key in sorted(holder)]
        holder, key = names[name % len(names)]
        if key != "body":
            holder[key] = value
    story.rewrite(bodies, signed=True)
    result = story.verify()
    reports = [ask(story.places(), Filters()).to_text() for ask in QUESTIONS.values()]
    story.world.close()
    assert result.size == len(bodies)
    assert len(reports) == len(QUESTIONS)


def test_a_write_to_the_store_that_is_not_finished_is_open_and_audio_that_was_never_sealed_is_not(story):
    uid = story.day()[0]
    write = story.store / "unfinished" / f"{uid}-0.0123abcd"
    write.mkdir(parents=True)
    (write / AUDIO_FILE).write_bytes(b"half")
    result = story.verify()
    assert result.sound
    assert f"a write of {uid}-0 to the store is not finished" in result.open
    write.rename(write.with_name(f"{'ab' * 16}-0.0123abcd"))
    assert checks(story.verify()) == {12}


def test_what_an_agent_records_while_the_log_is_read_is_no_finding(story):
    story.day()
    later = iter([None])

    def goes_on(_entry):
        for _ in later:
            story.recorded_call()

    result = verify(story.places(), also=(goes_on,))
    assert result.counts == {}
    assert story.verify().size > result.size
