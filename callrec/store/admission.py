"""The store's own door: what has no proof in the ledger, or no retention rule, is not kept (R42, R44).

The recorder promises the same, but a store that believes its client keeps whatever a broken or bypassed client brings.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NoReturn, Protocol

from callrec._canonical import canonical, parse, sha256_hex
from callrec.core.consent import ConsentKind
from callrec.core.evidence_json import judged_from_json
from callrec.core.kinds import Kind
from callrec.core.proof import Granted, judge
from callrec.core.values import Grade
from callrec.errors import Broken, Refused, Unavailable
from callrec.ports import SEALED_LEAF_FILE, Json, Sealed

PLAYED: Final = ConsentKind.KEYPRESS.evidence
RETENTION_FIELDS: Final = ("rule", "version", "trigger", "due")


class Admission(Protocol):
    """Decides whether a store may keep an object."""

    def check(self, sealed: Sealed) -> None:
        """Return where it may be kept; `Refused` with the first rule that it breaks; `Unavailable` if unknown.

        Blocking.
        """


class EntryLookup(Protocol):
    """The ledger, for those who only look things up."""

    def look_up(self, leaf: str, *, call_uid: str) -> Mapping[str, Json] | None:
        """This call's entry with this hex leaf as it stands in the log (kind, call_uid, segment, seq, log_id, body),
        once its inclusion under a signed checkpoint was verified; None where there is none. `Unavailable` if unknown.
        Blocking.
        """


class NothingAdmitted:
    """For who only reads a store: nothing is put into it."""

    def check(self, sealed: Sealed) -> None:
        """Refuse it."""
        raise Refused(f"{sealed.recording_id}: this store is only read here", next_step="hand it over where it is kept")


class UnsafeAdmitEverything:
    """No door at all: for tests of what is behind it. Never wired."""

    def check(self, sealed: Sealed) -> None:
        """Admit it."""


class LedgerAdmission:
    """Asks the ledger for `recording.sealed`, `recording.started` and every `notice.proven`, and compares them.

    `logs` answers which ledgers are registered with the store (blocking); entries of any other are believed in nothing.
    `evidence` is the folder of judged evidence: that of every proof is judged again, so that the floors of today hold
    for what is kept, whatever the recorder thought. None in tests of the rest alone.
    """

    def __init__(self, lookup: EntryLookup, *, logs: Callable[[], Collection[str]], evidence: Path | None) -> None:
        self._lookup = lookup
        self._logs = logs
        self._evidence = evidence

    def check(self, sealed: Sealed) -> None:
        """See `Admission`."""
        manifest = sealed.manifest
        _retention(sealed)
        header = _mapping(sealed, manifest.get("header"), "its header")
        if header.get("log_id") not in self._logs():
            _refuse(sealed, "its ledger is not one that was registered with this store")
        closed = self._entry(sealed, _noted_leaf(sealed), Kind.RECORDING_SEALED)
        _same(sealed, "sealed", closed["body"], _sealed_as(sealed, header))
        started = self._entry(sealed, header.get("started_leaf"), Kind.RECORDING_STARTED)
        _same(sealed, "started", started["body"], _started_as(manifest, header))
        proven = {leaf: self._entry(sealed, leaf, Kind.NOTICE_PROVEN) for leaf in _proven(sealed, started, header)}
        proofs = list(proven.values())
        _in_order(sealed, *proofs, started, closed)
        _covered(sealed, proofs, self._consented(sealed, started, proven))
        if self._evidence is not None:
            _judged_again(sealed, proofs, self._evidence)

    def _entry(self, sealed: Sealed, leaf: Any, kind: Kind) -> Mapping[str, Json]:
        """The entry of this kind for this very segment."""
        uid = str(sealed.manifest["header"].get("call_uid"))
        found = self._lookup.look_up(leaf, call_uid=uid) if isinstance(leaf, str) and leaf else None
        if found is None:
            _refuse(sealed, f"the ledger holds no {kind.value} for it")
        header = sealed.manifest["header"]
        expected = {"kind": kind.value, **{name: header.get(name) for name in ("log_id", "call_uid", "segment")}}
        if any(found.get(name) != value for name, value in expected.items()):
            _refuse(sealed, f"its {kind.value} belongs to another segment")
        _mapping(sealed, found.get("body"), kind.value)
        return found

    def _consented(
        self, sealed: Sealed, started: Mapping[str, Json], proven: Mapping[str, Mapping[str, Json]]
    ) -> frozenset[str]:
        """What the caller agreed to, by the record that lies in the object, which is the one in the ledger (R19)."""
        leaves = started["body"].get("consent_leaves") or []
        held = sealed.manifest.get("details", {}).get("consent")
        if not leaves and held is None:
            return frozenset()
        if not isinstance(leaves, list) or not isinstance(held, Mapping) or [held.get("leaf")] != leaves:
            _refuse(sealed, "the record of its caller's consent is missing, or is another one")
        given = self._entry(sealed, held["leaf"], Kind.CONSENT_GIVEN)
        if canonical({**given["body"], "leaf": held["leaf"]}) != canonical(dict(held)):
            _refuse(sealed, "the record of its caller's consent is not the one in the ledger")
        _rests_on_proof(sealed, given["body"], proven)
        if not given["seq"] < started["seq"]:
            _refuse(sealed, "it was started before its caller's consent was in the ledger")
        return frozenset(given["body"]["purposes"])


def _rests_on_proof(sealed: Sealed, given: Mapping[str, Json], proven: Mapping[str, Mapping[str, Json]]) -> None:
    """The consent names one of the proofs; and where the caller gave it by a key, that key is in it."""
    proof = proven.get(str(given.get("proven_leaf")))
    by_key = given.get("evidence") == PLAYED
    if proof is None or (by_key and proof["body"].get("grade") != Grade.ACKNOWLEDGED.value):
        _refuse(sealed, "nothing shows that its caller was asked, or that they agreed")


def _judged_again(sealed: Sealed, proofs: Iterable[Mapping[str, Json]], folder: Path) -> None:
    """Each proof's evidence is there, is what the ledger says, and is enough by the rules of this very program."""
    for proof in proofs:
        said = proof["body"]
        path = folder / f"{proof['call_uid']}-{said.get('attempt')}.json"
        try:
            judged = judged_from_json(parse(path.read_bytes()))
        except OSError as error:
            raise Unavailable(f"the evidence {path.name}: {error.strerror}", next_step="restore it") from error
        except (ValueError, Broken):
            _refuse(sealed, f"the evidence {path.name} cannot be read")
        digest = sha256_hex(canonical(judged.evidence_json))
        if digest != said.get("evidence_sha256"):
            _refuse(sealed, f"the evidence {path.name} is not what was proven")
        if not isinstance(judge(judged.evidence, evidence_sha256=digest), Granted):
            _refuse(sealed, f"the evidence {path.name}, judged again, is not enough")


