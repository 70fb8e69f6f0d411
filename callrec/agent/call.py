"""One task per call: take an event, ask the core, carry out its orders. Decides nothing about recording.

Long, because every event and every order of a call has its one place here, and nothing else has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any, Final

from callrec.agent import bodies
from callrec.agent.clocks import CallClocks, seconds_of
from callrec.agent.leg_changes import change_of
from callrec.agent.notice_desk import NoticeDesk, receipt_of
from callrec.agent.ordering import Ended, Given, InLanguage, Moved, Ordered, said, standing
from callrec.agent.outgoing import destination
from callrec.agent.pbx import Told, fact
from callrec.agent.plan import (
    Chosen,
    Prepared,
    note_declined,
    note_denied,
    note_uninformed,
    prepare,
    staff_of,
    without_recording,
)
from callrec.agent.segment import SegmentRecorder
from callrec.agent.segment_facts import about, segment_facts
from callrec.agent.segments import Segments, decided, summed_up
from callrec.agent.services import Services
from callrec.agent.staff import Staff
from callrec.agent.switching import Switched, switch
from callrec.agent.writing import CallWriter
from callrec.config import Line
from callrec.core import commands as c
from callrec.core import events as e
from callrec.core.call import (
    TABLE,
    Call,
    Notice,
    Stage,
    advance,
    asks_for_keys,
    language_chosen,
    line_changed,
    open_call,
    words_in_use,
)
from callrec.core.consent import Agreed, ConsentKind, Taken
from callrec.core.kinds import Kind
from callrec.core.outoforder import OutOfOrder
from callrec.core.permission import Permission
from callrec.core.proof import Receipt
from callrec.core.reasons import Reason
from callrec.core.values import Leg
from callrec.ledger.entry import utc_text
from callrec.ports import Invite

OVERDUE_S: Final = 5.0
"""How long after its length a notice may still owe its end."""
_GONE_S: Final = 30.0
"""How long a closed call waits to hear that its legs are gone."""


class CallTask:
    """One call from its INVITE to its summary. `run` never raises; what goes wrong costs the recording."""

    def __init__(
        self,
        services: Services,
        line: Line,
        invite: Invite,
        *,
        number: int,
        watch: Callable[[str, Any], None],
        declined_before: bool = False,
    ) -> None:
        self.services, self.line, self.invite = services, line, invite
        self.number = number
        self._direction = line.direction
        self.began_ns = services.clock.boottime_ns()
        self.call: Call | None = None
        self._declined_before = declined_before
        self._watch = watch
        self._inbox: asyncio.Queue[e.Event | Moved | InLanguage | Ordered | Ended] = asyncio.Queue()
        self._clocks = CallClocks(seconds_of(services.config, line), ran_out=self._ran_out)
        self._background: set[asyncio.Task[None]] = set()
        self._writer = CallWriter(services.ledger, invite.call_uid, lost=self._entry_lost)
        self._segments = Segments(services, invite.call_uid, line=line.name, failed=self._recording_failed)
        self._outcomes: tuple[c.Decision, ...] = ()
        self._chosen: Chosen | None = None
        self._desk = NoticeDesk(services, invite, self._writer, tell=self.happened)
        self._connected = False
        self._staff = Staff(services)
        self._kept_keys: dict[Leg, tuple[str, ...]] = dict.fromkeys(Leg, ())
        self._asks_for_keys = False
        self._closing: c.CloseCall | None = None
        self.over = False
        """Telephony is done with it: it takes nobody's place, however long its recording waits to be sealed."""

    @property
    def uid(self) -> str:
        """The call's id."""
        return self.invite.call_uid

    @property
    def declined(self) -> bool:
        """True where the caller said no, or stopped the recording."""
        return self.call is not None and self.call.permission is Permission.WITHDRAWN

    @property
    def _segment(self) -> int:
        return self.call.segment if self.call is not None else 0

    @property
    def _recorder(self) -> SegmentRecorder:
        return self._segments.newest

    def happened(self, event: e.Event) -> None:
        """A fact, from telephony or from a clock or from a person."""
        self._inbox.put_nowait(event)

    async def told(self, told: Told, line: Line | None, actor: str) -> None:
        """What the PBX tells; `line` is where it transferred the call, where that is another one."""
        what = told.event.value if line is None else f"{told.event.value} to line {line.name}"
        self._leg_changed(told.side, what, f"{told.who.value}, behind the PBX", actor=actor)
        if line is not None:
            self._inbox.put_nowait(Moved(line, await self._prepare(line)))
        elif (event := fact(told, self._now())) is not None:
            self.happened(await self._staff.joined(event, told.identity))

    async def ordered(self, order: Given, actor: str) -> dict[str, Any]:
        """Somebody's order, or word of who the call is about, and how the call stands once it was carried out.
        `Refused` where the call is over.
        """
        given = Ordered(said(order, actor, self._now()))
        self._inbox.put_nowait(given)
        return await given.outcome(self.uid)

    def standing(self) -> dict[str, Any]:
        """For `callrec call list`."""
        return standing(self.uid, self.line.name, self.call, seconds=(self._now() - self.began_ns) // 10**9)

    def ended(self) -> None:
        """Telephony released everything of this call."""
        self.over = True
        self._inbox.put_nowait(Ended())

    # ------------------------------------------------------------ life

    async def run(self) -> None:
        """Carry the call to its end, then write its summary."""
        body, salts = bodies.offered(
            self.invite,
            number=self.number,
            line=self.line.name,
            direction=self._direction,
            config_sha256=self.services.config.sha256,
        )
        self._desk.offered = self._writer.note(Kind.CALL_OFFERED, body, salts=salts | self._contact())
        self._desk.prepared = prepared = await self._prepare(self.line)
        note_denied(self._writer, self.uid, prepared)
        note_uninformed(self._writer, prepared)
        plan = note_declined(self._writer, prepared, linked=self._declined_before)
        self.call, orders = open_call(plan)
        self._keep_keys()
        self._perform_all(orders)
        while not isinstance(event := await self._inbox.get(), Ended):
            match event:
                case Moved():
                    self._move(event)
                case InLanguage():
                    self._go_on_in(event)
                case Ordered():
                    self._step(event.event)
                    event.carried_out(self.standing())
                case _:
                    self._step(event)
        if self.call.stage is not Stage.CLOSED:
            self._step(e.LegEnded(at_ns=self._now(), leg=Leg.CALLER, cause="gone"))
        await self._close()

    def _contact(self) -> dict[str, str]:
        """Who called, as far as this line keeps that."""
        kept, why = bodies.contact(self.services.contacts, self.invite, self.line)
        if why:
            self._write_incident("contact not kept", why)
        return kept

    async def _prepare(self, line: Line) -> Prepared:
        """The plan; whatever fails is our fault, and the call is carried unrecorded."""
        try:
            return await prepare(self.services, line, self.invite, chosen=self._chosen)
        except Exception as error:  # noqa: BLE001 - the call goes through, whatever it was
            self._write_incident("shell failed", f"{type(error).__name__}: {error}")
            return without_recording(self.services, line, Reason.AGENT_FAILED, str(error))

    def _step(self, event: e.Event) -> None:
        """One fact through the core. What the core does not know costs the recording and is written down."""
        if self.call is None:
            return
        try:
            self._watch(self.uid, event)
            self._note_leg(event)
            if isinstance(event, e.ReportsHeard):
                self._desk.reports_heard(event)
            self._advance(event)
        except OutOfOrder as error:
            self._incident("out of order", str(error))
        except Exception as error:  # noqa: BLE001 - the call goes on, whatever it was
            self._incident("shell failed", f"{type(error).__name__}: {error}")

    def _move(self, moved: Moved) -> None:
        """From now on the other line's rules hold."""
        if self.call is None:
            return
        self.line, self._desk.prepared = moved.line, moved.prepared
        self._clocks.run_for(seconds_of(self.services.config, moved.line))
        self.call, orders = line_changed(self.call, moved.prepared.plan)
        self._keep_keys()
        self._perform_all(orders)

    async def _prepare_in_language(self, line: Line) -> None:
        self._inbox.put_nowait(InLanguage(line, await self._prepare(line)))

    def _go_on_in(self, found: InLanguage) -> None:
        """The notice in the caller's language, where the call still waits for it, on this line."""
        if self.call is None or self.call.notice is not Notice.CHOOSING:
            return
        if found.line is not self.line:
            self._spawn(self._prepare_in_language(self.line))
            return
        self._desk.prepared = found.prepared
        self.call, orders = language_chosen(self.call, found.prepared.plan)
        self._keep_keys()
        self._perform_all(orders)

    def _advance(self, event: e.Event) -> None:
        if self.call is not None:
            self.call, orders = advance(self.call, event)
            self._keep_keys()
            self._perform_all(orders)

    def _keep_keys(self) -> None:
        """Keys that mean nothing to us any more are passed on, and tones not listened to: a caller may have to press 2
        for the line as well.
        """
        for leg in Leg:
            keys = words_in_use(self.call, leg) if self.call is not None else ()
            if keys != self._kept_keys[leg]:
                self._kept_keys[leg] = keys
                self.services.telephony.swallow_keys(self.uid, leg, " ".join(keys))
        asks = self.call is not None and asks_for_keys(self.call)
        if self._asks_for_keys and not asks:
            self.services.telephony.stop_listening(self.uid)
        self._asks_for_keys = asks

    def _incident(self, what: str, reason: str) -> None:
        """Stop capture, keep it, write it down, and see that the caller reaches the line."""
        self._write_incident(what, reason)
        now = self._now()
        for event in (
            e.StopRequested(at_ns=now, reason=Reason.AGENT_FAILED, actor="agent"),
            e.TimerExpired(at_ns=now, timer=e.Timer.NOTICE_WAIT),
            e.TimerExpired(at_ns=now, timer=e.Timer.DECIDE),
        ):
            if self.call is not None and type(event) in TABLE[self.call.stage]:
                try:
                    self._advance(event)
                except Exception as error:  # noqa: BLE001 - as above; the other events still count
                    self._write_incident("shell failed again", f"{type(error).__name__}: {error}")

    def _write_incident(self, what: str, reason: str) -> None:
        self._writer.note(Kind.INCIDENT, {"what": what, "reason": reason})
        self.services.mishap(self.uid, f"{what}: {reason}")

    def _now(self) -> int:
        return self.services.clock.boottime_ns()

    def _entry_lost(self, kind: Kind) -> None:
        self.services.mishap(self.uid, f"{kind.value} could be written neither to the ledger nor to its side journal")

    # ------------------------------------------------------------ facts that are written as they come

    def _note_leg(self, event: e.Event) -> None:
        if isinstance(event, e.CallerAnswered):
            self._desk.answered = asyncio.create_task(self._note_answered())
        reached = e.StaffAnswered if self._direction.dialled is Leg.STAFF else e.CallerAnswered
        self._connected = self._connected or isinstance(event, reached)
        if (changed := change_of(event, self._direction)) is not None:
            self._leg_changed(*changed)

    def _leg_changed(self, leg: Leg, what: str, cause: str, *, actor: str = "agent") -> None:
        body = {"leg": leg.value, "what": what, "cause": cause}
        self._writer.note(Kind.LEG_CHANGED, body, segment=self._segment, actor=actor)

    async def _note_answered(self) -> Receipt | None:
        offered = await self._desk.offered if self._desk.offered else None
        leaf = offered.leaf if offered else ""
        body, salts = bodies.answered(self.invite, offered_leaf=leaf, hop=self._desk.next_hop)
        return await self._writer.note(Kind.CALL_ANSWERED, body, salts=salts)

    # ------------------------------------------------------------ orders

    def _perform_all(self, orders: tuple[c.Command, ...]) -> None:
        for order in orders:
            self._watch(self.uid, order)
            if isinstance(order, c.AnswerCaller | c.RejectCaller | c.Dial | c.Bridge | c.EndWithTone | c.HangUp):
                self._switch(order)
            else:
                self._perform(order)

    def _perform(self, order: c.Command) -> None:
        match order:
            case c.SignalStaff(signal=signal):
                self.services.telephony.announce(self.uid, self._staff.words(signal, self._language()), (Leg.STAFF,))
            case c.PlayNotice() | c.StopNotice() | c.SkipNotice() | c.ChooseLanguage():
                self._perform_notice(order)
            case c.JudgeNotice() | c.RecordProof() | c.RecordRefusal():
                self._spawn(self._desk.decide(order))
            case c.RecordChoice() | c.RecordStop() | c.RecordConsent() | c.RecordDenial():
                self._perform_choice(order)
            case c.ChangeTags() | c.RecordWithdrawal():
                kind, body, actor = bodies.tags(order, self.uid)
                self._writer.note(kind, body, segment=order.segment, actor=self._who(actor))
            case c.StartTimer(timer=timer):
                self._clocks.start(timer)
            case c.CloseCall():
                self._closing = order
            case _:
                self._perform_recording(order)

    def _perform_choice(self, order: c.RecordChoice | c.RecordStop | c.RecordConsent | c.RecordDenial) -> None:
        match order:
            case c.RecordChoice() | c.RecordStop():
                body, actor = bodies.choice(order)
                at = self._segment if isinstance(order, c.RecordStop) else 0
                self._writer.note(Kind.CHOICE_MADE, body, segment=at, actor=self._who(actor))
            case c.RecordConsent(agreed=agreed, segment=segment):
                self._spawn(self._desk.consent(order, self._taken(agreed, segment)))
            case c.RecordDenial(segment=segment, actor=actor):
                person = self._who(actor)
                denied = bodies.denied(order, self.uid, person=person)
                self._writer.note(Kind.ACCESS_DENIED, denied, segment=segment, actor=person)

    def _switch(self, order: Switched) -> None:
        if isinstance(order, c.Dial):
            self._desk.dialled(self.line.targets[order.target])
        where = partial(destination, self.call, self.line, invite=self.invite, config=self.services.config)
        switch(self.services.telephony, self.uid, order, where, pass_holds=self._desk.next_hop.ends_at == "pbx")

    def _perform_notice(self, order: c.PlayNotice | c.StopNotice | c.SkipNotice | c.ChooseLanguage) -> None:
        match order:
            case c.PlayNotice(attempt=attempt, segment=segment, script=script):
                lasts_s = self._desk.play(attempt, segment, script=script)
                self._clocks.later(lasts_s + OVERDUE_S, lambda: self._notice_overdue(attempt))
            case c.StopNotice(attempt=attempt):
                self.services.telephony.stop_notice(self.uid, attempt)
            case c.SkipNotice(attempt=attempt):
                self._desk.skip(attempt)
            case c.ChooseLanguage(language=language, key=key):
                self._chosen = Chosen(language=language, source=f"key {key}")
                self._spawn(self._prepare_in_language(self.line))

    def _perform_recording(self, order: c.Command) -> None:
        match order:
            case c.StartRecording():
                tap = self._desk.tap_of(order.proof.granted.evidence_sha256)
                recorder = self._segments.at(order.segment, line=self.line.name)
                recorder.start(order, segment_facts(self.services, self.line, order, tap=tap))
                longest_s = self.services.config.spool.max_recording_s
                self._clocks.later(longest_s, partial(self._too_long, order.segment))
            case c.SuspendRecording(why=why, actor=actor):
                self._recorder.suspend(why, self._who(actor))
            case c.ResumeRecording(actor=actor):
                self._recorder.resume(self._who(actor))
            case c.ClassifySubject(about=person, actor=actor):
                dated = partial(about, self.services, self.line, person=person)
                self._recorder.classify(dated, person, self._who(actor))
            case c.StopRecording(reason=reason, actor=actor, announce=announce):
                words = self._announcement() if announce else None
                self._recorder.stop(reason, actor, by=self._who(actor), announce=words)
            case c.DiscardRecording(reason=reason):
                self._recorder.discard(reason)
            case _:
                raise ValueError(f"no such order: {type(order).__name__}")

    def _taken(self, agreed: Agreed, segment: int) -> Taken:
        """When the yes was said and who took it; an oral one is heard in the recording before, where that ran."""
        said = self.services.clock.utc() - timedelta(microseconds=(self._now() - agreed.at_ns) // 1000)
        offset_ms = self._segments.offset_ms(segment - 1, agreed.at_ns)
        oral = agreed.kind is ConsentKind.ORAL and offset_ms is not None
        return Taken(
            utc=utc_text(said),
            taker=self._who(agreed.taker),
            heard_in=f"{self.uid}-{segment - 1}" if oral else "",
            offset_ms=offset_ms if oral else None,
        )

    def _who(self, actor: str) -> str:
        target = self.line.targets[self.call.target if self.call else 0]
        return self._staff.named(actor, staff_of(self.line, target, self.invite))

    def _announcement(self) -> bytes | None:
        return self.services.announcements.get(self._language())

    def _language(self) -> str:
        """That of the caller, else the line's own."""
        chosen = self._desk.prepared.language if self._desk.prepared else ""
        return chosen or next(iter(self.line.languages), "")

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _notice_overdue(self, attempt: int) -> None:
        """A telephony that owes the end of a notice does not keep the caller waiting for it."""
        if self.call is None or self.call.attempt != attempt:
            return
        asking = self.call.asking
        if self.call.notice is Notice.PLAYING or (asking is not None and asking.playing):
            self._incident("notice never ended", f"attempt {attempt}")

    def _ran_out(self, timer: e.Timer) -> None:
        self.happened(e.TimerExpired(at_ns=self._now(), timer=timer))

    def _too_long(self, segment: int) -> None:
        if self.call is not None and self.call.segment == segment:
            self.happened(e.StopRequested(at_ns=self._now(), reason=Reason.MAX_LENGTH, actor="agent"))

    def _recording_failed(self, reason: Reason, *, started: bool, segment: int = 0) -> None:
        self.happened(e.RecordingFailed(at_ns=self._now(), reason=reason, started=started, segment=segment))

    # ------------------------------------------------------------ summary

    async def _close(self) -> None:
        """The summary: after the recording's end, so that it says what became of it."""
        self._clocks.cancel()
        await self._segments.finished()
        if self._background:
            await asyncio.wait(self._background, timeout=_GONE_S)
        offered = receipt_of(self._desk.offered)
        self._outcomes = self._segments.outcomes(self._closing.segments if self._closing else ())
        facts = {
            "number": self.number,
            "offered_leaf": offered.leaf if offered else "",
            "connected": self._connected,
            "duration_ms": (self._now() - self.began_ns) // 1_000_000,
        }
        self._writer.note(Kind.CALL_CLOSED, facts | decided(self._outcomes))
        await self._writer.drained()
        self.services.mover.wake()

    @property
    def outcome_reason(self) -> Reason | None:
        """Why the call was not recorded, None where it was; once it ended."""
        return summed_up(self._outcomes).reason if self._outcomes else Reason.AGENT_FAILED
