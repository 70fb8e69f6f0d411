"""The manifest: everything one recording is, as canonical JSON, sealed with it; its hash goes into the ledger."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from callrec._canonical import parse, sha256_hex
from callrec.core.reasons import Reason
from callrec.errors import Broken, Unavailable
from callrec.ports import AUDIO_FILE, MANIFEST_FILE, Json, Sealed
from callrec.recording.audio import RATE
from callrec.recording.segment import Described, Gap

FORMAT: Final = "callrec/recording/1"
SALVAGE: Final = "salvage"
"""Who stopped a recording that a crash ended."""
_NUMBERS: Final = ("samples",)
_TEXTS: Final = (
    "recording_id",
    "cipher_sha256",
    "flac_sha256",
    "pcm_sha256",
    "wrapped_key_sha256",
    "stop_reason",
    "stopped_by",
)
_NEXT_STEP: Final = "keep the folder as it is and compare it with the ledger"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a segment ended. `stop_reason` is a Reason's name, empty for a hang-up; `stopped_by` a role, never a name."""

    ended_utc: str
    stop_reason: str
    stopped_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What sealing found and made."""

    samples: int
    truncated: bool
    pcm_sha256: str
    flac_sha256: str
    cipher_sha256: str


def after_crash(started_utc: str, samples: int) -> Ending:
    """The ending of a recording that nobody stopped: as late as its audio says. `Broken` where its start is no time."""
    try:
        ended = datetime.fromisoformat(started_utc) + timedelta(seconds=samples / RATE)
    except ValueError as error:
        raise Broken("a segment's start is not a time", next_step=_NEXT_STEP) from error
    text = ended.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Ending(ended_utc=text, stop_reason=Reason.AGENT_FAILED.value, stopped_by=SALVAGE)


def build(described: Described, ending: Ending, gaps: tuple[Gap, ...], measured: Measured) -> dict[str, Json]:
    """The manifest of one recording. Gaps are cut at its last sample."""
    facts = described.facts
    return {
        "format": FORMAT,
        "recording_id": described.header.recording_id,
        "header": asdict(described.header),
        "line": facts.line,
        "purposes": sorted(purpose.value for purpose in facts.purposes),
        "notice": dict(facts.notice),
        "retention": dict(facts.retention),
        "details": dict(facts.details),
        "started_utc": facts.started_utc,
        **asdict(ending),
        **asdict(measured),
        "rate": RATE,
        "channels": ["caller", "staff"],
        "gaps": [_closed(gap, measured.samples) for gap in gaps],
        "wrapped_key_sha256": sha256_hex(described.wrapped),
    }


def _closed(gap: Gap, samples: int) -> dict[str, Json]:
    end = samples if gap.to_sample is None else min(gap.to_sample, samples)
    return {"from_sample": min(gap.from_sample, end), "to_sample": end, "why": gap.why}


def read_sealed(folder: Path) -> Sealed:
    """A sealed folder as it says of itself; its hashes are not compared here. `Broken` where the manifest is none."""
    try:
        data = (folder / MANIFEST_FILE).read_bytes()
    except FileNotFoundError as error:
        raise Broken(f"{folder.name} has no manifest", next_step=_NEXT_STEP) from error
    except OSError as error:
        raise Unavailable(f"{folder.name}: {error.strerror}", next_step="look at the disk") from error
    manifest = checked(parse(data))
    if manifest["recording_id"] != folder.name:
        raise Broken(f"{folder.name} holds another recording", next_step=_NEXT_STEP)
    return sealed(folder, manifest, sha256_hex(data))


def sealed(folder: Path, manifest: Mapping[str, Json], manifest_sha256: str) -> Sealed:
    """The record of a sealed folder."""
    return Sealed(
        recording_id=manifest["recording_id"],
        folder=folder,
        manifest=manifest,
        manifest_sha256=manifest_sha256,
        cipher_sha256=manifest["cipher_sha256"],
        flac_sha256=manifest["flac_sha256"],
        pcm_sha256=manifest["pcm_sha256"],
        samples=manifest["samples"],
    )


IMPORTED: Final = "callrec/imported/1"
"""The form of a manifest of what another recorder made (recording.imported)."""


def is_imported(manifest: Mapping[str, Json]) -> bool:
    """Whether this manifest is of what another recorder made."""
    return manifest.get("format") == IMPORTED


def checked(manifest: Any) -> Mapping[str, Json]:
    """The manifest, with the fields that code relies on present and of their kind. `Broken` otherwise."""
    if not isinstance(manifest, dict) or manifest.get("format") not in (FORMAT, IMPORTED):
        raise Broken("this is not the manifest of a recording", next_step=_NEXT_STEP)
    wrong = [name for name in _TEXTS if not isinstance(manifest.get(name), str)]
    wrong += [name for name in _NUMBERS if type(manifest.get(name)) is not int]
    wrong += [name for name, kind in _OTHERS.items() if not isinstance(manifest.get(name), kind)]
    if wrong:
        raise Broken(f"the manifest lacks {', '.join(wrong)}", next_step=_NEXT_STEP)
    return manifest


_OTHERS: Final[Mapping[str, type]] = {"header": dict, "gaps": list, "purposes": list, "truncated": bool}


def sealed_body(recording: Sealed) -> dict[str, Json]:
    """The body of its `recording.sealed` entry."""
    manifest = recording.manifest
    return {
        "started_leaf": manifest["header"]["started_leaf"],
        "manifest_sha256": recording.manifest_sha256,
        "cipher_sha256": recording.cipher_sha256,
        "flac_sha256": recording.flac_sha256,
        "pcm_sha256": recording.pcm_sha256,
        "samples": recording.samples,
        "gaps": manifest["gaps"],
        "stop_reason": manifest["stop_reason"],
        "stopped_by": manifest["stopped_by"],
        "truncated": manifest["truncated"],
    }


def cipher_sha256(folder: Path) -> str:
    """SHA-256 of the sealed audio as it lies there. `Broken` where it is missing. Blocking."""
    try:
        with (folder / AUDIO_FILE).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise Broken(f"{folder.name} has no audio", next_step=_NEXT_STEP) from error
    except OSError as error:
        raise Unavailable(f"{folder.name}: {error.strerror}", next_step="look at the disk") from error