def _refuse(sealed: Sealed, why: str) -> NoReturn:
    step = "find out how it was made; it stays in the spool"
    raise Refused(f"{sealed.recording_id} is not admitted: {why}", next_step=step)


def _mapping(sealed: Sealed, value: Any, what: str) -> Mapping[str, Json]:
    if not isinstance(value, Mapping):
        _refuse(sealed, f"{what} is missing")
    return value


def _retention(sealed: Sealed) -> None:
    rule = _mapping(sealed, sealed.manifest.get("retention"), "its retention rule")
    for name in RETENTION_FIELDS:
        if rule.get(name) in (None, ""):
            _refuse(sealed, f"its retention rule names no {name}")


def _noted_leaf(sealed: Sealed) -> str | None:
    """Where its `recording.sealed` is said to be. A hint: the entry itself is compared."""
    try:
        return (sealed.folder / SEALED_LEAF_FILE).read_text("ascii")
    except (OSError, UnicodeDecodeError):
        return None


def _sealed_as(sealed: Sealed, header: Mapping[str, Json]) -> Mapping[str, Json]:
    return {
        "started_leaf": header.get("started_leaf"),
        "manifest_sha256": sealed.manifest_sha256,
        "cipher_sha256": sealed.cipher_sha256,
        "flac_sha256": sealed.flac_sha256,
        "pcm_sha256": sealed.pcm_sha256,
        "samples": sealed.samples,
    }


def _started_as(manifest: Mapping[str, Json], header: Mapping[str, Json]) -> Mapping[str, Json]:
    return {"key_id": header.get("key_id"), "wrapped_key_sha256": manifest.get("wrapped_key_sha256")}


def _same(sealed: Sealed, what: str, body: Mapping[str, Json], expected: Mapping[str, Json]) -> None:
    for name, value in expected.items():
        if value is None or body.get(name) != value:
            _refuse(sealed, f"the ledger says another {name} when it was {what}")


def _proven(sealed: Sealed, started: Mapping[str, Json], header: Mapping[str, Json]) -> Iterable[str]:
    leaves = started["body"].get("proven_leaves")
    if not isinstance(leaves, list) or header.get("proven_leaf") not in leaves:
        _refuse(sealed, "it was not started by the proof it names")
    return leaves


def _in_order(sealed: Sealed, *entries: Mapping[str, Json]) -> None:
    *proofs, started, closed = (entry["seq"] for entry in entries)
    if not all(proof < started for proof in proofs) or not started < closed:
        _refuse(sealed, "it was started before its proof, or sealed before it was started")


def _covered(sealed: Sealed, proofs: Iterable[Mapping[str, Json]], consented: frozenset[str]) -> None:
    """Its evidence is one of the proofs', and its purposes are within every proof's, and what was agreed to (R22)."""
    notice = _mapping(sealed, sealed.manifest.get("notice"), "its notice")
    purposes = frozenset(sealed.manifest.get("purposes") or ())
    bodies = [proof["body"] for proof in proofs]
    if notice.get("evidence_sha256") not in [body.get("evidence_sha256", "") for body in bodies]:
        _refuse(sealed, "its evidence is not what was proven")
    allowed = [frozenset(body.get("purposes") or ()) | consented for body in bodies]
    if not purposes or any(not purposes <= each for each in allowed):
        _refuse(sealed, "it has a purpose that its notice did not name")


_: type[Admission] = LedgerAdmission
