"""The notice of one call: play it, have it judged, and turn a durable `notice.proven` into the proof.

This is the one place outside the core that makes a NoticeProof or a Consent, and it needs the ledger's receipt to do
so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from callrec.agent import judging
from callrec.agent.next_hop import NextHop, of_source, of_target
from callrec.agent.plan import Prepared
from callrec.agent.services import Services
from callrec.agent.writing import CallWriter
from callrec.config import Target
from callrec.core import commands as c
from callrec.core import events as e
from callrec.core.consent import Consent, Taken, consent_json
from callrec.core.evidence import Binding, Interruption, Observation, rtcp_standing
from callrec.core.kinds import CONTRADICTED, Kind
from callrec.core.proof import RECEIPT_MAX_AGE_NS, Granted, NoticeProof, Receipt
from callrec.core.reasons import Reason
from callrec.core.values import CallDirection, Grade, Leg
from callrec.core.wire_records import TakenWindow
from callrec.errors import CallrecError
from callrec.ledger.entry import commitments
from callrec.notice import wire
from callrec.notice.register import ApprovedPrompt
from callrec.ports import Entry, Invite

Noted = asyncio.Task[Receipt | None]


_BYTES_A_SECOND = 16_000
"""Of 16-bit samples at 8 kHz."""
CONSENT_S = 2.0
"""How long the next segment waits for the ledger to hold the consent; then it begins without what that adds."""
TESTCALL_DIGITS = 6
"""Pressed in a notice, they make a call that an auditor can find again."""


@dataclass(frozen=True, slots=True)
class _Played:
    """What one attempt played, whatever the call's line is by the time it is judged."""

    segment: int
    prepared: Prepared
    prompt: ApprovedPrompt
    grade: Grade


def receipt_of(noted: Noted | None) -> Receipt | None:
    """The receipt, where the ledger has answered by now."""
    return noted.result() if noted is not None and noted.done() and not noted.cancelled() else None


