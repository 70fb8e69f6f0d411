"""What somebody must look at again because of whom a call is about: doubts about capacity, and children who grow up.

The ledger replayed, as `disclosure` does it. Give it every entry in order; whoever shows them has verified them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final

from callrec.core.fields import person_in, text
from callrec.core.holds import Person
from callrec.core.kinds import Kind
from callrec.core.people import Necessity, ProxyRole, Speaker, asked_again_on
from callrec.core.purposes import SECONDARY, Protection, TagSource
from callrec.core.retention import Subject
from callrec.core.tags import RESTORED, SUBJECT, SUSPENDED, recorded_for
from callrec.core.values import Purpose
from callrec.ledger.entry import LogEntry

ASKED: Final = "asked"
"""What `change` of a `tag.changed` says where one person asks for a purpose that another must agree to (R38)."""
REVIEWED: Final = "reviewed"
"""What it says where somebody looked at a recording again: `of` names what for, `outcome` what came of it."""
DOUBT: Final = Protection.CAPACITY_DOUBT.value
UNCHANGED: Final = "unchanged"
LATER_CALL: Final = "later call"
"""What is looked at because the same number called again (R37). That shows no person: whoever asks finds out."""
OUTCOMES: Final = (UNCHANGED, "varied", "withdrawn", "not-reached")
"""What may come of asking again (R37). Tags change by their own commands; this says what was answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A purpose that somebody asks for on grounds that another person must agree to."""

    person: Person
    basis: Mapping[str, Any]
    leaf: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What somebody has to do about one recording, and by when."""

    recording_id: str
    what: str
    due: date


@dataclass(slots=True)
class Watched:
    """One recording as far as people are concerned."""

    recording_id: str
    line: str
    day: date
    subject: str = ""
    age: int | None = None
    by_parent: bool = False
    doubted_on: date | None = None
    doubted: frozenset[Purpose] = frozenset()
    asked: dict[Purpose, Asked] = field(default_factory=dict)
    done: dict[str, str] = field(default_factory=dict)
    """What somebody looked at, and when they last did: ISO 8601 UTC."""

    def doubt_due(self, review_days: int) -> date | None:
        """By when the doubt is to be looked at; None where there is none, or somebody has."""
        open_doubt = self.doubted_on is not None and DOUBT not in self.done
        return self.doubted_on + timedelta(days=review_days) if open_doubt and self.doubted_on else None


