"""What the demonstration has to say in the end, and what should not have come out so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from callrec.audit.wording import tap_remark
from callrec.core.values import Tap
from callrec.demo.house import House
from callrec.demo.picture import drawing
from callrec.demo.show import CALLER_HZ, LINE_HZ, Shown
from callrec.demo.speech import RATE, Samples, share_of_tone
from callrec.recording.open import Opened

_CLEAN: Final = 0.9
"""Share of a channel's energy that is its own speaker's tone. Below that, something else was recorded with it."""
_TALK_DOUBT_S: Final = 0.5
"""When events were seen, and when samples were written, differ by less than this."""


def broken_promises(shown: Shown) -> Iterator[str]:
    """What should not have come out so."""
    if not shown.notice.accepted:
        yield f"the caller's telephone did not receive the whole notice: {'; '.join(shown.notice.reasons)}"
    if shown.recorded.summary["decision"] != "RECORDED":
        yield f"the first call was not recorded: {shown.recorded.summary['reason']}"
    if shown.declined.summary["decision"] != "NOT_RECORDED" or not shown.declined.summary["connected"]:
        yield "the second call was to be connected and not recorded"
    left, right = voices(shown.opened)
    talk_s = sum(part.end - part.begin for part in shown.recorded.parts if part.recorded)
    if abs(len(left) / RATE - talk_s) > _TALK_DOUBT_S:
        yield f"{talk_s:.1f} s of talk were to be recorded, and {len(left) / RATE:.1f} s were"
    if share_of_tone(left, CALLER_HZ) < _CLEAN or share_of_tone(right, LINE_HZ) < _CLEAN:
        yield "the recording holds something else than the caller on the left and the line on the right"


def voices(opened: Opened) -> tuple[Samples, Samples]:
    """Left, the caller; right, the line."""
    stereo = np.frombuffer(opened.pcm, "<i2").reshape(-1, 2)
    return stereo[:, 0], stereo[:, 1]


def told(shown: Shown, house: House, command: str) -> Iterator[str]:
    """The pictures, what was proven, where things lie, and how to check it. At most 80 columns."""
    whole_s = max(part.end for call in (shown.recorded, shown.declined) for part in call.parts)
    yield from _pictures(shown, whole_s)
    yield from _proven(shown)
    yield from _places(shown, house, command)


def _pictures(shown: Shown, whole_s: float) -> Iterator[str]:
    yield f"First call: {shown.recorded.summary['decision']}"
    yield from drawing(shown.recorded.parts, whole_s)
    yield ""
    yield f"Second call: connected, {shown.declined.summary['decision']} ({shown.declined.summary['reason']})"
    yield from drawing(shown.declined.parts, whole_s)
    yield ""


def _proven(shown: Shown) -> Iterator[str]:
    seconds = len(voices(shown.opened)[0]) / RATE
    yield f"notice played: proven (sent to the next hop {shown.recorded.next_hop})"
    if shown.tap == Tap.PLAYER.value:
        yield "  tap: player, an evaluation grade: what the player put out was compared."
    else:
        yield f"  tap: {tap_remark(shown.tap)}."
    yield f"  The caller's telephone received {shown.notice.coverage:.1%} of its speech. That was"
    yield "  measured for this demonstration; no proof rests on it."
    yield f"recording: {seconds:.1f} s, opened with the keeper's key; left caller, right line."
    yield "  Nothing from before is in it: no word during the notice, no ringing."
    yield "not proven, and never claimed: that a person heard or understood the notice, or"
    yield "  anything beyond that next hop."
    yield ""


def _places(shown: Shown, house: House, command: str) -> Iterator[str]:
    stored = house.config.store.path / "objects"
    found = next((path for path in stored.glob(f"*/{shown.recording_id}")), stored)
    ledger = house.config.ledger.database
    yield f"The ledger: {_short(ledger) if isinstance(ledger, Path) else ledger}"
    yield "The recording, encrypted:"
    yield f"  {_short(found)}"
    yield "Check every proof:"
    yield f"  {command} -c {house.config_file} audit verify"
    yield "Listen to the recording:"
    yield f"  {command} -c {house.config_file} recordings export \\"
    yield f"    {shown.recording_id} --purpose audit --format wav -o talk.wav"


def _short(path: Path) -> Path:
    """Relative to where we are, where that is shorter."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
