"""Evidence in, verdict out. Floors are constants here; configuration may only tighten them.

Every rule is a row of RULES and every row is asked, so that a refusal names all that was wrong. A missing input is a
refusal, and so is a figure within BORDERLINE of its floor. Sources: design "Proof" 1-6; requirements R2, R3, R8-R11.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from callrec.core.evidence import Evidence, Interruption, KeyHeard, RtcpReport
from callrec.core.kinds import Kind
from callrec.core.reasons import Reason
from callrec.core.values import Grade, KeyMethod, Leg, Purpose, Tap

SENT_FLOOR: Final = 0.97
"""Share of the expected RTP packets that must have left us in the window."""
LEVEL_MISS_CEILING: Final = 0.05
"""Share of level samples in which the leg may lag behind a loud prompt (jitter of the sampling, not of the audio)."""
HOLES_CEILING_NS: Final = 1_000_000_000
"""How much longer than the prompt the window may be: a process that stood still sent nothing, and its counters, which
count packets and not time, do not show it. A caller who hears seconds of nothing in the middle hangs up or looks away.
"""
HURRY_CEILING_NS: Final = 600_000_000
"""How much less than the prompt's length may lie between its first packet and its last: the length of one packet, and
the half second that the engine's clock makes up for at most when it was kept from running.
"""
LOSS_CEILING: Final = 0.05
"""Share of packets that a report may call lost and still show that the notice was received."""
FIRST_VERIFIER: Final = "callrec/exact/1"
"""Evidence that names it was made before reports within the window could refuse."""
SECOND_VERIFIER: Final = "callrec/exact/2"
"""Evidence that names it was made before session descriptions were kept beside the window."""
BORDERLINE: Final = 1e-3
"""Closer than this to a floor is doubt, and doubt is a refusal."""
RECEIPT_MAX_AGE_NS: Final = 10_000_000_000
"""A receipt that comes later than this after the notice ended proves nothing any more."""
SAMPLES_IN_MS: Final = 8
_NS_PER_SAMPLE: Final = 125_000
_HALF_OF_ALL_NUMBERS: Final = 1 << 15
"""Sequence numbers go round (RFC 3550 section A.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The ledger's word that one entry is durable. Made by `ledger/` alone (tests/test_architecture.py)."""

    kind: Kind
    seq: int
    leaf: str
    call_uid: str
    segment: int
    boottime_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """The evidence is enough, and for this much. Not a proof until the ledger holds it."""

    grade: Grade
    purposes: frozenset[Purpose]
    evidence_sha256: str
    call_uid: str
    segment: int
    party: str
    ended_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeProof:
    """A judged notice whose `notice.proven` entry is durable. Nothing else starts a recording."""

    granted: Granted
    receipt: Receipt

    def __post_init__(self) -> None:
        """Refuse a receipt that is for something else, or that came too late."""
        if self.receipt.kind is not Kind.NOTICE_PROVEN:
            raise ValueError(f"a receipt for {self.receipt.kind.value} proves no notice")
        if (self.receipt.call_uid, self.receipt.segment) != (self.granted.call_uid, self.granted.segment):
            raise ValueError("this receipt belongs to another call or segment")
        if self.receipt.boottime_ns - self.granted.ended_ns > RECEIPT_MAX_AGE_NS:
            raise ValueError("this receipt came too late to prove anything")


def _approved(e: Evidence) -> bool:
    return e.prompt.approved and e.prompt.effective and bool(e.prompt.approval_leaf)


def _language(e: Evidence) -> bool:
    """The one that was chosen; and the caller chose no other while it played (R59)."""
    own = [key.digit for key in e.keys if key.leg is Leg.CALLER]
    chosen = any(one.key in own and one.language != e.prompt.language for one in e.prompt.languages)
    return e.prompt.language == e.required_language and not chosen


def _leg(e: Evidence) -> bool:
    return e.binding.leg is Leg.CALLER


def _bound(e: Evidence) -> bool:
    b = e.binding
    return all((b.call_uid, b.party, b.next_hop, b.leg_ends_at, b.offered_leaf, b.answered_leaf, b.boot_id))


def _answered(e: Evidence) -> bool:
    return e.answered and not e.early_media


def _undisturbed(e: Evidence) -> bool:
    open_throughout = bool(e.directions) and all(d.direction.lets_audio_out for d in e.directions)
    to_its_end = (e.complete and e.interruption is None) or skipped(e)
    return to_its_end and e.renegotiations == 0 and open_throughout


def skipped(e: Evidence) -> bool:
    """The caller's own key, which the notice names for it, ended it before its last word (R8)."""
    own = any(key.leg is Leg.CALLER and key.digit == e.prompt.skips for key in e.keys)
    return e.interruption is Interruption.SKIPPED and not e.complete and bool(e.prompt.skips) and own


def _played(e: Evidence) -> int:
    """How many samples of the prompt are to be looked for."""
    return e.tap.matched_samples if e.interruption is Interruption.SKIPPED else e.prompt.samples


def _essential(e: Evidence) -> int:
    """How many samples of the prompt must have been there, at the least."""
    least = e.prompt.essential_ms * SAMPLES_IN_MS
    return min(least, e.prompt.samples) if e.interruption is Interruption.SKIPPED and least else e.prompt.samples


def _steady(e: Evidence) -> bool:
    """Without holes of its own. A prompt or a window without a length has its own refusal below."""
    if e.prompt.samples <= 0 or e.start_ns <= 0:
        return True
    prompt_ns = _played(e) * _NS_PER_SAMPLE
    return e.end_ns - e.start_ns - prompt_ns < HOLES_CEILING_NS * (1 - BORDERLINE)


def _whole(e: Evidence) -> bool:
    """What nothing shows was not altered but not sent, as far as we know: that is refused below."""
    if e.tap.kind is Tap.WIRE and e.wire is None:
        return True
    whole = _essential(e) <= e.tap.matched_samples <= e.prompt.samples
    return e.prompt.samples > 0 and whole and e.tap.at_sample is not None


def _fed(e: Evidence) -> bool:
    return _left_in_order(e) if e.tap.kind is Tap.WIRE else e.wire is None and _fed_by_player(e)


def _left_in_order(e: Evidence) -> bool:
    """The window shows every packet, each once, one after the other, to where the peer's SDP says."""
    w = e.wire
    if w is None or w.leg_gone or any(s.ssrc is None for s in e.streams):
        return False
    kept_back = w.overflow + w.refused + w.held_back + w.deferred + w.odd
    return kept_back + w.strayed + w.peer_changes + w.missing + w.repeated + w.timestamp_faults == 0


def _fed_by_player(e: Evidence) -> bool:
    p = e.player
    if p is None:
        return False
    watched = p.checks > 0 and p.level_checks > 0 and p.listener_misses == 0 and p.other_sources == 0
    return watched and p.level_misses / p.level_checks < LEVEL_MISS_CEILING - BORDERLINE


def _unhurried(e: Evidence) -> bool:
    """Not sent faster than it can be heard. What was not found in the window has its refusal above."""
    if e.wire is None or e.wire.notice_span_ns is None:
        return True
    return _played(e) * _NS_PER_SAMPLE - e.wire.notice_span_ns < HURRY_CEILING_NS * (1 - BORDERLINE)


def _sent(e: Evidence) -> bool:
    if e.expected_packets <= 0 or len(e.streams) != 1:
        return False
    return sum(s.sent for s in e.streams) / e.expected_packets >= SENT_FLOOR + BORDERLINE


def _alive(e: Evidence) -> bool:
    """With the wire tap only authentic reports are among `rtcp_reports`."""
    return e.caller.rtp_packets > 0 or e.caller.rtcp_reports > 0


def _own_media(e: Evidence) -> bool:
    if e.wire is not None and e.caller.foreign_packets is None:
        return False
    return not e.caller.foreign_packets and e.caller.source_address in ("", e.caller.sdp_address) and _as_described(e)


def _as_described(e: Evidence) -> bool:
    """The peer's own session description, kept beside the window, names these addresses for media and RTCP."""
    if e.wire is None or e.verifier in (FIRST_VERIFIER, SECOND_VERIFIER):
        return True
    report = e.rtcp.newest if e.rtcp is not None else None
    reported = report is None or report.source in ("", e.wire.sdp_rtcp)
    return bool(e.wire.sdp_rtp) and e.wire.sdp_rtp == e.caller.sdp_address and reported


def _choice(e: Evidence) -> bool:
    described = e.wire is None or e.verifier in (FIRST_VERIFIER, SECOND_VERIFIER) or e.wire.sdp_keys
    ways = e.key_capability
    return not e.prompt.names_keys or (ways.telephone_event and described) or ways.info or ways.inband


def _ordered(e: Evidence) -> bool:
    return 0 < e.start_ns < e.end_ns


def _far_enough(e: Evidence) -> bool:
    """As far as the line asked for, when the notice was played."""
    return _grade(e).rank >= e.required_grade.rank


def _uncontradicted(e: Evidence) -> bool:
    """An authentic report on the whole notice that calls too much of it lost is believed, whatever left us."""
    share = _lost(e)
    return e.verifier == FIRST_VERIFIER or share is None or share < LOSS_CEILING - BORDERLINE


RULES: Final[tuple[tuple[Reason, Callable[[Evidence], bool]], ...]] = (
    (Reason.NOTICE_UNAPPROVED, _approved),
    (Reason.WRONG_LANGUAGE, _language),
    (Reason.WRONG_LEG, _leg),
    (Reason.PARTY_WITHOUT_NOTICE, _bound),
    (Reason.EARLY_MEDIA_ONLY, _answered),
    (Reason.NOTICE_INTERRUPTED, _undisturbed),
    (Reason.NOTICE_INTERRUPTED, _steady),
    (Reason.NOTICE_ALTERED, _whole),
    (Reason.NOTICE_NOT_SENT, _fed),
    (Reason.NOTICE_NOT_SENT, _unhurried),
    (Reason.NOTICE_NOT_SENT, _sent),
    (Reason.UNHEARD_SUSPECT, _alive),
    (Reason.MEDIA_FOREIGN, _own_media),
    (Reason.CHOICE_UNAVAILABLE, _choice),
    (Reason.PROOF_CONTRADICTED, _uncontradicted),
    (Reason.NOTICE_UNDECIDED, _ordered),
    (Reason.GRADE_TOO_LOW, _far_enough),
)
"""What must hold, and the reason written where it does not. Order decides which reason comes first."""


def share_lost(report: RtcpReport, *, first: int | None, last: int | None) -> float | None:
    """Share of the packets from number `first` on that this report calls lost; None where it does not reach the
    notice's `last` packet, or nobody knows its numbers. A report that counts packets that came twice may say below 0.
    """
    if first is None or last is None or (report.highest_sequence - last) & 0xFFFF >= _HALF_OF_ALL_NUMBERS:
        return None
    return report.lost / ((report.highest_sequence - first & 0xFFFF) + 1)


def _lost(e: Evidence) -> float | None:
    report = e.rtcp.newest if e.rtcp is not None else None
    if e.wire is None or report is None or not report.source or len(e.streams) != 1:
        return None
    return share_lost(report, first=e.streams[0].first_sequence, last=e.wire.notice_last_sequence)


def _received(e: Evidence) -> bool:
    """An authentic report says that the notice's last packet arrived, and that few were lost until then."""
    share = _lost(e)
    return share is not None and share < LOSS_CEILING - BORDERLINE


def acknowledges(key: KeyHeard, *, digit: str, after_ms: int) -> bool:
    """The caller's own press of the key that the notice names for it, after it was named (design: Rule of doubt). A
    tone that was only heard in the audio is no sure key: it may reduce, never widen. `digit` is empty where the notice
    names none.
    """
    sure = key.method is not KeyMethod.INBAND and key.leg is Leg.CALLER
    return bool(digit) and sure and key.digit == digit and key.at_ms >= after_ms


def _grade(e: Evidence) -> Grade:
    if any(acknowledges(key, digit=e.prompt.acknowledges, after_ms=e.prompt.essential_ms) for key in e.keys):
        return Grade.ACKNOWLEDGED
    return Grade.RECEIVED if _received(e) else Grade.SENT


def judge(evidence: Evidence, *, evidence_sha256: str) -> Granted | tuple[Reason, ...]:
    """Grant, or the reasons of refusal in the order of RULES, each once. Pure: the same everywhere, for ever."""
    reasons = dict.fromkeys(reason for reason, holds in RULES if not holds(evidence))
    if reasons:
        return tuple(reasons)
    named = evidence.prompt.essential_purposes if skipped(evidence) else evidence.prompt.purposes
    return Granted(
        grade=_grade(evidence),
        purposes=frozenset(Purpose(p) for p in named),
        evidence_sha256=evidence_sha256,
        call_uid=evidence.binding.call_uid,
        segment=evidence.binding.segment,
        party=evidence.binding.party,
        ended_ns=evidence.end_ns,
    )
