"""The bare engine in a process of its own: answers every call, plays a tone into it when told, and opens wire windows.

Orders come in as JSON lines, each is answered by one. Nothing of callrec is in it but its face of the engine's
additions, so that what these tests see is the engine. Run as `python -m tests.engine.agent '<settings>'`.
"""

from __future__ import annotations

import base64
import json
import sys
import threading
from dataclasses import asdict
from ipaddress import ip_network
from queue import Empty, SimpleQueue
from typing import Any

import pjsua2 as pj

from callrec.sip import engine as found
from callrec.sip.wire import Additions, MediaFilter, WireWindow, additions
from tests.peers.ports import LOOPBACK


def configuration(settings: dict[str, Any]) -> pj.EpConfig:
    config = pj.EpConfig()
    config.logConfig.level = config.logConfig.consoleLevel = 0
    config.uaConfig.threadCnt, config.uaConfig.mainThreadOnly = 0, True
    config.uaConfig.maxCalls = settings.get("max_calls", 32)
    config.medConfig.clockRate = config.medConfig.sndClockRate = 8000
    config.medConfig.ptime = config.medConfig.audioFramePtime = 20
    config.medConfig.ecTailLen, config.medConfig.noVad, config.medConfig.sndAutoCloseTime = 0, True, -1
    return config


class Call(pj.Call):
    """One call that came in; told of when it is confirmed and when it ended."""

    def __init__(self, agent: Agent, call_id: int) -> None:
        super().__init__(agent.account, call_id)
        self._agent, self.call_id = agent, call_id
        self.player: pj.AudioMediaPlayer | None = None

    def onCallState(self, prm: pj.OnCallStateParam) -> None:  # noqa: N802 - the library's name
        state = self.getInfo().state
        if state == pj.PJSIP_INV_STATE_CONFIRMED:
            self._agent.calls.append(self)
        elif state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self._agent.gone.append(self)

    def play(self, wav: str) -> None:
        self.player = pj.AudioMediaPlayer()
        self.player.createPlayer(wav)
        self.player.startTransmit(self.getAudioMedia(-1))


class Account(pj.Account):
    def __init__(self, agent: Agent) -> None:
        super().__init__()
        self._agent = agent

    def onIncomingCall(self, prm: pj.OnIncomingCallParam) -> None:  # noqa: N802 - the library's name
        call = Call(self._agent, prm.callId)
        self._agent.ringing.append(call)
        answer = pj.CallOpParam()
        answer.statusCode = 200
        call.answer(answer)


class Agent:
    """Everything on one thread: polls the library, and does an order when one came."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.ringing: list[Call] = []
        self.calls: list[Call] = []
        self.gone: list[Call] = []
        self.windows: list[WireWindow] = []
        found.silence_log()
        self.library = pj.Endpoint()
        self.library.libCreate()
        self.library.libInit(configuration(settings))
        self.wire = self._additions(settings)
        transport = pj.TransportConfig()
        transport.boundAddress, transport.port = LOOPBACK, settings["port"]
        self.library.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
        self.library.audDevManager().setNullDev()
        self.library.libStart()
        self.account = Account(self)
        self.account.create(self._identity(settings), True)

    def _additions(self, settings: dict[str, Any]) -> Additions:
        wire = additions()
        assert wire is not None, "this is not the production engine"
        wire.install()
        if "allow" in settings:
            wire.filter_sip([ip_network(one) for one in settings["allow"]], **settings.get("rate", {}))
        return wire

    def _identity(self, settings: dict[str, Any]) -> pj.AccountConfig:
        config = pj.AccountConfig()
        config.idUri = f"sip:engine@{LOOPBACK}:{settings['port']}"
        rtp = config.mediaConfig.transportConfig
        rtp.port, rtp.portRange, rtp.boundAddress = settings["rtp"], 40, LOOPBACK
        config.mediaConfig.srtpUse, config.mediaConfig.srtpSecureSignaling = settings.get("srtp", 0), 0
        return config

    # ------------------------------------------------------------ orders

    def facts(self) -> dict[str, Any]:
        engine = found.ask(self.library)
        codecs = sorted(str(codec.codecId) for codec in self.library.codecEnum2())
        return {
            "version": engine.version,
            "slots": engine.slots,
            "most_calls": self.wire.most_calls(),
            "codecs": codecs,
        }

    def state(self) -> list[int]:
        return [len(self.calls), len(self.gone)]

    def open(self, call: int = 0, room: int = 1 << 20) -> bool:
        window = self.wire.open(self.calls[call].call_id, 0, room)
        if window is not None:
            self.windows.append(window)
        return window is not None

    def play(self, wav: str, call: int = 0) -> None:
        self.calls[call].play(wav)

    def take(self) -> dict[str, Any]:
        taken = self.windows.pop(0).take()
        return {"window": base64.b64encode(taken.records).decode(), "counts": asdict(taken.counts)}

    def counts(self, call: int = 0) -> dict[str, Any] | None:
        counts = self.wire.counts(self.calls[call].call_id)
        return asdict(counts) if counts else None

    def filter(self, rtp: int, rtcp: int) -> None:
        self.wire.filter_media(MediaFilter(rtp), MediaFilter(rtcp))

    def allow(self, networks: list[str], **rate: float) -> None:
        self.wire.filter_sip([ip_network(one) for one in networks], **rate)

    def sip_counts(self) -> dict[str, int]:
        return asdict(self.wire.sip_counts())

    def hang_up(self) -> None:
        """All calls that are there."""
        for call in self.ringing:
            if call not in self.gone and call.isActive():
                call.hangup(pj.CallOpParam())

    def held(self) -> list[int]:
        return list(self.wire.held())


def say(answer: object) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def main() -> None:
    orders: SimpleQueue[str] = SimpleQueue()
    agent = Agent(json.loads(sys.argv[1]))

    def read() -> None:
        for line in sys.stdin:
            orders.put(line)
        orders.put("")

    threading.Thread(target=read, daemon=True).start()
    say("ready")
    while True:
        agent.library.libHandleEvents(10)
        try:
            line = orders.get_nowait()
        except Empty:
            continue
        if not line:
            break
        order = json.loads(line)
        try:
            answer = {"done": getattr(agent, order.pop("order"))(**order)}
        except Exception as error:  # noqa: BLE001 - the test is told, and goes on or fails
            answer = {"failed": f"{type(error).__name__}: {error}"}
        say(answer)
    agent.library.libDestroy()


if __name__ == "__main__":
    main()
