"""Disclosures: one record for each, asked for by one person, agreed to by another, used once (R24, R28).

    requested (basis, fields, why; a paper beside the ledger) -> approved by another person -> made, once

Whatever leaves outside its purpose leaves by such a record: for a court, by law, by the caller's consent or request, or
in the public interest, which is weighed anew each time and never agreed to for good. Who a coded copy is of is told the
same way. The ledger holds basis, fields and hashes; names and reasons stand in the paper, which can be erased.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, unique
from typing import Any, Final

from callrec._canonical import canonical, parse
from callrec.core.fields import person_in, text
from callrec.core.holds import Person
from callrec.core.kinds import Kind
from callrec.errors import Broken, ConfigError, Refused
from callrec.ledger.entry import LogEntry
from callrec.ports import Entry

PAPER_FORMAT: Final = "callrec/disclosure/1"
ROOM: Final = "disclosures"
"""Where its papers lie among those of `disposal.places`."""
MOST_RECORDINGS: Final = 100


@unique
class Basis(Enum):
    """What allows it."""

    CONSENT = "consent"
    LEGAL = "legal-requirement"
    COURT = "court-order"
    PUBLIC_INTEREST = "public-interest"


@unique
class Field(Enum):
    """What is disclosed of each recording."""

    AUDIO = "audio"
    RECORD = "record"
    IDENTITY = "identity"


WEIGHED: Final = ("benefit", "harm", "content", "manner", "necessity")
"""What public interest must be weighed by, each in its own words: good done, harm done, what is in it, how it is used,
and why nothing less will do.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """Why, and to whom. Kept beside the ledger under its hash; `weighed` is for public interest alone."""

    basis: Basis
    recipient: str
    reason: str
    recordings: tuple[str, ...]
    fields: frozenset[Field]
    weighed: Mapping[str, str] = field(default_factory=dict)

    def checked(self) -> Paper:
        """ConfigError names what is missing."""
        if not self.recordings or len(self.recordings) > MOST_RECORDINGS or not self.fields:
            step = f"name 1 to {MOST_RECORDINGS} recordings and at least one --field"
            raise ConfigError("a disclosure is of certain recordings and fields", next_step=step)
        if not self.recipient.strip() or not self.reason.strip():
            raise ConfigError("a disclosure says to whom and why", next_step="give --to and --reason")
        weighed = {name for name, words in self.weighed.items() if words.strip()}
        if self.basis is Basis.PUBLIC_INTEREST and weighed != set(WEIGHED):
            missing = ", ".join(f"--{name}" for name in WEIGHED if name not in weighed)
            raise ConfigError(f"public interest is weighed in words: {missing}", next_step="give each")
        if self.basis is not Basis.PUBLIC_INTEREST and weighed:
            raise ConfigError("only public interest is weighed", next_step=f"leave out --{min(weighed)}")
        return self

    def to_bytes(self) -> bytes:
        """The file, with a salt, so that its hash tells nobody what stands in it."""
        return canonical(
            {
                "format": PAPER_FORMAT,
                "salt": secrets.token_hex(16),
                "basis": self.basis.value,
                "recipient": self.recipient,
                "reason": self.reason,
                "recordings": list(self.recordings),
                "fields": sorted(each.value for each in self.fields),
                "weighed": dict(self.weighed),
            }
        )


@dataclass(slots=True)
class Disclosure:
    """One record as the ledger has it. Leaves and persons are empty until there are any."""

    disclosure_id: str
    basis: str
    recordings: tuple[str, ...]
    fields: frozenset[str]
    paper_sha256: str
    requested_leaf: str
    requester: Person
    requested_utc: str
    approved_leaf: str = ""
    approver: Person = field(default_factory=lambda: Person(""))
    made_leaf: str = ""
    made_utc: str = ""

    def state(self) -> str:
        """`requested`, `approved` or `made`."""
        return "made" if self.made_leaf else "approved" if self.approved_leaf else "requested"


