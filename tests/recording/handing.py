"""Spool, ledger, store and mover around recordings that were really started and sealed."""

import asyncio
from datetime import UTC, datetime

from callrec._canonical import sha256_hex
from callrec.core.kinds import Kind
from callrec.ledger.memory import MemoryLedger
from callrec.ports import Entry
from callrec.recording.mover import Mover
from callrec.recording.seal import seal
from callrec.store.keys import FileKeyRing, create_keeper_keys
from callrec.store.memory import MemoryStore
from tests.recording.builders import CALL, ENDING, FACTS, a_header, a_spool, stereo, voices
from tests.store.builders import a_door

PCM = stereo(*voices(4000))


class StoppedClock:
    def utc(self):
        return datetime(2026, 3, 1, tzinfo=UTC)

    def boottime_ns(self):
        return 1

    def boot_id(self):
        return "boot"

    def state(self):
        return "synchronised"


class Finder:
    """Finds in a MemoryLedger, for the mover and for the store's door."""

    def __init__(self, ledger):
        self.ledger = ledger

    async def find(self, kind, call_uid, segment):
        found = [entry.leaf for entry in self.ledger.of(kind, call_uid) if entry.segment == segment]
        return found[-1] if found else None

    def look_up(self, leaf, *, call_uid):
        for entry in self.ledger.entries:
            if (entry.leaf, entry.call_uid) == (leaf, call_uid):
                names = ("kind", "log_id", "call_uid", "segment", "seq", "body")
                return {name: getattr(entry, name) for name in names}
        return None


class House:
    """Spool, ledger, store and mover, and recordings that were really started and sealed."""

    def __init__(self, tmp_path):
        self.spool = a_spool(tmp_path)
        self.keeper = create_keeper_keys(tmp_path)
        self.ring = FileKeyRing(self.keeper.public)
        self.ledger = MemoryLedger(StoppedClock())
        self.finder = Finder(self.ledger)
        self.store = MemoryStore(admission=a_door(self.finder))
        self.told, self.kept, self.pauses = [], [], []

    def mover(self, store=None):
        return Mover(
            self.spool,
            store or self.store,
            self.ledger,
            self.finder,
            notify=self.told.append,
            on_kept=lambda *args: self.kept.append(args),
            sleep=self.pause,
        )

    async def pause(self, seconds):
        self.pauses.append(seconds)
        await asyncio.sleep(0)

    def watch_hand_off(self):
        """Set once a recording left the spool."""
        gone, loop, real = asyncio.Event(), asyncio.get_running_loop(), self.spool.hand_off

        def hand_off(recording_id):
            real(recording_id)
            loop.call_soon_threadsafe(gone.set)

        self.spool.hand_off = hand_off
        return gone

    async def append(self, kind, segment, body, call_uid=CALL):
        entry = Entry(kind=kind, call_uid=call_uid, segment=segment, body=body)
        return (await self.ledger.append(entry, timeout_s=1)).leaf

    async def recorded(self, segment=0):
        """One sealed recording in `ready`, whose notice was proven and whose start is in the ledger."""
        key = self.ring.new_key()
        offered = dict.fromkeys(("number", "line", "direction", "transport", "config_sha256", "commitments"), "x")
        offered_leaf = await self.append(Kind.CALL_OFFERED, segment, offered)
        answered = {"offered_leaf": offered_leaf, "next_hop": "x", "leg_ends_at": "pbx", "commitments": {}}
        proven = {
            "attempt": 1,
            "party": "caller",
            "grade": "sent",
            "tap": "wire",
            "purposes": ["audit", "medico-legal", "training"],
            "evidence_sha256": FACTS.notice["evidence_sha256"],
            "offered_leaf": offered_leaf,
            "answered_leaf": await self.append(Kind.CALL_ANSWERED, segment, answered),
        }
        proven_leaf = await self.append(Kind.NOTICE_PROVEN, segment, proven)
        started = {
            "proven_leaves": [proven_leaf],
            "key_id": key.key_id,
            "wrapped_key_sha256": sha256_hex(key.wrapped),
            "purposes": ["audit", "medico-legal"],
            "streams": [],
        }
        started_leaf = await self.append(Kind.RECORDING_STARTED, segment, started)
        header = a_header(
            segment,
            log_id=self.ledger.log_id,
            key_id=key.key_id,
            proven_leaf=proven_leaf,
            started_leaf=started_leaf,
        )
        live = self.spool.open_segment(header, key, FACTS)
        live.append(PCM)
        return seal(self.spool, live, ENDING)

    def said(self, kind):
        return len(self.ledger.of(kind))

    def expect_handed_over_once(self, *, recordings=1):
        kinds = (Kind.RECORDING_SEALED, Kind.STORE_INTENT, Kind.RECORDING_KEPT)
        assert [self.said(kind) for kind in kinds] == [recordings] * 3
        assert self.spool.ready_ids() == self.spool.ids_in("done") == ()
        assert len(self.store.held) == recordings
