"""May this segment be recorded now, and what ends its recording."""

from __future__ import annotations

from dataclasses import replace

from callrec.core import commands as c
from callrec.core import events as e
from callrec.core.call.state import Asking, Call, Capture, Notice, Stage, Step, and_then
from callrec.core.consent import Agreed
from callrec.core.permission import Permission, PermissionFact, after
from callrec.core.proof import NoticeProof
from callrec.core.purposes import Protection, TagSource, effective
from callrec.core.reasons import Reason
from callrec.core.values import Leg, Purpose, Signal


def proof_recorded(call: Call, event: e.ProofRecorded) -> Step:
    """The ledger confirmed the proof: the one way to a permission."""
    enough = event.proof.granted.grade.rank >= call.plan.required_grade.rank
    waited_for = call.notice is Notice.SETTLED and event.proof.granted.segment == call.segment
    if call.permission is not Permission.PENDING or not (waited_for and enough):
        return call, ()
    granted = replace(call, permission=after(call.permission, PermissionFact.PROVEN), proof=event.proof)
    wanted = granted.agreed.script.asks - granted.without if granted.agreed else frozenset()
    if granted.agreed is None or not wanted:
        return start_when_permitted(replace(granted, agreed=None))
    return granted, (_consent_to(granted, granted.agreed, wanted, event.proof),)


def _consent_to(call: Call, yes: Asking, purposes: frozenset[Purpose], proof: NoticeProof) -> c.RecordConsent:
    """What the caller agreed to goes into the ledger before the segment that rests on it begins (R19)."""
    agreed = Agreed(
        kind=yes.kind,
        script=yes.script,
        purposes=purposes,
        given_by=yes.given_by,
        about=call.about,
        taker=yes.actor,
        at_ns=yes.said_ns,
        proof=proof,
    )
    return c.RecordConsent(agreed=agreed, segment=call.segment)


def consent_recorded(call: Call, event: e.ConsentRecorded) -> Step:
    """The ledger holds the yes: from now on, and only from now on, what it adds is recorded for as well."""
    if call.agreed is None or event.consent.agreed.proof is not call.proof:
        return call, ()
    heard = (c.SignalStaff(signal=Signal.DONE),) if call.staff_up else ()
    return and_then(heard, start_when_permitted(replace(call, agreed=None, consent=event.consent)))


def consent_unrecorded(call: Call, event: e.ConsentUnrecorded) -> Step:
    """It could not be written down: as if it had not been given. The notice is proven, so that recording goes on."""
    if call.agreed is None or event.segment != call.segment:
        return call, ()
    heard = (c.SignalStaff(signal=Signal.REFUSED),) if call.staff_up else ()
    return and_then(heard, start_when_permitted(replace(call, agreed=None)))


def proof_unrecorded(call: Call, event: e.ProofUnrecorded) -> Step:
    """The ledger could not confirm it: no permission, and it is our fault."""
    if call.permission is not Permission.PENDING or event.attempt != call.attempt:
        return call, ()
    permission = after(call.permission, PermissionFact.REFUSED)
    return replace(call, permission=permission, reason=call.reason or Reason.LEDGER_UNAVAILABLE), ()


def proof_contradicted(call: Call, event: e.ProofContradicted) -> Step:
    """A report that came later says that too much of the notice was lost. What was captured is kept, apart. Of an
    earlier segment's notice it says nothing about this one.
    """
    if event.attempt <= call.earlier_attempts:
        return call, ()
    stopped, orders = stop(call, Reason.PROOF_CONTRADICTED, "agent")
    permission = after(call.permission, PermissionFact.REFUSED)
    reason = call.reason if call.recorded else call.reason or Reason.PROOF_CONTRADICTED
    return replace(stopped, capture=Capture.ENDED, permission=permission, reason=reason), orders


def silence(call: Call) -> str:
    """Why nothing of what is said now may be captured, as it stands in the gap; empty where it may."""
    for leg in Leg:
        if leg in call.held:
            return f"{leg.value} leg on hold"
        if leg in call.held_behind:
            return f"{leg.value} side on hold behind the PBX"
    if call.paused:
        return "paused"
    if call.staff_uninformed:
        return "staff did not acknowledge the recording policy"
    if call.asking is not None:
        return "the caller is asked for consent"
    return "" if call.staff_there else "nobody of the line is there"


def settle(call: Call, actor: str = "agent") -> Step:
    """Suspend or resume what runs, or begin what may begin, as the facts stand now."""
    why = silence(call)
    if call.capture is Capture.ON and why:
        return replace(call, capture=Capture.SUSPENDED), (c.SuspendRecording(why=why, actor=actor),)
    if call.capture is Capture.SUSPENDED and not why:
        return replace(call, capture=Capture.ON), (c.ResumeRecording(actor=actor),)
    return start_when_permitted(call)


