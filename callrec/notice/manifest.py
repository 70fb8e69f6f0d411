"""The register as it is written down, prompts/manifest.yaml: strict YAML in, frozen records out, and back.

An unknown, missing or doubled key, and a value of the wrong kind, is a ConfigError that says where it stands and what
may stand there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import Enum, unique
from typing import Any, Final

import yaml

from callrec._canonical import canonical, sha256_hex
from callrec.core.purposes import parse_purposes
from callrec.core.values import Purpose
from callrec.errors import ConfigError
from callrec.notice.wording import CONSENT_EXPLAINS, EXPLAINS, KEYS, LANGUAGE_KEY, MEANINGS, is_meaning, names

NAME: Final = "manifest.yaml"
LARGEST_BYTES: Final = 1_000_000


@unique
class Status(Enum):
    """How far a prompt has come. Only an approved one is ever played as a notice."""

    DRAFT = "draft"
    SAMPLE = "sample"
    APPROVED = "approved"
    RETIRED = "retired"


@unique
class PromptKind(Enum):
    """What it is for: before a recording, to ask for consent in the call, or a few words during it."""

    NOTICE = "notice"
    CONSENT = "consent"
    ANNOUNCEMENT = "announcement"


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """Who approved these bytes and words, when, and the ledger entry that says so; `body_sha256` is of its body.

    `signature` is the approver's own over that body, empty where they have no key in the register.
    """

    by: str
    at: datetime
    leaf: str
    body_sha256: str
    signature: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptRecord:
    """One version of one prompt in one language. `speech` is a 0 or 1 for each 20 ms, as hexadecimal digits. By
    `essential_ms` the words of `essential_text` were spoken, with which the text begins; empty: all of it is essential.
    `asks` are purposes, with their phrases, that only a yes to it adds: of a prompt that asks for consent alone.
    """

    id: str
    version: int
    language: str
    kind: PromptKind
    file: str
    text: str
    pcm_sha256: str
    samples: int
    speech: str
    essential_ms: int
    status: Status
    sample: bool
    purposes: Mapping[Purpose, str] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    explains: Mapping[str, str] = field(default_factory=dict)
    approved: Approval | None = None
    effective_from: datetime | None = None
    effective_to: datetime | None = None
    note: str = ""
    essential_text: str = ""
    asks: Mapping[Purpose, str] = field(default_factory=dict)

    @property
    def essential_purposes(self) -> frozenset[Purpose]:
        """Those that are named before the caller may skip the rest; all of them where nothing may be skipped."""
        if not self.essential_text:
            return frozenset(self.purposes)
        return frozenset(each for each, phrase in self.purposes.items() if names(self.essential_text, phrase))

    @property
    def languages(self) -> tuple[tuple[str, str], ...]:
        """(key, language) for each key that chooses another language."""
        meant = ((key, meaning.partition(LANGUAGE_KEY)) for key, meaning in sorted(self.keys.items()))
        return tuple((key, language) for key, (_, found, language) in meant if found)

    def key_for(self, meaning: str) -> str:
        """The key that the notice names for this; empty where it names none."""
        return next((key for key, meant in self.keys.items() if meant == meaning), "")

    @property
    def name(self) -> str:
        """`id.language.version`: how people and messages call it."""
        return f"{self.id}.{self.language}.{self.version}"

    def approval_body(self, by: str) -> dict[str, Any]:
        """Body of the ledger entry `prompt.approved` for exactly this record. No name of a person, no text."""
        rest: dict[str, Any] = {"keys": dict(self.keys), "explains": dict(self.explains), "speech": self.speech}
        named = {purpose.value: phrase for purpose, phrase in self.purposes.items()}
        dates = {"effective_from": self.effective_from, "effective_to": self.effective_to}
        essential = {
            "essential_purposes": sorted(purpose.value for purpose in self.essential_purposes),
            "essential_text_sha256": sha256_hex(self.essential_text.encode()),
        }
        asked = {purpose.value: phrase for purpose, phrase in self.asks.items()}
        rest |= {"asks": asked} if asked else {}
        return {
            **(essential if self.essential_text else {}),
            **({"asks": sorted(asked)} if asked else {}),
            **{name: _plain_value(date) for name, date in dates.items() if date is not None},
            "prompt_id": self.id,
            "version": self.version,
            "language": self.language,
            "kind": self.kind.value,
            "pcm_sha256": self.pcm_sha256,
            "samples": self.samples,
            "essential_ms": self.essential_ms,
            "text_sha256": sha256_hex(self.text.encode()),
            "purposes": sorted(named),
            "keys": dict(self.keys),
            "meta_sha256": sha256_hex(canonical({**rest, "purposes": named})),
            "sample": self.sample,
            "by": by,
        }

    def in_force(self, at: datetime) -> bool:
        """True inside its dates: from the first moment on, up to but not including the last."""
        started = self.effective_from is None or self.effective_from <= at
        return started and (self.effective_to is None or at < self.effective_to)


# ---------------------------------------------------------------- reading


class _StrictLoader(yaml.SafeLoader):
    """Safe YAML in which a key may stand only once and nothing refers to something else."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem="references (*name) are not used here", problem_mark=mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - PyYAML's
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key is a single word", problem_mark=key.start_mark)
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"{key.value!r} stands here twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_UNREADABLE: Final = (
    yaml.YAMLError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    RecursionError,
)
"""What PyYAML lets through for a tag that does not fit its value, besides its own errors."""


