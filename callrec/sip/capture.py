"""The two recorders of a running recording. SIP thread only, but for the waiting at the end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pjsua2 as pj

from callrec.core.values import Leg
from callrec.ports import CapturePaths
from callrec.sip.media import Connection, Media, finished_size


class Capture:
    """Both recorders, each with its silence: they are connected in one job and so begin with the same frame."""

    def __init__(self, media: Media, paths: CapturePaths) -> None:
        self._media = media
        self._files = {Leg.CALLER: paths.caller, Leg.STAFF: paths.staff}
        self._recorders = {leg: media.recorder(path) for leg, path in self._files.items()}
        self.suspended = False
        self.without: frozenset[Leg] = frozenset()
        """Legs of which only silence is captured for now."""

    def connections(self, audio: Callable[[Leg], pj.AudioMedia | None]) -> list[Connection]:
        """Silence to both, and while not suspended each leg to its own."""
        silence: list[Connection] = [(self._media.silence, recorder) for recorder in self._recorders.values()]
        wanted = {} if self.suspended else {leg: one for leg, one in self._recorders.items() if leg not in self.without}
        voices = ((audio(leg), recorder) for leg, recorder in wanted.items())
        return silence + [(voice, recorder) for voice, recorder in voices if voice is not None]

    def close(self) -> tuple[Path, ...]:
        """Drop the recorders, disconnected before; their headers are complete soon after."""
        self._recorders.clear()
        return tuple(self._files.values())


def complete(paths: tuple[Path, ...]) -> bool:
    """True once every header says how long its file is."""
    return all(finished_size(path) > 0 for path in paths if path.exists())
