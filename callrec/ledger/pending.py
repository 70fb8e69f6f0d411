"""The side journal: a preallocated file that takes what the ledger cannot take now, and gives it back later.

Records are length, SHA-256 and payload, each synced before `write` returns. The hash covers the journal's generation
and the record's number, so that what is left of an older generation is never read again; a torn record ends the
journal. One owner, any thread.
"""

from __future__ import annotations

import hashlib
import struct
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from callrec._canonical import canonical, parse
from callrec._durable import DurableFile, preallocate
from callrec.core.kinds import Kind
from callrec.errors import Broken, Unavailable
from callrec.ledger.entry import Moment
from callrec.ports import Entry

DEFAULT_BYTES: Final = 1_048_576
"""Room for more than a thousand entries: some twenty minutes of a busy line without a ledger."""
_MAGIC: Final = b"callrec-pending1"
_HEADER: Final = struct.Struct(">16sQ")
_RECORD: Final = struct.Struct(">I32s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A fact that waits: when it was, when its writer gave the ledger up (nanoseconds since the same boot), and in
    which agent run.
    """

    entry: Entry
    moment: Moment
    until_ns: int
    agent_run: str


class PendingJournal:
    """Open the journal at `path`, making it with `size` bytes where there is none.

    `Unavailable` where it cannot be made or read; `Broken` where the file is something else.
    """

    def __init__(self, path: Path, *, size: int = DEFAULT_BYTES) -> None:
        self._lock = threading.Lock()
        preallocate(path, size)
        self._file = DurableFile(path)
        data = path.read_bytes()
        self._size = len(data)
        self._generation = self._read_generation(path, data)
        self._notes, self._end = self._read_notes(data)

    def _read_generation(self, path: Path, data: bytes) -> int:
        magic, generation = _HEADER.unpack_from(data)
        if magic == bytes(16):
            self._begin(1)
            return 1
        if magic != _MAGIC:
            raise Broken(f"{path} is no side journal", next_step="move it away and keep it; a new one is made")
        return int(generation)

    def _begin(self, generation: int) -> None:
        self._file.write_at(0, _HEADER.pack(_MAGIC, generation))
        self._file.sync()

    def _read_notes(self, data: bytes) -> tuple[list[Note], int]:
        notes: list[Note] = []
        at = _HEADER.size
        while at + _RECORD.size <= len(data):
            length, digest = _RECORD.unpack_from(data, at)
            payload = data[at + _RECORD.size : at + _RECORD.size + length]
            if not length or len(payload) != length or self._digest(len(notes), payload) != digest:
                break
            notes.append(_note(parse(payload)))
            at += _RECORD.size + length
        return notes, at

    def _digest(self, number: int, payload: bytes) -> bytes:
        return hashlib.sha256(struct.pack(">QQ", self._generation, number) + payload).digest()

    def notes(self) -> tuple[Note, ...]:
        """What waits, oldest first."""
        with self._lock:
            return tuple(self._notes)

    def write(self, note: Note) -> None:
        """Keep one note, durably. `Unavailable` where the journal is full or cannot be written."""
        payload = canonical(_plain(note))
        with self._lock:
            if self._end + _RECORD.size + len(payload) > self._size:
                raise Unavailable("the side journal of the ledger is full", next_step="make the ledger writable again")
            record = _RECORD.pack(len(payload), self._digest(len(self._notes), payload)) + payload
            self._file.write_at(self._end, record)
            self._file.sync()
            self._notes.append(note)
            self._end += len(record)

    def clear(self, count: int) -> bool:
        """Forget everything, if no more than these `count` notes came in; else nothing, and False."""
        with self._lock:
            if len(self._notes) != count:
                return False
            used = self._end - _HEADER.size
            self._begin(self._generation + 1)
            self._generation, self._notes, self._end = self._generation + 1, [], _HEADER.size
            self._file.write_at(_HEADER.size, bytes(used))
            self._file.sync()
            return True

    def close(self) -> None:
        """Release the file. What waits is found again by the next opening."""
        self._file.close()


def _plain(note: Note) -> dict[str, Any]:
    entry, moment = note.entry, asdict(note.moment)
    return {
        "kind": entry.kind.value,
        "body": dict(entry.body),
        "call_uid": entry.call_uid,
        "segment": entry.segment,
        "actor": entry.actor,
        "salts": dict(entry.salts),
        "moment": moment | {"boottime_ns": str(note.moment.boottime_ns)},
        "until_ns": str(note.until_ns),
        "agent_run": note.agent_run,
    }


def _note(value: dict[str, Any]) -> Note:
    moment = value["moment"]
    return Note(
        entry=Entry(
            kind=Kind(value["kind"]),
            body=value["body"],
            call_uid=value["call_uid"],
            segment=value["segment"],
            actor=value["actor"],
            salts=value["salts"],
        ),
        moment=Moment(**moment | {"boottime_ns": int(moment["boottime_ns"])}),
        until_ns=int(value["until_ns"]),
        agent_run=value["agent_run"],
    )