class Disclosures:
    """The ledger replayed for its disclosures; give it every entry. `wrong` says what no rule allows."""

    def __init__(self) -> None:
        self.found: dict[str, Disclosure] = {}
        self.wrong: list[tuple[str, int]] = []
        self._steps: Mapping[str, Callable[[LogEntry], None]] = {
            "requested": self._requested,
            "approved": self._approved,
            "made": self._made,
        }

    def see(self, entry: LogEntry) -> None:
        """Take the next entry."""
        if entry.kind == Kind.DISCLOSURE.value and (step := self._steps.get(text(entry.body.get("step")))):
            step(entry)

    def one(self, prefix: str) -> Disclosure:
        """The one whose id begins so. ConfigError where there is none, or more than one."""
        those = [each for name, each in self.found.items() if prefix and name.startswith(prefix)]
        if len(those) != 1:
            what = f"{len(those)} disclosures begin with {prefix!a:.40}"
            raise ConfigError(what, next_step="see `callrec disclosure list`")
        return those[0]

    def _requested(self, entry: LogEntry) -> None:
        body, name = entry.body, text(entry.body.get("disclosure_id"))
        self.found[name] = Disclosure(
            disclosure_id=name,
            basis=text(entry.body.get("basis")),
            recordings=tuple(map(str, body.get("recordings") or ())),
            fields=frozenset(map(str, body.get("fields") or ())),
            paper_sha256=text(entry.body.get("paper_sha256")),
            requested_leaf=entry.leaf,
            requester=person_in(entry.body),
            requested_utc=entry.utc,
        )

    def _approved(self, entry: LogEntry) -> None:
        found = self._known(entry, "requested_leaf", "requested_leaf")
        if found is None:
            return
        if not person_in(entry.body).other_than(found.requester):
            self.wrong.append(
                (f"the disclosure {found.disclosure_id} was asked for and agreed to by one person", entry.seq)
            )
        elif not found.approved_leaf:
            found.approved_leaf, found.approver = entry.leaf, person_in(entry.body)

    def _made(self, entry: LogEntry) -> None:
        found = self._known(entry, "approved_leaf", "approved_leaf")
        if found is None:
            return
        if not found.approved_leaf or found.made_leaf:
            why = "twice" if found.made_leaf else "before anybody agreed"
            self.wrong.append((f"the disclosure {found.disclosure_id} was made {why}", entry.seq))
        else:
            found.made_leaf, found.made_utc = entry.leaf, entry.utc

    def _known(self, entry: LogEntry, name: str, held: str) -> Disclosure | None:
        found = self.found.get(text(entry.body.get("disclosure_id")))
        if found is None or text(entry.body.get(name)) != getattr(found, held):
            self.wrong.append(("a disclosure goes on that nobody asked for", entry.seq))
            return None
        return found


# ---------------------------------------------------------------- steps


def requested(paper: Paper, *, paper_sha256: str, person: Person) -> Entry:
    """The entry by which somebody asks."""
    return _entry(
        person,
        step="requested",
        disclosure_id=secrets.token_hex(8),
        basis=paper.basis.value,
        recordings=list(paper.recordings),
        fields=sorted(each.value for each in paper.fields),
        paper_sha256=paper_sha256,
    )


def approved(found: Disclosure, person: Person) -> Entry:
    """The entry by which another agrees. `Refused` where it is the same person, or nothing is left to agree to."""
    if found.approved_leaf:
        raise Refused("this disclosure was agreed to before", next_step="see `callrec disclosure list`")
    if not person.other_than(found.requester):
        step = "let another person, under their own login, look at it and agree"
        raise Refused("who asks for a disclosure does not agree to it", next_step=step)
    same = {"basis": found.basis, "recordings": list(found.recordings), "paper_sha256": found.paper_sha256}
    return _entry(
        person, step="approved", disclosure_id=found.disclosure_id, requested_leaf=found.requested_leaf, **same
    )


def ready(found: Disclosure) -> None:
    """`Refused` unless it was agreed to and not made yet: each is used once."""
    if not found.approved_leaf:
        step = f"another person: callrec disclosure approve {found.disclosure_id}"
        raise Refused("nobody has agreed to this disclosure", next_step=step)
    if found.made_leaf:
        step = "ask for a new one with `callrec disclosure request`: each is weighed anew"
        raise Refused(f"this disclosure was made on {found.made_utc[:10]}, and each is used once", next_step=step)


def made(found: Disclosure, person: Person, *, sha256: str) -> Entry:
    """The entry by which it left."""
    same = {"basis": found.basis, "recordings": list(found.recordings), "paper_sha256": found.paper_sha256}
    return _entry(
        person,
        step="made",
        disclosure_id=found.disclosure_id,
        approved_leaf=found.approved_leaf,
        sha256=sha256,
        **same,
    )


def _entry(person: Person, **body: Any) -> Entry:
    body |= {"person": person.person, "login": person.login}
    return Entry(kind=Kind.DISCLOSURE, body=body, actor=person.login)


def read_paper(data: bytes) -> Paper:
    """A paper from its file. `Broken` where it is none."""
    try:
        raw = parse(data)
        return Paper(
            basis=Basis(raw["basis"]),
            recipient=str(raw["recipient"]),
            reason=str(raw["reason"]),
            recordings=tuple(map(str, raw["recordings"])),
            fields=frozenset(map(Field, raw["fields"])),
            weighed={str(name): str(words) for name, words in raw["weighed"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Broken("this is no record of a disclosure", next_step="restore it from a backup") from error
