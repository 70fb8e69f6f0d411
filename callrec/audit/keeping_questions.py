"""Questions about keeping: what is due, what was destroyed and can it still be opened, what is held."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

from callrec._canonical import parse
from callrec.audit.asking import Asked, Gathered, count, recording_of, today
from callrec.audit.report import Filters, Report
from callrec.audit.verify import Places, verify
from callrec.core.fields import text
from callrec.core.kinds import Kind
from callrec.disposal.papers import Certificate, parse_certificate
from callrec.disposal.places import Places as Papers
from callrec.disposal.register import Register
from callrec.errors import CallrecError
from callrec.ledger.entry import LogEntry
from callrec.ports import AUDIO_FILE
from callrec.store.filesystem import default_keys
from callrec.store.imported import IMPORTED_KEYS

LOOK_AHEAD: Final = 90
"""Days ahead in which what falls due is listed."""


# ---------------------------------------------------------------- 16


def retention_due(places: Places, filters: Filters) -> Report:
    """What is past due, what falls due in 90 days, and by which rule? Errors as `verify`."""
    seen, register = Gathered(filters, Kind.RECORDING_KEPT, Kind.RECORDING_IMPORTED), Register()
    verification = verify(places, also=(seen.see, register.see))
    mine = {recording_of(entry) for entry in seen.entries}
    kept = [standing for standing in register.kept() if standing.recording_id in mine]
    stored = places.stored()
    found = {} if stored is None else stored.manifests(each.recording_id for each in kept if not each.imported)
    if (shelf := places.shelf()) is not None:
        found |= shelf.manifests(each.recording_id for each in kept if each.imported)
    rows, wrong = [], []
    for standing in kept:
        name, retention = standing.recording_id, (found.get(standing.recording_id) or {}).get("retention") or {}
        due = _moved(places, register, name) or text(retention.get("due"))
        rule, held = text(retention.get("rule")), bool(register.holds_on(standing))
        if due and due > (today() + timedelta(days=LOOK_AHEAD)).isoformat() and rule:
            continue
        what = _state(due, rule=rule, held=held)
        rows.append((name, due or "-", rule or "-", text(retention.get("trigger")) or "-", what))
        wrong += [f"{name} {what}"] if what in _WRONG else []
    asked = Asked(
        name="retention-due",
        question="what is past due, what falls due in 90 days, and what rule made it so?",
        filters=filters,
        verification=verification,
        answered=seen.spoken and stored is not None,
        columns=("recording", "due", "rule", "from", "what"),
    )
    past = sum(row[4] == _PAST for row in rows)
    return asked.report(f"{count(len(kept), 'recording')} kept, {past} past due and free", rows=rows, exceptions=wrong)


_PAST: Final = "is past due"
_NO_RULE: Final = "has no rule"
_WRONG: Final = (_PAST, _NO_RULE)


def _state(due: str, *, rule: str, held: bool) -> str:
    if not rule:
        return _NO_RULE
    if not due:
        return "has no end set"
    if due > today().isoformat():
        return "falls due"
    return "is past due, and held" if held else _PAST


def _moved(places: Places, register: Register, name: str) -> str:
    """The day that facts which arrived later moved it to; empty where none did, or where they were not given."""
    if places.disposal is None or not register.batches:
        return ""
    papers = Papers(places.disposal)
    try:
        return _moved_by(papers, register.batches, name)
    except CallrecError:
        return ""


def _moved_by(papers: Papers, batches: list[str], name: str) -> str:
    due = ""
    for batch in batches:
        facts = parse(papers.read("batches", batch))["facts"].get(name)
        due = due if facts is None else text(parse(papers.read("facts", facts))["retention"].get("due"))
    return due


# ---------------------------------------------------------------- 17


def disposals(places: Places, filters: Filters, *, prove: bool = False) -> Report:
    """What was destroyed, under which rule, by whom; and with `prove`, can it still be opened? Errors as `verify`."""
    seen, register = Gathered(filters, Kind.DISPOSAL_DONE), Register()
    verification = verify(places, also=(seen.see, register.see))
    rows, wrong = [], []
    for entry in seen.entries:
        certificate = _certificate(places, entry)
        row = _destroyed(entry, certificate)
        left = list(_left(places, row[1])) if prove else []
        rows.append((*row, ("nothing is left of it" if not left else "; ".join(left)) if prove else "not asked"))
        wrong += [f"{row[1]}: {what}" for what in left]
        wrong += [f"{row[1]}: its certificate cannot be read"] if certificate is None else []
    wrong += [f"{sentence} (entry {seq})" for sentence, seq in register.wrong if "dispos" in sentence]
    asked = Asked(
        name="disposals",
        question="what was destroyed, under which rule, by whom, and can it still be opened?",
        filters=filters,
        verification=verification,
        answered=seen.spoken and places.disposal is not None and not (prove and places.stored() is None),
        columns=("when", "recording", "rule", "due", "proposed by", "approved by", "backups gone by", "what is left"),
    )
    return asked.report(count(len(rows), "recording") + " destroyed", rows=rows, exceptions=wrong)


def _certificate(places: Places, entry: LogEntry) -> Certificate | None:
    if places.disposal is None:
        return None
    try:
        data = Papers(places.disposal).read_certificate(text(entry.body.get("list_sha256")))
        return None if data is None else parse_certificate(data)
    except CallrecError:
        return None


def _destroyed(entry: LogEntry, certificate: Certificate | None) -> tuple[Any, ...]:
    name = recording_of(entry)
    if certificate is None:
        return (entry.utc, name, "-", "-", "-", "-", "-")
    item = next((each for each in certificate.items if each.recording_id == name), None)
    rule, due = ("-", "-") if item is None else (f"{item.rule} version {item.version}", item.due)
    return (entry.utc, name, rule, due, certificate.proposer, certificate.approver, certificate.backups_gone_by)


def _left(places: Places, name: str) -> Iterator[str]:
    """What is still there of a recording that was destroyed: audio or wrapped key, in store, keys or spool. Folders are
    looked through whole: what was put back may lie anywhere.
    """
    told = () if places.objects is None else places.objects.left_of(name)
    yield from dict.fromkeys((*told, *_left_in_files(places, name)))


def _left_in_files(places: Places, name: str) -> Iterator[str]:
    folders = {"store": places.store, "spool": places.spool, "shelf of what was imported": places.imported}
    for where, folder in folders.items():
        if folder is not None and any(path.parent.name == name for path in folder.rglob(AUDIO_FILE)):
            yield f"its audio is still in the {where}"
    keys = places.keys or (None if places.store is None else default_keys(places.store))
    beside = () if keys is None else (keys, keys.with_name(f"{keys.name}{IMPORTED_KEYS}"))
    if any(path.stem == name for each in beside for path in each.rglob("*.key")):
        yield "its wrapped key is still there"


# ---------------------------------------------------------------- 18


def holds(places: Places, filters: Filters) -> Report:
    """Which legal holds are open, which are overdue for a look, which were overridden? Errors as `verify`."""
    seen, register = Gathered(filters), Register()
    verification = verify(places, also=(seen.see, register.see))
    day = today().isoformat()
    open_ = [hold for hold in register.holds.values() if _within(hold.scope.line, filters)]
    rows = [
        (
            h.hold_id,
            h.kind,
            str(h.scope),
            h.placed_by,
            h.review_by,
            "overdue" if h.review_by < day else "open",
            bool(h.asked),
        )
        for h in open_
    ]
    wrong = [f"the hold {row[0]} was to be looked at again by {row[4]}" for row in rows if row[5] == "overdue"]
    wrong += [f"{sentence} (entry {seq})" for sentence, seq in register.wrong if "hold" in sentence]
    asked = Asked(
        name="holds",
        question="which legal holds are open, overdue for a look, or were overridden?",
        filters=filters,
        verification=verification,
        answered=seen.spoken,
        columns=("hold", "kind", "covers", "placed by", "look again by", "state", "release asked"),
    )
    return asked.report(f"{count(len(rows), 'hold')} open", rows=rows, exceptions=wrong)


def _within(line: str, filters: Filters) -> bool:
    return filters.line in ("", line) or not line
