"""Lists of what is to be destroyed: drawn by one person, with exceptions taken out, and agreed to by another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from callrec._canonical import sha256_hex
from callrec.core.holds import Person
from callrec.core.kinds import Kind
from callrec.disposal.clock import believed
from callrec.disposal.dates import Dates, Known
from callrec.disposal.papers import MOST_ITEMS, Draft, Item, Left, parse_list
from callrec.disposal.places import Places
from callrec.disposal.register import DisposalList, Register, Standing
from callrec.errors import Broken, Refused
from callrec.ledger.entry import utc_text
from callrec.ports import Clock, Entry, Store

_STEP: Final = "keep everything as it is, run `callrec audit verify`, call a person"
WITHDRAWN: Final = "WITHDRAWN"
"""What a certificate gives as the rule of what was destroyed because nothing was left that it could be kept for."""
ANEW: Final = "draw a new list with `callrec recordings dispose --propose FILE`; nothing was destroyed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What disposal works with. `register` was filled from a log that was verified. `append` returns the leaf once
    durable. `newer` shows the register what was appended since. `leftovers` removes what else there is of a recording
    on this machine. Days in `backup_max_days`.
    """

    log_id: str
    register: Register
    dates: Dates
    store: Store
    places: Places
    clock: Clock
    append: Callable[[Entry], str]
    newer: Callable[[Register], None]
    leftovers: Callable[[str], None]
    backup_max_days: int


async def draw(
    bench: Bench, candidates: Sequence[str], *, exceptions: Mapping[str, str], reviewed: Mapping[str, str]
) -> Draft:
    """The list of what is due today among these: held, unclassified and excepted ones are taken out, with why.

    `Refused` where the clock is not believed or nothing is left; `Broken` where a recording is not what was sealed.
    """
    today = believed(bench.clock, bench.register.newest).date()
    items: list[Item] = []
    out: list[Left] = []
    for known in await _due(bench, candidates, today):
        name = known.standing.recording_id
        why = exceptions.get(name) or forbidden(bench.register, known, today, reviewed=reviewed.get(name, ""))
        if why:
            out.append(Left(recording_id=name, why=why))
        elif len(items) < MOST_ITEMS:
            items.append(_item(known, reviewed.get(name, ""), today))
    if not items:
        said = "; ".join(f"{left.recording_id}: {left.why}" for left in out[:5]) or "nothing is due"
        raise Refused(f"there is nothing to propose: {said}", next_step="see `callrec recordings due`")
    return Draft(
        log_id=bench.log_id,
        drawn_utc=utc_text(bench.clock.utc()),
        until=today.isoformat(),
        items=tuple(items),
        taken_out=tuple(out),
    )


async def _due(bench: Bench, candidates: Sequence[str], today: date) -> list[Known]:
    busy = bench.register.being_disposed()
    found = []
    for name in candidates:
        standing = bench.register.standings.get(name)
        if standing is None or not standing.kept or standing.disposed or name in busy:
            continue
        known = await bench.dates.known(standing)
        found += [] if known.not_yet(today) else [known]
    return found


def _item(known: Known, reviewed: str, today: date) -> Item:
    standing, due = known.standing, known.schedule.file
    if not standing.tags.live:
        return _withdrawn(standing, today)
    return Item(
        recording_id=standing.recording_id,
        cipher_sha256=standing.cipher_sha256,
        manifest_sha256=standing.manifest_sha256,
        rule=due.rule_id,
        version=due.rule_version,
        trigger=due.trigger.isoformat(),
        due="" if due.on is None else due.on.isoformat(),
        reviewed=reviewed if known.needs_review() else "",
    )


