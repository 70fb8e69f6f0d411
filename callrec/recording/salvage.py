"""At start: bring what a crash left to the end it would have had, with the functions of a live call. Idempotent."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass
from enum import Enum, unique
from pathlib import Path

from callrec._aead import KEY_BYTES
from callrec._canonical import parse
from callrec._durable import remove
from callrec.core.reasons import Reason
from callrec.errors import Broken, CallrecError
from callrec.ports import Sealed, SegmentHeader
from callrec.recording.seal import destroy, discard_mark, seal_left
from callrec.recording.segment import SEGMENT_FILE, read_description
from callrec.recording.spool import Spool


@unique
class Outcome(Enum):
    """What became of a recording that a crash ended, and what the ledger is owed unless it has it."""

    SEALED = "sealed"
    """Sealed, marked truncated: `recording.sealed`, which the mover appends."""
    DISCARDED = "discarded"
    """Destroyed as had been ordered, or nothing was captured: `recording.discarded`, then `forget_discarded`."""
    PARKED = "parked"
    """Its key left memory (a reboot): the keeper can still open it. `recording.lost`, until the keeper seals it."""
    LOST = "lost"
    """Opened, and never written: `recording.lost`."""
    FAILED = "failed"
    """Could not be dealt with now; it stays where it is, and the next start tries again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Salvaged:
    """One recording that was found. `header` is None where its description cannot be read; `why` is for a person."""

    recording_id: str
    outcome: Outcome
    header: SegmentHeader | None
    sealed: Sealed | None = None
    why: str = ""


def salvage(spool: Spool, *, declined: Container[str] = ()) -> tuple[Salvaged, ...]:
    """Deal with all that is in the spool and in memory and not live in this process. Call it before the first call.

    `declined` are calls (call_uid) whose caller said no: what was captured of them is destroyed, whatever came between.

    `Unavailable` only where the spool itself is gone, or another process still works on it. What lies in `ready` is the
    mover's. Blocking.
    """
    with spool.working_on_tmp(alone=True):
        return _salvaged(spool, declined)


def _salvaged(spool: Spool, declined: Container[str]) -> tuple[Salvaged, ...]:
    for recording_id in spool.ids_in("done"):
        spool.hand_off(recording_id)
    found = [
        *_marked(spool),
        *(_left(spool, name, declined) for name in spool.ids_in("tmp") if not spool.is_open(name)),
    ]
    _sweep_memory(spool)
    return tuple(item for item in found if item is not None)


def _marked(spool: Spool) -> Iterator[Salvaged]:
    for recording_id in spool.ids_in("discarded"):
        try:
            mark = parse(discard_mark(spool, recording_id).read_bytes())
            header = SegmentHeader(**mark["header"]) if mark["header"] else None
            destroy(spool, recording_id, mark["reason"])
        except (CallrecError, OSError, KeyError, TypeError) as error:
            yield Salvaged(recording_id=recording_id, outcome=Outcome.FAILED, header=None, why=str(error))
        else:
            yield Salvaged(recording_id=recording_id, outcome=Outcome.DISCARDED, header=header, why=mark["reason"])


def _left(spool: Spool, recording_id: str, declined: Container[str]) -> Salvaged | None:
    if spool.ready(recording_id).exists():  # killed between the commit and the cleaning up
        spool.clear(recording_id)
        return None
    header: SegmentHeader | None = None
    try:
        if not (spool.tmp(recording_id) / SEGMENT_FILE).exists():
            spool.clear(recording_id)
            return Salvaged(recording_id=recording_id, outcome=Outcome.LOST, header=None, why="nothing was written")
        header = read_description(spool.tmp(recording_id)).header
        if header.call_uid in declined:
            destroy(spool, recording_id, Reason.CALLER_DECLINED.value)
            return Salvaged(
                recording_id=recording_id,
                outcome=Outcome.DISCARDED,
                header=header,
                why=Reason.CALLER_DECLINED.value,
            )
        return _sealed_or_parked(spool, recording_id, header)
    except CallrecError as error:
        return Salvaged(recording_id=recording_id, outcome=Outcome.FAILED, header=header, why=str(error))


def _sealed_or_parked(spool: Spool, recording_id: str, header: SegmentHeader) -> Salvaged:
    secret = _live_secret(spool.live_key(recording_id))
    if secret is None:
        spool.set_aside(recording_id, "parked", came_from="tmp")
        why = "its key is gone from memory; the keeper can open it"
        return Salvaged(recording_id=recording_id, outcome=Outcome.PARKED, header=header, why=why)
    recording = seal_left(spool, recording_id, secret, None)
    if recording is None:
        return Salvaged(recording_id=recording_id, outcome=Outcome.DISCARDED, header=header, why="nothing was captured")
    return Salvaged(recording_id=recording_id, outcome=Outcome.SEALED, header=header, sealed=recording)


def _live_secret(path: Path) -> bytes | None:
    try:
        secret = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Broken(f"a live key cannot be read: {error.strerror}", next_step="look at agent.runtime_dir") from error
    if len(secret) != KEY_BYTES:
        raise Broken("a live key was changed", next_step="the keeper can open the recording with the wrapped key")
    return secret


def seal_parked(spool: Spool, recording_id: str, secret: bytes) -> Sealed | None:
    """For the keeper, who unwrapped the key of a parked recording: seal it as truncated into `ready`. Blocking."""
    spool.set_aside(recording_id, "tmp", came_from="parked")
    return seal_left(spool, recording_id, secret, None)


def _sweep_memory(spool: Spool) -> None:
    """Plain audio and keys whose recording is no longer in `tmp` have no use: gone."""
    for folder in ("live", "capture"):
        for path in (spool.runtime_dir / folder).iterdir():
            recording_id = path.name.split(".", 1)[0]
            if not spool.tmp(recording_id).exists() and not spool.is_open(recording_id):
                remove(path)
