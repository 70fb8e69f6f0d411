"""A call's surroundings without a network: a telephony that writes down its orders, and a ledger in memory."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import yaml

from callrec.agent.clock import SystemClock
from callrec.agent.services import Services
from callrec.config import loads
from callrec.core import events as e
from callrec.core.evidence import Observation
from callrec.core.values import Leg
from callrec.ledger.memory import MemoryLedger
from callrec.notice.approval import install_samples
from callrec.notice.audio import RATE, wav_of
from callrec.notice.register import Register
from callrec.places import rules, shipped_prompts
from callrec.ports import Entry, Invite
from callrec.recording.mover import Mover
from callrec.recording.seal import seal
from callrec.recording.spool import Spool
from callrec.rights.standing import KEY_FILE, Standing
from callrec.store.admission import UnsafeAdmitEverything
from callrec.store.keys import FileKeyRing, create_keeper_keys
from callrec.store.memory import MemoryStore
from tests.calls.house import settings
from tests.core.builders import GOOD_OBSERVATION

UID = "ab" * 16
MEMORY = Path("/dev/shm")

INVITE = Invite(
    call_uid=UID,
    dialled="5000",
    request_uri="sip:5000@127.0.0.1",
    from_uri="sip:07700900001@127.0.0.1",
    from_display="",
    from_tag="a",
    to_uri="sip:5000@127.0.0.1",
    sip_call_id="x@y",
    asserted_identity=(),
    privacy="",
    diversion=(),
    headers={},
    source="127.0.0.1:5062",
    transport="udp",
)


class Switchboard:
    """Telephony that obeys nobody and forgets nothing: `orders` are what was asked of it, in order."""

    def __init__(self):
        self.orders = []
        self.paths = None
        self.pcm = b""
        self._asked = asyncio.Event()

    def __getattr__(self, name):
        def order(_uid, *words, **more):
            self.orders.append((name, *words, *more.values()))
            self._asked.set()

        return order

    def start(self, sink):
        raise NotImplementedError

    def play_notice(self, uid, attempt, pcm, *, keys_named, await_report_s=0.0):
        self.pcm = pcm
        self.orders.append(("play_notice", attempt))
        self._asked.set()

    def start_capture(self, uid, paths, *, heard_ns):
        self.paths, self.heard_ns = paths, heard_ns
        for path in (paths.caller, paths.staff):
            path.write_bytes(wav_of(b"\1\0" * RATE))
        self.orders.append(("start_capture",))
        self._asked.set()

    async def stop_capture(self, uid):
        self.orders.append(("stop_capture",))
        self._asked.set()

    def names(self):
        return [order[0] for order in self.orders]

    async def asked(self, name, *, seconds=5.0):
        """Wait until this was ordered."""
        async with asyncio.timeout(seconds):
            while name not in self.names():
                self._asked.clear()
                await self._asked.wait()


def a_world(folder: Path, runtime: Path, **changes) -> Services:
    """Services of one call: real register, spool, keys and mover; store and ledger in memory."""
    plain = settings(sip_port=5999, rtp=30000, staff="127.0.0.1:6000")
    plain["agent"]["runtime_dir"] = str(runtime)
    plain["lines"]["advice"] |= {"choice_window_s": 0} | changes
    config = loads(yaml.safe_dump(plain), "test.yaml", folder=folder)
    clock = SystemClock()
    ledger = MemoryLedger(clock)

    def append(entry: Entry) -> str:
        return ledger._take(entry).leaf

    install_samples(shipped_prompts(), folder, append, clock.utc())
    keys = folder / "keys"
    keys.mkdir()
    pair = create_keeper_keys(keys)
    (folder / "spool").mkdir()
    spool = Spool(folder / "spool", runtime, reserve_s=10)
    finder = LedgerFinder(ledger)
    mover = Mover(spool, MemoryStore(admission=UnsafeAdmitEverything()), ledger, finder, notify=lambda _line: None)
    return Services(
        config=config,
        clock=clock,
        telephony=Switchboard(),
        ledger=ledger,
        log_id="log",
        keys=FileKeyRing(pair.public),
        spool=spool,
        sealer=SealsHere(spool),
        mover=mover,
        choose_prompt=lambda name, language: Register.load(folder / "prompts").choose(name, language, clock.utc()),
        rules=rules(config),
        standing=Standing(folder / "standing", keys / KEY_FILE, country="44"),
        evidence_dir=folder / "evidence",
        mishap=lambda _uid, _what: None,
    )


class SealsHere:
    """Seals in this process, with what a sealing process calls: a start for each test would cost them half a second."""

    def __init__(self, spool):
        self._spool = spool
        self.trouble = ""
        self.tell = lambda _message: None

    async def start(self):
        """Nothing is to be started."""

    async def close(self):
        """Nothing runs."""

    async def seal(self, segment, ending):
        return await asyncio.to_thread(seal, self._spool, segment, ending)


class LedgerFinder:
    """Finds in a ledger in memory."""

    def __init__(self, ledger):
        self._ledger = ledger

    async def find(self, kind, call_uid, segment):
        found = [entry for entry in self._ledger.of(kind, call_uid) if entry.segment == segment]
        return found[-1].leaf if found else None


def heard_whole(services: Services, attempt: int = 1) -> Observation:
    """What telephony would report of a notice that went out undisturbed just now."""
    now, pcm = services.clock.boottime_ns(), services.telephony.pcm
    packets = len(pcm) // 320
    return replace(
        GOOD_OBSERVATION,
        attempt=attempt,
        tap_pcm=pcm,
        start_ns=now - 10**9,
        end_ns=now,
        expected_packets=packets,
        streams=(replace(GOOD_OBSERVATION.streams[0], sent=packets),),
    )


def leg_ended(leg=Leg.CALLER):
    return e.LegEnded(at_ns=1, leg=leg, cause="bye")
