"""The demonstration itself: two calls through a real agent on loopback, and what became of them.

The first caller lets the notice play: proven, recorded, kept. The second presses the key that says no: connected, and
nothing kept.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from callrec._sql import Database
from callrec.agent.clock import SystemClock
from callrec.core import commands as c
from callrec.core import events as e
from callrec.core.kinds import Kind
from callrec.demo.house import DECLINE, DIALLED, House
from callrec.demo.phone import LOOPBACK, Phone
from callrec.demo.picture import Part, parts
from callrec.demo.speech import Samples, voice
from callrec.demo.story import Say, Story
from callrec.errors import Broken, Unavailable
from callrec.ledger.entry import LogEntry
from callrec.ledger.reading import open_log
from callrec.notice.register import ApprovedPrompt, Register
from callrec.notice.verify import Verification, verify
from callrec.places import opener, reading_store, verified_lookup
from callrec.ports import Entry
from callrec.recording.access import grant_from
from callrec.recording.open import Opened, open_recording
from callrec.wiring import Built, build_agent

CALLER_HZ: Final = 440.0
LINE_HZ: Final = 660.0
"""Their voices."""
TALK_S: Final = 6.0
SHORT_TALK_S: Final = 1.5
DECLINES_AFTER_S: Final = 3.0
RINGS_S: Final = 2.0
_SETTLED_S: Final = 30.0
_NOTICE_S: Final = 60.0
QUIET: Final = "run it again when this machine is less busy; what was printed above says more"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One call, when it was over."""

    uid: str
    parts: tuple[Part, ...]
    packets: int
    heard: Samples
    summary: dict[str, Any]
    next_hop: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What there is to tell of both calls."""

    recorded: Told
    declined: Told
    notice: Verification
    opened: Opened
    recording_id: str
    tap: str


class Show:
    """Runs the agent, the line and the callers in this process; `line` must be started and be the destination."""

    def __init__(self, house: House, line: Phone, say: Say) -> None:
        self._house, self._line, self._say = house, line, say
        self._clock = SystemClock()
        self._story = Story(self._clock.boottime_ns, say)

    async def run(self) -> Shown:
        """Both calls. `Unavailable` where this machine could not do it, `Broken` where a promise was not kept."""
        # the voices are tones: memory that swaps gives nobody away here
        built = build_agent(self._house.config, watch=self._story.watch, allow_unsafe_memory=True)
        try:
            return await self._with_agent(built)
        finally:
            built.close()

    async def _with_agent(self, built: Built) -> Shown:
        stop, ready = asyncio.Event(), asyncio.Event()
        agent = asyncio.create_task(built.agent.run(stop, ready=ready.set))
        waiting = asyncio.create_task(ready.wait())
        try:
            await asyncio.wait({agent, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if not ready.is_set():
                await agent
            return await self._calls(built)
        finally:
            waiting.cancel()
            stop.set()
            await agent

    async def _calls(self, built: Built) -> Shown:
        engine = built.agent.engine
        tap = engine.tap.value if engine else ""
        self._say("First call: the caller lets the notice play.")
        recorded = await self._call(declines=False)
        kept = await self._entry(Kind.RECORDING_KEPT, recorded.uid)
        recording_id = f"{kept.call_uid}-{kept.segment}"
        self._story.tell("the recording is sealed, encrypted, and in the store")
        self._say("\nSecond call: the caller says no.")
        declined = await self._call(declines=True)
        return Shown(
            recorded=recorded,
            declined=declined,
            notice=await asyncio.to_thread(self._was_heard, recorded.heard),
            opened=await self._open(built, recording_id),
            recording_id=recording_id,
            tap=tap,
        )

    # ------------------------------------------------------------ one call

    async def _call(self, *, declines: bool) -> Told:
        with Phone("caller", says=voice(CALLER_HZ)) as caller:
            uri = f"sip:{DIALLED}@{LOOPBACK}:{self._house.port}"
            self._story.begins(f"a caller rings {uri}")
            caller.call(uri, (LOOPBACK, self._house.port))
            if declines:
                await self._say_no(caller)
            await self._talk(SHORT_TALK_S if declines else TALK_S, recorded=not declines)
            caller.hang_up()
            await self._story.until(c.CloseCall, within_s=_SETTLED_S)
            uid = self._story.uid
            closed = await self._entry(Kind.CALL_CLOSED, uid)
            answered = await self._entry(Kind.CALL_ANSWERED, uid)
            return Told(
                uid=uid,
                parts=parts(self._story.at),
                packets=self._packets(),
                heard=caller.heard,
                summary=dict(closed.body),
                next_hop=str(answered.body["next_hop"]),
            )

    async def _say_no(self, caller: Phone) -> None:
        await self._story.until(c.PlayNotice, within_s=_NOTICE_S)
        await asyncio.sleep(DECLINES_AFTER_S)
        caller.press(DECLINE)

    async def _talk(self, seconds: float, *, recorded: bool) -> None:
        if await self._story.until(e.LegsBridged, e.LegEnded, within_s=_NOTICE_S) is None:
            raise Unavailable("the caller did not reach the line in time", next_step=QUIET)
        if recorded and await self._story.until(c.StartRecording, within_s=5) is None:
            raise Unavailable("the call went through and was not recorded: see above why", next_step=QUIET)
        await asyncio.sleep(seconds)

    def _packets(self) -> int:
        ended = self._story.of(e.NoticeEnded)
        return sum(stream.sent for stream in ended.observation.streams) if ended else 0

    # ------------------------------------------------------------ afterwards

    async def _entry(self, kind: Kind, uid: str) -> LogEntry:
        """The newest entry of this kind of this call, once it is there."""
        deadline = self._clock.boottime_ns() + int(_SETTLED_S * 1e9)
        while self._clock.boottime_ns() < deadline:
            if found := await asyncio.to_thread(newest, self._house.config.ledger.database, kind, uid):
                return found
            await asyncio.sleep(0.1)
        raise Unavailable(f"the ledger has no {kind.value} of this call after {_SETTLED_S:g} s", next_step=QUIET)

    def _was_heard(self, heard: Samples) -> Verification:
        """Whether the whole notice is in what the caller's own telephone received."""
        config = self._house.config
        line = config.lines[0]
        prompt = Register.load(config.notice.register).choose(line.notice or "", line.languages[0], self._clock.utc())
        if not isinstance(prompt, ApprovedPrompt):
            raise Broken(f"the notice that was played is not there any more: {prompt.what}", next_step=prompt.next_step)
        return verify(prompt.template(), heard)

    async def _open(self, built: Built, recording_id: str) -> Opened:
        config = self._house.config
        store, call_uid = reading_store(config), recording_id.rpartition("-")[0]
        body = {"recording_id": recording_id, "purpose": "audit", "person": "demo", "action": "play"}
        entry = Entry(kind=Kind.ACCESS_GRANTED, body=body, call_uid=call_uid, actor="demo")
        receipt = await built.ledger.append(entry, timeout_s=5)
        grant = await grant_from(verified_lookup(config), receipt.leaf, recording_id=recording_id)
        return await open_recording(grant, store, store, opener(config, None))


def newest(database: Database, kind: Kind, uid: str) -> LogEntry | None:
    """The newest entry of this kind of this call, where there is one by now."""
    with open_log(database) as log:
        return next((entry for entry in reversed(log.of_call(uid)) if entry.kind == kind.value), None)
