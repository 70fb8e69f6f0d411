"""The right to open one recording: made from a durable `access.granted` and from nothing else (R23, R48).

The chain is the same as for recording: only an entry that a signed checkpoint covers makes an AccessGrant, and only an
AccessGrant makes the keeper open. So nothing is heard of which the ledger does not say who heard it, and what for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from callrec.core.kinds import Kind
from callrec.errors import Refused
from callrec.ports import Json


class EntryLookup(Protocol):
    """The ledger, for those who must believe what they find."""

    async def entry(self, leaf: str, *, call_uid: str) -> Mapping[str, Json] | None:
        """This call's entry with this hex leaf, once its inclusion under a signed checkpoint was verified, or None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessGrant:
    """One person may open one recording for one purpose: the entry at `leaf` says so. Made by `grant_from` alone."""

    recording_id: str
    purpose: str
    action: str
    person: str
    leaf: str


async def grant_from(lookup: EntryLookup, leaf: str, *, recording_id: str) -> AccessGrant:
    """The grant that this entry gives. `Refused` where the ledger holds no `access.granted` of this recording there;
    `Unavailable` where it cannot be asked, `Broken` where it contradicts itself.
    """
    call_uid, _, segment = recording_id.rpartition("-")
    found = await lookup.entry(leaf, call_uid=call_uid)
    body = found["body"] if found is not None else {}
    place = (Kind.ACCESS_GRANTED.value, segment, recording_id)
    if found is None or (found["kind"], str(found["segment"]), body.get("recording_id")) != place:
        step = "ask again with `callrec recordings play` or `export`, which tell the ledger first"
        raise Refused(f"the ledger grants nobody access to {recording_id} by that entry", next_step=step)
    return AccessGrant(
        recording_id=recording_id,
        purpose=str(body["purpose"]),
        action=str(body["action"]),
        person=str(body["person"]),
        leaf=leaf,
    )
