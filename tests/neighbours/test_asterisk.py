"""callrec with a real Asterisk on both sides: what its lines do, and what becomes of the recording.

How callrec dies beside Asterisk, and its queue, are told in tests/calls/test_asterisk_recipe.py.
"""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.neighbours.exchange import PATIENCE_S, Exchange, more
from tests.peers import audio, ports
from tests.peers.asterisk import MUSIC_HZ
from tests.peers.audio import ADVICE_HZ, CALLER_HZ, RATE, STAFF_HZ, Samples

pytestmark = [pytest.mark.asterisk, pytest.mark.calls]

COLLEAGUE_HZ = 700
EARLY_HZ = 900
LONGER_THAN_RTP_TIMEOUT_S = 5.5
RINGS, BUSY, BUSY_ALONE, EARLY, HANGS_UP = "5010", "5002", "5016", "5014", "5007"
PHONE, PHONE_WITH_MUSIC, REFERS, ANSWERS = "5011", "5015", "5013", "5001"
OUTSIDE = "07700900222"
OUTWARD = {
    "direction": "outbound",
    "match": {"prefix": "out", "from": ["127.0.0.1"]},
    "destination": "sip:out{number}@pbx",
    "dial_timeout_s": 60,
}
LINES = {
    "outward": OUTWARD,
    **{number: {} for number in (RINGS, EARLY, HANGS_UP, PHONE, PHONE_WITH_MUSIC, REFERS, ANSWERS)},
    BUSY: {"fallback": ["sip:6001@pbx"]},
    BUSY_ALONE: {"destination": "sip:6002@pbx"},
}


def only(samples: Samples, hz: float) -> bool:
    """True where this tone sounds from the beginning to the end, and no other that a test uses."""
    others = {CALLER_HZ, STAFF_HZ, COLLEAGUE_HZ, EARLY_HZ, ADVICE_HZ, MUSIC_HZ} - {hz}
    return audio.share(samples, hz) > 0.9 and not any(audio.tone_spans(samples, other) for other in others)


# ---------------------------------------------------------------- until the line answers


def test_ringing_of_the_line_is_heard_and_not_recorded(exchange: Exchange):
    with exchange.calling(RINGS) as caller:
        exchange.records(0.5)
        more(caller, 1)
        caller.hang_up()

    left, right = exchange.recording()
    heard = exchange.after_notice(caller)
    assert audio.ringback_spans(heard)[0][0] < 1
    assert not audio.ringback_spans(right)
    assert only(right, ADVICE_HZ)
    assert only(left, CALLER_HZ)


def test_early_media_of_the_line_is_heard_and_not_recorded(exchange: Exchange):
    with exchange.calling(EARLY) as caller:
        exchange.records(0.5)
        more(caller, 1)
        caller.hang_up()

    left, right = exchange.recording()
    early = audio.tone_spans(exchange.after_notice(caller), EARLY_HZ)
    assert sum(end - start for start, end in early) > 1.5
    assert only(right, ADVICE_HZ)
    assert only(left, CALLER_HZ)


def test_a_busy_line_sends_the_caller_to_its_fallback_who_is_recorded(exchange: Exchange):
    with exchange.calling(BUSY) as caller:
        exchange.records(0.5)
        more(caller, 1)
        caller.hang_up()

    _, right = exchange.recording()
    assert only(right, ADVICE_HZ)
    assert exchange.legs()[:2] == [("staff", "failed"), ("staff", "answered")]


def test_a_caller_whose_only_line_is_busy_hears_so_and_the_pbx_is_told_why(exchange: Exchange):
    with exchange.pbx.telling() as messages, exchange.calling(BUSY_ALONE) as caller:
        caller.closed(within_s=PATIENCE_S)
        told = messages()

    assert re.search(r'BYE sip:(?:.+\n)*Reason: Q.850;cause=17;text="User busy"', told)
    assert len(audio.tone_spans(exchange.after_notice(caller), 400)) >= 4
    assert exchange.closed()["reason"] == "NOT_ANSWERED"
    assert exchange.told("recording.started") == []


# ---------------------------------------------------------------- while they talk


