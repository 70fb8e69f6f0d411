"""A good day, told to a real ledger with real files beside it; and what an attacker with the database can do to it."""

import hashlib
import sqlite3
from dataclasses import replace

from callrec._canonical import canonical, parse, sha256_hex
from callrec.audit.verify import Places, verify
from callrec.core.evidence_json import judged_to_json, to_json
from callrec.core.kinds import Kind
from callrec.core.proof import Granted, judge
from callrec.core.reasons import REASON_CLASS, Reason
from callrec.ledger.anchor import DirectoryAnchor
from callrec.ledger.checkpoint import Checkpoint, key_of, sign
from callrec.ledger.entry import NO_LEAF
from callrec.ledger.init import load_signing_key
from callrec.ledger.merkle import Frontier, leaf_hash
from callrec.ports import AUDIO_FILE, MANIFEST_FILE, Entry
from callrec.store.filesystem import create_store
from tests.core.builders import GOOD_EVIDENCE
from tests.ledger.world import World, entry

PURPOSES = ["audit", "medico-legal", "training"]


class Story:
    def __init__(self, folder):
        self.world = World(folder)
        self.ledger = self.world.ledger()
        self.evidence, self.store, self.spool = (folder / name for name in ("evidence", "store", "spool"))
        create_store(self.store)
        for path in (self.evidence, self.spool):
            path.mkdir()
        self.anchor = DirectoryAnchor(folder / "anchors")
        self.number = 0
        self.tell(Kind.AGENT_STARTED)

    def tell(self, kind, call_uid="", segment=0, **fields):
        return self.ledger.append_blocking(entry(kind, call_uid, segment, **fields)).leaf

    def offer(self, line="advice"):
        self.number += 1
        uid = hashlib.md5(str(self.number).encode()).hexdigest()
        return uid, self.tell(Kind.CALL_OFFERED, uid, number=self.number, line=line, commitments={})

    def close(self, uid, offered, reason=None):
        decision = {"decision": "RECORDED", "reason": "", "reason_class": ""}
        if reason is not None:
            decision = {
                "decision": "NOT_RECORDED",
                "reason": reason.value,
                "reason_class": REASON_CLASS[reason].value,
            }
        segments = [{"segment": 0, "decision": decision["decision"], "reason": decision["reason"]}]
        self.tell(Kind.CALL_CLOSED, uid, number=self.number, offered_leaf=offered, segments=segments, **decision)

    def judged(self, uid, offered, answered, *, boot_id=GOOD_EVIDENCE.binding.boot_id, committed=None, **change):
        """Evidence of a good notice, changed as told, judged, kept and told to the ledger."""
        links = {"offered_leaf": offered, "answered_leaf": answered, "boot_id": boot_id}
        binding = replace(GOOD_EVIDENCE.binding, call_uid=uid, **links)
        evidence = replace(GOOD_EVIDENCE, binding=binding, **change)
        digest = sha256_hex(canonical(to_json(evidence)))
        verdict = judge(evidence, evidence_sha256=digest)
        (self.evidence / f"{uid}-1.json").write_bytes(canonical(judged_to_json(evidence, verdict)))
        common = {"attempt": 1, "party": "caller", "evidence_sha256": digest, "offered_leaf": offered}
        common |= {"commitments": committed or {}, "language": evidence.prompt.language}
        if isinstance(verdict, Granted):
            fields = {
                "grade": verdict.grade.value,
                "tap": evidence.tap.kind.value,
                "purposes": PURPOSES,
                "answered_leaf": answered,
            }
            return self.tell(Kind.NOTICE_PROVEN, uid, **common, **fields)
        return self.tell(Kind.NOTICE_REFUSED, uid, **common, reasons=[reason.value for reason in verdict])

    def recorded_call(self):
        uid, offered = self.offer()
        answered = self.tell(Kind.CALL_ANSWERED, uid, offered_leaf=offered, next_hop="127.0.0.1", leg_ends_at="pbx")
        proven = self.judged(uid, offered, answered)
        started = self.tell(Kind.RECORDING_STARTED, uid, proven_leaves=[proven], purposes=PURPOSES)
        self.seal(uid, started)
        self.close(uid, offered)
        return uid

    def seal(self, uid, started, *, where=None):
        folder = (where or self.store) / f"{uid}-0"
        folder.mkdir(parents=True)
        (folder / AUDIO_FILE).write_bytes(uid.encode() * 9)
        (folder / MANIFEST_FILE).write_bytes(b"{}")
        cipher, manifest = sha256_hex(uid.encode() * 9), sha256_hex(b"{}")
        fields = {"started_leaf": started, "cipher_sha256": cipher, "manifest_sha256": manifest}
        sealed = self.tell(Kind.RECORDING_SEALED, uid, **fields)
        self.tell(Kind.RECORDING_KEPT, uid, sealed_leaf=sealed, readback_sha256=cipher)

    def refused_call(self):
        uid, offered = self.offer()
        answered = self.tell(Kind.CALL_ANSWERED, uid, offered_leaf=offered)
        self.judged(uid, offered, answered, complete=False)
        self.close(uid, offered, Reason.NOTICE_INTERRUPTED)
        return uid

    def day(self, calls=2):
        uids = [self.recorded_call() for _ in range(calls)]
        self.refused_call()
        return uids

    def ship(self):
        self.anchor.ship(self.ledger.newest_checkpoint())

    def places(self, **change):
        whole = Places(
            ledger=self.world.path,
            vkey=self.world.key.vkey(),
            anchors=(self.anchor.path,),
            evidence=self.evidence,
            store=self.store,
            spool=self.spool,
        )
        return replace(whole, **change)

    def verify(self, **change):
        return verify(self.places(**change))

    # ------------------------------------------------------------ attacks

    def bodies(self):
        with sqlite3.connect(self.world.path) as connection:
            rows = [body for (body,) in connection.execute("SELECT body FROM entries ORDER BY seq")]
        connection.close()
        return [parse(body) for body in rows]

    def attack(self, *statements):
        """Run SQL as somebody who owns the file."""
        self.ledger.close()
        connection = sqlite3.connect(self.world.path, isolation_level=None)
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        for statement, values in statements:
            connection.execute(statement, values)
        connection.close()

    def rewrite(self, bodies, *, signed=False):
        """Replace the whole log by these entries, every link and hash recomputed; signed only by who has the key."""
        frontier, prev, rows = Frontier(), NO_LEAF, []
        for seq, body in enumerate(bodies):
            data = canonical(body | {"seq": seq, "prev": prev})
            leaf = leaf_hash(data)
            frontier.append(leaf)
            prev = leaf.hex()
            rows.append(("INSERT INTO entries VALUES (?, ?, ?, ?)", (seq, leaf, str(body["call_uid"]), data)))
        statements = [("DELETE FROM entries", ()), *rows]
        size = len(bodies)
        statements.append(("DELETE FROM checkpoints WHERE size > ?", (size,)))
        if signed:
            secret = load_signing_key(self.world.key_path)
            note = sign(Checkpoint(origin=key_of(secret).name, size=size, root=frontier.root()), secret)
            statements += [
                ("DELETE FROM checkpoints WHERE size > 0", ()),
                ("INSERT INTO checkpoints VALUES (?, ?)", (size, note)),
            ]
        self.attack(*statements)


def checks(verification):
    return set(verification.counts)


def loose(kind, **fields):
    """An entry as it is asked for, complete or not."""
    return Entry(kind=kind, body=fields)
