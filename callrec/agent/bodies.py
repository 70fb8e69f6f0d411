"""Bodies of one call's entries: commitments instead of names and numbers."""

from __future__ import annotations

from typing import Any

from callrec.agent.next_hop import NextHop
from callrec.config import Line
from callrec.core import commands as c
from callrec.core.call import STAFF
from callrec.core.kinds import Kind
from callrec.core.tags import REMOVED, SUSPENDED
from callrec.core.values import BEFORE_RECORDING, CallDirection, Leg
from callrec.ledger.entry import commitments
from callrec.ports import Invite
from callrec.store.contacts import NAME, ContactSealer


def choice(order: c.RecordChoice | c.RecordStop) -> tuple[dict[str, Any], str]:
    """`choice.made`: the body, and in what role somebody chose."""
    match order:
        case c.RecordChoice(digit=digit, choice=chosen, leg=leg, method=method):
            body = {"digit": digit, "choice": chosen, "leg": leg.value, "method": method.value if method else ""}
            return body, STAFF if leg is Leg.STAFF else "agent"
        case c.RecordStop(order=ordered, actor=actor):
            chosen = f"{ordered.value}{BEFORE_RECORDING}"
            return {"digit": "", "choice": chosen, "leg": Leg.STAFF.value, "method": "order"}, actor


def tags(order: c.ChangeTags | c.RecordWithdrawal, call_uid: str) -> tuple[Kind, dict[str, Any], str]:
    """Which purposes of which recording are gone or suspended, or that its caller stopped it: kind, body and actor."""
    named: dict[str, Any] = {"recording_id": f"{call_uid}-{order.segment}"}
    if isinstance(order, c.RecordWithdrawal):
        return Kind.WITHDRAWN, {**named, "by": "caller", "why": "stop", "list_sha256": ""}, "caller"
    change = {
        "change": SUSPENDED if order.suspended else REMOVED,
        "purposes": sorted(purpose.value for purpose in order.purposes),
        "source": order.source.value,
        "why": order.why,
    }
    return Kind.TAG_CHANGED, {**named, **change}, order.actor


def denied(order: c.RecordDenial, call_uid: str, *, person: str) -> dict[str, Any]:
    """`access.denied`: somebody in the call wanted a purpose added, and why it was not (R22)."""
    named = {"recording_id": f"{call_uid}-{order.segment}", "person": person, "action": "propose"}
    return {**named, "purpose": order.purpose, "why": order.why}


def answered(invite: Invite, *, offered_leaf: str, hop: NextHop) -> tuple[dict[str, Any], dict[str, str]]:
    """`call.answered`: to which next hop the outside party's leg goes, and what that is."""
    committed, salts = commitments({"from_tag": invite.from_tag})
    body = {
        "offered_leaf": offered_leaf,
        "next_hop": hop.address,
        "leg_ends_at": hop.ends_at,
        "commitments": committed,
    }
    return body, salts


def offered(
    invite: Invite, *, number: int, line: str, direction: CallDirection, config_sha256: str
) -> tuple[dict[str, Any], dict[str, str]]:
    """`call.offered`: which call this is, to whoever holds its Call-ID or number."""
    committed, salts = commitments(
        {
            "sip_call_id": invite.sip_call_id,
            "from_tag": invite.from_tag,
            "from": invite.from_uri,
            "to": invite.to_uri,
            "asserted_identity": ", ".join(invite.asserted_identity),
            "source": invite.source,
        }
    )
    body = {
        "number": number,
        "line": line,
        "direction": direction.value,
        "transport": invite.transport,
        "config_sha256": config_sha256,
        "commitments": committed,
    }
    return body, salts


def numbers_of(invite: Invite, line: Line) -> tuple[str, ...]:
    """Where the outside party's number may stand, as it is written there."""
    if line.direction is CallDirection.OUTBOUND:
        return (line.outside_number(invite.dialled) or invite.dialled,)
    return (invite.from_uri, *invite.asserted_identity)


def contact(sealer: ContactSealer, invite: Invite, line: Line | None) -> tuple[dict[str, str], str]:
    """Who the outside party is, sealed for the keeper, where the line keeps that; and why it could not be. Kept beside
    `call.offered`, and destroyed with its salts. No call fails for it, nor its row in the ledger.
    """
    if line is None or not line.keep_number:
        return {}, ""
    numbers = numbers_of(invite, line)
    try:
        return {NAME: sealer.seal(invite.call_uid, numbers=numbers, sip_call_id=invite.sip_call_id)}, ""
    except Exception as error:  # noqa: BLE001 - the call goes through, whatever it was
        return {}, f"{type(error).__name__}: {error}"
