"""The SIP engine as the shell knows it: `ports.Telephony` on pjsua2.

Every order becomes a job of the SIP thread, finds its call there or does nothing; every fact goes to the sink on the
event loop. A process can start the engine once: the library does not come back after its end.
"""

from __future__ import annotations

import asyncio
import atexit
import secrets
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from pathlib import Path
from time import monotonic, sleep
from typing import Final

import pjsua2 as pj

from callrec._doorbell import Doorbell
from callrec.core.events import Event
from callrec.core.values import CallDirection, Leg, Tone
from callrec.ports import CapturePaths, Clock, Destination, EngineFacts, Invite, Telephony, TelephonySink, Traffic
from callrec.sip import options
from callrec.sip.capture import complete
from callrec.sip.endpoint import RETRY_AFTER_S, Account, SipEndpoint
from callrec.sip.engine import Engine
from callrec.sip.leg import LegCall
from callrec.sip.media import Media
from callrec.sip.message import SipMessage, parse_message
from callrec.sip.offer import NOT_ACCEPTABLE, objection
from callrec.sip.refusal import Answer, Refusal
from callrec.sip.session import Session
from callrec.sip.settings import SipSettings, within
from callrec.sip.thread import SipThread
from callrec.sip.translate import BROKEN, allows_info, dialled_uri, host_of_source, invite_of
from callrec.sip.wire import additions

_START_S: Final = 15.0
_CLOSE_S: Final = 1.0
_FILES_S: Final = 1.0
_FILES_POLL_S: Final = 0.01
_FORBIDDEN: Final = 403
_UNAVAILABLE: Final = 503


