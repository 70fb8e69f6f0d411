"""Questions about use: who opened what and what left, where tags came from, what callers chose and withdrew."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from callrec.audit.asking import Asked, Gathered, count, recording_of, today
from callrec.audit.report import Filters, Report
from callrec.audit.verify import Places, verify
from callrec.core.fields import text, texts
from callrec.core.kinds import Kind
from callrec.core.purposes import SECONDARY, TagSource
from callrec.core.tags import RESTORED, replayed
from callrec.core.values import BEFORE_RECORDING, Purpose
from callrec.ledger.entry import LogEntry
from callrec.rights.disclosure import Disclosure, Disclosures
from callrec.rights.reviews import Reviews

_OUTCOMES: Final = {
    Kind.ACCESS_GRANTED.value: "granted",
    Kind.ACCESS_DENIED.value: "DENIED",
    Kind.EXPORT_MADE.value: "left",
    Kind.DISCLOSURE.value: "disclosure",
}


# ---------------------------------------------------------------- 14


def access(places: Places, filters: Filters) -> Report:
    """Who listened to or took out what, for which purpose, and what was denied? Errors as `verify`."""
    seen = Gathered(filters, Kind.ACCESS_GRANTED, Kind.ACCESS_DENIED, Kind.EXPORT_MADE, Kind.DISCLOSURE)
    verification = verify(places, also=(seen.see,))
    rows = [_use(entry) for entry in seen.entries]
    by = Counter(entry.kind for entry in seen.entries)
    asked = Asked(
        name="access",
        question="who listened to or took out what, for which purpose; what was denied?",
        filters=filters,
        verification=verification,
        answered=seen.spoken,
        columns=("when", "who", "recording", "what", "purpose", "outcome"),
    )
    said = [
        f"{by[Kind.ACCESS_GRANTED.value]} granted",
        f"{by[Kind.ACCESS_DENIED.value]} denied",
        f"{by[Kind.EXPORT_MADE.value]} copies left",
    ]
    return asked.report(", ".join(said), rows=rows, exceptions=_unasked(seen.entries))


def _use(entry: LogEntry) -> tuple[Any, ...]:
    body = entry.body
    what = text(body.get("action")) or text(body.get("form")) or text(body.get("step"))
    outcome = _OUTCOMES[entry.kind] + (f": {text(body.get('why'))}" if entry.kind == Kind.ACCESS_DENIED.value else "")
    who, purpose = text(body.get("person")), text(body.get("purpose")) or text(body.get("basis"))
    return (entry.utc, who, recording_of(entry) or "-", what, purpose or "-", outcome)


def _unasked(entries: list[LogEntry]) -> list[str]:
    """Copies that left without anybody having been granted access before: never, by what this software does."""
    opened: set[tuple[str, str]] = set()
    wrong = []
    for entry in entries:
        key = (text(entry.body.get("person")), recording_of(entry))
        if entry.kind == Kind.ACCESS_GRANTED.value:
            opened.add(key)
        elif entry.kind == Kind.EXPORT_MADE.value and key not in opened:
            who = key[0] or "nobody named"
            wrong.append(f"a copy of {key[1]} left by {who} without an access that was granted before")
    return wrong


# ---------------------------------------------------------------- 10


def tag_history(places: Places, filters: Filters, which: str) -> Report:
    """Where did each purpose of this recording come from, and who changed it? Errors as `verify`."""
    seen = Gathered(filters, Kind.NOTICE_PROVEN, Kind.RECORDING_STARTED, *_CHANGES)
    verification = verify(places, also=(seen.see,))
    about = [entry for entry in seen.entries if _is_about(entry, which)]
    asked = Asked(
        name="tag-history",
        question=f"where did each purpose of {which} come from, and who changed it?",
        filters=filters,
        verification=verification,
        answered=any(entry.kind == Kind.RECORDING_STARTED.value for entry in about),
        columns=("entry", "when", "what", "purposes", "by", "why"),
    )
    rows = [_change(entry) for entry in about]
    return asked.report(count(len(rows), "step"), rows=rows)


_CHANGES: Final = (Kind.CHOICE_MADE, Kind.TAG_CHANGED, Kind.CONSENT_GIVEN, Kind.WITHDRAWN)


def _is_about(entry: LogEntry, which: str) -> bool:
    """Of that recording; or of its call, where a choice is made for the call."""
    uid, _, _ = which.partition("-")
    if entry.kind in (Kind.NOTICE_PROVEN.value, Kind.CHOICE_MADE.value):
        return bool(entry.call_uid) and entry.call_uid.startswith(uid)
    return recording_of(entry).startswith(which) or which in texts(entry.body.get("recordings"))


def _change(entry: LogEntry) -> tuple[Any, ...]:
    body = entry.body
    purposes = texts(body.get("purposes")) or (text(body.get("purpose")),)
    what = text(body.get("change")) or text(body.get("choice")) or text(body.get("step")) or entry.kind
    who = text(body.get("person")) or text(body.get("leg")) or entry.actor
    said = entry.kind if what == entry.kind else f"{entry.kind}: {what}"
    why = text(body.get("why")) or text(body.get("reason"))
    return (entry.seq, entry.utc, said, ", ".join(purposes) or "-", who, why)


# ---------------------------------------------------------------- 11


def choices(places: Places, filters: Filters) -> Report:
    """How many callers declined or stopped, and what became of the audio? Errors as `verify`."""
    seen = Gathered(filters, Kind.CHOICE_MADE, *_ENDS, Kind.CALL_OFFERED, Kind.CALL_CLOSED)
    verification = verify(places, also=(seen.see,))
    ends = {entry.call_uid: entry for entry in seen.of(*_ENDS)}
    closed = {entry.call_uid: entry for entry in seen.of(Kind.CALL_CLOSED)}
    those = [entry for entry in seen.of(Kind.CHOICE_MADE) if not _stopped_early(entry)]
    rows = [_chosen(entry, ends.get(entry.call_uid), closed.get(entry.call_uid)) for entry in those]
    asked = Asked(
        name="choices",
        question="how many callers declined or stopped, what became of the audio, and were they connected?",
        filters=filters,
        verification=verification,
        answered=seen.spoken,
        columns=("when", "call", "choice", "by", "audio", "connected"),
    )
    counted = Counter(row[2] for row in rows)
    said = ", ".join(f"{number} {choice}" for choice, number in sorted(counted.items())) or "no choice was made"
    wrong = [f"call {row[1]}: recorded after the caller declined" for row in rows if _against(row)]
    return asked.report(f"{len(seen.of(Kind.CALL_OFFERED))} calls: {said}", rows=rows, exceptions=wrong)


_ENDS: Final = (Kind.RECORDING_SEALED, Kind.RECORDING_DISCARDED, Kind.RECORDING_LOST)


def _chosen(choice: LogEntry, end: LogEntry | None, closed: LogEntry | None) -> tuple[Any, ...]:
    body = choice.body
    became = "none was recorded" if end is None else _became(end)
    connected = "-" if closed is None else "yes" if closed.body.get("connected") else "no"
    by = f"key {body.get('digit')}" if text(body.get("digit")) else text(body.get("method"))
    return (choice.utc, choice.call_uid, text(body.get("choice")), by, became, connected)


def _became(end: LogEntry) -> str:
    return f"{end.kind.partition('.')[2]}, stopped by {text(end.body.get('stopped_by')) or '-'}"


def _against(row: tuple[Any, ...]) -> bool:
    return row[2] == "decline" and str(row[4]).startswith("sealed")


def stops(places: Places, filters: Filters) -> Report:
    """Who stopped which recordings, person by person, those that had not begun included? Errors as `verify`."""
    seen = Gathered(filters, Kind.RECORDING_STOPPED, Kind.CHOICE_MADE, Kind.CALL_OFFERED)
    verification = verify(places, also=(seen.see,))
    those = [entry for entry in seen.of(Kind.RECORDING_STOPPED) if text(entry.body.get("reason"))]
    those += [entry for entry in seen.of(Kind.CHOICE_MADE) if _stopped_early(entry)]
    rows = sorted((_stopper(entry), entry.utc, recording_of(entry), _why(entry)) for entry in those)
    asked = Asked(
        name="stops",
        question="who stopped which recordings, person by person?",
        filters=filters,
        verification=verification,
        answered=seen.spoken,
        columns=("who", "when", "recording", "reason"),
    )
    each = ", ".join(f"{number} by {who}" for who, number in sorted(Counter(row[0] for row in rows).items()))
    return asked.report(f"{count(len(rows), 'stop')}{': ' if each else ''}{each}", rows=rows)


def _stopped_early(entry: LogEntry) -> bool:
    """Somebody else than the caller stopped what had not begun."""
    return entry.kind == Kind.CHOICE_MADE.value and text(entry.body.get("choice")).endswith(BEFORE_RECORDING)


def _why(entry: LogEntry) -> str:
    return text(entry.body.get("reason")) or text(entry.body.get("choice"))


def _stopper(entry: LogEntry) -> str:
    """By identity or login where one is known, else by role."""
    by = text(entry.body.get("stopped_by"))
    return entry.actor if entry.actor not in ("", "agent") else by


# ---------------------------------------------------------------- 12


def withdrawals(places: Places, filters: Filters) -> Report:
    """What was withdrawn afterwards, was it used since, and what became of it? Errors as `verify`."""
    seen = Gathered(filters, Kind.WITHDRAWN, Kind.TAG_CHANGED, Kind.DISPOSAL_DONE, Kind.ACCESS_GRANTED)
    verification = verify(places, also=(seen.see,))
    gone = {recording_of(entry): entry.utc for entry in seen.of(Kind.DISPOSAL_DONE)}
    asked = Asked(
        name="withdrawals",
        question="what was withdrawn afterwards, and what became of it?",
        filters=filters,
        verification=verification,
        answered=seen.spoken,
        columns=("when", "recording", "what", "by", "destroyed"),
    )
    rows = [(*_withdrawn(entry), gone.get(recording_of(entry), "-")) for entry in seen.of(Kind.WITHDRAWN)]
    return asked.report(count(len(rows), "withdrawal"), rows=rows, exceptions=_used_since(seen.entries))


def _used_since(entries: list[LogEntry]) -> list[str]:
    """Recordings that were opened while a withdrawal of theirs was not decided, but for disclosures."""
    waiting: set[str] = set()
    used = []
    for entry in entries:
        name = recording_of(entry)
        if entry.kind == Kind.WITHDRAWN.value:
            waiting.add(name)
        elif entry.body.get("change") == RESTORED:
            waiting.discard(name)
        elif entry.kind == Kind.ACCESS_GRANTED.value and name in waiting and entry.body.get("action") not in _BY_RIGHT:
            used.append(f"{name} was opened after its caller withdrew it")
    return used


_BY_RIGHT: Final = ("disclosure", "subject.pack", "subject.find")


def _withdrawn(entry: LogEntry) -> tuple[str, ...]:
    body = entry.body
    what = "withdrawn in the window" if body.get("in_window") else "withdrawn after the window"
    return (entry.utc, recording_of(entry), what, text(body.get("person")) or entry.actor)


# ---------------------------------------------------------------- 13


def training_consent(places: Places, filters: Filters) -> Report:
    """Is there a consent for each use of a caller's own voice for training? Errors as `verify`."""
    seen = Gathered(filters, Kind.ACCESS_GRANTED, Kind.CONSENT_GIVEN)
    verification = verify(places, also=(seen.see,))
    consents: dict[str, int] = {}
    rows, wrong = [], []
    for entry in seen.entries:
        name, body = recording_of(entry), entry.body
        if entry.kind == Kind.CONSENT_GIVEN.value and "training" in texts(body.get("purposes")):
            consents.setdefault(name, entry.seq)
        elif body.get("purpose") == "training" and body.get("action") not in _CODING:
            consent = consents.get(name)
            rows.append((entry.utc, name, text(body.get("person")), text(body.get("action")), consent or "none"))
            wrong += [f"{name}: its voice was used for training without a consent"] if consent is None else []
    asked = Asked(
        name="training-consent",
        question="is there a consent for each use of a caller's own voice for training?",
        filters=filters,
        verification=verification,
        answered=seen.spoken,
        columns=("when", "recording", "who", "what", "consent (entry)"),
    )
    return asked.report(count(len(rows), "use"), rows=rows, exceptions=wrong)


