"""Evidence as JSON and back: strict both ways, so that judging again reads exactly what was judged.

Two objects: the evidence (schema `callrec/notice-evidence/4`), whose canonical bytes are hashed into the ledger, and
around it the judged file (schema `callrec/notice-verdict/1`) that also keeps verdict, reasons and the floors of that
day. Evidence of earlier schemas is read as well: 1 is from before the wire could be tapped, 2 from before a caller
could acknowledge a notice, 3 from before one could end it early or choose its language by a key. Fields that end in
`_ns` are decimal strings, because they outgrow the integers that JSON can carry.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from functools import cache
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

from callrec.core.evidence import SCHEMA, Evidence
from callrec.core.proof import (
    BORDERLINE,
    FIRST_VERIFIER,
    HOLES_CEILING_NS,
    HURRY_CEILING_NS,
    LEVEL_MISS_CEILING,
    LOSS_CEILING,
    SECOND_VERIFIER,
    SENT_FLOOR,
    Granted,
)
from callrec.core.reasons import Reason
from callrec.core.values import Grade, Purpose

VERDICT_SCHEMA: Final = "callrec/notice-verdict/1"
_NANOSECONDS = re.compile(r"0|[1-9][0-9]{0,19}")
_LARGEST: Final = 2**53 - 1
_PLAIN: Final = frozenset({str, int, float, bool, type(None)})
_WHOLE: Final = ""
_ADDED: Final[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {
    "callrec/notice-evidence/2": {_WHOLE: {"wire": None}},
    "callrec/notice-evidence/3": {
        _WHOLE: {"required_grade": Grade.SENT.value},
        "prompt": {"essential_ms": 0, "acknowledges": ""},
    },
    SCHEMA: {
        "prompt": {"essential_purposes": [], "skips": "", "languages": []},
        "wire": {"sdp_rtp": "", "sdp_rtcp": "", "sdp_keys": False},
    },
}
"""What each schema has that those before it had not, by the part of the evidence where it stands; its value then."""
_VERIFIERS: Final[Mapping[str, str]] = {
    "callrec/notice-evidence/1": FIRST_VERIFIER,
    "callrec/notice-evidence/2": FIRST_VERIFIER,
    "callrec/notice-evidence/3": SECOND_VERIFIER,
}
"""Schemas that are read as well, and who judged by them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedEvidence:
    """One judged file. `evidence_json` is the part that is hashed, as it was read."""

    evidence: Evidence
    evidence_json: Mapping[str, Any]
    granted: bool
    grade: Grade | None
    purposes: frozenset[Purpose]
    reasons: tuple[Reason, ...]


def to_json(evidence: Evidence) -> dict[str, Any]:
    """The evidence as a JSON object, for hashing and keeping."""
    return {"schema": SCHEMA, **encode(evidence)}


def from_json(value: Any) -> Evidence:
    """The evidence again. ValueError, naming the field, where one is missing, unknown or of another type."""
    schema = value.get("schema") if isinstance(value, dict) else None
    if not isinstance(schema, str) or (schema != SCHEMA and schema not in _VERIFIERS):
        raise ValueError(f"this is not {SCHEMA}")
    rest = {name: field for name, field in value.items() if name != "schema"}
    for later, added in _ADDED.items():
        if later > schema:
            rest = _brought_forward(rest, added)
    decoded = decode(rest, Evidence, "evidence")
    assert isinstance(decoded, Evidence)
    if schema in _VERIFIERS and decoded.verifier != _VERIFIERS[schema]:
        raise ValueError("evidence.verifier is not the one of its schema")
    if schema == SCHEMA and decoded.verifier in _VERIFIERS.values():
        raise ValueError("evidence.verifier is not the one of its schema")
    return decoded


