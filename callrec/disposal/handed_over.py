"""What is destroyed here because it was handed over whole: the list of it, drawn from the sums of the hand-over (R64).

Its due day does not matter: whoever took it over keeps it by that. What counts is that these very bytes were handed
over, that two persons say they arrived, and that no hold stands here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from typing import Final

from callrec._canonical import sha256_hex
from callrec.disposal.clock import believed
from callrec.disposal.lists import Bench
from callrec.disposal.papers import MOST_ITEMS, Draft, Item, Left
from callrec.disposal.register import Standing
from callrec.errors import ConfigError, Refused
from callrec.ledger.entry import utc_text
from callrec.ports import AUDIO_FILE, MANIFEST_FILE

HANDED_OVER: Final = "HANDED_OVER"
"""What a certificate gives as the rule of what was destroyed because somebody else keeps it now."""
ROOM: Final = "handovers"
"""Where the sums are kept beside the lists."""
_LINE: Final = re.compile(r"([0-9a-f]{64})  (.+)")
_EXPORT: Final = "hand everything over anew with `callrec handover export`"


def drawn_after_handover(bench: Bench, sums: bytes, *, receipt: str) -> Draft:
    """The list of what these sums show to have been handed over and is still kept here, at most `MOST_ITEMS`; held ones
    are taken out. `receipt` is the reference of whoever took it over.

    `Refused` where the ledger knows no such hand-over, where nothing is left, or where the clock is not believed.
    """
    today = believed(bench.clock, bench.register.newest).date()
    digest = sha256_hex(sums)
    if digest not in bench.register.handovers:
        raise Refused("the ledger knows no hand-over with these sums", next_step=_EXPORT)
    handed = listed(sums)
    items: list[Item] = []
    out: list[Left] = []
    busy = bench.register.being_disposed()
    for standing in bench.register.kept():
        if standing.recording_id in busy or standing.recording_id not in handed:
            continue
        if why := _forbidden(bench, standing, digest, handed):
            out.append(Left(recording_id=standing.recording_id, why=why))
        elif len(items) < MOST_ITEMS:
            items.append(_item(standing, receipt, today))
    if not items:
        said = "; ".join(f"{left.recording_id}: {left.why}" for left in out[:5]) or "nothing of it is kept here"
        raise Refused(f"there is nothing to propose: {said}", next_step="see `callrec recordings list`")
    bench.places.keep(ROOM, sums)
    drawn, until = utc_text(bench.clock.utc()), today.isoformat()
    return Draft(log_id=bench.log_id, drawn_utc=drawn, until=until, items=tuple(items), taken_out=tuple(out))


def _item(standing: Standing, receipt: str, today: date) -> Item:
    return Item(
        recording_id=standing.recording_id,
        cipher_sha256=standing.cipher_sha256,
        manifest_sha256=standing.manifest_sha256,
        rule=HANDED_OVER,
        version=1,
        trigger=today.isoformat(),
        due=today.isoformat(),
        reviewed=receipt,
    )


def forbidden_after_handover(bench: Bench, standing: Standing, handover_sha256: str) -> str:
    """Why this recording must not be destroyed as handed over, as a sentence; empty where it may."""
    return _forbidden(bench, standing, handover_sha256, listed(bench.places.read(ROOM, handover_sha256)))


def _forbidden(bench: Bench, standing: Standing, digest: str, handed: Mapping[str, tuple[str, str]]) -> str:
    if holds := bench.register.holds_on(standing):
        return f"the hold {holds[0].hold_id} ({holds[0].kind}) forbids it"
    if handed.get(standing.recording_id) != (standing.cipher_sha256, standing.manifest_sha256):
        return "it was not handed over as it was sealed"
    if not 0 <= standing.kept_seq < bench.register.handovers.get(digest, -1):
        return "it was kept after the hand-over"
    return ""


@lru_cache(maxsize=2)
def listed(sums: bytes) -> Mapping[str, tuple[str, str]]:
    """Hashes of audio and manifest of each recording that these sums name. ConfigError where they are no sums."""
    found: dict[str, dict[str, str]] = {}
    for digest, place in map(_line, sums.decode("utf-8", "replace").splitlines()):
        *_, recording_id, name = ["", "", *place.split("/")]
        if name in (AUDIO_FILE, MANIFEST_FILE):
            found.setdefault(recording_id, {})[name] = digest
    return {name: (each.get(AUDIO_FILE, ""), each.get(MANIFEST_FILE, "")) for name, each in found.items()}


def _line(text: str) -> tuple[str, str]:
    if (line := _LINE.fullmatch(text)) is None:
        raise ConfigError("these are no sums of a hand-over", next_step="name the folder that was handed over")
    return line[1], line[2]
