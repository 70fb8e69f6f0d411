"""May this segment be recorded now, and what ends its recording."""

from __future__ import annotations

from dataclasses import replace

from callrec.core import commands as c
from callrec.core import events as e
from callrec.core.call.state import Call, Capture, Notice, Stage, Step
from callrec.core.permission import Permission, PermissionFact, after
from callrec.core.reasons import Reason


def proof_recorded(call: Call, event: e.ProofRecorded) -> Step:
    """The ledger confirmed the proof: the one way to a permission."""
    enough = event.proof.granted.grade.rank >= call.plan.required_grade.rank
    if call.permission is not Permission.PENDING or call.notice is not Notice.SETTLED or not enough:
        return call, ()
    granted = replace(call, permission=after(call.permission, PermissionFact.PROVEN), proof=event.proof)
    return start_when_permitted(granted)


def proof_unrecorded(call: Call, _event: e.ProofUnrecorded) -> Step:
    """The ledger could not confirm it: no permission, and it is our fault."""
    if call.permission is not Permission.PENDING:
        return call, ()
    permission = after(call.permission, PermissionFact.REFUSED)
    return replace(call, permission=permission, reason=call.reason or Reason.LEDGER_UNAVAILABLE), ()


def proof_contradicted(call: Call, _event: e.ProofContradicted) -> Step:
    """A report that came later says that too much of the notice was lost. What was captured is kept, apart."""
    stopped, orders = stop(call, Reason.PROOF_CONTRADICTED, "agent")
    permission = after(call.permission, PermissionFact.REFUSED)
    reason = call.reason if call.recorded else call.reason or Reason.PROOF_CONTRADICTED
    return replace(stopped, capture=Capture.ENDED, permission=permission, reason=reason), orders


def may_record(call: Call) -> bool:
    """The one rule: bridged, proven, choice made or not made in time, nobody on hold, a person there, never before."""
    return (
        call.stage is Stage.BRIDGED
        and call.permission is Permission.GRANTED
        and not call.window_open
        and not call.held
        and call.staff_there
        and call.capture is Capture.OFF
    )


def start_when_permitted(call: Call) -> Step:
    """The one place that orders a recording."""
    if not may_record(call) or call.proof is None:
        return call, ()
    purposes = (call.proof.granted.purposes & call.plan.purposes) - call.without
    if not purposes:
        return replace(call, capture=Capture.ENDED, reason=call.reason or Reason.NO_PURPOSE), ()
    order = c.StartRecording(proof=call.proof, segment=call.proof.granted.segment, purposes=purposes)
    return replace(call, capture=Capture.ON, recorded=True), (order,)


def stop(call: Call, reason: Reason | None, actor: str, *, announce: bool = False) -> Step:
    """End the segment and keep what was captured; nothing where nothing runs."""
    if call.capture not in (Capture.ON, Capture.SUSPENDED):
        return call, ()
    return replace(call, capture=Capture.ENDED), (c.StopRecording(reason=reason, actor=actor, announce=announce),)


def discard(call: Call, reason: Reason) -> Step:
    """End the segment and destroy what was captured."""
    ended = replace(call, capture=Capture.ENDED, recorded=False, reason=reason)
    return ended, (c.DiscardRecording(reason=reason),)


def stop_requested(call: Call, event: e.StopRequested) -> Step:
    """A stop before capture began forbids it; one while it runs ends it. Either way it does not start again."""
    if call.capture in (Capture.ON, Capture.SUSPENDED):
        return stop(call, event.reason, event.actor, announce=True)
    if call.capture is Capture.ENDED:
        return call, ()
    return replace(call, capture=Capture.ENDED, reason=call.reason or event.reason), ()


def recording_failed(call: Call, event: e.RecordingFailed) -> Step:
    """Our fault: what was captured is kept, what had not begun never begins."""
    if event.started:
        return stop(call, event.reason, "agent")
    return replace(call, capture=Capture.ENDED, recorded=False, reason=event.reason), ()