Approvers = Mapping[str, str]
"""The public keys of those who approve, in hexadecimal, by their id."""


def parse_manifest(data: bytes, *, at: str) -> tuple[PromptRecord, ...]:
    """The records, in order. `at` is the file's name for messages. ConfigError for any mistake."""
    return parse_register(data, at=at)[0]


def parse_register(data: bytes, *, at: str) -> tuple[tuple[PromptRecord, ...], Approvers]:
    """The records, in order, and the keys of those who approve. As `parse_manifest`."""
    if len(data) > LARGEST_BYTES:
        raise ConfigError(f"{at} is {len(data)} bytes long; this is no register of prompts")
    try:
        raw = yaml.load(data.decode(), _StrictLoader)  # noqa: S506 - a SafeLoader
    except _UNREADABLE as error:
        raise ConfigError(f"{at} is not YAML: {_one_line(error)}", next_step="correct that place") from error
    given = _known(raw, ("approvers", "prompts"), at)
    listed = given.get("prompts")
    if not isinstance(listed, list):
        raise ConfigError(f"{at}: prompts: expected a list")
    records = tuple(parse_record(each, f"{at}: prompts[{number}]") for number, each in enumerate(listed))
    return records, parse_approvers(given.get("approvers", {}), f"{at}: approvers")


def parse_approvers(raw: object, at: str) -> Approvers:
    """The keys by their owners' ids. ConfigError naming the place."""
    given = _known(raw, tuple(raw) if isinstance(raw, Mapping) else (), at)
    return {slug(name, at): _digest(key, f"{at}.{name}") for name, key in given.items()}


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _known(raw: object, known: tuple[str, ...], at: str) -> Mapping[str, Any]:
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{at}: expected keys and values, found {raw!r:.60}")
    for key in raw:
        if key not in known:
            raise ConfigError(f"{at}: unknown key {key!r}; known keys are {', '.join(sorted(known))}")
    return raw


def _text(raw: object, at: str) -> str:
    if not isinstance(raw, str):
        raise ConfigError(f"{at}: expected words, found {raw!r:.60}")
    return raw


def _matching(pattern: str, what: str) -> Callable[[object, str], str]:
    def parse(raw: object, at: str) -> str:
        if not isinstance(raw, str) or not re.fullmatch(pattern, raw):
            raise ConfigError(f"{at}: expected {what}, found {raw!r:.60}")
        return raw

    return parse


