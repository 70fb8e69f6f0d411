"""Starts and ends the library: sockets, codecs, accounts. SIP thread only; once in the life of a process."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import pjsua2 as pj

from callrec.errors import ConfigError
from callrec.sip import engine as found
from callrec.sip.engine import Engine, slots_for
from callrec.sip.leg import DECLINE, guarded
from callrec.sip.media import FRAME_MS, RATE
from callrec.sip.settings import Listen, SipSettings, Tls, Trunk
from callrec.sip.translate import trunk_of
from callrec.sip.wire import Additions, additions

BURST_S: Final = 2
"""So many seconds' worth of set-ups may come at once, as after a restart of the PBX. 200 at once were survived on two
busy cores, but the last of them waited ten seconds for its answer, longer than a PBX does.
"""
REFUSALS_PER_S: Final = 1000
"""INVITEs beyond it that are told 503. More refusals than so many would cost the calls in progress: the rest gets
silence, and comes again over UDP.
"""
RETRY_AFTER_S: Final = 10

_TRANSPORT: Final = {
    ("udp", 4): pj.PJSIP_TRANSPORT_UDP,
    ("tcp", 4): pj.PJSIP_TRANSPORT_TCP,
    ("tls", 4): pj.PJSIP_TRANSPORT_TLS,
    ("udp", 6): pj.PJSIP_TRANSPORT_UDP6,
    ("tcp", 6): pj.PJSIP_TRANSPORT_TCP6,
    ("tls", 6): pj.PJSIP_TRANSPORT_TLS6,
}
_SYSTEMS_AUTHORITIES: Final = "/etc/ssl/certs/ca-certificates.crt"
_BEST: Final = 255
_PORTS_PER_CALL: Final = 8
_SPARE_PORTS: Final = 64
_MOST_PORTS: Final = 4000

Incoming = Callable[["Account", pj.OnIncomingCallParam], None]
Rejected = Callable[[str, int, str], None]
"""Source, status and the whole INVITE."""


class Account(pj.Account):
    """An identity of ours. Incoming calls go to `incoming`; subscriptions and messages are not our business."""

    def __init__(self, incoming: Incoming) -> None:
        super().__init__()
        self._incoming: Incoming | None = incoming

    def detach(self) -> None:
        """Take no calls any more."""
        self._incoming = None

    @guarded
    def onIncomingCall(self, prm: pj.OnIncomingCallParam) -> None:  # noqa: N802 - the library's name
        """An INVITE."""
        if self._incoming is not None:
            self._incoming(self, prm)

    @guarded
    def onIncomingSubscribe(self, prm: pj.OnIncomingSubscribeParam) -> None:  # noqa: N802
        """Nobody's presence is told."""
        prm.code = DECLINE


class Library(pj.Endpoint):
    """The library, telling of INVITEs that it turned away by itself."""

    def __init__(self, rejected: Rejected) -> None:
        super().__init__()
        self._rejected = rejected

    @guarded
    def onRejectedIncomingCall(self, prm: pj.OnRejectedIncomingCallParam) -> None:  # noqa: N802
        """All slots taken, or no common codec."""
        self._rejected(str(prm.rdata.srcAddress), int(prm.statusCode), str(prm.rdata.wholeMsg))