class NoticeDesk:
    """Carries out the core's notice orders for one call; every outcome is told as an event."""

    def __init__(
        self, services: Services, invite: Invite, writer: CallWriter, *, tell: Callable[[e.Event], None]
    ) -> None:
        self._services = services
        self._invite = invite
        self._writer = writer
        self._tell = tell
        self._judged: dict[int, judging.Judged] = {}
        self._played: dict[int, _Played] = {}
        self._reported: dict[int, list[TakenWindow]] = {}
        self._said: set[tuple[int, str]] = set()
        self.prepared: Prepared | None = None
        self.offered: Noted | None = None
        self.answered: Noted | None = None
        self.next_hop: NextHop = of_source(services.config, invite.source)
        """The caller leg's; on an outbound call that of the place which is dialled."""

    def dialled(self, target: Target) -> None:
        """This place is called now. Where the outside party is there, proof reaches as far as that."""
        if self.prepared is not None and self.prepared.plan.direction is CallDirection.OUTBOUND:
            self.next_hop = of_target(self._services.config, target)

    def tap_of(self, evidence_sha256: str) -> str:
        """Where what left us was measured, for this evidence."""
        found = (j.evidence.tap.kind.value for j in self._judged.values() if j.evidence_sha256 == evidence_sha256)
        return next(found, "")

    def play(self, attempt: int, segment: int, *, script: bool = False) -> float:
        """Hand telephony the very bytes that were hashed: the notice, or the script that asks for consent, which needs
        the caller's own key. The seconds that they last.
        """
        if self.prepared is None:
            raise ValueError("a notice was ordered for a call that has none")
        prompt = self.prepared.script if script else self.prepared.prompt
        if prompt is None:
            raise ValueError("a notice was ordered for a call that has none")
        grade = Grade.ACKNOWLEDGED if script else self.prepared.plan.required_grade
        self._played[attempt] = _Played(segment, self.prepared, prompt, grade)
        named = "".join(sorted(prompt.record.keys))
        self._services.telephony.play_notice(
            self._invite.call_uid, attempt, prompt.pcm, keys_named=named, await_report_s=self._report_wait_s()
        )
        return len(prompt.pcm) / _BYTES_A_SECOND

    def _report_wait_s(self) -> float:
        """Half the time to decide, where the line wants more than the word of our own wire; else the call goes on."""
        wanted = self.prepared.plan.required_grade if self.prepared else Grade.SENT
        return self._services.config.notice.decide_within_ms / 2000 if wanted is not Grade.SENT else 0.0

    def skip(self, attempt: int) -> None:
        """Have this attempt end as soon as its essential part has been played."""
        played = self._played.get(attempt)
        if played is not None:
            essential_ms = played.prompt.record.essential_ms
            self._services.telephony.skip_notice(self._invite.call_uid, attempt, after_ms=essential_ms)

    async def decide(self, order: c.JudgeNotice | c.RecordProof | c.RecordRefusal) -> None:
        """Carry out what the core orders once a notice has ended."""
        match order:
            case c.JudgeNotice(attempt=attempt, observation=observation):
                await self.judge(attempt, observation)
            case c.RecordProof(attempt=attempt, verdict=verdict):
                await self.prove(attempt, verdict)
            case c.RecordRefusal(attempt=attempt, reasons=reasons, segment=segment):
                await self.refuse(attempt, reasons, segment=segment)

    # ------------------------------------------------------------ judge

    async def judge(self, attempt: int, observation: Observation) -> None:
        """Answer the core in any case: a verifier that raises is a refusal, one that hangs meets the core's clock."""
        try:
            judged = await self._weigh(attempt, observation)
        except Exception as error:  # noqa: BLE001 - whatever a verifier raises costs the recording, never the call
            self._services.mishap(self._invite.call_uid, f"verifier: {type(error).__name__}: {error}")
            self._refused(attempt, (Reason.NOTICE_UNDECIDED,))
            return
        if judged is None:
            self._refused(attempt, (Reason.LEDGER_UNAVAILABLE,))
            return
        self._judged[attempt] = judged
        self._look_at_reports(attempt)
        self._note_testcall(judged)
        if isinstance(judged.verdict, Granted):
            self._tell(e.NoticeGranted(at_ns=self._now(), attempt=attempt, verdict=judged.verdict))
        else:
            self._refused(attempt, judged.verdict)

    def _refused(self, attempt: int, reasons: tuple[Reason, ...]) -> None:
        self._tell(e.NoticeRefused(at_ns=self._now(), attempt=attempt, reasons=reasons))

    def _now(self) -> int:
        return self._services.clock.boottime_ns()

    async def _weigh(self, attempt: int, observation: Observation) -> judging.Judged | None:
        """None where the ledger has not confirmed offer and answer: then nothing can be bound to them."""
        await self._receipts()
        played = self._played[attempt]
        binding = self._binding(attempt, played.segment)
        if binding is None:
            return None
        return await asyncio.to_thread(
            judging.weigh,
            observation,
            prompt=played.prompt.facts(played.prepared.language_source),
            pcm=played.prompt.pcm,
            binding=binding,
            language=played.prepared.language,
            grade=played.grade,
            judge_by=self._services.judge_by,
        )

    async def _receipts(self) -> None:
        """The ledger has had the whole notice to answer; it gets what is left of the time to decide, and no more."""
        noted = {task for task in (self.offered, self.answered) if task is not None and not task.done()}
        if noted:
            await asyncio.wait(noted, timeout=self._services.config.notice.decide_within_ms / 2000)

    def _binding(self, attempt: int, segment: int) -> Binding | None:
        offered, answered = receipt_of(self.offered), receipt_of(self.answered)
        if offered is None or answered is None:
            return None
        return Binding(
            call_uid=self._invite.call_uid,
            segment=segment,
            attempt=attempt,
            party="caller",
            leg=Leg.CALLER,
            next_hop=self.next_hop.address,
            leg_ends_at=self.next_hop.ends_at,
            offered_leaf=offered.leaf,
            answered_leaf=answered.leaf,
            boot_id=self._services.clock.boot_id(),
        )

    def _note_testcall(self, judged: judging.Judged) -> None:
        """Just six keys in the notice: perhaps an auditor's own call. Nobody but who pressed them can tell."""
        digits = "".join(key.digit for key in judged.evidence.keys if key.leg is Leg.CALLER)
        if len(digits) != TESTCALL_DIGITS or not digits.isdecimal():
            return
        committed, salts = commitments({"digits": digits})
        named = {"attempt": judged.evidence.binding.attempt, "evidence_sha256": judged.evidence_sha256}
        self._writer.note(Kind.TESTCALL_MATCHED, {**named, "commitments": committed}, salts=salts)

    # ------------------------------------------------------------ reports that come later

    def reports_heard(self, event: e.ReportsHeard) -> None:
        """RTCP that came after this notice: the first that is authentic and covers it may contradict the proof."""
        self._reported.setdefault(event.attempt, []).append(event.taken)
        self._look_at_reports(event.attempt)

    def _look_at_reports(self, attempt: int) -> None:
        judged, taken = self._judged.get(attempt), self._reported.get(attempt)
        if judged is None or not taken or not isinstance(judged.verdict, Granted):
            return
        found = wire.later(judged.evidence, taken)
        if found.rejected and self._first(attempt, "rejected"):
            what = f"{found.rejected} RTCP packets after the notice count for nothing: not authentic, or not ours"
            self._services.mishap(self._invite.call_uid, what)
        if found.contradicts and self._first(attempt, "contradicted"):
            self._contradicted(attempt, judged, found)

    def _first(self, attempt: int, what: str) -> bool:
        new = (attempt, what) not in self._said
        self._said.add((attempt, what))
        return new

    def _contradicted(self, attempt: int, judged: judging.Judged, found: wire.Later) -> None:
        lost, highest = (found.report.lost, found.report.highest_sequence) if found.report else (0, 0)
        body = {
            "what": CONTRADICTED,
            "reason": f"the next hop reports {found.share or 0:.1%} of the notice's packets as lost",
            "attempt": attempt,
            "evidence_sha256": judged.evidence_sha256,
            "report": {"sha256": found.sha256, "lost": lost, "highest_sequence": highest},
        }
        self._writer.note(Kind.INCIDENT, body, segment=judged.evidence.binding.segment)
        self._tell(e.ProofContradicted(at_ns=self._now(), attempt=attempt))

    # ------------------------------------------------------------ prove or refuse

    async def prove(self, attempt: int, verdict: Granted) -> None:
        """Evidence on disk, entry durable, and only then a proof. Anything else: no proof."""
        try:
            receipt = await self._append(attempt, verdict)
            proof = NoticeProof(granted=verdict, receipt=receipt)
        except (CallrecError, OSError, ValueError, TimeoutError) as error:
            self._services.mishap(self._invite.call_uid, f"notice.proven: {error}")
            self._tell(e.ProofUnrecorded(at_ns=self._now(), attempt=attempt))
            return
        self._tell(e.ProofRecorded(at_ns=self._now(), proof=proof))

    async def _append(self, attempt: int, verdict: Granted) -> Receipt:
        judged = self._judged[attempt]
        until_ns = verdict.ended_ns + RECEIPT_MAX_AGE_NS
        keeping = asyncio.get_running_loop().run_in_executor(None, judging.keep, self._services.evidence_dir, judged)
        await asyncio.wait_for(keeping, max((until_ns - self._now()) / 1e9, 0.0))
        binding = judged.evidence.binding
        body = {
            "attempt": attempt,
            "party": binding.party,
            "grade": verdict.grade.value,
            "tap": judged.evidence.tap.kind.value,
            "rtcp": rtcp_standing(judged.evidence.rtcp),
            "purposes": sorted(purpose.value for purpose in verdict.purposes),
            "evidence_sha256": judged.evidence_sha256,
            "offered_leaf": binding.offered_leaf,
            "answered_leaf": binding.answered_leaf,
            "next_hop": binding.next_hop,
            "leg_ends_at": binding.leg_ends_at,
            "language": judged.evidence.prompt.language,
            "tail_skipped": judged.evidence.interruption is Interruption.SKIPPED,
            "commitments": dict(judged.commitments),
        }
        entry = Entry(
            kind=Kind.NOTICE_PROVEN,
            body=body,
            call_uid=self._invite.call_uid,
            segment=verdict.segment,
            salts=judged.salts,
        )
        return await self._services.ledger.append(entry, timeout_s=max((until_ns - self._now()) / 1e9, 0.0))

    async def consent(self, order: c.RecordConsent, taken: Taken) -> None:
        """The yes in the ledger, and only then a consent. Anything else: none (R19)."""
        entry = Entry(
            kind=Kind.CONSENT_GIVEN,
            body=consent_json(order.agreed, taken),
            call_uid=self._invite.call_uid,
            segment=order.segment,
            actor=taken.taker,
        )
        try:
            receipt = await self._services.ledger.append(entry, timeout_s=CONSENT_S)
            consent = Consent(agreed=order.agreed, taken=taken, receipt=receipt)
        except (CallrecError, OSError, ValueError, TimeoutError) as error:
            self._services.mishap(self._invite.call_uid, f"consent.given: {error}")
            self._tell(e.ConsentUnrecorded(at_ns=self._now(), segment=order.segment))
            return
        self._tell(e.ConsentRecorded(at_ns=self._now(), consent=consent))

    async def refuse(self, attempt: int, reasons: tuple[Reason, ...], *, segment: int) -> None:
        """Write why, and keep evidence as full as that of a proven notice where it was judged so.

        A refusal by the clock names no evidence: judged again, that would say something else.
        """
        judged = self._judged.get(attempt)
        if judged is not None and judged.verdict != reasons:
            judged = None
        if judged is not None:
            try:
                await asyncio.to_thread(judging.keep, self._services.evidence_dir, judged)
            except CallrecError as error:
                self._services.mishap(self._invite.call_uid, f"evidence could not be kept: {error}")
        offered = receipt_of(self.offered)
        body = {
            "attempt": attempt,
            "party": "caller",
            "reasons": [reason.value for reason in reasons],
            "evidence_sha256": judged.evidence_sha256 if judged else "",
            "offered_leaf": offered.leaf if offered else "",
            "commitments": dict(judged.commitments) if judged else {},
        }
        self._writer.note(Kind.NOTICE_REFUSED, body, segment=segment, salts=judged.salts if judged else {})