_CODING: Final = ("review", "copy")
"""What the keeper's side does to make a coded or anonymised copy: no trainer hears the voice."""


# ---------------------------------------------------------------- disclosures, and 15


def disclosures(places: Places, filters: Filters) -> Report:
    """What left outside its purpose, on which basis, who asked and who agreed? Errors as `verify`."""
    seen, replayed = Gathered(filters, Kind.DISCLOSURE), Disclosures()
    verification = verify(places, also=(seen.see, replayed.see))
    those = [each for each in replayed.found.values() if filters.takes_time(each.requested_utc)]
    asked = Asked(
        name="disclosures",
        question="what left outside its purpose, on which basis, who asked and who agreed?",
        filters=filters,
        verification=verification,
        answered=seen.spoken,
        columns=("disclosure", "asked", "basis", "what", "recordings", "asked by", "agreed by", "made"),
    )
    rows = [_disclosed(each) for each in those]
    wrong = [f"{sentence} (entry {seq})" for sentence, seq in replayed.wrong]
    return asked.report(count(len(rows), "disclosure"), rows=rows, exceptions=wrong)


def _disclosed(found: Disclosure) -> tuple[Any, ...]:
    what, recordings = ", ".join(sorted(found.fields)), len(found.recordings)
    people = (found.requester.person, found.approver.person or "-")
    return (found.disclosure_id, found.requested_utc, found.basis, what, recordings, *people, found.made_utc or "-")