class PjsuaTelephony:
    """See `ports.Telephony`. `start` is called on the event loop's thread, whose loop then hears the sink's calls."""

    def __init__(
        self,
        settings: SipSettings,
        clock: Clock,
        *,
        direction_of: Callable[[Invite], CallDirection] = lambda _invite: CallDirection.INBOUND,
    ) -> None:
        self.settings, self.clock = settings, clock
        self._direction_of = direction_of
        settings.sockets()  # a mistake in them is told before anything is started
        self.media = Media(settings.runtime_dir, self._call_later)
        self.thread = SipThread(self._poll, self._tell)
        self._endpoint: SipEndpoint | None = None
        self._engine: Engine | None = None
        self._sessions: dict[str, Session] = {}
        self._refusals: set[Refusal] = set()
        self._sink: TelephonySink | None = None
        self._bell: Doorbell | None = None
        self._closing = self._running = False

    # ------------------------------------------------------------ start and end

    def start(self, sink: TelephonySink) -> EngineFacts:
        """Open sockets, start the thread."""
        self._sink, self._bell = sink, Doorbell(asyncio.get_running_loop())
        self.thread.start()
        try:
            facts = self.thread.run(self._open).result(_START_S)
        except BaseException:
            self.close()
            raise
        atexit.register(self.close)
        return facts

    def _open(self) -> EngineFacts:
        self._endpoint = SipEndpoint(self.settings, self._incoming, self._rejected)
        self._engine = engine = self._endpoint.open()
        self._running = True
        self.media.open()
        return engine.facts(self.settings.max_calls)

    def close(self) -> None:
        """End all calls, release everything, join the thread."""
        if self._closing:
            return
        self._closing = True
        atexit.unregister(self.close)
        self.thread.post(self._shut)
        self.thread.stop()

    def _shut(self) -> None:
        endpoint, self._endpoint = self._endpoint, None
        if endpoint is None:
            return
        for session in tuple(self._sessions.values()):
            session.hang_up(Leg.CALLER, BROKEN)
            session.hang_up(Leg.STAFF, BROKEN)
        deadline = monotonic() + _CLOSE_S
        while self._sessions and monotonic() < deadline:
            endpoint.poll(10)
            self.thread.turn()
        self._linger(endpoint)
        self._sessions.clear()
        self.thread.forget_timers()
        self.media.close()
        endpoint.close()

    def _linger(self, endpoint: SipEndpoint) -> None:
        """Let the last BYEs be answered."""
        deadline = monotonic() + _CLOSE_S / 2
        while monotonic() < deadline:
            endpoint.poll(10)
            self.thread.turn()

    def _poll(self, milliseconds: int) -> None:
        if self._running and self._endpoint is not None:
            self._endpoint.poll(milliseconds)
        else:
            sleep(milliseconds / 1000)

    def _call_later(self, seconds: float, job: Callable[[], None]) -> None:
        self.thread.call_later(seconds, job)

    # ------------------------------------------------------------ what calls share (session.House)

    def account_for(self, uri: str) -> pj.Account:
        """The account that this destination is dialled from."""
        if self._endpoint is None:
            raise RuntimeError("the engine is closed")
        return self._endpoint.account_for(uri)

    def conference(self) -> Iterable[pj.AudioMedia]:
        """Every conference port, where they are few enough to be looked at."""
        if self._endpoint is None or self._engine is None or not self._engine.few_ports:
            return ()
        return tuple(self._endpoint.library.mediaEnumPorts2())

    def happened(self, call_uid: str, event: Event) -> None:
        """Tell the sink, on its loop."""
        sink = self._sink
        if sink is not None:
            self._soon(lambda: sink.happened(call_uid, event))

    def over(self, call_uid: str) -> None:
        """Forget the call and tell the sink."""
        sink = self._sink
        if self._sessions.pop(call_uid, None) is not None and sink is not None:
            self._soon(lambda: sink.ended(call_uid))

    def _refused(self, source: str, why: str, message: SipMessage, status: int, key: str = "") -> None:
        """Tell the sink; with the INVITE where it was a peer's who may call us, so that it can be written down."""
        sink = self._sink
        if sink is None:
            return
        known = not self._closing and within(host_of_source(source), self.settings.allow_from)
        invite = invite_of(message, call_uid=secrets.token_hex(16), source=source) if known else None
        self._soon(lambda: sink.refused(source, "INVITE", why, invite=invite, status=status, key=key))

    def _soon(self, tell: Callable[[], None]) -> None:
        if self._bell is not None:
            self._bell.lay_in(tell)

    def _tell(self) -> None:
        if self._bell is not None and not self._bell.loop.is_closed():
            self._bell.ring()

    # ------------------------------------------------------------ incoming

    def _incoming(self, account: Account, prm: pj.OnIncomingCallParam) -> None:
        """An INVITE: turned away here, or made a call. The library answers 500 where no call object is made."""
        source, text = str(prm.rdata.srcAddress), str(prm.rdata.wholeMsg)
        message = parse_message(text)
        answer = self._refusal(source, message.body)
        if answer is not None:
            refusal = Refusal(self._refusals.discard)
            self._refusals.add(refusal)
            refusal.refuse(LegCall(account, refusal, Leg.CALLER, self.settings, prm.callId), answer)
            self._refused(source, answer.phrase, message, answer.status, answer.key)
            return
        invite = invite_of(message, call_uid=secrets.token_hex(16), source=source)
        direction = self._direction_of(invite)
        session = Session(self, invite, direction, info_allowed=allows_info(message))
        call = LegCall(account, session, direction.offered, self.settings, prm.callId)
        call.describe(message, received=True)
        session.adopt(call)
        self._sessions[invite.call_uid] = session
        self._invited(invite)

    def _invited(self, invite: Invite) -> None:
        sink = self._sink
        if sink is not None:
            self._soon(lambda: sink.invited(invite))

    def _refusal(self, source: str, sdp: str) -> Answer | None:
        if self._closing:
            return Answer(status=_UNAVAILABLE, phrase="Closing", retry_after_s=RETRY_AFTER_S)
        if not within(host_of_source(source), self.settings.allow_from):
            return Answer(status=_FORBIDDEN, phrase="Source not allowed", key="sip.allow_from")
        if (against := objection(sdp, self.settings)) is not None:
            return Answer(status=NOT_ACCEPTABLE, phrase=against.phrase, key=against.key)
        room = self._engine.facts(self.settings.max_calls).max_bridged_calls if self._engine is not None else 0
        if len(self._sessions) >= room:
            return Answer(
                status=_UNAVAILABLE, phrase="Engine limit reached", retry_after_s=RETRY_AFTER_S, key="agent.max_calls"
            )
        return None

    def _rejected(self, source: str, status: int, text: str) -> None:
        """The library turned an INVITE away by itself; why it did is told where the offer shows it."""
        message = parse_message(text)
        against = objection(message.body, self.settings) if status == NOT_ACCEPTABLE else None
        why = against.phrase if against else f"turned away by the engine with {status}"
        self._refused(source, why, message, status, against.key if against else "")

    # ------------------------------------------------------------ orders

    def _order(self, call_uid: str, order: Callable[[Session], None]) -> None:
        def job() -> None:
            session = self._sessions.get(call_uid)
            if session is not None:
                order(session)

        self.thread.post(job)

    def reject(self, call_uid: str, status: int, phrase: str, *, retry_after_s: int | None = None) -> None:
        """Answer the INVITE with a final status."""
        self._order(call_uid, lambda session: session.reject(status, phrase, retry_after_s))

    def answer(self, call_uid: str) -> None:
        """Send 200."""
        self._order(call_uid, lambda session: session.answer())

    def play_notice(
        self,
        call_uid: str,
        attempt: int,
        pcm: bytes,
        *,
        keys_named: str,  # noqa: ARG002 - every key is told
        await_report_s: float = 0.0,
    ) -> None:
        """Play this PCM to the caller's leg."""
        self._order(call_uid, lambda session: session.play_notice(attempt, pcm, await_report_s))

    def stop_notice(self, call_uid: str, attempt: int) -> None:
        """Stop playing."""
        self._order(call_uid, lambda session: session.stop_notice(attempt))

    def skip_notice(self, call_uid: str, attempt: int, *, after_ms: int) -> None:
        """End it once so much was played."""
        self._order(call_uid, lambda session: session.stop_notice(attempt, after_ms=after_ms))

    def dial(self, call_uid: str, destination: Destination) -> None:
        """Call the advice line."""
        self._order(call_uid, lambda session: session.dial(destination))

    def cancel_dial(self, call_uid: str) -> None:
        """Give the running attempt up."""
        self._order(call_uid, lambda session: session.cancel_dial())

    def bridge(self, call_uid: str, *, pass_holds: bool = False) -> None:
        """Connect both legs."""
        self._order(call_uid, lambda session: session.bridge(pass_holds=pass_holds))

    def start_capture(self, call_uid: str, paths: CapturePaths, *, heard_ns: int) -> None:
        """Start both recorders, for whoever heard the notice that ended then."""
        self._order(call_uid, lambda session: session.start_capture(paths, heard_ns))

    def suspend_capture(self, call_uid: str) -> None:
        """Only silence from now on."""
        self._order(call_uid, lambda session: session.suspend_capture(suspended=True))

    def resume_capture(self, call_uid: str) -> None:
        """Voices again."""
        self._order(call_uid, lambda session: session.suspend_capture(suspended=False))

    async def stop_capture(self, call_uid: str) -> None:
        """Close both files, and wait until their headers are complete (at most a second)."""
        closed: Future[tuple[Path, ...]] = self.thread.run(lambda: self._stopped_capture(call_uid))
        paths = await asyncio.wrap_future(closed)
        deadline = monotonic() + _FILES_S
        while not complete(paths) and monotonic() < deadline:  # noqa: ASYNC110 - the library sets no event
            await asyncio.sleep(_FILES_POLL_S)

    def _stopped_capture(self, call_uid: str) -> tuple[Path, ...]:
        session = self._sessions.get(call_uid)
        return session.stop_capture() if session is not None else ()

    def announce(self, call_uid: str, pcm: bytes, legs: tuple[Leg, ...]) -> None:
        """Play a short text over the conversation."""
        self._order(call_uid, lambda session: session.announce(pcm, legs))

    def swallow_keys(self, call_uid: str, leg: Leg, keys: str) -> None:
        """Keys and sequences of this leg (words separated by spaces, such as `2 **2 999`) that are not relayed."""
        self._order(call_uid, lambda session: session.swallow_keys(leg, keys))

    def stop_listening(self, call_uid: str) -> None:
        """Tones in the caller's audio are keys no more."""
        self._order(call_uid, lambda session: session.stop_listening())

    def end_with_tone(self, call_uid: str, tone: Tone, cause: str) -> None:
        """A tone to the caller, then BYE with Reason."""
        self._order(call_uid, lambda session: session.end_with_tone(tone, cause))

    def hang_up(self, call_uid: str, leg: Leg, cause: str) -> None:
        """End this leg."""
        self._order(call_uid, lambda session: session.hang_up(leg, cause))

    def traffic(self) -> Traffic:
        """What the SIP source filter kept; nothing where the engine has none."""
        wire = additions() if self._running else None
        counts = wire.sip_counts() if wire is not None else None
        if counts is None:
            return Traffic()
        return Traffic(
            from_strangers=counts.strangers,
            over_rate=counts.invites_beyond_rate,
            stray_responses=counts.stray_responses,
        )

    def answers_options(self, uri: str, *, timeout_s: float) -> bool:
        """Ask one destination with OPTIONS. Blocking."""
        return options.answers(dialled_uri(uri, self.settings.trunks), timeout_s=timeout_s)


_: type[Telephony] = PjsuaTelephony
