"""May this segment be recorded now, and what ends its recording."""

from __future__ import annotations

from dataclasses import replace

from callrec.core import commands as c
from callrec.core import events as e
from callrec.core.call.state import Call, Capture, Notice, Stage, Step
from callrec.core.permission import Permission, PermissionFact, after
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
    return start_when_permitted(granted)


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
    person of the line there, and this segment never before.
    """
    return (
        call.stage is Stage.BRIDGED
        and call.permission is Permission.GRANTED
        and not call.strangers
        and not call.window_open
        and not silence(call)
        and call.capture is Capture.OFF
    )


def start_when_permitted(call: Call) -> Step:
    """The one place that orders a recording."""
    if not may_record(call) or call.proof is None:
        return call, ()
    purposes = effective(
        proposed=call.plan.purposes,
        granted_by_notice=call.proof.granted.purposes,
        declined=call.without,
        protections=call.protections,
    )
    if not purposes:
        return replace(call, capture=Capture.ENDED, reason=call.reason or Reason.NO_PURPOSE), ()
    order = c.StartRecording(proof=call.proof, segment=call.segment, purposes=purposes, about=call.about)
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
