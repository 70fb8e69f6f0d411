"""One entry of the log as bytes: the fields that every entry carries, and commitments. No file, no database.

An entry is canonical JSON (RFC 8785) and its bytes are the leaf. Nanoseconds since boot are decimal strings, because
they outgrow the integers that JSON can carry after 104 days.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any, Final, NamedTuple

from callrec._canonical import canonical, parse, value_at
from callrec.core.bodies import missing_fields
from callrec.errors import Broken
from callrec.ledger.merkle import leaf_hash
from callrec.ports import Clock, Entry

VERSION: Final = 1
_TEXT: Final = frozenset({str})
NO_LEAF: Final = "0" * 64
"""`prev` of the first entry, and the root of an anchor that does not exist yet."""
_FIELDS: Final = itemgetter(
    "seq", "prev", "log_id", "kind", "call_uid", "segment", "utc", "boot_id", "boottime_ns", "clock", "anchor",
    "actor", "agent_run", "body",
)  # fmt: skip
"""What `read` takes out, in the order of `LogEntry`."""
_TEXT_FORM: Final = r'"([^"\\\x00-\x1f]*)"'
_NUMBER_FORM: Final = "(0|[1-9][0-9]{0,15})"
_BEFORE_BODY: Final = re.compile(
    rf'\{{"actor":{_TEXT_FORM},"agent_run":{_TEXT_FORM},"anchor":\{{"root":{_TEXT_FORM},"size":{_NUMBER_FORM}\}},"body":'
    r"(?=\{)"
)
_AFTER_BODY: Final = re.compile(
    rf',"boot_id":{_TEXT_FORM},"boottime_ns":"(0|[1-9][0-9]{{0,19}})","call_uid":{_TEXT_FORM},"clock":{_TEXT_FORM}'
    rf',"kind":{_TEXT_FORM},"log_id":{_TEXT_FORM},"prev":{_TEXT_FORM},"segment":{_NUMBER_FORM},"seq":{_NUMBER_FORM}'
    rf',"utc":{_TEXT_FORM},"v":{VERSION}\}}'
)
"""The two sides of an entry that `stamp` wrote in time: every name once and in its order, text without an escape."""
_SALT_BYTES: Final = 32
LONGEST_BODY: Final = 60_000
"""Bytes of one body; evidence is kept beside the log, not in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When: told by boot time first; `utc` is ISO 8601 with Z, `clock` what the kernel said of it."""

    utc: str
    boot_id: str
    boottime_ns: int
    clock: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where in which log, and what was anchored outside by then."""

    log_id: str
    seq: int
    prev: str
    anchor_size: int
    anchor_root: str
    agent_run: str


class LogEntry(NamedTuple):
    """An entry as it stands in the log. `kind` is text: a log may hold kinds that this version does not know. A tuple,
    because a million are made when a ledger is verified.
    """

    seq: int
    leaf: str
    prev: str
    log_id: str
    kind: str
    call_uid: str
    segment: int
    utc: str
    boot_id: str
    boottime_ns: int
    clock: str
    anchor_size: int
    anchor_root: str
    actor: str
    agent_run: str
    late: bool
    body: Mapping[str, Any]


def now(clock: Clock) -> Moment:
    """This moment, by this clock."""
    return Moment(
        utc=utc_text(clock.utc()), boot_id=clock.boot_id(), boottime_ns=clock.boottime_ns(), clock=clock.state()
    )


def utc_text(moment: datetime) -> str:
    """ISO 8601 in UTC with microseconds and Z. ValueError where the time does not say its zone."""
    if moment.tzinfo is None:
        raise ValueError("a time without a zone is no UTC")
    utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return utc.isoformat(timespec="microseconds").replace("+00:00", "Z")


def check(entry: Entry) -> None:
    """ValueError where the entry could never be appended: a mistake of the program, told before anything is queued."""
    missing = missing_fields(entry.kind, entry.body)
    if missing:
        raise ValueError(f"{entry.kind.value} lacks {', '.join(missing)}")
    if len(canonical(dict(entry.body))) > LONGEST_BODY:
        raise ValueError(f"the body of {entry.kind.value} is longer than {LONGEST_BODY} bytes")
    if entry.segment < 0:
        raise ValueError("segments count from 0")


