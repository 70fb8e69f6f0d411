"""Carry a list out, and certify it.

    begun -> each: key, ciphertext, leftovers -> read back as unreadable -> one certificate
    -> `disposal.done` for each -> tombstones, facts destroyed

Every step looks first at what is done already, so that a run that was cut off anywhere is simply run again: the same
list, one certificate, each recording claimed once and only after it was read back as unreadable. Before the first key
is destroyed, anything that forbids one recording forbids the whole list; afterwards a recording that is still whole and
has been forbidden since is left out, and the certificate says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from callrec._canonical import canonical, sha256_hex
from callrec._durable import LockFile
from callrec.core.kinds import Kind
from callrec.disposal.clock import believed
from callrec.disposal.handed_over import forbidden_after_handover
from callrec.disposal.lists import ANEW, Bench, agreed_list, forbidden, proposed_list
from callrec.disposal.papers import (
    METHOD,
    Certificate,
    Draft,
    Item,
    Left,
    parse_certificate,
    parse_list,
    tombstone,
)
from callrec.disposal.register import DisposalList, Standing
from callrec.errors import Broken, Refused, Unavailable
from callrec.ledger.entry import utc_text
from callrec.ports import Entry

_STEP: Final = "keep everything as it is, run `callrec audit verify`, call a person"
_NAMED: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a list: what was destroyed and certified, or where it was only tried out, what would be."""

    list_sha256: str
    items: tuple[Item, ...]
    left_out: tuple[Left, ...]
    certificate_sha256: str = ""


async def carry_out(bench: Bench, data: bytes, *, really: bool) -> Outcome:
    """Carry this list out, or with `really` False only say what would become of it.

    `Refused` where two persons did not agree to it, where the clock is not believed, or where anything forbids a
    recording before the first was destroyed. `Broken` where one is gone without a certificate or is still readable.
    `Unavailable` where store, ledger or disk failed: run it again.
    """
    now = believed(bench.clock, bench.register.newest)
    if not really:
        return await _Run(bench, parse_list(data), proposed_list(bench, data), now).tried_out()
    lock = LockFile(bench.places.lock(), holder="a disposal that is being carried out")
    try:
        bench.newer(bench.register)  # another run may have ended since the ledger was read
        return await _Run(bench, parse_list(data), agreed_list(bench, data), now).all_of_it()
    finally:
        lock.close()


