# The part of pjsua2 that callrec touches, typed by hand for 2.15 and later.
# ruff: noqa: N802, N815 - the names are the library's

from collections.abc import Iterator
from types import ModuleType

_pjsua2: ModuleType

PJMEDIA_FILE_NO_LOOP: int
PJMEDIA_TYPE_AUDIO: int
PJSIP_EVENT_RX_MSG: int
PJSIP_EVENT_TX_MSG: int
PJSIP_INV_STATE_CONFIRMED: int
PJSIP_INV_STATE_DISCONNECTED: int
PJSIP_INV_STATE_EARLY: int
PJSIP_ROLE_UAS: int
PJSIP_TRANSPORT_TCP: int
PJSIP_TRANSPORT_TCP6: int
PJSIP_TRANSPORT_TLS: int
PJSIP_TRANSPORT_TLS6: int
PJSIP_TRANSPORT_UDP: int
PJSIP_TRANSPORT_UDP6: int
PJSUA_CALL_MEDIA_ACTIVE: int
PJSUA_CALL_MEDIA_ERROR: int
PJSUA_CALL_MEDIA_LOCAL_HOLD: int
PJSUA_CALL_MEDIA_NONE: int
PJSUA_CALL_UNHOLD: int
PJSUA_INVALID_ID: int
PJSUA_IPV6_ENABLED_USE_IPV6_ONLY: int
PJ_SSL_SOCK_PROTO_TLS1_2: int
PJ_SSL_SOCK_PROTO_TLS1_3: int

class Error(Exception):
    status: int

# ---------------------------------------------------------------- configuration

class LogConfig:
    level: int
    consoleLevel: int
    msgLogging: int

class UaConfig:
    threadCnt: int
    mainThreadOnly: bool
    maxCalls: int
    userAgent: str

class MediaConfig:
    clockRate: int
    sndClockRate: int
    ptime: int
    audioFramePtime: int
    ecTailLen: int
    noVad: bool
    sndAutoCloseTime: int
    maxMediaPorts: int

class EpConfig:
    logConfig: LogConfig
    uaConfig: UaConfig
    medConfig: MediaConfig

class TlsConfig:
    CaListFile: str
    certFile: str
    privKeyBuf: str
    proto: int
    requireClientCert: bool
    verifyClient: bool
    verifyServer: bool

class TransportConfig:
    boundAddress: str
    publicAddress: str
    port: int
    portRange: int
    tlsConfig: TlsConfig

class AuthCredInfo:
    def __init__(self, scheme: str, realm: str, user_name: str, data_type: int, data: str, /) -> None: ...

class _AuthCredInfoVector:
    def append(self, credentials: AuthCredInfo, /) -> None: ...

class _AccountSipConfig:
    authCreds: _AuthCredInfoVector
    ipv6Use: int

class _AccountRegConfig:
    registrarUri: str

class _AccountMediaConfig:
    transportConfig: TransportConfig
    srtpUse: int
    srtpSecureSignaling: int
    lockCodecEnabled: bool
    ipv6Use: int

class AccountConfig:
    idUri: str
    sipConfig: _AccountSipConfig
    regConfig: _AccountRegConfig
    mediaConfig: _AccountMediaConfig

# ---------------------------------------------------------------- endpoint and accounts

class _Version:
    full: str

class _CodecInfo:
    codecId: str

class _CodecInfoVector:
    def __iter__(self) -> Iterator[_CodecInfo]: ...

class _AudDevManager:
    def setNullDev(self) -> int: ...

class SipRxData:
    srcAddress: str
    wholeMsg: str

class OnRejectedIncomingCallParam:
    statusCode: int
    rdata: SipRxData

class Endpoint:
    def libCreate(self) -> None: ...
    def libInit(self, config: EpConfig, /) -> None: ...
    def libStart(self) -> None: ...
    def libHandleEvents(self, milliseconds: int, /) -> int: ...
    def libDestroy(self) -> None: ...
    def libVersion(self) -> _Version: ...
    def transportCreate(self, kind: int, config: TransportConfig, /) -> int: ...
    def audDevManager(self) -> _AudDevManager: ...
    def codecEnum2(self) -> _CodecInfoVector: ...
    def codecSetPriority(self, codec_id: str, priority: int, /) -> None: ...
    def mediaEnumPorts2(self) -> _AudioMediaVector: ...
    def utilStrError(self, status: int, /) -> str: ...
    def onRejectedIncomingCall(self, prm: OnRejectedIncomingCallParam) -> None: ...

class OnIncomingCallParam:
    callId: int
    rdata: SipRxData

class OnIncomingSubscribeParam:
    code: int

class Account:
    def create(self, config: AccountConfig, make_default: bool = ..., /) -> None: ...
    def shutdown(self) -> None: ...
    def onIncomingCall(self, prm: OnIncomingCallParam) -> None: ...
    def onIncomingSubscribe(self, prm: OnIncomingSubscribeParam) -> None: ...

# ---------------------------------------------------------------- calls

class SipHeader:
    hName: str
    hValue: str

class _SipHeaderVector:
    def append(self, header: SipHeader, /) -> None: ...

class _SipTxOption:
    localUri: str
    headers: _SipHeaderVector

class _CallSetting:
    flag: int
    audioCount: int
    videoCount: int
    textCount: int

class CallOpParam:
    opt: _CallSetting
    txOption: _SipTxOption
    statusCode: int
    reason: str
    def __init__(self, use_default_call_setting: bool = ..., /) -> None: ...

class CallMediaInfo:
    type: int
    dir: int
    status: int
    audioConfSlot: int

