"""One SIP dialog: the library's callbacks in, facts about one leg out. Nothing is decided here.

A Call object must die at the end of its dialog and not later: destroyed late, it hangs up whichever new call took its
slot. So nobody but its session holds it, the session lets go inside `leg_ended`, and nothing here makes a cycle.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from time import CLOCK_BOOTTIME, clock_gettime_ns
from typing import Concatenate, Final, ParamSpec, Protocol, TypeVar

import pjsua2 as pj
import structlog

from callrec.core.evidence import MOST_MESSAGES, Direction, SipText
from callrec.core.values import KeyMethod, Leg
from callrec.sip import parameters
from callrec.sip.counters import Counters
from callrec.sip.message import SipMessage, parse_message
from callrec.sip.offer import objection
from callrec.sip.settings import SipSettings, within
from callrec.sip.thread import place_of
from callrec.sip.translate import cause_of, direction_of, host_of_source, key_method_of

NOT_ACCEPTABLE: Final = 488
DECLINE: Final = 603
_FIRST_ALERT: Final = 101

_log = structlog.get_logger(__name__)
_Self = TypeVar("_Self")
_Params = ParamSpec("_Params")


def guarded(callback: Callable[Concatenate[_Self, _Params], None]) -> Callable[Concatenate[_Self, _Params], None]:
    """A callback that never raises into the library: what went wrong is named in the log, without its text."""

    @wraps(callback)
    def call(self: _Self, /, *args: _Params.args, **kwargs: _Params.kwargs) -> None:
        try:
            callback(self, *args, **kwargs)
        except Exception as error:  # noqa: BLE001 - the library would lose the call
            _log.error(
                "sip callback failed", callback=callback.__name__, error=type(error).__name__, at=place_of(error)
            )

    return call


@dataclass(frozen=True, slots=True, kw_only=True)
class LegMedia:
    """The negotiated audio of a leg; `held` by its far end, `parked` by us. `port` is its conference port, -1 where it
    has none.
    """

    negotiated: bool = False
    held: bool = False
    parked: bool = False
    direction: Direction = Direction.INACTIVE
    port: int = -1


class LegListener(Protocol):
    """Who hears of a leg. All on the SIP thread."""

    def leg_alerted(self, leg: Leg) -> None:
        """The far end sent a provisional answer other than 100."""

    def leg_confirmed(self, leg: Leg) -> None:
        """200 and ACK have gone."""

    def leg_media_changed(self, leg: Leg) -> None:
        """Media was negotiated, again or for the first time."""

    def leg_stream_ending(self, leg: Leg, last: Counters) -> None:
        """The stream goes; these were its counters."""

    def leg_key(self, leg: Leg, digit: str, method: KeyMethod) -> None:
        """The far end pressed a key."""

    def leg_asked(self, leg: Leg, message: SipMessage) -> None:
        """The far end sent an INVITE or UPDATE."""

    def leg_ended(self, leg: Leg, status: int, cause: str) -> None:
        """The dialog is over. The listener lets go of the call before it returns."""


class LegCall(pj.Call):
    """A pjsua2 call that reports to a listener."""

    def __init__(
        self, account: pj.Account, listener: LegListener, leg: Leg, settings: SipSettings, call_id: int = -1
    ) -> None:
        super().__init__(account, call_id)
        self._listener: LegListener | None = listener
        self._leg = leg
        self._settings = settings
        self._peer_reason = ""
        self.alerted = False
        self.confirmed = False
        self.strayed = False
        self.streams = 0
        self.signalling: tuple[SipText, ...] = ()
        self._streaming = False
        self._negotiated: Counters | None = None
        self.media = LegMedia()

    def detach(self) -> None:
        """Report nothing any more."""
        self._listener = None

    def audio(self) -> pj.AudioMedia | None:
        """The conference port as it is now; None where the leg has none. Never keep it across a re-negotiation."""
        if self.media.port < 0:
            return None
        try:
            return self.getAudioMedia(-1)
        except pj.Error:
            return None

    def park(self, *, parked: bool) -> None:
        """Ask the far end to send nothing, or to send again. What comes of it is seen in `media`; where it cannot be
        asked just now, nothing does.
        """
        try:
            self.setHold(parameters.plain()) if parked else self.reinvite(parameters.sending_again())
        except pj.Error:
            return  # another re-INVITE is on its way, or the dialog is at its end

    def counters(self) -> Counters:
        """What the stream has counted; zeros where there is none."""
        if not self._streaming:
            return Counters()
        try:
            return self._read_counters()
        except pj.Error:
            return Counters()

    def _read_counters(self) -> Counters:
        if self._negotiated is None:
            self._negotiated = self._read_negotiated()
        statistics = self.getStreamStat(0)  # kept in a name: its parts live inside it
        rtcp = statistics.rtcp
        sent, received = rtcp.txStat, rtcp.rxStat
        return replace(
            self._negotiated,
            sent=int(sent.pkt),
            octets=int(sent.bytes),
            received=int(received.pkt),
            reports=int(sent.updateCount),
            last_sequence=int(rtcp.rtpTxLastSeq),
            last_timestamp=int(rtcp.rtpTxLastTs),
            source_address=str(self.getMedTransportInfo(0).srcRtpName) if received.pkt else "",
        )

    def _read_negotiated(self) -> Counters:
        """What is the same until something is negotiated anew. To ask takes longer than for what is counted."""
        info = self.getStreamInfo(0)
        return Counters(
            payload_type=int(info.txPt),
            codec=str(info.codecName),
            telephone_event=info.audRxEventPt > 0 and info.audTxEventPt > 0,
            packet_ms=_packet_ms(info.audCodecParam),
            sdp_address=str(info.remoteRtpAddress),
            sdp_rtcp_address=str(info.remoteRtcpAddress),
        )

    # ------------------------------------------------------------ callbacks

    @guarded
    def onCallState(self, prm: pj.OnCallStateParam) -> None:  # noqa: N802 - the library's name
        """Follow the dialog. An ACK belongs to no transaction, and answers an offer that we made in a 200."""
        if self._leg is Leg.CALLER and prm.e.type == pj.PJSIP_EVENT_RX_MSG:
            self.describe(parse_message(prm.e.body.rxMsg.rdata.wholeMsg), received=True)
        info = self.getInfo()
        listener = self._listener
        if listener is None:
            return
        if info.state == pj.PJSIP_INV_STATE_EARLY and info.lastStatusCode >= _FIRST_ALERT:
            self.alerted = True
            listener.leg_alerted(self._leg)
        elif info.state == pj.PJSIP_INV_STATE_CONFIRMED:
            self.confirmed = True
            listener.leg_confirmed(self._leg)
        elif info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            status = NOT_ACCEPTABLE if self.strayed else int(info.lastStatusCode)
            listener.leg_ended(self._leg, status, cause_of(status, self._peer_reason))

    @guarded
    def onCallMediaState(self, prm: pj.OnCallMediaStateParam) -> None:  # noqa: ARG002, N802
        """Follow the media."""
        self._negotiated = None
        info = self.getInfo()  # kept in a name: its media live inside it
        if info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            return
        audio = [one for one in info.media if one.type == pj.PJMEDIA_TYPE_AUDIO]
        self.media = _leg_media(audio[0]) if audio else LegMedia()
        if self._listener is not None:
            self._listener.leg_media_changed(self._leg)

    @guarded
    def onStreamCreated(self, prm: pj.OnStreamCreatedParam) -> None:  # noqa: ARG002, N802
        """Count incarnations: a change of this number is a re-negotiation."""
        self.streams += 1
        self._streaming, self._negotiated = True, None

    @guarded
    def onStreamDestroyed(self, prm: pj.OnStreamDestroyedParam) -> None:  # noqa: ARG002, N802
        """Last chance to read the counters."""
        if self._listener is not None:
            self._listener.leg_stream_ending(self._leg, self.counters())
        self._streaming = False
        self.media = replace(self.media, port=-1)

    @guarded
    def onDtmfDigit(self, prm: pj.OnDtmfDigitParam) -> None:  # noqa: N802
        """One key, by RFC 4733 or INFO."""
        if self._listener is not None:
            self._listener.leg_key(self._leg, str(prm.digit)[:1], key_method_of(prm.method))

    @guarded
    def onCallTsxState(self, prm: pj.OnCallTsxStateParam) -> None:  # noqa: N802
        """Keep why the far end hung up (RFC 3326), and tell who it says that it is now."""
        event = prm.e
        change = event.body.tsxState
        self._follow_descriptions(change)
        if change.type == pj.PJSIP_EVENT_RX_MSG and change.tsx.role == pj.PJSIP_ROLE_UAS:
            if change.tsx.method in ("BYE", "CANCEL"):
                self._peer_reason = parse_message(change.src.rdata.wholeMsg).first("Reason")
            elif change.tsx.method in ("INVITE", "UPDATE") and self._listener is not None:
                self._listener.leg_asked(self._leg, parse_message(change.src.rdata.wholeMsg))

    def _follow_descriptions(self, change: pj._TsxStateEvent) -> None:
        """What either side of this leg says of its media."""
        if self._leg is not Leg.CALLER or change.tsx.method not in ("INVITE", "UPDATE"):
            return
        if change.type == pj.PJSIP_EVENT_RX_MSG:
            self.describe(parse_message(change.src.rdata.wholeMsg), received=True)
        elif change.type == pj.PJSIP_EVENT_TX_MSG:
            self.describe(parse_message(change.src.tdata.wholeMsg), received=False)

    def describe(self, message: SipMessage, *, received: bool) -> None:
        """This came, or left: what it says of media goes with the evidence of a notice; the newest of it."""
        if message.body:
            now = clock_gettime_ns(CLOCK_BOOTTIME)
            text = SipText(at_ns=now, received=received, start_line=message.start_line, sdp=message.body)
            self.signalling = (*self.signalling, text)[-MOST_MESSAGES:]

    @guarded
    def onCallTransferRequest(self, prm: pj.OnCallTransferRequestParam) -> None:  # noqa: N802
        """REFER is declined: the library would dial whatever it names."""
        prm.statusCode = DECLINE

    @guarded
    def onCallReplaceRequest(self, prm: pj.OnCallReplaceRequestParam) -> None:  # noqa: N802
        """Nobody takes a call over."""
        prm.statusCode = DECLINE

    @guarded
    def onCallRxReinvite(self, prm: pj.OnCallRxReinviteParam) -> None:  # noqa: N802
        """What the first offer may not ask for, no later one may: media elsewhere, in the clear, by a foreign codec."""
        if objection(prm.offer.wholeSdp, self._settings):
            prm.statusCode = NOT_ACCEPTABLE

    @guarded
    def onCallRxOffer(self, prm: pj.OnCallRxOfferParam) -> None:  # noqa: N802
        """As above, for UPDATE."""
        if objection(prm.offer.wholeSdp, self._settings):
            prm.statusCode = NOT_ACCEPTABLE

    def media_strays(self) -> bool:
        """True where the negotiated address of RTP or RTCP is none that media may be sent to. The leg then ends as if
        its far end had answered 488.
        """
        counters = self.counters()
        hosts = {host_of_source(counters.sdp_address), host_of_source(counters.sdp_rtcp_address)}
        hosts -= {"", "0.0.0.0", "::"}  # noqa: S104 - a hold of old, compared and not bound
        allowed = self._settings.media_from
        self.strayed = bool(allowed) and not all(within(host, allowed) for host in hosts)
        return self.strayed


def _packet_ms(codec: pj._CodecParam) -> int:
    """What one packet holds: so many frames of the codec (RFC 3551: 10 ms each in G.711, as the library has it)."""
    return int(codec.setting.frmPerPkt) * int(codec.info.frameLen)


def _leg_media(audio: pj.CallMediaInfo) -> LegMedia:
    direction = direction_of(audio.dir)
    negotiated = audio.status not in (pj.PJSUA_CALL_MEDIA_NONE, pj.PJSUA_CALL_MEDIA_ERROR)
    parked = audio.status == pj.PJSUA_CALL_MEDIA_LOCAL_HOLD
    running = audio.status == pj.PJSUA_CALL_MEDIA_ACTIVE and direction is Direction.SENDRECV
    return LegMedia(
        negotiated=negotiated,
        held=negotiated and not running and not parked,
        parked=parked,
        direction=direction,
        port=int(audio.audioConfSlot) if negotiated and direction is not Direction.INACTIVE else -1,
    )
