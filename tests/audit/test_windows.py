"""An auditor weighs what was tapped of the wire again, and finds whatever it does not bear out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from callrec._canonical import sha256_hex
from callrec.audit.casefile import gather
from callrec.core.kinds import Kind
from callrec.core.reasons import Reason
from callrec.notice.audio import wav_of
from callrec.notice.described import commitments_of
from callrec.notice.wire_window import SUFFIX, read
from tests.audit.story import Story
from tests.core.builders import GOOD_EVIDENCE
from tests.notice import test_wire as wire


@pytest.fixture
def story(tmp_path):
    made = Story(tmp_path)
    made.prompts = tmp_path / "prompts"
    made.prompts.mkdir()
    (made.prompts / "notice.wav").write_bytes(wav_of(wire.PROMPT))
    (made.prompts / "other.wav").write_bytes(b"no audio at all")
    return made


def proven(story, taken=None, **change):
    """A recorded call whose wire showed this; its evidence is changed as told before it is judged. Its uid."""
    taken = taken or wire.window(*wire.good(), wire.our_report(), wire.their_report())
    shown_window = wire.keeping(taken)
    shown = wire.evidence_of(shown_window)
    shown = replace(shown, prompt=replace(shown.prompt, pcm_sha256=sha256_hex(wire.PROMPT)))
    shown = replace(shown, caller=replace(shown.caller, ssrc=wire.THEIRS, rtcp_reports=1))
    uid, offered = story.offer()
    answered = story.tell(Kind.CALL_ANSWERED, uid, offered_leaf=offered, next_hop="127.0.0.1", leg_ends_at="pbx")
    fields = {name: getattr(shown, name) for name in shown.__dataclass_fields__ if name not in ("binding", "answered")}
    committed = commitments_of(read(shown_window)[0].signalling)
    story.judged(uid, offered, answered, **{"committed": committed} | fields | change)
    window_of(story, uid).write_bytes(shown_window)
    story.close(uid, offered, Reason.ENDED_BEFORE_CAPTURE)
    return uid


def window_of(story, uid):
    return story.evidence / f"{uid}-1{SUFFIX}"


def found(story, **places):
    return [str(one.sentence) for one in story.verify(prompts=story.prompts, **places).findings if one.check == 9]


def test_what_was_tapped_bears_the_evidence_out(story):
    uid = proven(story)

    assert found(story) == []
    case = gather(story.places(prompts=story.prompts), uid)
    assert case.exit_code == 0
    assert case.evidence[0].judged.evidence.rtcp.accepted == 1


def test_a_window_that_is_gone_or_was_changed_is_found(story):
    gone, changed = window_of(story, proven(story)), window_of(story, proven(story))
    gone.unlink()
    changed.write_bytes(changed.read_bytes()[:-1] + b"\x00")

    assert [line.partition("-1.json ")[2] for line in found(story)] == [
        "has no wire window beside it that can be read: No such file or directory",
        "was judged on another wire window than lies beside it",
    ]


def test_evidence_that_claims_more_than_its_window_shows_is_found(story):
    half = wire.window(*wire.good(wire.PROMPT[: len(wire.PROMPT) // 2]))
    whole = wire.evidence(wire.window(*wire.good()))
    lie = replace(whole.wire, window_sha256=sha256_hex(wire.keeping(half)))
    uid = proven(story, half, tap=whole.tap, wire=lie, streams=whole.streams, rtcp=None)

    (sentence,) = found(story)
    assert "says of its wire window what that does not show: streams, caller's RTCP, samples, comparison" in sentence
    assert gather(story.places(prompts=story.prompts), uid).exit_code == 30


def test_a_message_that_the_entry_commits_to_otherwise_is_found(story):
    """Whoever holds the key can write both anew; whoever holds the message and its salt can tell which is true."""
    other = {"message_1": "ab" * 32, "message_2": "cd" * 32}
    uids = [proven(story, committed=committed) for committed in ({}, other, "none")]

    assert len(found(story)) == len(uids)
    assert all("messages that its entry commits to otherwise" in line for line in found(story))
    assert gather(story.places(prompts=story.prompts), uids[0]).exit_code == 30


def test_a_line_of_a_session_description_altered_beside_its_evidence_is_found(story):
    window = window_of(story, proven(story))
    window.write_bytes(window.read_bytes().replace(b"m=audio 4000 ", b"m=audio 4002 "))

    assert "was judged on another wire window" in found(story)[0]


def test_a_comparison_that_never_was_is_found_where_the_prompt_is_at_hand_and_else_not(story):
    silent = wire.window(*wire.good(bytes(len(wire.PROMPT))))
    shown, whole = wire.evidence(silent), wire.evidence(wire.window(*wire.good()))
    claimed = replace(shown.tap, matched_samples=whole.tap.matched_samples, at_sample=0)
    caller = replace(shown.caller, ssrc=wire.THEIRS)
    proven(story, silent, tap=claimed, rtcp=None, caller=caller)

    assert "does not show: comparison" in found(story)[0]
    assert story.verify().findings == ()


def test_an_entry_that_names_another_tap_than_its_evidence_is_found(story):
    proven(story)
    bodies = story.bodies()
    for body in bodies:
        if body["kind"] == Kind.NOTICE_PROVEN.value:
            body["body"] |= {"tap": "player", "rtcp": "authenticated"}
    story.rewrite(bodies, signed=True)

    tap, rtcp = found(story)
    assert "was measured on the wire, not as the entry says" in tap
    assert "has unauthenticated RTCP, not as the entry says" in rtcp


def test_evidence_of_the_player_has_no_window(story):
    story.recorded_call()

    assert GOOD_EVIDENCE.wire is None
    assert found(story) == []
