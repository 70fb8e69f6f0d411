"""A house whose calls took their time: a notice of real length, evidence that fits it, and the packs made of them."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from datetime import timedelta

from callrec import places
from callrec._canonical import canonical, sha256_hex
from callrec.agent.clock import SystemClock
from callrec.audit import standalone
from callrec.audit.pack import Wanted, contents, zipped
from callrec.audit.verify import Places
from callrec.core.evidence_json import judged_to_json, to_json
from callrec.core.kinds import Kind
from callrec.core.proof import judge
from callrec.core.values import Tap
from callrec.ledger.log import SqlLedger
from callrec.notice import wire_window
from callrec.notice.compare import compare
from callrec.notice.described import commitments_of
from callrec.notice.register import Register
from callrec.notice.wire import weigh
from tests.cli.house import NEXT_HOP, House
from tests.core.builders import GOOD_EVIDENCE, GOOD_STREAM
from tests.ledger.world import entry
from tests.notice import test_wire as wire

SECOND = 1_000_000_000


class HurriedClock(SystemClock):
    """This machine's clock, wound on by hand: nothing here waits for a notice to be over."""

    def __init__(self):
        super().__init__()
        self.ahead_ns = 0

    def wind(self, seconds):
        self.ahead_ns += int(seconds * SECOND)

    def boottime_ns(self):
        return super().boottime_ns() + self.ahead_ns

    def utc(self):
        return super().utc() + timedelta(microseconds=self.ahead_ns / 1000)


class PackHouse(House):
    """As `House`, with time."""

    def __init__(self, folder, *, changes=()):
        self.clock = HurriedClock()
        super().__init__(folder, changes=changes)
        found = Register.load(self.config.notice.register).choose("advice-line", "en", self.clock.utc())
        self.prompt = found

    def ledger(self):
        signing = places.key_file(self.config, "signing")
        return SqlLedger(self.config.ledger.database, signing_key=signing, clock=self.clock, holder="a test")

    def _evidence(self, uid, offered, answered):
        evidence = self.evidence_of(uid, offered, answered)
        return self.keep(evidence)

    def evidence_of(self, uid, offered, answered, **change):
        samples = len(self.prompt.pcm) // 2
        start = self.clock.boottime_ns() + 20_000_000
        self.clock.wind(samples / 8000 + 0.1)
        binding = replace(
            GOOD_EVIDENCE.binding,
            call_uid=uid,
            offered_leaf=offered,
            answered_leaf=answered,
            next_hop=NEXT_HOP,
            boot_id=self.clock.boot_id(),
        )
        whole = replace(
            GOOD_EVIDENCE,
            binding=binding,
            prompt=self.prompt.facts("line default"),
            tap=compare(self.prompt.pcm, self.prompt.pcm, kind=Tap.PLAYER),
            start_ns=start,
            end_ns=start + samples * 125_000,
            expected_packets=samples // 160,
            streams=(replace(GOOD_STREAM, sent=samples // 160, octets=samples),),
        )
        return replace(whole, **change)

    def keep(self, evidence):
        digest = sha256_hex(canonical(to_json(evidence)))
        folder = places.evidence_dir(self.config)
        folder.mkdir(exist_ok=True)
        self.verdict = judge(evidence, evidence_sha256=digest)
        name = f"{evidence.binding.call_uid}-{evidence.binding.attempt}.json"
        (folder / name).write_bytes(canonical(judged_to_json(evidence, self.verdict)))
        return digest

    def _sealed(self, header, key, facts):
        self.clock.wind(2)
        return super()._sealed(header, key, facts)

    def refuse(self):
        """A call whose notice was interrupted; its id."""
        ledger = self.ledger()
        uid = f"{self.number:032x}"
        self.number += 1

        def tell(kind, **fields):
            return ledger.append_blocking(entry(kind, uid, **fields)).leaf

        try:
            offered = tell(Kind.CALL_OFFERED, number=self.number, line="advice", commitments={})
            answered = tell(Kind.CALL_ANSWERED, offered_leaf=offered, next_hop=NEXT_HOP)
            digest = self.keep(self.evidence_of(uid, offered, answered, complete=False))
            reasons = [reason.value for reason in self.verdict]
            refused = {"attempt": 1, "party": "caller", "evidence_sha256": digest, "reasons": reasons}
            tell(Kind.NOTICE_REFUSED, **refused, offered_leaf=offered)
            decision = {"decision": "NOT_RECORDED", "reason": reasons[0], "reason_class": "our fault"}
            segments = [{"segment": 0, **decision}]
            tell(Kind.CALL_CLOSED, number=self.number, offered_leaf=offered, segments=segments, **decision)
        finally:
            ledger.close()
        return uid

    def places(self):
        config = self.config
        return Places(
            ledger=config.ledger.database,
            evidence=places.evidence_dir(config),
            store=config.store.path,
            spool=config.spool.path,
            prompts=config.notice.register,
        )

    def pack(self, uid, **more):
        """The files of a pack of this call."""
        return contents(Wanted(places=self.places(), call_uid=uid, **more))

    def examine(self, files, **more):
        return examined(zipped(files), self.vkey(), **more)


class WireHouse(PackHouse):
    """As `PackHouse`, with a tap of the wire: packets that left, and a report of the next hop that they arrived."""

    grade = "received"

    def evidence_of(self, uid, offered, answered, **change):
        taken = self.taken()
        self.kept = wire.keeping(taken)
        self.committed = commitments_of(wire_window.read(self.kept)[0].signalling)
        seen = weigh(self.kept, self.prompt.pcm)
        caller = replace(
            GOOD_EVIDENCE.caller,
            sdp_address="192.0.2.5:4000",
            source_address="192.0.2.5:4000",
            foreign_packets=seen.foreign_packets,
            ssrc=seen.peer_ssrc,
            rtcp_reports=seen.rtcp.accepted,
        )
        tapped = {"tap": seen.tap, "wire": seen.wire, "streams": seen.streams, "rtcp": seen.rtcp, "caller": caller}
        return super().evidence_of(
            uid, offered, answered, **tapped | {"expected_packets": seen.expected_packets, "player": None} | change
        )

    def taken(self, *, law=8):
        """Silence, the notice, silence; the report comes after the last packet."""
        packets = wire.good(wire.SILENCE + self.prompt.pcm + wire.SILENCE, payload_type=law)
        last, after = wire.FIRST + len(packets) - 1, 20 * len(packets) + 50
        return wire.window(*packets, wire.our_report(), wire.their_report(at_ms=after, highest=last))

    def keep(self, evidence):
        digest = super().keep(evidence)
        name = f"{evidence.binding.call_uid}-{evidence.binding.attempt}{wire_window.SUFFIX}"
        (places.evidence_dir(self.config) / name).write_bytes(self.kept)
        return digest

    def record(self, **options):
        return super().record(tap="wire", **options)


def examined(data, vkey, **more):
    """What the checks find in these bytes."""
    return standalone.examine(io.BytesIO(data), standalone.read_key(vkey), **more)


def relisted(files):
    """The same pack after an attacker made its own list fit again."""
    listed = {name: sha256_hex(data) for name, data in files.items() if name != "pack.json"}
    head = json.loads(files["pack.json"]) | {"files": listed}
    return files | {"pack.json": json.dumps(head).encode()}


def members(data):
    """Name and bytes of everything in a zip."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
