"""All of an agent but telephony, with the process that seals for it: it settles what it finds, records, seals and
hands over.

It says `up` once what an earlier one left is settled, and `acknowledged ID SHA256` (of the PCM) once a recording is
sealed and durable in the spool; then it waits to be killed. With `finish` it records nothing, hands everything over
and ends.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from callrec import _durable
from callrec._canonical import canonical, sha256_hex
from callrec.agent.opening import settle
from callrec.config import load
from callrec.core.evidence_json import judged_to_json, to_json
from callrec.core.kinds import Kind
from callrec.core.proof import judge
from callrec.core.values import Purpose
from callrec.errors import Unavailable
from callrec.ports import Entry, SegmentHeader, Traffic
from callrec.recording.manifest import Ending
from callrec.recording.segment import SegmentFacts
from callrec.wiring import build_agent
from tests.core.builders import GOOD_EVIDENCE
from tests.ledger.world import entry

CALLS = 6
AT_ONCE = 3
_NEXT_HOP = "192.0.2.5:5060"
_RULE = {"rule": "ML-A", "version": 1, "trigger": "2026-03-01", "due": "2034-03-01"}
_APPEND_S = 30.0


def say(*words: str) -> None:
    """One line, gone from this process once it returns."""
    os.write(1, (" ".join(words) + "\n").encode())


class Recorder:
    """Makes recordings as an agent's calls do, on the services that an agent has."""

    def __init__(self, services, dice, number):
        self.services = services
        self.dice = dice
        self.number = number

    async def call(self):
        """One call from its offer to its summary. The ledger or the spool may fail it, as they may fail any call."""
        uid = secrets.token_hex(16)
        self.number += 1
        number = self.number
        offered = await self.tell(Kind.CALL_OFFERED, uid, number=number, line="advice", commitments={})
        header, key, facts = await self._started(uid, offered)
        live = await asyncio.to_thread(self.services.spool.open_segment, header, key, facts)
        for _ in range(self.dice.randint(1, 5)):
            await asyncio.to_thread(live.append, self._talk())
        ending = Ending(ended_utc=self.services.utc_text(), stop_reason="", stopped_by="caller")
        sealed = await self.services.sealer.seal(live, ending)
        say("acknowledged", sealed.recording_id, sealed.pcm_sha256)
        await self.services.mover.announce(sealed)
        decided = {"decision": "RECORDED", "reason": ""}
        segments = [{"segment": 0, **decided}]
        await self.tell(Kind.CALL_CLOSED, uid, number=number, offered_leaf=offered, segments=segments, **decided)
        self.services.mover.wake()

    async def tell(self, kind, uid, **fields):
        return (await self.services.ledger.append(entry(kind, uid, **fields), timeout_s=_APPEND_S)).leaf

    async def _started(self, uid, offered):
        """Notice played and proven, recording started: its header, key and facts."""
        answered = await self.tell(Kind.CALL_ANSWERED, uid, offered_leaf=offered, next_hop=_NEXT_HOP, leg_ends_at="pbx")
        digest = await asyncio.to_thread(self._evidence, uid, offered, answered)
        proof = {"attempt": 1, "next_hop": _NEXT_HOP, "leg_ends_at": "pbx", "party": "caller", "grade": "sent"}
        links = {"offered_leaf": offered, "answered_leaf": answered, "purposes": ["audit", "medico-legal", "training"]}
        proven = await self.tell(Kind.NOTICE_PROVEN, uid, **proof, **links, tap="player", evidence_sha256=digest)
        key = self.services.keys.new_key()
        start = {"proven_leaves": [proven], "key_id": key.key_id, "wrapped_key_sha256": sha256_hex(key.wrapped)}
        started = await self.tell(Kind.RECORDING_STARTED, uid, **start, purposes=["audit", "medico-legal"], streams={})
        header = SegmentHeader(
            log_id=self.services.log_id,
            call_uid=uid,
            segment=0,
            key_id=key.key_id,
            proven_leaf=proven,
            started_leaf=started,
        )
        facts = SegmentFacts(
            line="advice",
            purposes=frozenset((Purpose.AUDIT, Purpose.MEDICO_LEGAL)),
            notice={"evidence_sha256": digest, "grade": "sent"},
            retention=_RULE,
            started_utc=self.services.utc_text(),
        )
        return header, key, facts

    def _evidence(self, uid, offered, answered):
        binding = replace(
            GOOD_EVIDENCE.binding, call_uid=uid, offered_leaf=offered, answered_leaf=answered, next_hop=_NEXT_HOP
        )
        evidence = replace(GOOD_EVIDENCE, binding=binding)
        digest = sha256_hex(canonical(to_json(evidence)))
        judged = judged_to_json(evidence, judge(evidence, evidence_sha256=digest))
        _durable.make_dir(self.services.evidence_dir)
        _durable.write_file(self.services.evidence_dir / f"{uid}-1.json", canonical(judged))
        return digest

    def _talk(self):
        samples = self.dice.randint(800, 8000)
        noise = np.random.default_rng(self.dice.getrandbits(64)).integers(-3000, 3000, (samples, 2))
        return noise.astype("<i2").tobytes()


async def work(built, seed, *, finish):
    """Settle, then record and hand over until killed; or hand everything over and return."""
    services = built.agent.services
    number = await settle(services, built.agent.house.read_back)
    services.spool.start()
    started = {"software": "chaos", "config_sha256": services.config.sha256, "engine": {}, "first_number": number + 1}
    await services.ledger.append(Entry(kind=Kind.AGENT_STARTED, body=started), timeout_s=_APPEND_S)
    say("up")
    if finish:
        while services.spool.ready_ids():
            await services.mover.sweep()
        return
    moving = asyncio.create_task(services.mover.run())
    recorder = Recorder(services, random.Random(seed), number)
    for _ in range(CALLS // AT_ONCE):
        with suppress(Unavailable):
            await asyncio.gather(*(recorder.call() for _ in range(AT_ONCE)))
    say("idle")
    await moving


def as_a_process(said, log, config_path, seed, finish=""):
    """See the module: the whole of a process, which says what it says into this pipe, and what goes wrong to `log`."""
    os.dup2(said.fileno(), 1)
    with log.open("ab") as errors:
        os.dup2(errors.fileno(), 2)
    nobody = SimpleNamespace(traffic=Traffic)
    built = build_agent(load(Path(config_path)), telephony=nobody, allow_unsafe_memory=True)
    try:
        asyncio.run(work(built, seed, finish=bool(finish)))
    finally:
        built.close()