class SipEndpoint:
    """The running library with its accounts."""

    def __init__(self, settings: SipSettings, incoming: Incoming, rejected: Rejected) -> None:
        self._settings = settings
        self._sockets = settings.sockets()
        self._incoming = incoming
        found.silence_log()
        self.library = Library(rejected)
        self._accounts: dict[str, Account] = {}

    def open(self) -> Engine:
        """Start everything; ConfigError where a socket cannot be had, and then nothing runs."""
        self.library.libCreate()
        self.library.libInit(self._library_config())
        engine = found.ask(self.library)
        if (wire := additions()) is not None:
            wire.install()  # before the first call: no stranger's packet may reach a stream or move it
            self._close_the_door(wire)
        for listen in self._sockets:
            self._listen(engine, listen)
        self.library.audDevManager().setNullDev()
        self.library.libStart()
        self._choose_codecs()
        self._accounts[""] = self._account(None)
        for name, trunk in self._settings.trunks.items():
            if trunk.user:
                self._accounts[name] = self._account(trunk)
        return engine

    def poll(self, milliseconds: int) -> None:
        """Let the library work."""
        self.library.libHandleEvents(milliseconds)

    def account_for(self, uri: str) -> Account:
        """The trunk's own account where it has one, else ours."""
        return self._accounts.get(trunk_of(uri, self._settings.trunks), self._accounts[""])

    def close(self) -> None:
        """End the library. No call, player or recorder is left."""
        for account in self._accounts.values():
            account.detach()
            account.shutdown()
        self._accounts.clear()
        gc.collect()  # whatever of the library's were still in a cycle must go before it does
        self.library.libDestroy()

    # ------------------------------------------------------------ how

    def _close_the_door(self, wire: Additions) -> None:
        """Before anything listens: strangers are not heard from the first packet on."""
        wire.filter_sip(
            self._settings.allow_from,
            invites_per_second=self._settings.max_setups_per_s,
            at_once=self._settings.max_setups_per_s * BURST_S,
            refusals_per_second=REFUSALS_PER_S,
            retry_after_s=RETRY_AFTER_S,
        )

    def _library_config(self) -> pj.EpConfig:
        config = pj.EpConfig()
        config.logConfig.level = config.logConfig.consoleLevel = 0
        config.logConfig.msgLogging = 0
        agent = config.uaConfig
        agent.threadCnt, agent.mainThreadOnly = 0, True
        agent.maxCalls = slots_for(self._settings.max_calls)
        agent.userAgent = "callrec"
        media = config.medConfig
        media.clockRate = media.sndClockRate = RATE
        media.ptime = media.audioFramePtime = FRAME_MS
        media.ecTailLen, media.noVad, media.sndAutoCloseTime = 0, True, -1
        media.maxMediaPorts = min(_MOST_PORTS, _SPARE_PORTS + _PORTS_PER_CALL * self._settings.max_calls)
        return config

    def _listen(self, engine: Engine, listen: Listen) -> None:
        if not engine.admits(listen):
            raise ConfigError(
                f"sip.listen: {listen}: the evaluation engine is admitted on loopback only",
                next_step="listen on 127.0.0.1, or build the production engine",
            )
        config = pj.TransportConfig()
        config.boundAddress, config.port = listen.host, listen.port
        config.publicAddress = self._settings.public_address or ""
        if listen.transport == "tls" and self._settings.tls is not None:
            _show(config.tlsConfig, self._settings.tls)
        try:
            self.library.transportCreate(_TRANSPORT[listen.transport, listen.address.version], config)
        except pj.Error as error:
            raise ConfigError(
                f"sip.listen: cannot listen on {listen}: {self.library.utilStrError(error.status)}",
                next_step="stop the program that has this port, or choose another",
            ) from None

    def _choose_codecs(self) -> None:
        order = {name.upper(): rank for rank, name in enumerate(self._settings.codecs)}
        codecs = self.library.codecEnum2()
        known = [str(codec.codecId) for codec in codecs]
        for codec in known:
            rank = order.get(codec.partition("/")[0].upper())
            self.library.codecSetPriority(codec, 0 if rank is None else _BEST - rank)
        missing = sorted(set(order) - {codec.partition("/")[0].upper() for codec in known})
        if missing:
            raise ConfigError(f"sip.codecs: this engine has no {missing[0]}", next_step="use PCMA and PCMU")

    def _account(self, trunk: Trunk | None) -> Account:
        config = pj.AccountConfig()
        first = self._sockets[0]
        place = replace(first, host=self._settings.public_address or first.host).place
        config.idUri = f"sip:callrec@{place}"
        if trunk is not None:
            self._enrol(config, trunk)
        rtp = config.mediaConfig.transportConfig
        low, high = self._settings.rtp_ports
        rtp.port, rtp.portRange, rtp.boundAddress = low, high - low, first.host
        rtp.publicAddress = self._settings.public_address or ""
        config.mediaConfig.srtpUse, config.mediaConfig.srtpSecureSignaling = self._settings.srtp.value, 0
        config.mediaConfig.lockCodecEnabled = False  # an answer with two codecs would bring a re-INVITE into the notice
        if first.address.version == 6:  # noqa: PLR2004 - the version of IP
            config.mediaConfig.ipv6Use = config.sipConfig.ipv6Use = pj.PJSUA_IPV6_ENABLED_USE_IPV6_ONLY
        account = Account(self._incoming)
        account.create(config, trunk is None)
        return account

    @staticmethod
    def _enrol(config: pj.AccountConfig, trunk: Trunk) -> None:
        scheme, _, rest = trunk.uri.partition(":")
        place = rest.rpartition("@")[2]
        config.idUri = f"{scheme}:{trunk.user}@{place}"
        if trunk.register:
            config.regConfig.registrarUri = f"{scheme}:{place}"
        credentials = config.sipConfig.authCreds
        credentials.append(pj.AuthCredInfo("digest", "*", trunk.user, 0, trunk.password))


def _show(config: pj.TlsConfig, tls: Tls) -> None:
    """TLS 1.2 and 1.3 alone. Whom we call must show a certificate in any case; whoever calls us, as configured."""
    config.certFile, config.privKeyBuf = str(tls.cert), tls.key.decode()
    config.CaListFile = str(tls.ca or _SYSTEMS_AUTHORITIES)
    config.proto = pj.PJ_SSL_SOCK_PROTO_TLS1_2 | pj.PJ_SSL_SOCK_PROTO_TLS1_3
    config.requireClientCert = config.verifyClient = tls.require_client
    config.verifyServer = True
