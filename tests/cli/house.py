"""A house as `callrec init` makes it, with calls that were really proven, recorded, sealed and kept; no agent runs."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from callrec import places, wiring
from callrec._canonical import canonical, sha256_hex
from callrec.agent.clock import SystemClock
from callrec.audit.verify import Places, verify
from callrec.cli.desk import Desk
from callrec.cli.root import root
from callrec.config import load
from callrec.config.people import account
from callrec.core.evidence_json import judged_to_json, to_json
from callrec.core.kinds import Kind
from callrec.core.proof import judge
from callrec.core.reasons import REASON_CLASS, Reason
from callrec.core.values import Purpose
from callrec.initial import initialise
from callrec.ledger.log import SqlLedger
from callrec.ledger.lookup import VerifiedLookup
from callrec.ledger.reading import read_entries
from callrec.ports import Entry, SegmentHeader
from callrec.recording.manifest import Ending, sealed_body
from callrec.recording.mover import Mover
from callrec.recording.seal import seal
from callrec.recording.segment import SegmentFacts
from callrec.recording.spool import Spool
from callrec.store.configured import folder_of
from callrec.store.contacts import NAME, ContactSealer
from callrec.store.index import Index
from callrec.store.keys import FileKeyRing
from tests.core.builders import GOOD_EVIDENCE
from tests.ledger.world import entry

ROOT = Path(__file__).parents[2]
NEXT_HOP = "192.0.2.5:5060"
SAMPLES = 16_000
ML_A = {"rule": "ML-A", "version": 1, "trigger": "2026-03-01", "due": "2034-03-01"}


def voices(seed=1):
    """Two legs of noise, interleaved."""
    return np.random.default_rng(seed).integers(-3000, 3000, (SAMPLES, 2)).astype("<i2").tobytes()


class House:
    """Everything lies under `folder`, as configured there and in `changes`; with a PostgreSQL `server` ledger and index
    lie in that. `grade` is what its proofs say.
    """

    grade = "sent"
    committed: Mapping[str, str] = {}

    def __init__(self, folder, server=None, *, changes=()):
        self.folder = folder
        self.config_path = folder / "callrec.yaml"
        shutil.copy(ROOT / "config/callrec.example.yaml", self.config_path)
        self.change("rules: config/retention.yaml", f"rules: {ROOT / 'config/retention.yaml'}")
        self.change("runtime_dir: /run/callrec", f"runtime_dir: {folder / 'run'}")
        for old, new in changes:
            self.change(old, new)
        self.change("os_user: iglead", f"os_user: {account(os.getuid())}")
        if server is not None:
            self.change("url: sqlite:///var/ledger.db", f"url: {server.url()}")
            self.change("log: null", f"log: log-{secrets.token_hex(6)}")
        self.config = load(self.config_path)
        self.half_page = initialise(self.config)
        self.spool = Spool(self.config.spool.path, folder / "run", reserve_s=2)
        self.number = 0

    def change(self, old, new):
        text = self.config_path.read_text()
        assert old in text, old
        self.config_path.write_text(text.replace(old, new, 1))

    def reloaded(self):
        """The configuration as it is written now."""
        return load(self.config_path)

    # ------------------------------------------------------------ calls

    def record(
        self,
        *,
        purposes=("audit", "medico-legal"),
        keep=True,
        tap="player",
        started="2026-03-01T10:00:00.000Z",
        retention=None,
        caller="",
    ):
        """One call from its offer to its end; its recording id. `keep` False leaves it in the spool."""
        ledger = self.ledger()
        self.caller = caller
        self.retention = retention or ML_A
        try:
            return asyncio.run(self._recorded(ledger, purposes=purposes, keep=keep, tap=tap, started=started))
        finally:
            ledger.close()

    def ledger(self):
        return SqlLedger(
            self.config.ledger.database,
            signing_key=places.key_file(self.config, "signing"),
            clock=SystemClock(),
            holder="a test",
            journal=self.config.ledger.journal,
        )

    async def _recorded(self, ledger, *, purposes, keep, tap, started):
        uid = secrets.token_hex(16)
        self.number += 1

        async def tell(kind, **fields):
            return (await ledger.append(entry(kind, uid, **fields), timeout_s=10)).leaf

        offered = await self._offered(ledger, uid)
        answered = await tell(Kind.CALL_ANSWERED, offered_leaf=offered, next_hop=NEXT_HOP, leg_ends_at="pbx")
        digest = self._evidence(uid, offered, answered)
        proof = {
            "attempt": 1,
            "next_hop": NEXT_HOP,
            "leg_ends_at": "pbx",
            "party": "caller",
            "grade": self.grade,
            "tap": tap,
            "evidence_sha256": digest,
            "commitments": dict(self.committed),
        }
        links = {"offered_leaf": offered, "answered_leaf": answered, "purposes": ["audit", "medico-legal", "training"]}
        proven = await tell(Kind.NOTICE_PROVEN, **proof, **links)
        key = FileKeyRing(places.key_file(self.config, "keeper")).new_key()
        start = {"proven_leaves": [proven], "key_id": key.key_id, "wrapped_key_sha256": sha256_hex(key.wrapped)}
        started_leaf = await tell(Kind.RECORDING_STARTED, **start, purposes=list(purposes), streams={})
        header = SegmentHeader(
            log_id=ledger.log_id,
            call_uid=uid,
            segment=0,
            key_id=key.key_id,
            proven_leaf=proven,
            started_leaf=started_leaf,
        )
        sealed = self._sealed(header, key, facts(digest, purposes, started, self.retention))
        leaf = await tell(Kind.RECORDING_SEALED, **sealed_body(sealed))
        self.spool.note_sealed(sealed.recording_id, leaf)
        if keep:
            await self._hand_over(ledger, sealed.recording_id)
        await tell(
            Kind.CALL_CLOSED,
            number=self.number,
            offered_leaf=offered,
            decision="RECORDED",
            reason="",
            segments=[{"segment": 0, "decision": "RECORDED"}],
        )
        return sealed.recording_id

    async def _offered(self, ledger, uid):
        """The offer of a call; where it has a `caller`, with who that is sealed beside it."""
        said = entry(Kind.CALL_OFFERED, uid, number=self.number, line="advice", commitments={})
        if self.caller:
            sealer = ContactSealer(FileKeyRing(places.key_file(self.config, "keeper")))
            contact = sealer.seal(uid, numbers=[self.caller], sip_call_id=f"{self.number}@pbx")
            said = replace(said, salts={NAME: contact})
        return (await ledger.append(said, timeout_s=10)).leaf

    def refuse(self, reason=Reason.CALLER_DECLINED, *, caller=""):
        """One call that was not recorded; its id."""
        ledger, uid = self.ledger(), secrets.token_hex(16)
        self.caller, self.number = caller, self.number + 1
        try:
            offered = asyncio.run(self._offered(ledger, uid))
            why = {"reason": reason.value, "reason_class": REASON_CLASS[reason].value}
            fields = {"number": self.number, "offered_leaf": offered, "decision": "NOT_RECORDED", **why}
            fields["segments"] = [{"segment": 0, "decision": "NOT_RECORDED", "reason": reason.value}]
            ledger.append_blocking(entry(Kind.CALL_CLOSED, uid, **fields))
        finally:
            ledger.close()
        return uid

    def _evidence(self, uid, offered, answered):
        binding = replace(
            GOOD_EVIDENCE.binding, call_uid=uid, offered_leaf=offered, answered_leaf=answered, next_hop=NEXT_HOP
        )
        evidence = replace(GOOD_EVIDENCE, binding=binding)
        digest = sha256_hex(canonical(to_json(evidence)))
        folder = places.evidence_dir(self.config)
        folder.mkdir(exist_ok=True)
        verdict = judge(evidence, evidence_sha256=digest)
        (folder / f"{uid}-1.json").write_bytes(canonical(judged_to_json(evidence, verdict)))
        return digest

    def _sealed(self, header, key, facts):
        live = self.spool.open_segment(header, key, facts)
        live.append(voices())
        live.mark_gap(8000, "hold")
        live.mark_gap_end(12_000)
        return seal(self.spool, live, Ending(ended_utc="2026-03-01T10:00:02.000Z", stop_reason="", stopped_by="caller"))

    async def _hand_over(self, ledger, recording_id):
        index = Index(places.index_database(self.config))
        lookup = VerifiedLookup(self.config.ledger.database, ledger.public_key)
        mover = Mover(
            self.spool,
            places.reading_store(self.config),
            ledger,
            lookup,
            notify=self.told,
            on_kept=wiring._indexer(index),
        )
        assert await mover.hand_over(recording_id) is not None
        index.close()

    def hand_over(self, recording_id):
        """What an agent does once the store is back."""
        ledger = self.ledger()
        try:
            asyncio.run(self._hand_over(ledger, recording_id))
        finally:
            ledger.close()

    def told(self, message):
        raise AssertionError(message)

    # ------------------------------------------------------------ the command line

    def callrec(self, *words, configured=True):
        """Run a command: its result, with what it raised."""
        before = ("-c", str(self.config_path)) if configured else ()
        return CliRunner().invoke(root, [*before, *map(str, words)])

    def entries(self, *kinds):
        return [e for e in read_entries(self.config.ledger.database) if not kinds or e.kind in {k.value for k in kinds}]

    def kinds(self):
        return [e.kind for e in self.entries()]

    def append(self, kind, call_uid="", **fields):
        return Desk(self.config_path).append(Entry(kind=kind, call_uid=call_uid, body=fields))

    def vkey(self):
        return next(word for word in self.half_page.split() if word.startswith("callrec/") and "+" in word)

    def verified(self):
        """What an auditor finds with everything there is."""
        config = self.config
        return verify(
            Places(
                ledger=config.ledger.database,
                evidence=places.evidence_dir(config),
                store=folder_of(config),
                spool=config.spool.path,
                disposal=places.disposal_dir(config),
            )
        )

    def tamper(self, statement, *values):
        """Run SQL as somebody who owns the ledger's file."""
        connection = sqlite3.connect(self.config.ledger.database, isolation_level=None)
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute(statement, values)
        connection.close()


def facts(digest, purposes, started, retention):
    return SegmentFacts(
        line="advice",
        purposes=frozenset(map(Purpose, purposes)),
        notice={"evidence_sha256": digest, "grade": "sent"},
        retention=retention,
        started_utc=started,
    )


def in_another_process(*words):
    """Run the console script's own entry with these words, pjsua2 forbidden to be imported."""
    forbid = "import sys; sys.modules['pjsua2'] = sys.modules['_pjsua2'] = None; from callrec.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", forbid, *map(str, words)], capture_output=True, text=True, timeout=60, check=False
    )
