"""The keys of one call: told in any case, passed on where they are not ours, and heard in the caller's audio while a
notice asks for one and their telephone has no other way. SIP thread only.

What is listened to is nobody's to keep (R1): it passes through a file in `runtime_dir` that has no name any more, so
that it ends with the process, and whose memory is given back as it is read.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Final

import numpy as np
import pjsua2 as pj

from callrec import _durable
from callrec._blocks import PAGE_BYTES, give_back
from callrec.core import events as e
from callrec.core.values import KeyMethod, Leg
from callrec.errors import CallrecError
from callrec.sip.house import House, Side
from callrec.sip.media import HEADER, RATE, Connection
from callrec.sip.sound import Sound
from callrec.sip.tones import ToneKeys

POLL_S: Final = 0.1
"""Between two looks at what came in. The recorder writes a quarter of a second at a time: a key is told so much later,
with the moment at which it was pressed.
"""
_LAST_S: Final = 0.5
_LAST_POLL_S: Final = 0.005
_SAMPLE: Final = 2

Heard = Callable[[str, int], None]
"""A key, and nanoseconds since boot when it was pressed."""


class ToneEar:
    """Listens to the caller's leg from now on. Raises where it cannot: pj.Error, CallrecError."""

    def __init__(self, house: House, path: Path, heard: Heard) -> None:
        self._house, self._heard = house, heard
        self._recorder: pj.AudioMediaRecorder | None = house.media.recorder(path)
        self._file = _durable.open_append(path)
        path.unlink()
        self._began_ns = house.clock.boottime_ns()
        self._keys = ToneKeys()
        self._at, self._freed = HEADER, 0
        self._house.thread.call_later(POLL_S, self._poll)

    def connections(self, caller: pj.AudioMedia | None) -> list[Connection]:
        """Silence, so that time is told by samples whatever the leg does, and the caller."""
        sources = (self._house.media.silence, caller)
        return [(one, self._recorder) for one in sources if one is not None and self._recorder is not None]

    def let_go(self) -> None:
        """It was disconnected. What it has heard until now is told within half a second."""
        self._recorder = None
        self._await_last(monotonic() + _LAST_S)

    def forget(self) -> None:
        """It was disconnected. What is not told yet never will be."""
        self._recorder = None
        self._file.close()

    def _poll(self) -> None:
        if self._recorder is not None:
            self._take()
            self._house.thread.call_later(POLL_S, self._poll)

    def _await_last(self, deadline: float) -> None:
        """The recorder writes its rest, and then how long the file is, soon after it was dropped."""
        if self._file.fileno() < 0:
            return
        if not self._written() and monotonic() < deadline:
            self._house.thread.call_later(_LAST_POLL_S, lambda: self._await_last(deadline))
            return
        self._take()
        self._file.close()

    def _written(self) -> int:
        """Bytes of samples as the header says; 0 until the recorder is done."""
        size = os.pread(self._file.fileno(), 4, HEADER - 4)
        return int(struct.unpack("<I", size)[0]) if len(size) == HEADER - 40 else 0

    def _take(self) -> None:
        file = self._file.fileno()
        whole = (os.fstat(file).st_size - self._at) // _SAMPLE * _SAMPLE
        heard = np.frombuffer(os.pread(file, max(0, whole), self._at), dtype="<i2")
        self._at += len(heard) * _SAMPLE
        if (end := self._at // PAGE_BYTES * PAGE_BYTES) > self._freed:
            give_back(file, self._freed, end - self._freed)
            self._freed = end
        for tone in self._keys.hear(heard):
            pressed_ns = self._began_ns + tone.at * 10**9 // RATE
            self._heard(tone.digit, min(pressed_ns, self._house.clock.boottime_ns()))


class CallKeys:
    """See above. `bridged` says whether keys can be passed on; `tell` takes every key."""

    def __init__(
        self,
        house: House,
        sides: Mapping[Leg, Side],
        sound: Sound,
        tell: Callable[[e.Event], None],
        bridged: Callable[[], bool],
    ) -> None:
        self._house, self._sides, self._sound = house, sides, sound
        self._tell, self._bridged = tell, bridged
        self._ear: ToneEar | None = None

    # ------------------------------------------------------------ keys of either leg

    def pressed(self, leg: Leg, digit: str, method: KeyMethod) -> None:
        """A key came. A caller whose keys come by themselves is not listened to any more: no key counts twice."""
        if leg is Leg.CALLER:
            self.forget()
        self._told(leg, digit, method, self._house.clock.boottime_ns())
        if self._bridged():
            later = self._house.thread.call_later
            self._sides[leg].keys.relay(digit, lambda digits: self._pass_on(leg, digits), later)

    def _told(self, leg: Leg, digit: str, method: KeyMethod, at_ns: int) -> None:
        if self._sound.play is not None:
            self._sound.play.window.key(leg, digit, method, at_ns)
        self._tell(e.KeyPressed(at_ns=at_ns, leg=leg, digit=digit, method=method))

    def _pass_on(self, leg: Leg, digits: str) -> None:
        other = self._sides[Leg.STAFF if leg is Leg.CALLER else Leg.CALLER].call
        if not digits or other is None or not self._bridged():
            return
        with suppress(pj.Error):  # that side did not offer telephone-event: it cannot hear keys
            other.dialDtmf(digits)

    # ------------------------------------------------------------ tones in the caller's audio

    @property
    def listens(self) -> bool:
        """Keys are heard in the caller's audio."""
        return self._ear is not None

    def listen(self, name: str) -> None:
        """Where the caller's leg has no telephone-event, listen to it, by this name. Where that cannot be, no key comes
        that way, and the evidence of the notice says so.
        """
        call = self._sides[Leg.CALLER].call
        if self._ear is not None or call is None or call.counters().telephone_event:
            return
        path = self._house.media.taps / f"{name}-keys.wav"
        with suppress(pj.Error, CallrecError, OSError):
            self._ear = self._sound.ear = ToneEar(self._house, path, self._heard)

    def stop_listening(self) -> None:
        """Keys are asked for no more: what was pressed until now is told, nothing later is heard."""
        if (ear := self._unplugged()) is not None:
            ear.let_go()

    def forget(self) -> None:
        """As above, and nothing more is told."""
        if (ear := self._unplugged()) is not None:
            ear.forget()

    def _unplugged(self) -> ToneEar | None:
        ear, self._ear, self._sound.ear = self._ear, None, None
        if ear is not None:
            self._sound.rewire()
        return ear

    def _heard(self, digit: str, at_ns: int) -> None:
        """By itself the tone went to whoever the caller hears and is heard by: it is not passed on again."""
        if self._sides[Leg.CALLER].call is not None:
            self._told(Leg.CALLER, digit, KeyMethod.INBAND, at_ns)
