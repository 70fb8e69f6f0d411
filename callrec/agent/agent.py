"""The running agent: takes calls in, gives each a task, keeps watch, and ends in order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog

from callrec import __version__
from callrec.agent import bodies
from callrec.agent.board import Board, run_alert
from callrec.agent.call import CallTask
from callrec.agent.lateness import Lateness
from callrec.agent.loops import Tidying, end_all
from callrec.agent.noes import Noes
from callrec.agent.opening import ReadBack, settle_if_possible, until_settled
from callrec.agent.ordering import Given
from callrec.agent.pbx import Told
from callrec.agent.plan import first_obstacle
from callrec.agent.services import Services
from callrec.agent.store_watch import StoreWatch
from callrec.agent.traffic import TRAFFIC_S, TrafficWatch
from callrec.config import Line, PbxEvents
from callrec.core import events as e
from callrec.core.kinds import Kind
from callrec.core.reasons import REASON_CLASS, Reason
from callrec.core.values import CallDirection, Leg
from callrec.errors import CallrecError, Refused, Unavailable
from callrec.ledger.anchor import AnchorShipper
from callrec.ports import EngineFacts, Entry, Invite, TelephonySink

HEARTBEAT_S: Final = 60.0
CHECK_S: Final = 5.0
ANCHOR_S: Final = 15.0
END_S: Final = 10.0
"""How long calls get to be closed and sealed once they were hung up."""

_KEY_BY_STATUS: Final = {486: "agent.max_calls", 488: "sip.codecs", 503: "agent.max_calls"}
"""The key to change, by the status that the engine gave, where the engine named none."""
_REFUSED_FOR: Final = {"agent.max_calls": Reason.AT_CAPACITY, "sip.codecs": Reason.NO_COMMON_CODEC}
"""Why a call was not taken, by the key that would change it; REQUEST_REFUSED for any other."""

log = structlog.get_logger()

Watch = Callable[[str, Any], None]


@dataclass(slots=True, kw_only=True)
class House:
    """What the agent needs besides what its calls share."""

    services: Services
    shipper: AnchorShipper | None
    read_back: ReadBack
    watch: Watch
    notify: Callable[[str], None] | None = None


class Agent:
    """One agent. `run` until told to stop; also the sink that telephony tells."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.services = house.services
        self.config = house.services.config
        self.calls: dict[str, CallTask] = {}
        self.engine: EngineFacts | None = None
        self.since_utc = self.services.utc_text()
        self.number = 0
        self.draining = False
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._background: set[asyncio.Task[Any]] = set()
        self._noes = Noes(self.services)
        self.board = Board([line.name for line in self.config.lines], self.config.alerts, tell=self._alert)
        mover, late_after_s = self.services.mover, self.config.alerts.store_down_s
        self.store_watch = StoreWatch(mover, late_after_s=late_after_s, tell=self._alert)
        self.traffic = TrafficWatch(self.services.telephony.traffic, self._note)
        self.services.mishap = self._mishap
        self.services.sealer.tell = self._alert
        self._tidying = Tidying()
        self.lateness = Lateness()

    # ------------------------------------------------------------ life

    async def run(self, stop: asyncio.Event, *, ready: Callable[[], None] = lambda: None) -> None:
        """Settle what an earlier run left, then take calls until `stop`, then drain and end in order."""
        starts = asyncio.create_task(self._start_sealer())
        try:
            self.number = await settle_if_possible(self.services, self.house.read_back) or 0
            await starts
            await self._take_calls(stop, ready)
        finally:
            await end_all([starts])
            await self.services.sealer.close()

    async def _take_calls(self, stop: asyncio.Event, ready: Callable[[], None]) -> None:
        self.services.spool.start()
        self.engine = self.services.telephony.start(self)
        await self._note(Kind.AGENT_STARTED, self._started_body(self.engine))
        loops = [
            asyncio.create_task(work)
            for work in (
                self._hand_over(),
                self.lateness.watch(),
                self._every(HEARTBEAT_S, self._heartbeat),
                self._every(CHECK_S, self.check_lines, at_once=True),
                self._every(ANCHOR_S, self._ship),
                self._every(TRAFFIC_S, self.traffic.write),
            )
        ]
        ready()
        try:
            await stop.wait()
            await self._drain()
        finally:
            await end_all(loops)
            await self._end()

    async def _start_sealer(self) -> None:
        """Also where it has ended. Where it cannot be started, calls are carried unrecorded, and the check says why."""
        with contextlib.suppress(Unavailable):
            await self.services.sealer.start()

    async def _hand_over(self) -> None:
        """Hand recordings over for ever, once an earlier run's are settled: they are among them."""
        await until_settled(self.services, self.house.read_back)
        await self.services.mover.run()

    def _started_body(self, engine: EngineFacts) -> dict[str, Any]:
        return {
            "software": __version__,
            "config_sha256": self.config.sha256,
            "pbx_events": self.config.pbx_events.value,
            "engine": {
                "build": engine.build,
                "version": engine.version,
                "tap": engine.tap.value,
                "max_bridged_calls": engine.max_bridged_calls,
            },
            "first_number": self.number + 1,
            **({"settled": False} if self.services.unsettled else {}),
        }

    async def _drain(self) -> None:
        """No new calls; those that are up may end by themselves for a while."""
        self.draining = True
        if self._tasks:
            log.info("draining", calls=len(self._tasks), seconds=self.config.agent.drain_s)
            await asyncio.wait(self._tasks.values(), timeout=self.config.agent.drain_s)

    async def _end(self) -> None:
        for call in self.calls.values():
            call.happened(e.StopRequested(at_ns=self._now(), reason=Reason.DRAINING, actor="agent"))
        await asyncio.to_thread(self.services.telephony.close)
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=END_S)
        with contextlib.suppress(CallrecError):
            await self.services.mover.sweep()
        await self.services.sealer.close()
        await self.traffic.write()
        await self._note(Kind.AGENT_STOPPED, {"why": "told to stop", "calls_offered": self.number})
        await self._ship(force=True)
        await asyncio.to_thread(self.services.spool.close)

    async def _every(self, seconds: float, work: Callable[[], Awaitable[None]], *, at_once: bool = False) -> None:
        if at_once:
            await work()
        while True:
            await asyncio.sleep(seconds)
            await work()

    # ------------------------------------------------------------ sink

    def invited(self, invite: Invite) -> None:
        """A new call: its line, or a status that sends the PBX elsewhere."""
        line = self.config.line_for(invite.dialled, invite.source)
        if line is None:
            key = "lines.*.match.dialled: no line takes this number"
            self._turn_away(invite, 404, "Not Found", Reason.NO_LINE, key)
        elif self.draining:
            self._turn_away(invite, 503, "Closing", Reason.DRAINING, "none: the agent is stopping")
        elif self._calls_up() >= self._most_calls():
            self._turn_away(invite, 503, "At capacity", Reason.AT_CAPACITY, "agent.max_calls")
        elif self.lateness.too_late():
            key = f"agent.max_setups_per_s: the agent is {self.lateness.seconds():.1f} s behind with what it has to do"
            self._turn_away(invite, 503, "At capacity", Reason.AT_CAPACITY, key)
        else:
            self._take(line, invite)

    def _calls_up(self) -> int:
        return sum(not call.over for call in self.calls.values())

    def _most_calls(self) -> int:
        engine = self.engine.max_bridged_calls if self.engine else 0
        return min(self.config.agent.max_calls, engine)

    def _take(self, line: Line, invite: Invite) -> None:
        self.number += 1
        declined = self._noes.hold(invite, line.name)
        call = CallTask(self.services, line, invite, number=self.number, watch=self._seen, declined_before=declined)
        self.calls[invite.call_uid] = call
        task = asyncio.create_task(self._carry(call))
        self._tasks[invite.call_uid] = task

    def _seen(self, call_uid: str, what: Any) -> None:
        self.house.watch(call_uid, what)
        if call := self.calls.get(call_uid):
            self._noes.heard(what, call.invite, call.line.name)

    async def _carry(self, call: CallTask) -> None:
        try:
            await call.run()
        except Exception as error:  # noqa: BLE001 - nothing is left to carry it: let the PBX take the caller on
            log.warning("call", call=call.uid, problem=f"{type(error).__name__}: {error}", next="report this")
            for leg in Leg:
                self.services.telephony.hang_up(call.uid, leg, "failure")
        finally:
            if call.declined:
                self._noes.remember(call.invite, call.line.name)
            self.calls.pop(call.uid, None)
            self._tasks.pop(call.uid, None)
            self._tidying.call_ended()
            self.board.call_ended(call.line.name, call.outcome_reason, now_ns=self._now(), utc=self.services.utc_text())

    def _turn_away(self, invite: Invite, status: int, phrase: str, reason: Reason, key: str) -> None:
        retry = 10 if status == 503 else None  # noqa: PLR2004 - Service Unavailable, RFC 3261 21.5.4
        self.services.telephony.reject(invite.call_uid, status, phrase, retry_after_s=retry)
        utc = self.services.utc_text()
        self.board.turned_away(utc=utc, source=invite.source, why=f"{status} {reason.value}", key=key)
        self.number += 1
        self._spawn(self._write_turned_away(invite, self.number, reason))

    async def _write_turned_away(self, invite: Invite, number: int, reason: Reason) -> None:
        """A call that was not carried leaves its row as well (R7)."""
        line = self.config.line_for(invite.dialled, invite.source)
        direction = line.direction if line is not None else CallDirection.INBOUND
        sha256 = self.config.sha256
        body, salts = bodies.offered(invite, number=number, line="", direction=direction, config_sha256=sha256)
        contact, why = bodies.contact(self.services.contacts, invite, line)
        entry = Entry(kind=Kind.CALL_OFFERED, body=body, call_uid=invite.call_uid, salts=salts | contact)
        receipt = await self.services.ledger.note(entry)
        if why:
            await self._note(Kind.INCIDENT, {"what": "contact not kept", "reason": why}, call_uid=invite.call_uid)
        decision = {"decision": "NOT_RECORDED", "reason": reason.value}
        closed = {
            "number": number,
            "offered_leaf": receipt.leaf if receipt else "",
            **decision,
            "reason_class": REASON_CLASS[reason].value,
            "segments": [{"segment": 0, **decision}],
            "connected": False,
            "duration_ms": 0,
        }
        await self._note(Kind.CALL_CLOSED, closed, call_uid=invite.call_uid)

    def happened(self, call_uid: str, event: e.Event) -> None:
        """Hand the fact to its call."""
        if call := self.calls.get(call_uid):
            call.happened(event)

    def ended(self, call_uid: str) -> None:
        """Telephony is done with this call."""
        if call := self.calls.get(call_uid):
            call.ended()

    def refused(
        self, source: str, what: str, why: str, *, invite: Invite | None = None, status: int = 0, key: str = ""
    ) -> None:
        """Something that never became a call; where a peer had offered one, it leaves its row."""
        key = key or _KEY_BY_STATUS.get(status, "sip")
        reason = _REFUSED_FOR.get(key, Reason.REQUEST_REFUSED)
        said = f"{what}: {status} {why}" if status else f"{what}: {why}"
        self.board.turned_away(utc=self.services.utc_text(), source=source, why=said, key=key)
        if invite is not None:
            self.number += 1
            self._spawn(self._write_turned_away(invite, self.number, reason))

    # ------------------------------------------------------------ watch

    async def check_lines(self) -> None:
        """Ask for every line whether a call now could be recorded; and how long the store has been away."""
        await self._start_sealer()
        for line in self.config.lines:
            found = await first_obstacle(self.services, line, line.languages[0] if line.languages else "")
            wanted = found.obstacle is not None and REASON_CLASS[found.obstacle].value == "our fault"
            what = f"{found.obstacle.value}: {found.why}" if wanted and found.obstacle else None
            self.board.checked(line.name, what, utc=self.services.utc_text())
        await self.store_watch.look()

    async def _heartbeat(self) -> None:
        await self._note(Kind.AGENT_HEARTBEAT, {"calls_offered": self.number, "calls_up": self._calls_up()})

    async def _ship(self, *, force: bool = False) -> None:
        if self.house.shipper is None:
            return
        try:
            await self.house.shipper.ship(self._now() + (10**12 if force else 0))
        except CallrecError as error:
            log.warning("anchor", problem=str(error), next=error.next_step)

    async def _note(self, kind: Kind, body: Mapping[str, Any], *, call_uid: str = "") -> None:
        try:
            await self.services.ledger.note(Entry(kind=kind, body=body, call_uid=call_uid))
        except Unavailable as error:
            log.warning("ledger", lost=kind.value, problem=str(error), next=error.next_step)

    def _now(self) -> int:
        return self.services.clock.boottime_ns()

    def _mishap(self, call_uid: str, what: str) -> None:
        log.warning("call", call=call_uid, problem=what)

    def _alert(self, message: str) -> None:
        log.warning("alert", message=message)
        if self.house.notify is not None:
            self.house.notify(message)
        if self.config.alerts.command:
            self._spawn(self._run_alert(self.config.alerts.command, message))

    async def _run_alert(self, command: tuple[str, ...], message: str) -> None:
        if code := await run_alert(command, message):
            log.warning("alert", problem=f"alerts.command ended with {code}", next="run it by hand with one argument")

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    # ------------------------------------------------------------ what people ask and order

    def status(self) -> dict[str, Any]:
        """For `agent status`."""
        engine = self.engine
        return {
            "agent": self.config.agent.name,
            "since": self.since_utc,
            "draining": self.draining,
            "engine": {
                "build": engine.build if engine else "",
                "version": engine.version if engine else "",
                "tap": engine.tap.value if engine else "",
                "max_calls": self._most_calls(),
                "remarks": list(engine.remarks) if engine else [],
            },
            "calls_offered": self.number,
            "calls_up": self._calls_up(),
            "kept_out": self.traffic.total(),
            "store_failing": self.services.mover.store_is_failing(),
            "store": self.store_watch.standing(),
            **self.board.as_json(),
        }

    def uid_of(self, linked_id: str) -> str:
        """The id of the newest call that is up with this linked id of the PBX. `Refused` where there is none."""
        if self.config.sip.linked_header is None:
            step = "name the header that carries it as sip.linked_header, or tell the call by its own id"
            raise Refused("calls are not known by the PBX's own id here", next_step=step)
        found = [uid for uid, call in self.calls.items() if self._noes.linked_id(call.invite) == linked_id]
        if not found or not linked_id:
            raise Refused(f"no call is up with the linked id {linked_id!r}", next_step="see `callrec call list`")
        return found[-1]

    async def pbx_told(self, call_uid: str, told: Told, actor: str) -> None:
        """What the PBX tells of a call. `Refused` where there is no such call or line, or nobody is to tell."""
        if self.config.pbx_events is not PbxEvents.HTTP:
            raise Refused("pbx_events: none says that the PBX tells nothing", next_step="write pbx_events: http")
        call = self._the_call(call_uid)
        line = next((line for line in self.config.lines if line.name == told.line), None)
        if told.line and line is None:
            known = ", ".join(line.name for line in self.config.lines)
            raise Refused(f"there is no line {told.line!r}", next_step=f"name one of {known}")
        await call.told(told, line if line is not None and line.name != call.line.name else None, actor)

    def _the_call(self, call_uid: str) -> CallTask:
        matches = [call for uid, call in self.calls.items() if uid.startswith(call_uid)]
        if len(matches) != 1:
            raise Refused(f"there is no one call {call_uid!r}", next_step="see `callrec call list`")
        return matches[0]

    async def order(self, call_uid: str, order: Given, actor: str) -> dict[str, Any]:
        """`callrec call stop|pause|...`: how the call stands then. `Refused` where there is none."""
        return await self._the_call(call_uid).ordered(order, actor)

    def list_calls(self) -> list[dict[str, Any]]:
        """For `callrec call list`: ids and states, no number of anybody."""
        return [call.standing() for call in self.calls.values()]


_: type[TelephonySink] = Agent
