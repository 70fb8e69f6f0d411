"""What all calls share, and how one leg stands."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

import pjsua2 as pj

from callrec.core import events as e
from callrec.ports import Clock
from callrec.sip.keys import KeyRelay
from callrec.sip.leg import LegCall
from callrec.sip.media import Media
from callrec.sip.settings import SipSettings
from callrec.sip.thread import SipThread


class House(Protocol):
    """What all calls share."""

    settings: SipSettings
    thread: SipThread
    media: Media
    clock: Clock

    def account_for(self, uri: str) -> pj.Account:
        """The account that this destination is dialled from."""

    def conference(self) -> Iterable[pj.AudioMedia]:
        """Every conference port, where they are few enough to be looked at."""

    def happened(self, call_uid: str, event: e.Event) -> None:
        """Tell the sink."""

    def over(self, call_uid: str) -> None:
        """The call is over and holds nothing any more."""


@dataclass(slots=True)
class Side:
    """One leg as it stands. `call` is the only lasting reference to the library's object."""

    call: LegCall | None = None
    up: bool = False
    held: bool = False
    streams: int = 0
    keys: KeyRelay = field(default_factory=KeyRelay)

    def begin_again(self) -> None:
        """Before another attempt to reach it; what its keys mean stays."""
        self.call, self.up, self.held, self.streams = None, False, False, 0
