"""Hands sealed recordings to the store: verify, intent, put, what the store says, kept, and only then remove.

Every step is asked for in the ledger before it is taken again, so that start-up and the running agent use the same
code. Nothing is removed that is not proven kept; what contradicts itself goes to `corrupt/` with an incident.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol
from weakref import WeakValueDictionary

from callrec.core.kinds import Kind
from callrec.errors import Broken, Refused, Unavailable
from callrec.ports import Entry, Json, Kept, Ledger, Notify, RecordingStore, Sealed
from callrec.recording.manifest import cipher_sha256, read_sealed, sealed_body
from callrec.recording.spool import Spool

BACKOFF_FIRST_S: Final = 0.1
BACKOFF_MOST_S: Final = 60.0
AT_ONCE: Final = 2
"""Recordings handed over at the same time: not all of the workers, which calls need too, may wait for the store."""
_APPEND_S: Final = 10.0
Sleep = Callable[[float], Awaitable[None]]
OnKept = Callable[[Sealed, Kept, str], None]
"""Told of each recording that is kept, with the leaf of its `recording.kept`; for the index. Blocking, on a worker."""


class EntryFinder(Protocol):
    """Finds what the ledger holds of one segment."""

    async def find(self, kind: Kind, call_uid: str, segment: int) -> str | None:
        """Hex leaf of the newest durable entry of this kind for this segment, or None. `Unavailable` if unknown."""


class Backoff:
    """Exponential with full jitter, for the store as a whole."""

    def __init__(self, *, first_s: float = BACKOFF_FIRST_S, most_s: float = BACKOFF_MOST_S) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self.failures = 0

    def failed(self) -> float:
        """Count one failure; how long to wait now, in seconds."""
        ceiling = min(self._most_s, self._first_s * 2.0 ** min(self.failures + 1, 30))
        self.failures += 1
        return random.uniform(self._first_s, ceiling)  # noqa: S311 - spreads load, keeps no secret

    def worked(self) -> None:
        """Start anew."""
        self.failures = 0


class Mover:
    """One per agent. `run` until cancelled; `wake` whenever something became ready. For one event loop."""

    def __init__(
        self,
        spool: Spool,
        store: RecordingStore,
        ledger: Ledger,
        finder: EntryFinder,
        *,
        notify: Notify,
        on_kept: OnKept | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._spool = spool
        self._store = store
        self._ledger = ledger
        self._finder = finder
        self._notify = notify
        self._on_kept = on_kept
        self._sleep = sleep
        self._wake = asyncio.Event()
        self._refused: set[str] = set()
        self._failed: Counter[str] = Counter()
        self.why = ""
        """What failed last, and what to do about it; empty while nothing fails."""
        self._announcing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._ours: dict[str, _Ours] = {}
        self.backoff = Backoff()

    def wake(self) -> None:
        """Something is ready. Does not shorten the wait for a store that is down."""
        self._wake.set()

    def store_is_failing(self) -> bool:
        """Whether the last attempt failed for the store's or the ledger's sake."""
        return self.backoff.failures > 0

    def oldest_unhanded_s(self) -> float:
        """How long the oldest sealed recording has waited for the store. Blocking, briefly."""
        return self._spool.oldest_ready_s()

    def unhanded(self) -> int:
        """How many sealed recordings wait for the store, those that it refused among them. Blocking, briefly."""
        return len(self._spool.ready_ids())

    async def run(self) -> None:
        """Hand over whatever is ready, now and after each `wake`, for ever. A failing store is tried again."""
        while True:
            self._wake.clear()
            try:
                await self.sweep()
            except Unavailable as error:
                self.why = f"{error}; {error.next_step}" if error.next_step else str(error)
                await self._sleep(self.backoff.failed())
                continue
            self.backoff.worked()
            self.why = ""
            await self._wake.wait()

    async def sweep(self) -> None:
        """Try what is ready, once: the oldest first, what failed before after all others. `Unavailable` where store,
        ledger or disk failed one of them; where they fail all that are tried at once, the rest is left as it is.
        """
        ready = await asyncio.to_thread(self._spool.ready_ids)
        self._failed = Counter({name: count for name, count in self._failed.items() if name in ready})
        ids = sorted((name for name in ready if name not in self._refused), key=lambda name: self._failed[name])
        failure: Unavailable | None = None
        for start in range(0, len(ids), AT_ONCE):
            together = ids[start : start + AT_ONCE]
            failures = await self._try(together)
            failure = failure or next(iter(failures), None)
            if len(failures) == len(together):
                break
        if failure is not None:
            raise failure

    async def _try(self, ids: Sequence[str]) -> list[Unavailable]:
        """Hand these over at once; what failed of it."""
        outcomes = await asyncio.gather(*(self.hand_over(name) for name in ids), return_exceptions=True)
        failures = []
        for name, outcome in zip(ids, outcomes, strict=True):
            if isinstance(outcome, Unavailable):
                self._failed[name] += 1
                failures.append(outcome)
            elif isinstance(outcome, BaseException):
                raise outcome
        return failures

    async def hand_over(self, recording_id: str) -> Kept | None:
        """Take one sealed recording all the way; repeat it as often as you like.

        None where it was set aside: corrupt, or refused by the store; both are in the ledger as an incident.
        `Unavailable` where it must be tried again.
        """
        try:
            sealed = await asyncio.to_thread(self._verified, recording_id)
            leaf = await self.announce(sealed)
            await self._once(Kind.STORE_INTENT, sealed, {"sealed_leaf": leaf, "cipher_sha256": sealed.cipher_sha256})
            kept = await self._put(sealed)
        except _CorruptError as corrupt:
            await self._set_aside(recording_id, str(corrupt))
            return None
        except Refused as refusal:
            await self._leave(recording_id, str(refusal))
            return None
        await self._finish(sealed, leaf, kept)
        return kept

    def _verified(self, recording_id: str) -> Sealed:
        try:
            sealed = read_sealed(self._spool.ready(recording_id))
            if cipher_sha256(sealed.folder) != sealed.cipher_sha256:
                raise _CorruptError("the audio is not what was sealed")
        except Broken as error:
            raise _CorruptError(str(error)) from error
        return sealed

    def expect(self, recording_id: str) -> None:
        """This process is about to seal it, so that the ledger need not be asked what it holds of it already. Not once
        it lies in `ready`, where a sweep may have begun with it.
        """
        self._ours[recording_id] = _Ours()

    def forget(self, recording_id: str) -> None:
        """It was not sealed after all, or is no longer to be handed over."""
        self._ours.pop(recording_id, None)

    async def announce(self, sealed: Sealed, *, timeout_s: float = _APPEND_S) -> str:
        """Write `recording.sealed` once, whoever asks; its leaf. A call does, before it is closed, and so does a sweep
        that another call's end has woken and that finds this recording too. `Unavailable` where it must be asked again.
        """
        async with self._announcing.setdefault(sealed.recording_id, asyncio.Lock()):
            ours = self._ours.get(sealed.recording_id)
            known = ours.sealed_leaf if ours else await asyncio.to_thread(self._spool.sealed_leaf, sealed.recording_id)
            if known:
                return known
            leaf = await self._once(Kind.RECORDING_SEALED, sealed, sealed_body(sealed), timeout_s=timeout_s)
            await asyncio.to_thread(self._spool.note_sealed, sealed.recording_id, leaf)
            if ours:
                ours.sealed_leaf = leaf
            return leaf

    async def _once(self, kind: Kind, sealed: Sealed, body: dict[str, Json], *, timeout_s: float = _APPEND_S) -> str:
        """Append, unless the ledger holds it; its leaf. What was never tried cannot be there."""
        call_uid, segment = sealed.manifest["header"]["call_uid"], sealed.manifest["header"]["segment"]
        ours = self._ours.get(sealed.recording_id)
        if ours is None or kind in ours.tried:
            found = await self._finder.find(kind, call_uid, segment)
            if found is not None:
                return found
        else:
            ours.tried.add(kind)
        entry = Entry(kind=kind, call_uid=call_uid, segment=segment, body=body)
        return (await self._ledger.append(entry, timeout_s=timeout_s)).leaf

    async def _put(self, sealed: Sealed) -> Kept:
        try:
            kept = await self._store.put(sealed)
        except Broken as error:
            raise _CorruptError(str(error)) from error
        if kept.cipher_sha256 != sealed.cipher_sha256:
            raise _CorruptError("the store holds something else than it was given")
        return kept

    async def _finish(self, sealed: Sealed, sealed_leaf: str, kept: Kept) -> None:
        body = {
            "sealed_leaf": sealed_leaf,
            "store_id": kept.store_id,
            "object_version": kept.object_version,
            "lock": kept.lock,
            "readback_sha256": kept.cipher_sha256,
        }
        leaf = await self._once(Kind.RECORDING_KEPT, sealed, body)
        self.backoff.worked()
        await asyncio.to_thread(self._let_go, sealed, kept, leaf)
        self.forget(sealed.recording_id)

    def _let_go(self, sealed: Sealed, kept: Kept, leaf: str) -> None:
        if self._on_kept is not None:
            self._on_kept(sealed, kept, leaf)
        self._spool.hand_off(sealed.recording_id)

    async def _set_aside(self, recording_id: str, why: str) -> None:
        await self._incident(recording_id, "recording.corrupt", why)
        await asyncio.to_thread(self._spool.set_aside, recording_id, "corrupt")
        self.forget(recording_id)

    async def _leave(self, recording_id: str, why: str) -> None:
        """The store's rules say no: it stays in `ready` for a person, and is asked again after a restart."""
        await self._incident(recording_id, "store.refused", why)
        self._refused.add(recording_id)
        self.forget(recording_id)

    async def _incident(self, recording_id: str, what: str, why: str) -> None:
        call_uid, _, segment = recording_id.rpartition("-")
        number = int(segment) if segment.isdecimal() else 0
        entry = Entry(kind=Kind.INCIDENT, call_uid=call_uid, segment=number, body={"what": what, "reason": why})
        await self._ledger.append(entry, timeout_s=_APPEND_S)
        self._notify(f"recording {recording_id}: {what}: {why}")


@dataclass(slots=True)
class _Ours:
    """A recording that this process sealed: which entries it has tried to write, so that the others are surely new."""

    sealed_leaf: str = ""
    tried: set[Kind] = field(default_factory=set)


class _CorruptError(Exception):
    """What lies here contradicts itself, or what the store holds."""
