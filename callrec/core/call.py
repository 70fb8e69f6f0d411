"""Everything that may change the state of a call is in this file.

A call is a frozen value. `advance(call, event)` gives the next value and the commands that the shell performs, or
raises OutOfOrder and nothing has changed. The core does not know SIP, disks or clocks: what it needs to know arrives
in events. Theory of operation:

1. `open_call` answers. When the caller leg is up the notice plays (stage NOTICE), unless an obstacle was known before:
   then the line is dialled at once and the call is carried unrecorded.
2. A notice that ended is judged. Granted or refused, or not decided in time: the line is dialled now (stage DIALLING).
   A notice that was interrupted plays again from its first sample while attempts last.
3. A granted verdict is no permission. `RecordProof` asks the ledger; only its durable answer, as a NoticeProof in
   ProofRecorded, does the table of `permission.py` accept.
4. `_may_record` below is the one place that decides that capture may start, and `_start_when_permitted` the one place
   that orders it. Holds suspend, keys and people stop, and what stopped does not start again.
5. Events of threads race. Facts that can legitimately come late stand in the table of their stage; what does not
   stand there is a defect, and raises.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum, unique
from typing import Any, Final

from callrec.core import commands as c
from callrec.core import events as e
from callrec.core.outoforder import OutOfOrder
from callrec.core.permission import Permission, PermissionFact, after
from callrec.core.proof import NoticeProof
from callrec.core.reasons import Reason
from callrec.core.values import DialFailure, Grade, Leg, Purpose, Tone

EMERGENCY: Final = "999"
"""Always means emergency: connected at once, unrecorded."""


@unique
class Stage(Enum):
    """Where the call as a whole stands."""

    OFFERED = "offered"
    NOTICE = "notice"
    DIALLING = "dialling"
    BRIDGED = "bridged"
    CLOSED = "closed"


@unique
class Notice(Enum):
    """Where the notice to the caller stands."""

    NOT_BEGUN = "not begun"
    PLAYING = "playing"
    WAITING = "waiting for media"
    JUDGING = "being judged"
    SETTLED = "settled"


@unique
class Capture(Enum):
    """Where the recording of the segment stands."""

    OFF = "off"
    ON = "on"
    SUSPENDED = "suspended"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Keys that the notice names, as digits; None where it names none."""

    decline: str | None = None
    decline_training: str | None = None
    repeat: str | None = None
    stop: str | None = None

    def words(self) -> tuple[str, ...]:
        """Every sequence that callrec uses itself."""
        named = (self.decline, self.decline_training, self.repeat, self.stop, EMERGENCY)
        return tuple(word for word in named if word)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPlan:
    """The line's rules for this one call, and what was found wrong before anything was promised."""

    obstacle: Reason | None
    destinations: int
    attempts: int
    purposes: frozenset[Purpose]
    keys: Keys
    has_choice_window: bool
    waits_for_staff: bool = False
    reject_without_notice: bool = False
    required_grade: Grade = Grade.SENT


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call, as a value."""

    plan: CallPlan
    stage: Stage = Stage.OFFERED
    notice: Notice = Notice.NOT_BEGUN
    attempt: int = 0
    permission: Permission = Permission.NONE
    proof: NoticeProof | None = None
    without: frozenset[Purpose] = frozenset()
    window_open: bool = False
    window_closed_ns: int = -1
    held: frozenset[Leg] = frozenset()
    staff_there: bool = True
    staff_up: bool = False
    target: int = 0
    capture: Capture = Capture.OFF
    recorded: bool = False
    reason: Reason | None = None
    digits: str = ""


Step = tuple[Call, tuple[c.Command, ...]]


def open_call(plan: CallPlan) -> Step:
    """Begin a call: answer it, or turn it away where the line asks for that when no notice can be given."""
    call = Call(plan=plan, reason=plan.obstacle, staff_there=not plan.waits_for_staff)
    if plan.obstacle is not None and plan.reject_without_notice and plan.obstacle is not Reason.LINE_NOT_RECORDED:
        return call, (c.RejectCaller(reason=plan.obstacle),)
    return call, (c.AnswerCaller(),)


def advance(call: Call, event: e.Event) -> Step:
    """The call after this fact, and what to do now. Raises OutOfOrder, changing nothing, where it cannot happen."""
    handler = TABLE[call.stage].get(type(event))
    if handler is None:
        raise OutOfOrder(f"call {call.stage.value}", type(event).__name__)
    return handler(call, event)


# ---------------------------------------------------------------- notice


def _answered(call: Call, _event: e.CallerAnswered) -> Step:
    if call.plan.obstacle is not None:
        return _dial(replace(call, notice=Notice.SETTLED))
    begun = replace(call, stage=Stage.NOTICE, permission=after(call.permission, PermissionFact.NOTICE_BEGAN))
    return _with((c.StartTimer(timer=e.Timer.NOTICE_WAIT),), _play(begun))


def _play(call: Call) -> Step:
    if Leg.CALLER in call.held:
        return replace(call, notice=Notice.WAITING), ()
    attempt = call.attempt + 1
    return replace(call, notice=Notice.PLAYING, attempt=attempt), (c.PlayNotice(attempt=attempt),)


def _notice_ended(call: Call, event: e.NoticeEnded) -> Step:
    if call.notice is not Notice.PLAYING or event.attempt != call.attempt:
        return call, ()
    orders: tuple[c.Command, ...] = (
        c.JudgeNotice(attempt=event.attempt, observation=event.observation),
        c.StartTimer(timer=e.Timer.DECIDE),
    )
    window = call.plan.has_choice_window and event.observation.complete
    if window:
        orders += (c.StartTimer(timer=e.Timer.CHOICE_WINDOW),)
    closed_ns = event.at_ns if event.observation.complete and not window else call.window_closed_ns
    return replace(call, notice=Notice.JUDGING, window_open=window, window_closed_ns=closed_ns), orders


def _granted(call: Call, event: e.NoticeGranted) -> Step:
    if call.notice is not Notice.JUDGING or event.attempt != call.attempt:
        return call, ()
    if event.verdict.grade.rank < call.plan.required_grade.rank:
        return _refuse(call, (Reason.GRADE_TOO_LOW,))
    dialled, orders = _dial(replace(call, notice=Notice.SETTLED))
    return dialled, (*orders, c.RecordProof(attempt=event.attempt, verdict=event.verdict))


def _refused(call: Call, event: e.NoticeRefused) -> Step:
    if call.notice is not Notice.JUDGING or event.attempt != call.attempt:
        return call, ()
    again = event.reasons[0] is Reason.NOTICE_INTERRUPTED and call.attempt < call.plan.attempts
    if again:
        told = (c.RecordRefusal(attempt=event.attempt, reasons=event.reasons),)
        return _with(told, _play(replace(call, window_open=False)))
    return _refuse(call, event.reasons)


def _refuse(call: Call, reasons: tuple[Reason, ...]) -> Step:
    """The notice is not proven: write it, and let the call go on unrecorded."""
    told = (c.RecordRefusal(attempt=call.attempt, reasons=reasons),)
    settled = replace(
        call,
        notice=Notice.SETTLED,
        permission=after(call.permission, PermissionFact.REFUSED),
        window_open=False,
        reason=call.reason or reasons[0],
    )
    if call.plan.reject_without_notice:
        return settled, (*told, c.HangUp(leg=Leg.CALLER, cause="notice could not be given"))
    return _with(told, _dial(settled))


def _notice_timer(call: Call, event: e.TimerExpired) -> Step:
    if event.timer is e.Timer.CHOICE_WINDOW:
        return _window_closed(call, event)
    if event.timer is e.Timer.DECIDE:
        return _refuse(call, (Reason.NOTICE_UNDECIDED,)) if call.notice is Notice.JUDGING else (call, ())
    if call.notice is Notice.PLAYING:
        return _with((c.StopNotice(attempt=call.attempt),), _refuse(call, (Reason.NOTICE_INTERRUPTED,)))
    return _refuse(call, (Reason.NOTICE_INTERRUPTED,)) if call.notice is Notice.WAITING else (call, ())


# ---------------------------------------------------------------- permission


def _proof_recorded(call: Call, event: e.ProofRecorded) -> Step:
    if call.permission is not Permission.PENDING:
        return call, ()
    granted = replace(call, permission=after(call.permission, PermissionFact.PROVEN), proof=event.proof)
    return _start_when_permitted(granted)


def _proof_unrecorded(call: Call, _event: e.ProofUnrecorded) -> Step:
    if call.permission is not Permission.PENDING:
        return call, ()
    permission = after(call.permission, PermissionFact.REFUSED)
    return replace(call, permission=permission, reason=call.reason or Reason.LEDGER_UNAVAILABLE), ()


def _later_timer(call: Call, event: e.TimerExpired) -> Step:
    return _window_closed(call, event) if event.timer is e.Timer.CHOICE_WINDOW else (call, ())


def _window_closed(call: Call, event: e.TimerExpired) -> Step:
    if not call.window_open:
        return call, ()
    return _start_when_permitted(replace(call, window_open=False, window_closed_ns=event.at_ns))


def _may_record(call: Call) -> bool:
    """The one rule: bridged, proven, choice made or not made in time, nobody on hold, a person there, never before."""
    return (
        call.stage is Stage.BRIDGED
        and call.permission is Permission.GRANTED
        and not call.window_open
        and not call.held
        and call.staff_there
        and call.capture is Capture.OFF
    )


def _start_when_permitted(call: Call) -> Step:
    """The one place that orders a recording."""
    if not _may_record(call) or call.proof is None:
        return call, ()
    purposes = (call.proof.granted.purposes & call.plan.purposes) - call.without
    if not purposes:
        return replace(call, capture=Capture.ENDED, reason=call.reason or Reason.NO_PURPOSE), ()
    order = c.StartRecording(proof=call.proof, segment=call.proof.granted.segment, purposes=purposes)
    return replace(call, capture=Capture.ON, recorded=True), (order,)


# ---------------------------------------------------------------- keys


def _key(call: Call, event: e.KeyPressed) -> Step:
    if event.leg is not Leg.CALLER or call.permission is Permission.WITHDRAWN:
        return call, ()
    digits = (call.digits + event.digit)[-8:]
    call = replace(call, digits=digits)
    keys = call.plan.keys
    if _choosing(call, event) and digits.endswith(EMERGENCY):
        return _withdraw(call, EMERGENCY, Reason.EMERGENCY_BYPASS)
    if keys.stop and digits.endswith(keys.stop):
        return _caller_stops(call, event, keys.stop)
    if not _choosing(call, event):
        return call, ()
    return _choose(call, event.digit)


def keys_in_use(call: Call) -> tuple[str, ...]:
    """Sequences of the caller that mean something now; every other key is for the advice line."""
    if call.permission is Permission.WITHDRAWN:
        return ()
    if call.permission is not Permission.NONE and call.window_closed_ns < 0:
        return call.plan.keys.words()
    return (call.plan.keys.stop,) if call.plan.keys.stop else ()


def _choosing(call: Call, event: e.KeyPressed) -> bool:
    """Single keys count from the first sound of the notice until the window closed, told by when they were pressed."""
    asked = call.permission in (Permission.PENDING, Permission.GRANTED)
    return asked and (call.window_closed_ns < 0 or event.at_ns <= call.window_closed_ns)


def _choose(call: Call, digit: str) -> Step:
    keys = call.plan.keys
    if digit == keys.decline:
        return _withdraw(call, digit, Reason.CALLER_DECLINED)
    if digit == keys.decline_training:
        return _without_training(call, digit)
    if digit == keys.repeat and call.notice is Notice.PLAYING and call.attempt < call.plan.attempts:
        stop = (c.RecordChoice(digit=digit, choice="repeat"), c.StopNotice(attempt=call.attempt))
        return _with(stop, _play(call))
    return call, ()


def _without_training(call: Call, digit: str) -> Step:
    told = (c.RecordChoice(digit=digit, choice="without training"),)
    reduced = replace(call, without=call.without | {Purpose.TRAINING})
    if call.capture in (Capture.ON, Capture.SUSPENDED):  # pressed in time, arrived late: captured under too much
        return _with(told, _discard(reduced, Reason.NO_PURPOSE))
    return reduced, told


def _withdraw(call: Call, digit: str, reason: Reason) -> Step:
    """No, or an emergency: nothing is recorded, what a race had begun is destroyed, and the line is dialled at once."""
    told = (c.RecordChoice(digit=digit, choice="emergency" if digit == EMERGENCY else "decline"),)
    stopped = (c.StopNotice(attempt=call.attempt),) if call.notice is Notice.PLAYING else ()
    no = replace(
        call,
        permission=after(call.permission, PermissionFact.WITHDRAWN),
        notice=Notice.SETTLED,
        window_open=False,
        reason=reason,
    )
    if call.capture in (Capture.ON, Capture.SUSPENDED):
        return _with(told, _discard(no, reason))
    if call.stage is Stage.NOTICE:
        return _with((*told, *stopped), _dial(no))
    return no, told


def _caller_stops(call: Call, event: e.KeyPressed, sequence: str) -> Step:
    """Before capture a stop is a decline; while it runs it ends the segment, and what was captured is kept (R15)."""
    if call.capture not in (Capture.ON, Capture.SUSPENDED) or event.at_ns <= call.window_closed_ns:
        return _withdraw(call, sequence, Reason.CALLER_DECLINED) if call.capture is not Capture.ENDED else (call, ())
    told = (c.RecordChoice(digit=sequence, choice="stop"),)
    no = replace(call, permission=after(call.permission, PermissionFact.WITHDRAWN))
    return _with(told, _stop(no, Reason.CALLER_STOPPED, "caller", announce=True))


# ---------------------------------------------------------------- dialling, bridge, holds


def _dial(call: Call) -> Step:
    return replace(call, stage=Stage.DIALLING), (c.Dial(target=call.target),)


def _dial_failed(call: Call, event: e.DialFailed) -> Step:
    following = call.target + 1
    if following < call.plan.destinations:
        return _dial(replace(call, target=following))
    tone, cause = _ENDINGS[event.failure]
    return replace(call, reason=call.reason or Reason.NOT_ANSWERED), (c.EndWithTone(tone=tone, cause=cause),)


_ENDINGS: Final[Mapping[DialFailure, tuple[Tone, str]]] = {
    DialFailure.BUSY: (Tone.BUSY, "User busy"),
    DialFailure.NO_ANSWER: (Tone.UNOBTAINABLE, "No answer"),
    DialFailure.REFUSED: (Tone.CONGESTION, "Call rejected"),
    DialFailure.UNREACHABLE: (Tone.CONGESTION, "No route to destination"),
}


def _staff_answered(call: Call, _event: e.StaffAnswered) -> Step:
    return replace(call, staff_up=True), (c.Bridge(),)


def _bridged(call: Call, _event: e.LegsBridged) -> Step:
    return _start_when_permitted(replace(call, stage=Stage.BRIDGED))


def _staff_joined(call: Call, _event: e.StaffJoined) -> Step:
    return _start_when_permitted(replace(call, staff_there=True))


def _held(call: Call, event: e.LegHeld) -> Step:
    held = replace(call, held=call.held | {event.leg})
    if call.capture is Capture.ON:
        return replace(held, capture=Capture.SUSPENDED), (c.SuspendRecording(why=f"{event.leg.value} leg on hold"),)
    return held, ()


def _resumed(call: Call, event: e.LegResumed) -> Step:
    resumed = replace(call, held=call.held - {event.leg})
    if call.notice is Notice.WAITING and event.leg is Leg.CALLER:
        return _play(resumed)
    if call.capture is Capture.SUSPENDED and not resumed.held:
        return replace(resumed, capture=Capture.ON), (c.ResumeRecording(),)
    return _start_when_permitted(resumed)


# ---------------------------------------------------------------- ends


def _stop(call: Call, reason: Reason | None, actor: str, *, announce: bool = False) -> Step:
    if call.capture not in (Capture.ON, Capture.SUSPENDED):
        return call, ()
    return replace(call, capture=Capture.ENDED), (c.StopRecording(reason=reason, actor=actor, announce=announce),)


def _discard(call: Call, reason: Reason) -> Step:
    ended = replace(call, capture=Capture.ENDED, recorded=False, reason=reason)
    return ended, (c.DiscardRecording(reason=reason),)


def _stop_requested(call: Call, event: e.StopRequested) -> Step:
    """A stop before capture began forbids it; one while it runs ends it. Either way it does not start again."""
    if call.capture in (Capture.ON, Capture.SUSPENDED):
        return _stop(call, event.reason, event.actor, announce=True)
    if call.capture is Capture.ENDED:
        return call, ()
    return replace(call, capture=Capture.ENDED, reason=call.reason or event.reason), ()


def _recording_failed(call: Call, event: e.RecordingFailed) -> Step:
    if event.started:
        return _stop(call, event.reason, "agent")
    return replace(call, capture=Capture.ENDED, recorded=False, reason=event.reason), ()


def _leg_ended(call: Call, event: e.LegEnded) -> Step:
    stopped, orders = _stop(call, None, event.leg.value)
    other = Leg.STAFF if event.leg is Leg.CALLER else Leg.CALLER
    closed = replace(
        stopped, stage=Stage.CLOSED, notice=Notice.SETTLED, reason=None if call.recorded else _why(call, event)
    )
    return closed, (
        *orders,
        c.HangUp(leg=other, cause=event.cause),
        c.CloseCall(recorded=closed.recorded, reason=closed.reason),
    )


def _why(call: Call, event: e.LegEnded) -> Reason:
    """Why nothing was recorded, where nothing else had been found before the end."""
    if call.reason is not None:
        return call.reason
    if event.leg is Leg.CALLER and call.stage is not Stage.BRIDGED:
        return Reason.CALLER_HUNG_UP
    return Reason.ENDED_BEFORE_CAPTURE


def _nothing(call: Call, _event: e.Event) -> Step:
    return call, ()


def _with(first: tuple[c.Command, ...], step: Step) -> Step:
    return step[0], (*first, *step[1])


Handler = Callable[[Call, Any], Step]

_ALWAYS: Final[Mapping[type[e.Event], Handler]] = {
    e.LegHeld: _held,
    e.LegResumed: _resumed,
    e.LegRenegotiated: _nothing,
    e.KeyPressed: _key,
    e.StopRequested: _stop_requested,
    e.StaffJoined: _staff_joined,
    e.LegEnded: _leg_ended,
}
"""Facts that may come at any time while the call is up."""

_AFTER_NOTICE: Final[Mapping[type[e.Event], Handler]] = {
    **_ALWAYS,
    e.NoticeEnded: _nothing,
    e.NoticeGranted: _nothing,
    e.NoticeRefused: _nothing,
    e.ProofRecorded: _proof_recorded,
    e.ProofUnrecorded: _proof_unrecorded,
    e.TimerExpired: _later_timer,
}
"""A verdict that comes after the notice was settled is late, and changes nothing any more."""

TABLE: Final[Mapping[Stage, Mapping[type[e.Event], Handler]]] = {
    Stage.OFFERED: {**_ALWAYS, e.CallerAnswered: _answered},
    Stage.NOTICE: {
        **_ALWAYS,
        e.NoticeEnded: _notice_ended,
        e.NoticeGranted: _granted,
        e.NoticeRefused: _refused,
        e.TimerExpired: _notice_timer,
    },
    Stage.DIALLING: {
        **_AFTER_NOTICE,
        e.StaffRinging: _nothing,
        e.StaffAnswered: _staff_answered,
        e.DialFailed: _dial_failed,
        e.LegsBridged: _bridged,
    },
    Stage.BRIDGED: {
        **_AFTER_NOTICE,
        e.LegsBridged: _nothing,
        e.RecordingFailed: _recording_failed,
    },
    Stage.CLOSED: dict.fromkeys(
        (
            *_AFTER_NOTICE,
            e.StaffRinging,
            e.StaffAnswered,
            e.DialFailed,
            e.LegsBridged,
            e.RecordingFailed,
        ),
        _nothing,
    ),
}
"""Which fact may happen when. Legs close in their own time, so that a closed call still hears of them."""