class Reviews:
    """See the head of this file."""

    def __init__(self) -> None:
        self.recordings: dict[str, Watched] = {}
        self.wrong: list[tuple[str, int]] = []
        self._lines: dict[str, str] = {}

    def see(self, entry: LogEntry) -> None:
        """Take the next entry."""
        name = f"{entry.call_uid}-{entry.segment}"
        if entry.kind == Kind.CALL_OFFERED.value:
            self._lines[entry.call_uid] = text(entry.body.get("line"))
        elif entry.kind == Kind.RECORDING_STARTED.value:
            line = self._lines.get(entry.call_uid, "")
            self.recordings[name] = Watched(name, line, date.fromisoformat(entry.utc[:10]))
        elif entry.kind in (Kind.DISPOSAL_DONE.value, Kind.RECORDING_DISCARDED.value, Kind.RECORDING_LOST.value):
            self.recordings.pop(text(entry.body.get("recording_id")) or name, None)
        elif entry.kind == Kind.TAG_CHANGED.value and name in self.recordings:
            self._changed(self.recordings[name], entry)

    def _changed(self, watched: Watched, entry: LogEntry) -> None:
        body, purposes = entry.body, recorded_for(entry.body.get("purposes"))
        match body.get("change"):
            case change if change == SUBJECT:
                watched.subject, age = text(body.get("subject")), body.get("age")
                watched.age = age if isinstance(age, int) else None
                watched.by_parent = watched.by_parent or body.get("caller") == Speaker.PARENT.value
            case change if change == SUSPENDED and _is_doubt(body):
                watched.doubted_on = watched.doubted_on or date.fromisoformat(entry.utc[:10])
                watched.doubted |= purposes & SECONDARY
            case change if change == ASKED:
                said = Asked(person=person_in(body), basis=_basis(body), leaf=entry.leaf)
                watched.asked |= dict.fromkeys(purposes, said)
            case change if change == RESTORED:
                self._restored(watched, purposes, entry)
            case change if change == REVIEWED:
                watched.done[text(body.get("of"))] = entry.utc
            case _:
                pass

    def _restored(self, watched: Watched, purposes: frozenset[Purpose], entry: LogEntry) -> None:
        basis = _basis(entry.body)
        watched.by_parent = watched.by_parent or basis.get("role") == ProxyRole.PARENT.value
        for purpose in sorted(purposes & watched.doubted, key=lambda each: each.value):
            if why := _why_wrong(watched.asked.get(purpose), basis, entry.body):
                self.wrong.append((f"{watched.recording_id}: {purpose.value} was lifted {why}", entry.seq))
        if purposes & watched.doubted:
            watched.done[DOUBT] = entry.utc
        watched.doubted -= purposes

    def waiting(
        self,
        *,
        review_days: int,
        is_child: Callable[[Watched], bool],
        born: Callable[[Watched], date | None],
        later: Callable[[Watched], Sequence[str]] = lambda _: (),
    ) -> Iterator[Task]:
        """What somebody has to do, soonest first; `is_child` and `born` tell what the facts say (R33, R37), and `later`
        when the same number called again.
        """
        tasks = [task for each in self.recordings.values() for task in _tasks(each, review_days, is_child, born)]
        held = [each for each in self.recordings.values() if _by_parent(each, is_child)]
        tasks += [task for each in held for task in _again(each, later)]
        return iter(sorted(tasks, key=lambda task: (task.due, task.recording_id, task.what)))


def _tasks(
    each: Watched, review_days: int, is_child: Callable[[Watched], bool], born: Callable[[Watched], date | None]
) -> Iterator[Task]:
    if (due := each.doubt_due(review_days)) is not None:
        yield Task(recording_id=each.recording_id, what="review the doubt about capacity", due=due)
    if not _by_parent(each, is_child):
        return
    for age, day in asked_again_on(each.day, born=born(each), age=each.age).items():
        if str(age) not in each.done:
            yield Task(recording_id=each.recording_id, what=f"ask again at {age}: a parent let it be kept", due=day)


def _by_parent(each: Watched, is_child: Callable[[Watched], bool]) -> bool:
    """A parent let a recording about their child be kept."""
    return each.by_parent and is_child(each)


def _again(each: Watched, later: Callable[[Watched], Sequence[str]]) -> Iterator[Task]:
    """From the first call that came after somebody last asked."""
    calls = [utc for utc in later(each) if utc > each.done.get(LATER_CALL, "")]
    if calls:
        what = f"ask again, their number called on {calls[0][:10]}: a parent let it be kept"
        yield Task(recording_id=each.recording_id, what=what, due=date.fromisoformat(calls[0][:10]))


def said_child(watched: Watched, *, by_line: Subject) -> bool:
    """Whether it is about a child, by what was said in the call, else by the line."""
    return (watched.subject or by_line.value) == Subject.CHILD.value


def _is_doubt(body: Mapping[str, Any]) -> bool:
    return body.get("source") == TagSource.PROTECTION.value and body.get("why") == DOUBT


def _why_wrong(asked: Asked | None, basis: Mapping[str, Any], body: Mapping[str, Any]) -> str:
    if not basis:
        return "without anything that it rests on"
    if basis.get("kind") != "necessity":
        return ""
    if set(basis) != {"kind", *Necessity.__slots__}:
        return "without every ground being said"
    if asked is None or asked.basis != basis or not person_in(body).other_than(asked.person):
        return "as necessary by one person alone"
    return ""


def _basis(body: Mapping[str, Any]) -> Mapping[str, Any]:
    found = body.get("basis")
    return found if isinstance(found, dict) else {}