def coding(places: Places, filters: Filters) -> Report:
    """Which copies were made in which nobody is known, who signed, and who was told who it was? Errors as `verify`."""
    seen, replayed = Gathered(filters, Kind.EXPORT_MADE), Disclosures()
    verification = verify(places, also=(seen.see, replayed.see))
    made = [entry for entry in seen.entries if entry.body.get("copy")]
    told = [
        each for each in replayed.found.values() if "identity" in each.fields and filters.takes_time(each.requested_utc)
    ]
    asked = Asked(
        name="coding",
        question="which copies were made in which nobody is known, who signed, and who was told who it was?",
        filters=filters,
        verification=verification,
        answered=seen.spoken,
        columns=("what", "when", "of", "project", "by", "signed", "use until"),
    )
    rows = [_copy(entry) for entry in made]
    rows += [_reidentified(each) for each in told]
    wrong = [f"{recording_of(entry)}: a copy for training left and nobody signed" for entry in made if _unsigned(entry)]
    wrong += [
        f"{recording_of(entry)}: a coded copy was to be used until {_until(entry)}" for entry in made if _late(entry)
    ]
    summary = f"{count(len(made), 'copy').replace('copys', 'copies')}, {count(len(told), 're-identification')}"
    return asked.report(summary, rows=rows, exceptions=wrong)