def _brought_forward(rest: dict[str, Any], added: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """With what the next schema added. A part that is not there, such as a wire that was not tapped, gets nothing."""
    for part, fields_then in added.items():
        if part == _WHOLE:
            rest = _with_added(rest, fields_then)
        elif isinstance(rest.get(part), dict):
            rest = {**rest, part: _with_added(rest[part], fields_then)}
    return rest


def _with_added(fields_then: dict[str, Any], added: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a later schema may not stand in an earlier one: then it is left as it is, and refused."""
    if fields_then.keys() & added.keys():
        raise ValueError(f"evidence of an earlier schema cannot have the field {min(added)}")
    return {**fields_then, **added}


def judged_to_json(evidence: Evidence, verdict: Granted | tuple[Reason, ...]) -> dict[str, Any]:
    """The file that is kept beside the ledger: the evidence, what was judged of it, and by which floors."""
    granted = isinstance(verdict, Granted)
    return {
        "schema": VERDICT_SCHEMA,
        "evidence": to_json(evidence),
        "verdict": "granted" if granted else "refused",
        "grade": verdict.grade.value if isinstance(verdict, Granted) else None,
        "purposes": sorted(p.value for p in verdict.purposes) if isinstance(verdict, Granted) else [],
        "reasons": [] if isinstance(verdict, Granted) else [reason.value for reason in verdict],
        "floors": {
            "sent": SENT_FLOOR,
            "level_miss": LEVEL_MISS_CEILING,
            "holes_ms": HOLES_CEILING_NS // 1_000_000,
            "hurry_ms": HURRY_CEILING_NS // 1_000_000,
            "rtcp_loss": LOSS_CEILING,
            "borderline": BORDERLINE,
        },
    }


def judged_from_json(value: Any) -> JudgedEvidence:
    """A judged file again. ValueError as `from_json`, and where verdict and reasons cannot both be."""
    names = {"schema", "evidence", "verdict", "grade", "purposes", "reasons", "floors"}
    if not isinstance(value, dict) or value.get("schema") != VERDICT_SCHEMA or set(value) != names:
        raise ValueError(f"this is not {VERDICT_SCHEMA}")
    judged = JudgedEvidence(
        evidence=from_json(value["evidence"]),
        evidence_json=value["evidence"],
        granted=value["verdict"] == "granted",
        grade=decode(value["grade"], Grade | None, "grade"),
        purposes=frozenset(decode(value["purposes"], tuple[Purpose, ...], "purposes")),
        reasons=decode(value["reasons"], tuple[Reason, ...], "reasons"),
    )
    if value["verdict"] not in ("granted", "refused") or judged.granted == bool(judged.reasons):
        raise ValueError("verdict and reasons contradict each other")
    return judged


# ---------------------------------------------------------------- plain values


def encode(value: Any, name: str = "") -> Any:
    """A record (a dataclass of plain values, enums, tuples and records) as plain values."""
    kind: Any = type(value)
    if kind in _PLAIN:
        return str(value) if name.endswith("_ns") and value is not None else value
    if kind is tuple:
        return [encode(item, name) for item in value]
    if isinstance(value, Enum):
        return value.value
    return {field: encode(getattr(value, field), field) for field in _names(kind)}


@cache
def _names(record: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(record))


@cache
def _hints(record: type) -> Mapping[str, Any]:
    return get_type_hints(record)


@cache
def _inner(kind: Any) -> tuple[str, Any]:
    """How this type is made, and of what: asked once for each type, for it takes longer than the decoding."""
    if get_origin(kind) in (UnionType, Union):
        return "optional", next(arg for arg in get_args(kind) if arg is not type(None))
    if get_origin(kind) is tuple:
        return "tuple", get_args(kind)[0]
    if is_dataclass(kind):
        return "record", kind
    return ("enum", {member.value: member for member in kind}) if issubclass(kind, Enum) else ("plain", kind)


def decode(value: Any, kind: Any, where: str) -> Any:
    """A value of this type again, made of plain values. ValueError that names the field by `where`."""
    made, inner = _inner(kind)
    match made:
        case "optional":
            return None if value is None else decode(value, inner, where)
        case "tuple":
            _require(isinstance(value, list), where)
            return tuple(decode(item, inner, f"{where}[{n}]") for n, item in enumerate(value))
        case "record":
            return _decode_record(value, inner, where)
        case "enum":
            _require(isinstance(value, str) and value in inner, where)
            return inner[value]
        case _:
            return _decode_plain(value, inner, where)


def _decode_record(value: Any, kind: Any, where: str) -> Any:
    _require(isinstance(value, dict), where)
    hints = _hints(kind)
    if unknown := set(value) - set(hints):
        raise ValueError(f"{where}: unknown field {min(map(str, unknown))}")
    if missing := set(hints) - set(value):
        raise ValueError(f"{where}: missing field {min(missing)}")
    return kind(**{name: decode(value[name], hints[name], f"{where}.{name}") for name in hints})


def _decode_plain(value: Any, kind: type, where: str) -> Any:
    if where.endswith("_ns"):
        _require(isinstance(value, str) and _NANOSECONDS.fullmatch(value) is not None, where)
        return int(value)
    _require(type(value) is kind, where)
    _require(kind is not int or abs(value) <= _LARGEST, where)
    return value


def _require(condition: bool, where: str) -> None:  # noqa: FBT001 - reads as the sentence it is
    if not condition:
        raise ValueError(f"{where} has the wrong type or value")
