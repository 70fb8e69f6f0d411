"""A few words in a call, by language, as the register has them now: for both, or for staff alone (R15, R53)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path

from callrec.core.values import Signal
from callrec.errors import ConfigError
from callrec.notice.manifest import PromptKind
from callrec.notice.register import NOT_RECORDED, RECORDED, Register, Shelf


class Announcements(Mapping[str, bytes]):
    """The words "Recording has now stopped", or those `to_staff`, by language; a missing one is not said."""

    def __init__(self, folder: Path, now: Callable[[], datetime], *, to_staff: str = "") -> None:
        self._shelf, self._now, self._to_staff = Shelf(folder), now, to_staff

    def __getitem__(self, language: str) -> bytes:
        found = self._register().announcement(language, self._now(), to_staff=self._to_staff)
        if found is None:
            raise KeyError(language)
        return found.pcm

    def __iter__(self) -> Iterator[str]:
        spoken = {each.language for each in self._register().records if each.kind is PromptKind.ANNOUNCEMENT}
        return iter(sorted(language for language in spoken if self.get(language) is not None))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _register(self) -> Register:
        try:
            return self._shelf.register()
        except ConfigError:
            return Register(folder=self._shelf.folder, records=())


def to_staff(folder: Path, now: Callable[[], datetime]) -> Mapping[Signal, Mapping[str, bytes]]:
    """What staff are told in words; where there are none, they hear beeps."""
    return {
        Signal.RECORDED: Announcements(folder, now, to_staff=RECORDED),
        Signal.NOT_RECORDED: Announcements(folder, now, to_staff=NOT_RECORDED),
    }