class _Run:
    """One run of one list."""

    def __init__(self, bench: Bench, draft: Draft, agreed: DisposalList, now: datetime) -> None:
        self._bench = bench
        self._draft = draft
        self._agreed = agreed
        self._now = now

    async def tried_out(self) -> Outcome:
        """What would be done; nothing is touched."""
        certificate = self._certificate()
        if certificate is not None:
            return self._outcome(certificate)
        left = await self._obstacles()
        out = {each.recording_id for each in left}
        items = tuple(item for item in self._draft.items if item.recording_id not in out)
        return Outcome(list_sha256=self._agreed.list_sha256, items=items, left_out=left)

    async def all_of_it(self) -> Outcome:
        """Everything that is not done yet."""
        certificate = self._certificate() or await self._destroyed()
        for item in certificate.items:
            await self._claim(item, certificate)
        return self._outcome(certificate)

    def _outcome(self, certificate: Certificate) -> Outcome:
        return Outcome(
            list_sha256=self._agreed.list_sha256,
            items=certificate.items,
            left_out=certificate.left_out,
            certificate_sha256=sha256_hex(certificate.to_bytes()),
        )

    def _certificate(self) -> Certificate | None:
        data = self._bench.places.read_certificate(self._agreed.list_sha256)
        if data is None:
            return None
        found = parse_certificate(data)
        if found.approved_leaf != self._agreed.approved_leaf:
            raise Broken("the certificate of this list names another approval", next_step=_STEP)
        return found

    # ------------------------------------------------------------ destroy

    async def _destroyed(self) -> Certificate:
        if not self._bench.places.has_begun(self._agreed.list_sha256):
            await self._refuse_obstacles()
            self._bench.places.begin(self._agreed.list_sha256, canonical({"begun_utc": utc_text(self._now)}))
        items: list[Item] = []
        left: list[Left] = []
        for item in self._draft.items:
            if why := await self._destroy(item):
                left.append(Left(recording_id=item.recording_id, why=why))
            else:
                items.append(item)
        if not items:
            raise Refused(f"nothing of this list may be destroyed any more: {left[0].why}", next_step=ANEW)
        for item in items:
            await self._read_back(item)
        certificate = self._certify(items, left)
        self._bench.places.write_certificate(self._agreed.list_sha256, certificate.to_bytes())
        return certificate

    async def _refuse_obstacles(self) -> None:
        left = await self._obstacles()
        if left:
            said = "; ".join(f"{each.recording_id}: {each.why}" for each in left[:_NAMED])
            more = f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
            raise Refused(f"the list cannot be carried out: {said}{more}", next_step=ANEW)

    async def _obstacles(self) -> tuple[Left, ...]:
        begun = self._bench.places.has_begun(self._agreed.list_sha256)
        found = []
        for item in self._draft.items:
            whole = await self._is_whole(item)
            if not whole and not begun:
                raise Broken(f"{item.recording_id} is gone from the store without a certificate", next_step=_STEP)
            if why := await self._forbidden(item) if whole else "":
                found.append(Left(recording_id=item.recording_id, why=why))
        return tuple(found)

    async def _destroy(self, item: Item) -> str:
        """Destroy it, also where an earlier run began to; or why it is left as it is."""
        self._bench.newer(self._bench.register)  # a hold may have been placed a moment ago
        if await self._is_whole(item) and (why := await self._forbidden(item)):
            return why
        await self._bench.store.destroy(item.recording_id)
        self._bench.leftovers(item.recording_id)
        return ""

    async def _forbidden(self, item: Item) -> str:
        standing = self._standing(item)
        if standing.disposed:
            return "another list disposed of it"
        if self._agreed.handover_sha256:
            return forbidden_after_handover(self._bench, standing, self._agreed.handover_sha256)
        known = await self._bench.dates.known(standing)
        return forbidden(self._bench.register, known, self._now.date(), reviewed=item.reviewed)

    def _standing(self, item: Item) -> Standing:
        found = self._bench.register.standings.get(item.recording_id)
        sealed = found and (found.cipher_sha256, found.manifest_sha256)
        if found is None or not found.kept or sealed != (item.cipher_sha256, item.manifest_sha256):
            raise Broken(f"{item.recording_id} was never sealed and kept with these hashes", next_step=_STEP)
        return found

    async def _is_whole(self, item: Item) -> bool:
        """True while its key is there. `Unavailable` where the store is not."""
        await self._bench.store.manifest(item.recording_id)
        try:
            await self._bench.store.wrapped_key(item.recording_id)
        except Unavailable:
            await self._bench.store.manifest(item.recording_id)  # the store itself did not go away meanwhile
            return False
        return True

    async def _read_back(self, item: Item) -> None:
        """`Broken` unless neither key nor audio can be read, from a store that is there."""
        name, store = item.recording_id, self._bench.store
        if await self._is_whole(item) or await store.stat(name) is not None or await self._has_audio(name):
            raise Broken(f"{name} can still be read after it was destroyed: it is not certified", next_step=_STEP)

    async def _has_audio(self, name: str) -> bool:
        try:
            return any([piece async for piece in self._bench.store.read(name)])
        except Unavailable:
            return False

    def _certify(self, items: list[Item], left: list[Left]) -> Certificate:
        now = self._bench.clock.utc()
        gone_by = now.date() + timedelta(days=self._bench.backup_max_days)
        return Certificate(
            log_id=self._bench.log_id,
            list_sha256=self._agreed.list_sha256,
            proposed_leaf=self._agreed.proposed_leaf,
            proposer=self._agreed.proposer.person,
            approved_leaf=self._agreed.approved_leaf,
            approver=self._agreed.approver.person,
            executed_utc=utc_text(now),
            clock=self._bench.clock.state(),
            method=METHOD,
            backups_gone_by=gone_by.isoformat(),
            items=tuple(items),
            left_out=tuple(left),
        )

    # ------------------------------------------------------------ claim

    async def _claim(self, item: Item, certificate: Certificate) -> None:
        """Say in the ledger that it was destroyed, once, and put the stone where it was."""
        await self._read_back(item)
        standing, sha256 = self._standing(item), sha256_hex(certificate.to_bytes())
        if standing.disposed and standing.certificate_sha256 != sha256:
            raise Broken(f"the ledger names another certificate of {item.recording_id}", next_step=_STEP)
        leaf = standing.done_leaf or self._bench.append(self._done(item, standing, sha256))
        stone = tombstone(item, certificate_sha256=sha256, done_leaf=leaf)
        await self._bench.store.bury(item.recording_id, stone)
        for facts in self._bench.dates.every_facts(item.recording_id):
            self._bench.places.drop("facts", facts)

    def _done(self, item: Item, standing: Standing, certificate_sha256: str) -> Entry:
        body: dict[str, object] = {
            "recording_id": item.recording_id,
            "list_sha256": self._agreed.list_sha256,
            "approved_leaf": self._agreed.approved_leaf,
            "certificate_sha256": certificate_sha256,
        }
        if self._bench.register.holds_on(standing):
            body["held_too_late"] = True  # it was destroyed, or half so, before the hold was placed
        return Entry(
            kind=Kind.DISPOSAL_DONE, body=body, call_uid=standing.call_uid, segment=standing.segment, actor="disposal"
        )
