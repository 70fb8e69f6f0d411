"""One segment's recording, from the order to the sealed file. Orders are carried out one after the other.

This is where a data key is made and where the engine is told to capture, and both need a `StartRecording`, which
cannot be written without a NoticeProof. The order of steps is the promise: `recording.started` is durable, then the
spool holds the key and its room, and only then does the engine connect a voice to a recorder.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, unique
from typing import Final, Protocol

from callrec._canonical import sha256_hex
from callrec.agent.loops import end_all
from callrec.agent.services import Services
from callrec.core import commands as c
from callrec.core.kinds import Kind
from callrec.core.people import About, about_json
from callrec.core.proof import Receipt
from callrec.core.reasons import Reason
from callrec.core.tags import SUBJECT
from callrec.core.values import Leg
from callrec.errors import CallrecError, Unavailable
from callrec.ports import DataKey, Entry, Json, Sealed, SegmentHeader
from callrec.recording.capture import Capture
from callrec.recording.manifest import Ending
from callrec.recording.seal import discard, forget_discarded
from callrec.recording.segment import OpenSegment, SegmentFacts

APPEND_S: Final = 2.0
"""How long a recording waits for the ledger before it is given up; the call waits for none of it."""
CLOSE_S: Final = 2.0
PROGRESS_S: Final = 60.0


@unique
class Outcome(Enum):
    """What became of the segment."""

    NOT_STARTED = "not started"
    SEALED = "sealed"
    DISCARDED = "discarded"
    LEFT = "left in the spool"


@dataclass(slots=True)
class _Running:
    """What exists while voices are captured."""

    header: SegmentHeader
    segment: OpenSegment
    capture: Capture
    stop: asyncio.Event
    tail: asyncio.Task[None]


class Failed(Protocol):
    """Told of a failure: the reason, and whether capture had begun."""

    def __call__(self, reason: Reason, *, started: bool) -> None:
        """Not to raise."""


class SegmentRecorder:
    """Carries out the core's recording orders for one segment of one call."""

    def __init__(
        self,
        services: Services,
        call_uid: str,
        *,
        line: str,
        failed: Failed,
        after: SegmentRecorder | None = None,
    ) -> None:
        self._services = services
        self._call_uid = call_uid
        self._line = line
        self._failed = failed
        self._running: _Running | None = None
        self._last: asyncio.Task[None] | None = after.last if after is not None else None  # begins when that has ended
        self._voices_off = False
        self._over = False
        self.began_ns = 0
        """When its first sample was captured; 0 where none was."""
        self.outcome = Outcome.NOT_STARTED

    # ------------------------------------------------------------ orders

    def start(self, order: c.StartRecording, facts: SegmentFacts) -> None:
        """Begin. Failing, `failed` is told and nothing was captured."""
        self._queue(lambda: self._start(order, facts))

    def suspend(self, why: str, actor: str) -> None:
        """Voices are disconnected now; the gap is marked as soon as the disk allows. Within a gap, only told."""
        at_ns = self._services.clock.boottime_ns()
        begins = not self._voices_off
        self._silence()
        self._queue(lambda: self._pause(at_ns, why, actor, begins=begins))

    def resume(self, actor: str) -> None:
        """End the gap."""
        at_ns = self._services.clock.boottime_ns()
        self._voices_off = False
        self._services.telephony.resume_capture(self._call_uid)
        self._queue(lambda: self._resume(at_ns, actor))

    def classify(self, dated: Callable[[SegmentFacts], SegmentFacts], about: About, actor: str) -> None:
        """Who the call is about became known: `dated` gives it the dates of that (R35, R44)."""
        self._queue(lambda: self._classify(dated, about, actor))

    def stop(self, reason: Reason | None, actor: str, *, by: str, announce: bytes | None) -> None:
        """Voices are disconnected now; then close, seal and hand over. `actor` is the role that stopped it, `by` who in
        it, as the ledger alone is told.
        """
        self._over = True
        self._silence()
        if announce:
            self._services.telephony.announce(self._call_uid, announce, (Leg.CALLER, Leg.STAFF))
        self._queue(lambda: self._stop(reason, actor, by))

    def discard(self, reason: Reason) -> None:
        """Voices are disconnected now; then destroy key and audio."""
        self._over = True
        self._silence()
        self._queue(lambda: self._discard(reason))

    def _silence(self) -> None:
        """Also for a start that is still under way: it must not connect what was ordered off meanwhile."""
        self._voices_off = True
        self._services.telephony.suspend_capture(self._call_uid)

    @property
    def last(self) -> asyncio.Task[None] | None:
        """The newest order, as it is carried out."""
        return self._last

    async def finished(self) -> None:
        """Return when every order given so far was carried out."""
        if self._last is not None:
            await asyncio.wait({self._last})

    def _queue(self, step: Callable[[], Awaitable[None]]) -> None:
        self._last = asyncio.create_task(self._carry_out(step, self._last))

    async def _carry_out(self, step: Callable[[], Awaitable[None]], before: asyncio.Task[None] | None) -> None:
        if before is not None and not before.done():
            await asyncio.wait({before})
        try:
            await step()
        except (CallrecError, OSError, ValueError) as error:
            self._services.mishap(self._call_uid, f"recording: {error}")
            self._failed(Reason.CAPTURE_FAILED, started=self._running is not None)

    # ------------------------------------------------------------ start

    async def _start(self, order: c.StartRecording, facts: SegmentFacts) -> None:
        key = self._services.keys.new_key()  # a fifth of a millisecond: less than to wait for a worker
        try:
            started = await self._declare(order, key)
        except Unavailable:
            self._failed(Reason.LEDGER_UNAVAILABLE, started=False)
            return
        header = SegmentHeader(
            log_id=self._services.log_id,
            call_uid=self._call_uid,
            segment=order.segment,
            key_id=key.key_id,
            proven_leaf=order.proof.receipt.leaf,
            started_leaf=started.leaf,
        )
        try:
            segment = await asyncio.to_thread(self._services.spool.open_segment, header, key, facts)
        except Unavailable:
            await self._note(Kind.RECORDING_DISCARDED, header, reason=Reason.STORE_UNAVAILABLE.value)
            self._failed(Reason.STORE_UNAVAILABLE, started=False)
            return
        if self._over:
            await asyncio.to_thread(discard, self._services.spool, segment, Reason.ENDED_BEFORE_CAPTURE)
            await self._discarded(header, Reason.ENDED_BEFORE_CAPTURE)
            return
        self._run(header, segment, heard_ns=order.proof.granted.ended_ns)

    async def _declare(self, order: c.StartRecording, key: DataKey) -> Receipt:
        body: dict[str, Json] = {
            "proven_leaves": [order.proof.receipt.leaf],
            "key_id": key.key_id,
            "wrapped_key_sha256": sha256_hex(key.wrapped),
            "purposes": sorted(purpose.value for purpose in order.purposes),
            "streams": {},
        }
        if order.consent is not None:
            body["consent_leaves"] = [order.consent.receipt.leaf]
        entry = Entry(kind=Kind.RECORDING_STARTED, body=body, call_uid=self._call_uid, segment=order.segment)
        return await self._services.ledger.append(entry, timeout_s=APPEND_S)

    def _run(self, header: SegmentHeader, segment: OpenSegment, *, heard_ns: int) -> None:
        paths = self._services.spool.capture_paths(header.recording_id)
        self._services.telephony.start_capture(self._call_uid, paths, heard_ns=heard_ns)
        if self._voices_off:
            self._services.telephony.suspend_capture(self._call_uid)
        self.began_ns = self._services.clock.boottime_ns()
        capture = Capture(segment, paths, started_ns=self.began_ns)
        stop = asyncio.Event()
        tail = asyncio.create_task(self._follow(capture, stop, header))
        self._running = _Running(header=header, segment=segment, capture=capture, stop=stop, tail=tail)

    async def _follow(self, capture: Capture, stop: asyncio.Event, header: SegmentHeader) -> None:
        progress = asyncio.create_task(self._report(capture, header))
        try:
            await capture.run(stop, self._services.spool.tails)
        except CallrecError:
            self._failed(Reason.STORE_UNAVAILABLE, started=True)
        finally:
            await end_all([progress])

    async def _report(self, capture: Capture, header: SegmentHeader) -> None:
        while True:
            await asyncio.sleep(PROGRESS_S)
            now = capture.progress()
            await self._note(Kind.RECORDING_PROGRESS, header, samples=now.samples, running_sha256=now.running_sha256)

    async def _pause(self, at_ns: int, why: str, actor: str, *, begins: bool) -> None:
        if self._running is None:
            return
        if begins:
            await asyncio.to_thread(self._running.capture.suspend, at_ns, why)
        await self._note(Kind.RECORDING_PAUSED, self._running.header, actor=actor, why=why)

    async def _resume(self, at_ns: int, actor: str) -> None:
        if self._running is None:
            return
        await asyncio.to_thread(self._running.capture.resume, at_ns)
        await self._note(Kind.RECORDING_RESUMED, self._running.header, actor=actor)

    async def _classify(self, dated: Callable[[SegmentFacts], SegmentFacts], about: About, actor: str) -> None:
        if self._running is None:
            return
        segment, header = self._running.segment, self._running.header
        await asyncio.to_thread(lambda: segment.describe(dated(segment.facts)))
        said = {"change": SUBJECT, **about_json(about), "recording_id": header.recording_id}
        await self._note(Kind.TAG_CHANGED, header, actor=actor, **said)

    # ------------------------------------------------------------ end

    async def _close(self, running: _Running) -> None:
        """Recorders closed, everything taken. What cannot be taken now is left for the seal or for salvage."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._services.telephony.stop_capture(self._call_uid), CLOSE_S)
        running.stop.set()
        await asyncio.wait({running.tail})
        with suppress(CallrecError):
            await asyncio.to_thread(running.capture.finish)

    async def _stop(self, reason: Reason | None, actor: str, by: str) -> None:
        if (running := self._running) is None:
            return
        self._running = None
        await self._close(running)
        stopped = reason.value if reason else ""
        await self._note(Kind.RECORDING_STOPPED, running.header, actor=by, reason=stopped, stopped_by=actor)
        ending = Ending(ended_utc=self._services.utc_text(), stop_reason=stopped, stopped_by=actor)
        self._services.mover.expect(running.header.recording_id)
        try:
            async with self._services.sealing:
                sealed = await self._services.sealer.seal(running.segment, ending)
        except Unavailable as error:
            self._services.mover.forget(running.header.recording_id)
            self.outcome = Outcome.LEFT
            self._services.mishap(self._call_uid, f"not sealed yet, the next start seals it: {error}")
            return
        if sealed is None:
            self._services.mover.forget(running.header.recording_id)
            await self._discarded(running.header, Reason.ENDED_BEFORE_CAPTURE)
            return
        self.outcome = Outcome.SEALED
        await self._announce(sealed)

    async def _announce(self, sealed: Sealed) -> None:
        """Tell the ledger before the call is closed; where it does not answer the mover does it later."""
        with suppress(Unavailable):
            await self._services.mover.announce(sealed, timeout_s=APPEND_S)
        self._services.mover.wake()

    async def _discard(self, reason: Reason) -> None:
        if (running := self._running) is None:
            return
        self._running = None
        await self._close(running)
        await asyncio.to_thread(discard, self._services.spool, running.segment, reason)
        await self._discarded(running.header, reason)

    async def _discarded(self, header: SegmentHeader, reason: Reason) -> None:
        self.outcome = Outcome.DISCARDED
        if await self._note(Kind.RECORDING_DISCARDED, header, reason=reason.value):
            await asyncio.to_thread(forget_discarded, self._services.spool, header.recording_id)

    async def _note(self, kind: Kind, header: SegmentHeader, *, actor: str = "agent", **body: object) -> Receipt | None:
        entry = Entry(
            kind=kind,
            call_uid=header.call_uid,
            segment=header.segment,
            actor=actor,
            body={"started_leaf": header.started_leaf, **body},
        )
        try:
            return await self._services.ledger.note(entry)
        except Unavailable:
            self._services.mishap(self._call_uid, f"{kind.value} could not be written")
            return None
