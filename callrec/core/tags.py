"""What may still be done with one recording: its tags as the ledger's later entries leave them. Pure, append-only.

A recording begins with the purposes it was started for, which its notice had named (R22). `tag.changed` takes a purpose
away for good or suspends it until somebody looked at it; `withdrawn` says that the caller wants it gone: no secondary
use any more, and none at all until that is decided (R16). Only a review that the ledger names may lift a suspension,
and only for what is still tagged: nothing here ever widens (R24, R25).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from callrec.core.kinds import Kind
from callrec.core.purposes import SECONDARY
from callrec.core.values import Purpose

REMOVED: Final = "removed"
SUSPENDED: Final = "suspended"
RESTORED: Final = "restored"
SUBJECT: Final = "subject"
"""What `change` of a `tag.changed` says: purposes gone for good, not to be used for now, to be used again; and who the
call is about.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tags:
    """One recording's purposes: those it was started for, those it still has, and which of them are not to be used for
    now.
    """

    recorded: frozenset[Purpose]
    live: frozenset[Purpose]
    suspended: frozenset[Purpose] = frozenset()
    withdrawn: bool = False

    @property
    def usable(self) -> frozenset[Purpose]:
        """What it may be used for now. Nothing at all while a withdrawal is not decided: it is quarantined (R16)."""
        return frozenset() if self.withdrawn else self.live - self.suspended

    def after(self, kind: str, body: Mapping[str, Any]) -> Tags:
        """These tags after one more entry of the recording. What says nothing of tags changes nothing."""
        if kind == Kind.WITHDRAWN.value:
            return replace(self, live=self.live - SECONDARY, suspended=self.suspended - SECONDARY, withdrawn=True)
        change = _CHANGES.get(str(body.get("change"))) if kind == Kind.TAG_CHANGED.value else None
        return change(self, recorded_for(body.get("purposes"))) if change else self

    def why_not(self, purpose: Purpose) -> str:
        """Why it is not to be used for this purpose, as a sentence; empty where its tags allow it."""
        if purpose not in self.recorded:
            return f"not recorded for {purpose.value}"
        if purpose not in self.live:
            return f"no longer tagged {purpose.value}"
        if self.withdrawn:
            return "the caller withdrew it, and it is quarantined until that is decided"
        if purpose in self.suspended:
            return f"its use for {purpose.value} is suspended until somebody has looked at it"
        return ""

    def in_words(self) -> str:
        """What may be done with it now, where that is less than it was recorded for; else nothing."""
        if not self.live:
            return "nothing is left that it could be kept for"
        if self.withdrawn:
            return "withdrawn by the caller: quarantined until that is decided"
        gone = [f"not {purpose}" for purpose in _names(self.recorded - self.live)]
        waiting = [f"{purpose} suspended" for purpose in _names(self.suspended)]
        return ", ".join((*gone, *waiting))


def _names(purposes: frozenset[Purpose]) -> list[str]:
    return sorted(purpose.value for purpose in purposes)


def replayed(started_for: Iterable[Purpose], later: Iterable[tuple[str, Mapping[str, Any]]]) -> Tags:
    """The tags of a recording started for these purposes, after later entries of it: kind and body, in order."""
    recorded = frozenset(started_for)
    tags = Tags(recorded=recorded, live=recorded)
    for kind, body in later:
        tags = tags.after(kind, body)
    return tags


def recorded_for(named: object) -> frozenset[Purpose]:
    """Purposes that exist; anything else in an entry takes nothing away and gives nothing back."""
    known = {purpose.value: purpose for purpose in Purpose}
    listed: Collection[object] = named if isinstance(named, list) else ()
    return frozenset(known[name] for name in listed if isinstance(name, str) and name in known)


def _removed(tags: Tags, purposes: frozenset[Purpose]) -> Tags:
    return replace(tags, live=tags.live - purposes, suspended=tags.suspended - purposes)


def _suspended(tags: Tags, purposes: frozenset[Purpose]) -> Tags:
    return replace(tags, suspended=tags.suspended | (purposes & tags.live))


def _restored(tags: Tags, purposes: frozenset[Purpose]) -> Tags:
    """Of what was withdrawn, only what may be kept against the caller's will can be decided to be kept (R16)."""
    if tags.withdrawn and not purposes & tags.live - SECONDARY:
        return tags
    return replace(tags, suspended=tags.suspended - purposes, withdrawn=False)


_CHANGES: Final[Mapping[str, Callable[[Tags, frozenset[Purpose]], Tags]]] = {
    REMOVED: _removed,
    SUSPENDED: _suspended,
    RESTORED: _restored,
}