def drawn_for_withdrawal(bench: Bench, standing: Standing) -> Draft:
    """The list of one recording that its caller withdrew and that is kept for nothing else. `Refused` where it is not
    kept, where it is disposed of, or where the clock is not believed.
    """
    today = believed(bench.clock, bench.register.newest).date()
    if not standing.kept or standing.disposed:
        raise Refused(f"{standing.recording_id} is not in the store", next_step="see `callrec recordings show`")
    item = _withdrawn(standing, today)
    return Draft(log_id=bench.log_id, drawn_utc=utc_text(bench.clock.utc()), until=today.isoformat(), items=(item,))


def _withdrawn(standing: Standing, today: date) -> Item:
    """Why it goes is not a rule of the schedule: nothing is left that it could be kept for."""
    return Item(
        recording_id=standing.recording_id,
        cipher_sha256=standing.cipher_sha256,
        manifest_sha256=standing.manifest_sha256,
        rule=WITHDRAWN,
        version=1,
        trigger=today.isoformat(),
        due=today.isoformat(),
    )


def forbidden(register: Register, known: Known, today: date, *, reviewed: str) -> str:
    """Why this recording must not be destroyed today, as a sentence; empty where it may."""
    name = known.standing.recording_id
    if holds := register.holds_on(known.standing):
        return f"the hold {holds[0].hold_id} ({holds[0].kind}) forbids it"
    if why := known.not_yet(today):
        return why
    if tasks := known.open_tasks():
        return f"its rule {known.schedule.file.rule_id} lets nobody destroy it before somebody did: {tasks[0]}"
    if known.needs_review() and not reviewed:
        return f"its rule {known.schedule.file.rule_id} asks for a review: --reviewed {name}=WHY"
    return ""


# ---------------------------------------------------------------- two persons


def proposed(draft: Draft, person: Person, *, handover_sha256: str = "") -> Entry:
    """The entry by which one person proposes this list; of what was handed over, by these sums."""
    body = {
        **({"handover_sha256": handover_sha256} if handover_sha256 else {}),
        "list_sha256": sha256_hex(draft.to_bytes()),
        "recordings": [item.recording_id for item in draft.items],
        "person": person.person,
        "login": person.login,
    }
    return Entry(kind=Kind.DISPOSAL_PROPOSED, body=body, actor=person.login)


def approved(bench: Bench, data: bytes, person: Person) -> Entry:
    """The entry by which another person approves exactly these bytes. `Refused` where it is the one who proposed them,
    where they were never proposed here, or where they are approved already.
    """
    known = proposed_list(bench, data)
    if known.approved_leaf:
        raise Refused(f"{known.approver.person} approved this list already", next_step="carry it out")
    if not person.other_than(known.proposer):
        step = "let somebody else run this under their own login; changing the account or the name does not help"
        raise Refused(f"{known.proposer.person} proposed this list, and nobody approves their own", next_step=step)
    body = {
        "list_sha256": known.list_sha256,
        "proposed_leaf": known.proposed_leaf,
        "person": person.person,
        "login": person.login,
    }
    return Entry(kind=Kind.DISPOSAL_APPROVED, body=body, actor=person.login)


def proposed_list(bench: Bench, data: bytes) -> DisposalList:
    """The list as the ledger knows it. `Refused` where it does not know these bytes."""
    draft = parse_list(data)
    found = bench.register.lists.get(sha256_hex(data))
    if found is None or draft.log_id != bench.log_id:
        what = "the ledger knows no such list: it was never proposed here, or the file was changed since"
        raise Refused(what, next_step=ANEW)
    if tuple(item.recording_id for item in draft.items) != found.recordings:
        raise Broken("the list names other recordings than its entry in the ledger", next_step=_STEP)
    return found


def agreed_list(bench: Bench, data: bytes) -> DisposalList:
    """The list as the ledger knows it. `Refused` unless two persons agreed to exactly these bytes."""
    found = proposed_list(bench, data)
    if not found.approved_leaf:
        step = "let another person run `callrec recordings dispose --approve FILE` under their own login"
        raise Refused("nobody approved this list yet", next_step=step)
    return found
