"""The index of numbers follows the ledger: what was offered since, and what was erased since."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from callrec.core.kinds import Kind
from callrec.core.numbers import normalise, users_of
from callrec.errors import Broken, Refused, Unavailable
from callrec.ledger.entry import LogEntry, read
from callrec.ledger.reading import LogReader
from callrec.rights.numbers import Blind, IndexedCall, NumberIndex
from callrec.store.contacts import NAME, Contact, ContactOpener

AT_ONCE: Final = 5_000
"""Entries taken in by one transaction."""
NUMBER: Final = "number"
CALL_ID: Final = "sip-call-id"
"""What a tag is of."""
BY_SCHEDULE: Final = "schedule"
"""`why` of a `salt.erased` that lets a number go because its time is over: its keyed hash stays."""
_CALLS: Final = frozenset({Kind.CALL_OFFERED.value, Kind.RECORDING_IMPORTED.value})
_KINDS: Final = (b'"kind":"call.offered"', b'"kind":"recording.imported"', b'"kind":"salt.erased"')


def follow(index: NumberIndex, log: LogReader, opener: ContactOpener, *, country: str) -> None:
    """Bring the index up to the log. `Unavailable` where the log is an older copy than the one it followed before."""
    size, start = log.size(), index.followed()
    if start > size:
        what = f"the ledger holds {size} entries, and {start} were followed before: this is an older copy of it"
        raise Unavailable(what, next_step="ask the ledger itself, or a newer copy")
    follower = _Follower(index, opener, country)
    while start < size:
        end = min(start + AT_ONCE, size)
        follower.take(log, start, end)
        start = end


class _Follower:
    def __init__(self, index: NumberIndex, opener: ContactOpener, country: str) -> None:
        self._index = index
        self._opener = opener
        self._country = country

    def take(self, log: LogReader, start: int, end: int) -> None:
        sealed = log.beside(NAME, start, end)
        entries = [read(body) for body in log.bodies(start, end) if any(kind in body for kind in _KINDS)]
        calls = [self._call(entry, sealed) for entry in entries if entry.kind in _CALLS]
        erased = {seq: wholly for entry in entries for seq, wholly in _erased(entry).items()}
        self._index.take(calls, erased=erased, followed=end)

    def _call(self, entry: LogEntry, sealed: Mapping[int, str]) -> IndexedCall:
        line = str(entry.body.get("line", ""))
        tags, blind = self._tags(entry, sealed.get(entry.seq))
        utc = str(entry.body.get("started_utc") or entry.utc)  # an import tells of a call of long ago
        return IndexedCall(seq=entry.seq, call_uid=entry.call_uid, utc=utc, line=line, tags=tags, blind=blind)

    def _tags(self, entry: LogEntry, sealed: str | None) -> tuple[list[bytes], Blind | None]:
        if sealed is None:
            return [], Blind.NOT_KEPT
        try:
            contact = self._opener.opened(entry.call_uid, sealed)
        except (Broken, Refused):
            return [], Blind.UNREADABLE
        tags = [self._index.tag(NUMBER, number) for number in numbers_of(contact, country=self._country)]
        blind = None if tags else Blind.NO_NUMBER
        return [*tags, self._index.tag(CALL_ID, contact.sip_call_id)], blind


def numbers_of(contact: Contact, *, country: str) -> tuple[str, ...]:
    """Every telephone number of this contact in E.164, each once."""
    written = (user for each in contact.numbers for user in users_of(each) or (each,))
    found = (normalise(each, country=country) for each in written)
    return tuple(dict.fromkeys(each for each in found if each is not None))


def _erased(entry: LogEntry) -> dict[int, bool]:
    """Places whose salts were erased by this entry, and whether the keyed hashes go as well."""
    if entry.kind != Kind.SALT_ERASED.value:
        return {}
    named, wholly = entry.body.get("seqs"), entry.body.get("why") != BY_SCHEDULE
    return {seq: wholly for seq in named if type(seq) is int} if isinstance(named, list) else {}