slug: Final = _matching(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", "small letters, digits and hyphens, at most 40")
"""Checks an id: of a prompt, of a person in `people`. ConfigError naming the place."""
language: Final = _matching(r"[a-z]{2,3}(-[A-Z]{2})?", "a language code such as en or cy")
"""Checks a language code (BCP 47, short form). ConfigError naming the place."""
_digest: Final = _matching(r"[0-9a-f]{64}", "a SHA-256 in hexadecimal")
_file: Final = _matching(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", "the name of a file in this folder")
_hex: Final = _matching(r"[0-9a-f]*", "hexadecimal digits")
_signature: Final = _matching(r"([0-9a-f]{128})?", "an Ed25519 signature in hexadecimal")
_leaf: Final = _matching(r"[0-9a-f]{1,128}", "the ledger entry, in hexadecimal")


def _number(raw: object, at: str) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int) or not 0 < raw < 10_000_000:  # noqa: PLR2004 - any sane count
        raise ConfigError(f"{at}: expected a whole number above 0, found {raw!r:.60}")
    return raw


def _flag(raw: object, at: str) -> bool:
    if not isinstance(raw, bool):
        raise ConfigError(f"{at}: expected true or false, found {raw!r:.60}")
    return raw


def _one_of(choices: type[Enum]) -> Callable[[object, str], Any]:
    def parse(raw: object, at: str) -> Any:
        for choice in choices:
            if raw == choice.value:
                return choice
        raise ConfigError(f"{at}: {raw!r:.60} is none of {', '.join(choice.value for choice in choices)}")

    return parse


def moment(raw: object, at: str) -> datetime:
    """A date, or a date and time with its zone, as UTC. ConfigError naming the place."""
    try:
        found = datetime.fromisoformat(raw.isoformat() if isinstance(raw, date) else _text(raw, at))
    except ValueError as error:
        raise ConfigError(f"{at}: expected a date such as 2026-11-22, found {raw!r:.60}") from error
    if found.tzinfo is None and (found.hour or found.minute or found.second):
        raise ConfigError(f"{at}: {raw} needs its time zone, such as Z")
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _purposes(raw: object, at: str) -> dict[Purpose, str]:
    given = _known(raw, tuple(raw) if isinstance(raw, Mapping) else (), at)
    try:
        return {next(iter(parse_purposes([name], at=at))): _text(given[name], f"{at}.{name}") for name in given}
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _keys(raw: object, at: str) -> dict[str, str]:
    given = _known(raw, tuple(KEYS), at)
    for key, meaning in given.items():
        if not isinstance(meaning, str) or not is_meaning(meaning):
            raise ConfigError(f"{at}.{key}: {meaning!r:.60} is none of {', '.join(MEANINGS)}, {LANGUAGE_KEY}cy")
    return dict(given)


def _explains(raw: object, at: str) -> dict[str, str]:
    known = tuple({**EXPLAINS, **CONSENT_EXPLAINS})
    return {name: _text(phrase, f"{at}.{name}") for name, phrase in _known(raw, known, at).items()}


def _approval(raw: object, at: str) -> Approval:
    given = _known(raw, ("by", "at", "leaf", "body_sha256", "signature"), at)
    _all_there(given, ("by", "at", "leaf", "body_sha256"), at)
    return Approval(
        by=slug(given["by"], f"{at}.by"),
        at=moment(given["at"], f"{at}.at"),
        leaf=_leaf(given["leaf"], f"{at}.leaf"),
        body_sha256=_digest(given["body_sha256"], f"{at}.body_sha256"),
        signature=_signature(given.get("signature", ""), f"{at}.signature"),
    )


def _all_there(given: Mapping[str, Any], needed: tuple[str, ...], at: str) -> None:
    for key in needed:
        if key not in given:
            raise ConfigError(f"{at}: {key} is missing")


_FIELDS: Final[Mapping[str, Callable[[object, str], Any]]] = {
    "id": slug,
    "version": _number,
    "language": language,
    "kind": _one_of(PromptKind),
    "file": _file,
    "text": _text,
    "pcm_sha256": _digest,
    "samples": _number,
    "speech": _hex,
    "essential_ms": _number,
    "status": _one_of(Status),
    "sample": _flag,
    "purposes": _purposes,
    "keys": _keys,
    "explains": _explains,
    "approved": _approval,
    "effective_from": moment,
    "effective_to": moment,
    "note": _text,
    "essential_text": _text,
    "asks": _purposes,
}
_NEEDED: Final = tuple(_FIELDS)[: tuple(_FIELDS).index("purposes")]


def parse_record(raw: object, at: str) -> PromptRecord:
    """One prompt of the register. ConfigError naming the place."""
    given = _known(raw, tuple(_FIELDS), at)
    _all_there(given, _NEEDED, at)
    found = {key: parse(given[key], f"{at}.{key}") for key, parse in _FIELDS.items() if key in given}
    return PromptRecord(**found)


# ---------------------------------------------------------------- writing

_HEAD: Final = """\
# The register of prompts: data, written by `callrec prompts`. What was approved is never edited: a change of one word
# or one sample is a new version, added and approved again. README.md beside this file says how.
"""


def dump_manifest(records: tuple[PromptRecord, ...], approvers: Approvers | None = None) -> bytes:
    """The file that `parse_register` reads back as exactly these."""
    raw: dict[str, Any] = {"approvers": dict(approvers)} if approvers else {}
    raw["prompts"] = [plain(record) for record in records]
    return (_HEAD + yaml.safe_dump(raw, sort_keys=False, allow_unicode=True, width=110)).encode()


def plain(record: PromptRecord) -> dict[str, Any]:
    """The record as plain values, which `parse_record` reads back."""
    found = {key: _plain_value(getattr(record, key)) for key in _FIELDS}
    return {key: value for key, value in found.items() if key in _NEEDED or value not in (None, "", {})}


def _plain_value(value: Any) -> Any:
    match value:
        case Enum():
            return value.value
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case Approval():
            keys = ("by", "at", "leaf", "body_sha256", *(["signature"] if value.signature else []))
            return {key: _plain_value(getattr(value, key)) for key in keys}
        case Mapping():
            return {_plain_value(key): each for key, each in value.items()}
        case _:
            return value