def stamp(entry: Entry, place: Place, moment: Moment, *, appended_utc: str | None = None) -> bytes:
    """The bytes of the entry. `appended_utc` marks it late: `moment` is then when the fact was, not when it came in."""
    fields: dict[str, Any] = {
        "v": VERSION,
        "log_id": place.log_id,
        "seq": place.seq,
        "prev": place.prev,
        "kind": entry.kind.value,
        "call_uid": entry.call_uid,
        "segment": entry.segment,
        "utc": moment.utc,
        "boot_id": moment.boot_id,
        "boottime_ns": str(moment.boottime_ns),
        "clock": moment.clock,
        "anchor": {"size": place.anchor_size, "root": place.anchor_root},
        "actor": entry.actor,
        "agent_run": place.agent_run,
        "body": dict(entry.body),
    }
    if appended_utc is not None:
        fields |= {"late": True, "appended_utc": appended_utc}
    return canonical(fields)


def read(data: bytes) -> LogEntry:
    """An entry from its bytes; the leaf is recomputed. `Broken` where a field is missing or has another type."""
    return read_leaf(data, leaf_hash(data).hex())


def read_leaf(data: bytes, leaf: str) -> LogEntry:
    """As `read`, for who has computed the hexadecimal leaf of these bytes."""
    return _quickly(data, leaf) or _slowly(data, leaf)


def _quickly(data: bytes, leaf: str) -> LogEntry | None:
    """What `_slowly` reads, of bytes in the one form that nearly all entries have; None where they have another."""
    try:
        whole = data.decode("utf-8")
        before = _BEFORE_BODY.match(whole)
        if before is None:
            return None
        body, end = value_at(whole, before.end())
        after = _AFTER_BODY.fullmatch(whole, end)
    except (ValueError, StopIteration, RecursionError):
        return None
    if after is None:
        return None
    actor, agent_run, root, size = before.groups()
    boot_id, ns, call_uid, clock, kind, log_id, prev, segment, seq, utc = after.groups()
    return LogEntry(
        int(seq), leaf, prev, log_id, kind, call_uid, int(segment), utc, boot_id, int(ns), clock, int(size), root,
        actor, agent_run, late=False, body=body,
    )  # fmt: skip


def _slowly(data: bytes, leaf: str) -> LogEntry:
    value = parse(data)
    try:
        (
            seq, prev, log_id, kind, call_uid, segment, utc, boot_id, ns, clock, anchor, actor, agent_run, body,
        ) = _FIELDS(value)  # fmt: skip
        entry = LogEntry(
            seq, leaf, prev, log_id, kind, call_uid, segment, utc, boot_id, int(ns), clock, anchor["size"],
            anchor["root"], actor, agent_run, value.get("late", False), body,
        )  # fmt: skip
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise Broken(f"an entry lacks a field or holds another type: {error}") from error
    if value.get("v") != VERSION or not _well_typed(entry):
        raise Broken(f"entry {entry.seq} is of a form that is not known here")
    return entry


def _well_typed(e: LogEntry) -> bool:
    words = {type(e.kind), type(e.call_uid), type(e.boot_id), type(e.agent_run), type(e.actor), type(e.utc)}
    words |= {type(e.clock), type(e.prev), type(e.log_id)}
    return words == _TEXT and type(e.seq) is type(e.segment) is int and type(e.body) is dict


def commitment(value: str) -> tuple[str, str]:
    """Bind `value` without showing it: (commitment, salt), both hexadecimal. Without the salt it opens to nobody."""
    return _committed(value, secrets.token_bytes(_SALT_BYTES))


def commitments(values: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """As `commitment` for each of them: commitments and salts by name. The system is asked for randomness once."""
    salts = secrets.token_bytes(_SALT_BYTES * len(values))
    starts = range(0, len(salts), _SALT_BYTES)
    pairs = {
        name: _committed(values[name], salts[at : at + _SALT_BYTES]) for name, at in zip(values, starts, strict=True)
    }
    return {name: pair[0] for name, pair in pairs.items()}, {name: pair[1] for name, pair in pairs.items()}


def _committed(value: str, salt: bytes) -> tuple[str, str]:
    return hashlib.sha256(salt + value.encode()).hexdigest(), salt.hex()


def opens(committed: str, salt: str, value: str) -> bool:
    """True where this value and salt were committed to."""
    return hmac.compare_digest(committed, hashlib.sha256(bytes.fromhex(salt) + value.encode()).hexdigest())