def may_record(call: Call) -> bool:
    """The one rule: bridged, every outside party proven, choice made or not made in time, nobody on hold, no pause, a
    person of the line there, no yes on its way into the ledger, and this segment never before.
    """
    return (
        call.stage is Stage.BRIDGED
        and call.permission is Permission.GRANTED
        and not call.strangers
        and not call.window_open
        and not silence(call)
        and call.agreed is None
        and call.capture is Capture.OFF
    )


def start_when_permitted(call: Call) -> Step:
    """The one place that orders a recording."""
    if not may_record(call) or call.proof is None:
        return call, ()
    consented = call.consent.purposes if call.consent is not None else frozenset[Purpose]()
    purposes = effective(
        proposed=call.plan.purposes | consented,
        granted_by_notice=call.proof.granted.purposes,
        consents=consented,
        declined=call.without,
        protections=call.protections,
    )
    if not purposes:
        return replace(call, capture=Capture.ENDED, reason=call.reason or Reason.NO_PURPOSE), ()
    consent = call.consent if purposes & consented else None
    order = c.StartRecording(
        proof=call.proof, segment=call.segment, purposes=purposes, about=call.about, consent=consent
    )
    started = replace(call, capture=Capture.ON, recorded=True, purposes=purposes)
    return whisper(started, (order, *_said_before(call)))


def whisper(call: Call, orders: tuple[c.Command, ...]) -> Step:
    """Staff hear once, at the bridge or when it is decided, whether the call is recorded (R53); nobody else does."""
    decided = call.captures or (call.permission in (Permission.NONE, Permission.WITHDRAWN) and not call.unasked)
    if not call.plan.whispers or call.whispered or not decided or call.stage is not Stage.BRIDGED:
        return call, orders
    return replace(call, whispered=True), (*orders, status(call))


def status(call: Call) -> c.SignalStaff:
    """Whether voices are captured now, as staff hear it."""
    return c.SignalStaff(signal=Signal.RECORDED if call.capture is Capture.ON else Signal.NOT_RECORDED)


def _said_before(call: Call) -> tuple[c.Command, ...]:
    """What was said of this call's people before its recording began stands in the ledger beside it (R33, R35)."""
    told: tuple[c.Command, ...] = ()
    if call.about is not None:
        told += (c.ClassifySubject(segment=call.segment, about=call.about, actor=call.about_by),)
    if call.doubted_by:
        doubt, source = Protection.CAPACITY_DOUBT.value, TagSource.PROTECTION
        nothing: frozenset[Purpose] = frozenset()  # was left of it to suspend
        told += (
            c.ChangeTags(
                segment=call.segment, suspended=True, purposes=nothing, source=source, actor=call.doubted_by, why=doubt
            ),
        )
    return told


def stop(call: Call, reason: Reason | None, actor: str, *, announce: bool = False) -> Step:
    """End the segment and keep what was captured; nothing where nothing runs."""
    if not call.captures:
        return call, ()
    return replace(call, capture=Capture.ENDED), (c.StopRecording(reason=reason, actor=actor, announce=announce),)


def discard(call: Call, reason: Reason) -> Step:
    """End the segment and destroy what was captured."""
    ended = replace(call, capture=Capture.ENDED, recorded=False, purposes=frozenset(), reason=reason)
    return ended, (c.DiscardRecording(reason=reason),)


def stop_requested(call: Call, event: e.StopRequested) -> Step:
    """A stop before capture began forbids it; one while it runs ends it. Either way it does not start again."""
    if call.captures:
        return stop(call, event.reason, event.actor, announce=True)
    if call.capture is Capture.ENDED:
        return call, ()
    return replace(call, capture=Capture.ENDED, reason=call.reason or event.reason), ()


def recording_failed(call: Call, event: e.RecordingFailed) -> Step:
    """Our fault: what was captured is kept, what had not begun never begins. Word of an earlier segment is late."""
    if event.segment != call.segment:
        return call, ()
    if event.started:
        return stop(call, event.reason, "agent")
    return replace(call, capture=Capture.ENDED, recorded=False, purposes=frozenset(), reason=event.reason), ()


def tags_changed(
    call: Call, purposes: frozenset[Purpose], *, suspended: bool, source: TagSource, actor: str, why: str
) -> tuple[c.Command, ...]:
    """These purposes are gone from every segment of the call that still has them, or suspended there."""
    return tuple(
        c.ChangeTags(
            segment=segment, suspended=suspended, purposes=tags & purposes, source=source, actor=actor, why=why
        )
        for segment, tags in call.tagged
        if tags & purposes
    )