def _copy(entry: LogEntry) -> tuple[Any, ...]:
    body = entry.body
    signed = f"yes, {body.get('bleeps', 0)} bleeps" if body.get("signed") else "no"
    what, project = f"{text(body.get('copy'))} copy {text(body.get('copy_id'))}", text(body.get("project")) or "-"
    return (
        what,
        entry.utc,
        recording_of(entry),
        project,
        text(body.get("person")),
        signed,
        text(body.get("use_until")) or "-",
    )


def _reidentified(found: Disclosure) -> tuple[Any, ...]:
    what = "re-identified" if found.made_leaf else "re-identification asked for"
    people = f"{found.requester.person}, {found.approver.person or 'nobody else yet'}"
    return (what, found.requested_utc, ", ".join(found.recordings), "-", people, "-", "-")


def _until(entry: LogEntry) -> str:
    return text(entry.body.get("use_until"))


def _late(entry: LogEntry) -> bool:
    return "" < _until(entry) < today().isoformat()


def _unsigned(entry: LogEntry) -> bool:
    return entry.body.get("purpose") == "training" and not entry.body.get("signed")


# ---------------------------------------------------------------- 19


def protected(places: Places, filters: Filters) -> Report:
    """Where staff flagged a child, doubt or distress: is any use for audit or training left? Errors as `verify`."""
    seen, people = Gathered(filters, Kind.RECORDING_STARTED, Kind.TAG_CHANGED, Kind.WITHDRAWN), Reviews()
    verification = verify(places, also=(seen.see, people.see))
    started = {recording_of(entry): entry for entry in seen.of(Kind.RECORDING_STARTED)}
    flags = [entry for entry in seen.of(Kind.TAG_CHANGED) if entry.body.get("source") == TagSource.PROTECTION.value]
    asked = Asked(
        name="protected",
        question="children, capacity, distress: is any use for audit or training left?",
        filters=filters,
        verification=verification,
        answered=seen.spoken,
        columns=("recording", "flagged", "why", "by", "change", "usable for"),
    )
    rows = [_flagged(entry, started.get(recording_of(entry)), seen.entries) for entry in flags]
    left = {row[0]: row[5] for row in rows if set(row[5].split(", ")) & {each.value for each in SECONDARY}}
    lifted = {recording_of(each) for each in seen.entries if each.body.get("basis")}
    wrong = [
        f"{name} was flagged, and is still to be used for {use}" for name, use in left.items() if name not in lifted
    ]
    wrong += [f"{sentence} (entry {seq})" for sentence, seq in people.wrong]
    return asked.report(f"{count(len({row[0] for row in rows}), 'recording')} flagged", rows=rows, exceptions=wrong)


def _flagged(flag: LogEntry, started: LogEntry | None, entries: list[LogEntry]) -> tuple[Any, ...]:
    name, body = recording_of(flag), flag.body
    purposes = () if started is None else texts(started.body.get("purposes"))
    known = [Purpose(each) for each in purposes if each in {purpose.value for purpose in Purpose}]
    tags = replayed(known, ((each.kind, each.body) for each in entries if recording_of(each) == name))
    usable = ", ".join(sorted(each.value for each in tags.usable)) or "nothing"
    return (
        name,
        flag.utc,
        text(body.get("why")),
        text(body.get("person")) or flag.actor,
        text(body.get("change")),
        usable,
    )