def test_a_hold_by_staff_is_a_gap_in_the_recording_however_long_it_lasts(exchange: Exchange):
    with exchange.phone("staff", STAFF_HZ) as staff, exchange.calling(PHONE) as caller:
        exchange.records(0.5)
        more(caller, 1)
        staff.hold()
        exchange.wait_told("recording.paused")
        held_at = len(caller.said) / RATE
        ports.until(
            lambda: len(caller.said) / RATE > held_at + LONGER_THAN_RTP_TIMEOUT_S,
            seconds=PATIENCE_S,
            what="a long hold",
        )
        music = caller.heard[-RATE:]
        staff.resume()
        exchange.wait_told("recording.resumed")
        more(caller, 1)
        caller.hang_up()

    left, right = exchange.recording()
    (gap,) = exchange.told("recording.sealed")[0]["gaps"]
    assert gap["why"] == "staff leg on hold"
    assert gap["to_sample"] - gap["from_sample"] > LONGER_THAN_RTP_TIMEOUT_S * RATE
    inside = slice(gap["from_sample"] + RATE // 4, gap["to_sample"] - RATE // 4)
    assert not np.any(left[inside])
    assert not np.any(right[inside])
    assert only(right[: gap["from_sample"]], STAFF_HZ)
    assert only(right[gap["to_sample"] + RATE // 4 :], STAFF_HZ)
    assert audio.share(music, MUSIC_HZ) > 0.9
    assert not audio.tone_spans(left, MUSIC_HZ)


def test_a_pbx_that_plays_its_own_music_does_not_tell_of_the_hold_and_it_is_recorded(exchange: Exchange):
    """What deploy/asterisk warns of where moh_passthrough is off."""
    with exchange.phone("staff", STAFF_HZ) as staff, exchange.calling(PHONE_WITH_MUSIC) as caller:
        exchange.records(0.5)
        staff.hold()
        more(caller, 2)
        caller.hang_up()

    _, right = exchange.recording()
    assert audio.tone_spans(caller.heard, MUSIC_HZ)
    assert audio.tone_spans(right, MUSIC_HZ)
    assert exchange.told("recording.paused") == []


def test_a_caller_who_holds_in_the_notice_gets_it_again_from_the_beginning(exchange: Exchange):
    with exchange.calling(HANGS_UP) as caller:
        caller.heard_so_far(1, within_s=PATIENCE_S)
        caller.hold()
        ports.until(lambda: ("caller", "held") in changes(exchange), seconds=PATIENCE_S, what="callrec knows of it")
        caller.resume()
        caller.closed(within_s=PATIENCE_S)

    assert exchange.told("notice.refused")[0]["reasons"][0] == "NOTICE_INTERRUPTED"
    assert exchange.told("notice.proven")[0]["attempt"] > 1
    assert exchange.closed()["decision"] == "RECORDED"


def changes(exchange: Exchange) -> list[tuple[str, str]]:
    return [(one["leg"], one["what"]) for one in exchange.told("leg.changed")]


@pytest.mark.parametrize("tells", [False, True], ids=["silently", "with the colleague's name"])
def test_a_blind_transfer_by_staff_happens_behind_callrec_and_one_recording_goes_on(exchange: Exchange, tells: bool):
    """REFER goes from the phone to the PBX, and callrec keeps its leg. A PBX that tells who joined does so by UPDATE
    with another identity (RFC 5876), which callrec accepts and does not look at: the proof is about the caller.
    """
    pbx, colleague = exchange.pbx, exchange.phone("colleague", COLLEAGUE_HZ)
    says = ("send_connected_line=no", f"send_connected_line={'yes' if tells else 'no'}")
    with pbx.differently(says), pbx.telling() as messages, colleague, exchange.phone("staff", STAFF_HZ) as staff:
        pbx.reach_callrec(within_s=30)
        with exchange.calling(PHONE) as caller:
            exchange.records(0.5)
            more(caller, 1)
            staff.transfer(f"sip:6012@{pbx.address}")
            colleague.established(within_s=PATIENCE_S)
            more(caller, 1)
            caller.hang_up()
        told = messages()

    left, right = exchange.recording()
    assert only(left, CALLER_HZ)
    (staff_spoke,) = audio.tone_spans(right, STAFF_HZ)
    (colleague_spoke,) = audio.tone_spans(right, COLLEAGUE_HZ)
    assert staff_spoke[1] < colleague_spoke[0] + 0.1
    assert exchange.legs() == [("staff", "answered"), ("caller", "ended"), ("staff", "ended")]
    assert len(exchange.told("recording.started")) == len(exchange.told("notice.proven")) == 1
    assert bool(re.search(r"UPDATE sip:callrec@(?:.+\n)*P-Asserted-Identity: <sip:6012@", told)) is tells


def test_staff_cannot_transfer_a_caller_to_where_the_recipe_names_nobody(exchange: Exchange):
    """The phone itself may dial 5001. A caller may not be transferred there: whoever joins is recorded unasked."""
    with exchange.phone("staff", STAFF_HZ) as staff, exchange.calling(PHONE) as caller:
        exchange.records(0.5)
        more(caller, 1)
        staff.transfer(f"sip:5001@{exchange.pbx.address}")
        staff.transfer_failed(within_s=PATIENCE_S)

    _, right = exchange.recording()
    assert only(right, STAFF_HZ)
    assert "blind transfer to '5001@callrec-transfers' but target does not exist" in exchange.pbx.log.read_text()
    assert len(exchange.house.entries("call.offered")) == exchange.before + 1


def test_what_staff_ask_a_colleague_before_an_attended_transfer_is_not_recorded(exchange: Exchange):
    colleague, staff = exchange.phone("colleague", COLLEAGUE_HZ), exchange.phone("staff", STAFF_HZ)
    with colleague, staff, exchange.calling(PHONE) as caller:
        exchange.records(0.5)
        more(caller, 1)
        staff.press("*2")
        exchange.wait_told("recording.paused")
        staff.press("6012")
        colleague.established(within_s=PATIENCE_S)
        staff.heard_so_far(len(staff.heard) / RATE + 1, within_s=PATIENCE_S)
        music = caller.heard[-RATE // 2 :]
        staff.hang_up()
        exchange.wait_told("recording.resumed")
        more(caller, 1)
        caller.hang_up()

    left, right = exchange.recording()
    (gap,) = exchange.told("recording.sealed")[0]["gaps"]
    inside = slice(gap["from_sample"] + RATE // 4, gap["to_sample"] - RATE // 4)
    assert not np.any(left[inside])
    assert not np.any(right[inside])
    assert audio.share(music, MUSIC_HZ) > 0.9
    assert not audio.tone_spans(right[gap["to_sample"] :], STAFF_HZ)
    assert audio.share(right[gap["to_sample"] + RATE // 4 :], COLLEAGUE_HZ) > 0.9


def test_an_attended_transfer_by_a_telephones_own_refer_happens_behind_callrec_too(exchange: Exchange):
    """REFER with Replaces (RFC 3891) goes from the telephone to the PBX, and names the PBX's own dialog: callrec is
    asked for nothing, keeps its leg, and the colleague is on the one recording from when the caller is.
    """
    pbx, staff = exchange.pbx, exchange.phone("staff", STAFF_HZ)
    with exchange.phone("colleague", COLLEAGUE_HZ) as colleague, staff, pbx.telling() as messages:
        with exchange.calling(PHONE) as caller:
            exchange.records(0.5)
            more(caller, 1)
            staff.hold()
            exchange.wait_told("recording.paused")
            staff.dial(f"sip:6012@{pbx.address}")
            colleague.established(within_s=PATIENCE_S)
            staff.heard_so_far(len(staff.heard) / RATE + 1, within_s=PATIENCE_S)
            staff.command("line", "1")
            staff.transfer(f"<sip:6012@{pbx.address}?Replaces={replacing(messages(), 'INVITE sip:6012@')}>")
            exchange.wait_told("recording.resumed")
            more(caller, 1)
            caller.hang_up()
        told = messages()

    left, right = exchange.recording()
    (gap,) = exchange.told("recording.sealed")[0]["gaps"]
    inside = slice(gap["from_sample"] + RATE // 4, gap["to_sample"] - RATE // 4)
    assert not np.any(left[inside])
    assert not np.any(right[inside])
    assert only(right[: gap["from_sample"]], STAFF_HZ)
    assert audio.share(right[gap["to_sample"] + RATE // 4 :], COLLEAGUE_HZ) > 0.9
    assert exchange.legs()[0] == ("staff", "answered")
    assert len(exchange.told("recording.started")) == len(exchange.told("notice.proven")) == 1
    assert not re.search(r"REFER sip:callrec@|INVITE sip:callrec@(?:.+\n)*Replaces:", told)


def replacing(told: str, request: str) -> str:
    """The dialog of this request to the PBX, as Replaces names it within a URI: by the PBX's tag, which is in To."""
    asked = next(one for one in told.split("\n\n") if request in one)
    call_id, theirs = re.search(r"Call-ID: (\S+)", asked)[1], re.search(r"From: .*;tag=(\S+)", asked)[1]
    answered = next(one for one in told.split("\n\n") if "SIP/2.0 200" in one and call_id in one)
    ours = re.search(r"To: .*;tag=(\S+)", answered)[1]
    return f"{call_id}%3Bto-tag%3D{ours}%3Bfrom-tag%3D{theirs}"


def test_a_pbx_that_refers_callrec_elsewhere_is_told_603_and_the_call_goes_on(exchange: Exchange):
    with exchange.calling(REFERS) as caller:
        exchange.records(0.5)
        more(caller, 3)
        caller.hang_up()

    _, right = exchange.recording()
    assert exchange.pbx.wait_cdr("transfer", seconds=30).userfield == "transfer FAILURE 603"
    assert only(right, ADVICE_HZ)
    assert len(right) > 2 * RATE


def test_a_line_that_hangs_up_ends_the_callers_leg_and_what_was_said_is_kept(exchange: Exchange):
    with exchange.calling(HANGS_UP) as caller:
        caller.closed(within_s=PATIENCE_S)

    left, _ = exchange.recording()
    assert only(left, CALLER_HZ)
    assert len(left) > 2.5 * RATE
    assert exchange.legs()[1:] == [("staff", "ended"), ("caller", "ended")]


# ---------------------------------------------------------------- a PBX with other habits than the recipe's


def test_session_timers_reliable_ringing_and_mu_law_first_are_borne(exchange: Exchange):
    pbx = exchange.pbx
    habits = [("timers=no", "timers=always"), ("100rel=no", "100rel=peer_supported")]
    with pbx.differently(*habits, ("allow=alaw,ulaw", "allow=ulaw,alaw")), pbx.telling() as messages:
        exchange.pbx.reach_callrec(within_s=30)
        with exchange.calling(RINGS) as caller:
            exchange.records(0.5)
            more(caller, 1)
            caller.hang_up()
        told = messages()

    _, right = exchange.recording()
    assert re.search(
        r"SIP/2.0 200 OK\n(?:.+\n)*Session-Expires: 1800;refresher=uac\n(?:.*\n)*?m=audio \d+ RTP/AVP 0 ", told
    )
    assert "PRACK sip:" in told
    assert only(right, ADVICE_HZ)
    exchange.after_notice(caller)


def test_a_pbx_that_would_lead_the_voices_past_itself_gets_no_recording(exchange: Exchange):
    """direct_media: the PBX offers callrec the caller's own address, which is none that media may come from, and has
    the caller send there all the same. Nothing is heard of the caller from then on, and nothing is kept.
    """
    with exchange.pbx.differently(("direct_media=no", "direct_media=yes")):
        exchange.pbx.reach_callrec(within_s=30)
        with exchange.calling(ANSWERS) as caller:
            ports.until(lambda: ("staff", "answered") in changes(exchange), seconds=PATIENCE_S, what="the line answers")
            more(caller, 1)
            caller.hang_up()

    assert exchange.closed()["reason"] == "UNHEARD_SUSPECT"
    assert exchange.told("recording.started") == []
    assert only(caller.heard[-RATE // 2 :], ADVICE_HZ)


# ---------------------------------------------------------------- calls that staff place


def test_who_is_called_from_the_pbx_is_told_by_code_and_recorded_and_the_records_match(exchange: Exchange):
    with exchange.phone("colleague", COLLEAGUE_HZ) as outside, exchange.calling(OUTSIDE) as staff:
        outside.established(within_s=PATIENCE_S)
        more(staff, LONGER_THAN_RTP_TIMEOUT_S)
        assert exchange.told("notice.proven") == []
        staff.press_until("*77", lambda: exchange.told("recording.started"), what=lambda: exchange.story)
        more(staff, 1)
        staff.hang_up()
        outside.closed(within_s=PATIENCE_S)

    left, right = exchange.recording()
    assert only(left, COLLEAGUE_HZ)
    assert only(right, CALLER_HZ)
    assert audio.find(outside.heard, exchange.house.prompt_samples()).share >= 0.99
    assert outside.pressed == ""
    (proven,) = exchange.told("notice.proven")
    assert (proven["next_hop"], proven["leg_ends_at"]) == (exchange.pbx.address, "pbx")
    leg = ports.until(
        lambda: [one for one in exchange.pbx.cdr() if exchange.uid in one.userfield], seconds=PATIENCE_S, what="a CDR"
    )
    assert (leg[0].dst, leg[0].disposition) == (OUTSIDE, "ANSWERED")