class _CallMediaInfoVector:
    def __iter__(self) -> Iterator[CallMediaInfo]: ...

class _CallInfo:
    state: int
    lastStatusCode: int
    media: _CallMediaInfoVector

class _RtcpStreamStat:
    pkt: int
    bytes: int
    updateCount: int

class _RtcpStat:
    txStat: _RtcpStreamStat
    rxStat: _RtcpStreamStat
    rtpTxLastSeq: int
    rtpTxLastTs: int

class _StreamStat:
    rtcp: _RtcpStat

class _CodecParamInfo:
    frameLen: int

class _CodecParamSetting:
    frmPerPkt: int

class _CodecParam:
    info: _CodecParamInfo
    setting: _CodecParamSetting

class _StreamInfo:
    codecName: str
    audCodecParam: _CodecParam
    remoteRtcpAddress: str
    txPt: int
    audRxEventPt: int
    audTxEventPt: int
    remoteRtpAddress: str

class _MedTransportInfo:
    srcRtpName: str

class _SdpSession:
    wholeSdp: str

class _SipTransaction:
    role: int
    method: str

class _SipTxData:
    wholeMsg: str

class _TsxStateSource:
    rdata: SipRxData
    tdata: _SipTxData

class _TsxStateEvent:
    type: int
    tsx: _SipTransaction
    src: _TsxStateSource

class _RxMsgEvent:
    rdata: SipRxData

class _SipEventBody:
    rxMsg: _RxMsgEvent
    tsxState: _TsxStateEvent

class _SipEvent:
    type: int
    body: _SipEventBody

class OnCallStateParam:
    e: _SipEvent

class OnCallMediaStateParam: ...
class OnStreamCreatedParam: ...
class OnStreamDestroyedParam: ...

class OnCallTsxStateParam:
    e: _SipEvent

class OnDtmfDigitParam:
    digit: str
    method: int

class OnCallTransferRequestParam:
    statusCode: int

class OnCallReplaceRequestParam:
    statusCode: int

class OnCallRxReinviteParam:
    offer: _SdpSession
    statusCode: int

class OnCallRxOfferParam:
    offer: _SdpSession
    statusCode: int

class OnCallSdpCreatedParam:
    sdp: _SdpSession
    remSdp: _SdpSession

class Call:
    def __init__(self, account: Account, call_id: int = ..., /) -> None: ...
    def getId(self) -> int: ...
    def getInfo(self) -> _CallInfo: ...
    def getAudioMedia(self, index: int, /) -> AudioMedia: ...
    def getStreamStat(self, index: int, /) -> _StreamStat: ...
    def getStreamInfo(self, index: int, /) -> _StreamInfo: ...
    def getMedTransportInfo(self, index: int, /) -> _MedTransportInfo: ...
    def makeCall(self, uri: str, prm: CallOpParam, /) -> None: ...
    def answer(self, prm: CallOpParam, /) -> None: ...
    def hangup(self, prm: CallOpParam, /) -> None: ...
    def setHold(self, prm: CallOpParam, /) -> None: ...
    def reinvite(self, prm: CallOpParam, /) -> None: ...
    def dialDtmf(self, digits: str, /) -> None: ...
    def onCallState(self, prm: OnCallStateParam) -> None: ...
    def onCallMediaState(self, prm: OnCallMediaStateParam) -> None: ...
    def onStreamCreated(self, prm: OnStreamCreatedParam) -> None: ...
    def onStreamDestroyed(self, prm: OnStreamDestroyedParam) -> None: ...
    def onDtmfDigit(self, prm: OnDtmfDigitParam) -> None: ...
    def onCallTsxState(self, prm: OnCallTsxStateParam) -> None: ...
    def onCallSdpCreated(self, prm: OnCallSdpCreatedParam) -> None: ...
    def onCallTransferRequest(self, prm: OnCallTransferRequestParam) -> None: ...
    def onCallReplaceRequest(self, prm: OnCallReplaceRequestParam) -> None: ...
    def onCallRxReinvite(self, prm: OnCallRxReinviteParam) -> None: ...
    def onCallRxOffer(self, prm: OnCallRxOfferParam) -> None: ...

# ---------------------------------------------------------------- media

class _IntVector:
    def __iter__(self) -> Iterator[int]: ...

class ConfPortInfo:
    listeners: _IntVector

class AudioMedia:
    def getPortId(self) -> int: ...
    def getPortInfo(self) -> ConfPortInfo: ...
    def startTransmit(self, sink: AudioMedia, /) -> None: ...
    def stopTransmit(self, sink: AudioMedia, /) -> None: ...
    def getRxLevel(self) -> int: ...
    def getTxLevel(self) -> int: ...

class _AudioMediaVector:
    def __iter__(self) -> Iterator[AudioMedia]: ...

class AudioMediaPlayer(AudioMedia):
    def createPlayer(self, path: str, options: int = ..., /) -> None: ...
    def getPos(self) -> int: ...
    def onEof2(self) -> None: ...

class AudioMediaRecorder(AudioMedia):
    def createRecorder(self, path: str, /) -> None: ...

class ToneDesc:
    freq1: int
    freq2: int
    on_msec: int
    off_msec: int
    volume: int

class ToneDescVector:
    def append(self, tone: ToneDesc, /) -> None: ...

class ToneGenerator(AudioMedia):
    def createToneGenerator(self, rate: int, channels: int, /) -> None: ...
    def play(self, tones: ToneDescVector, loop: bool, /) -> None: ...
    def stop(self) -> None: ...
