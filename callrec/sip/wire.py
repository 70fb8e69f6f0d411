"""Our additions to the production build, as Python sees them: wire tap, media source filter, SIP source filter.

The evaluation wheel has none of this: `additions()` is None there. What is read here is laid down in
`deploy/pjsip/engine.h`; FACE guards against a build of another time. Everything may be called on any thread, except
`install` and `filter_sip`: on the SIP thread, after the library was initialised and before the first call.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Final

import pjsua2 as pj

from callrec.core.wire_records import Counts, TakenWindow, address_of, text_of
from callrec.errors import Broken, ConfigError, Unavailable
from callrec.sip.settings import Network

FACE: Final = 4
"""Of the additions that this source is written for. It is raised with every function, counter or record that comes or
changes, here and in `engine.h`; tests/engine/test_face.py holds both to it.
"""
WINDOW_BYTES: Final = 1 << 20
"""Room of a window unless said otherwise: 79 s of PCMA in 20 ms packets."""
_RECORD_BYTES: Final = 80
"""More than a record takes beside its payload."""
_SPARE_BYTES: Final = 1 << 16
"""For RTCP, foreign headers, and the silence around a notice: two seconds in the smallest packets leave half of it."""

REPORTS_BYTES: Final = 1 << 14
"""Room of a window for reports alone: about a hundred."""

_RTP_RECEIVED: Final = list(Counts.__dataclass_fields__).index("rtp_received")
_NO_SUCH_LEG, _WINDOW_IS_OPEN = -1, -2


@unique
class MediaFilter(IntEnum):
    """Which packets reach a stream: all, those from address and port in the peer's SDP, those from its address."""

    COUNT_ONLY = 0
    ADDRESS_AND_PORT = 1
    ADDRESS_ONLY = 2


class _Source(ctypes.Structure):
    _fields_ = (
        ("family", ctypes.c_uint16),
        ("port", ctypes.c_uint16),
        ("address", ctypes.c_uint8 * 16),
        ("unused", ctypes.c_uint32),
    )


class _Counters(ctypes.Structure):
    _fields_ = (
        ("of", ctypes.c_uint64 * 11),
        ("first_foreign", _Source),
        ("peer_ssrc_known", ctypes.c_uint32),
        ("peer_ssrc", ctypes.c_uint32),
    )

    def told(self) -> Counts:
        foreign = self.first_foreign
        source = address_of(foreign.family, bytes(foreign.address), foreign.port) if foreign.family else None
        names = [name for name in Counts.__dataclass_fields__ if name not in ("first_foreign", "peer_ssrc")]
        ssrc = int(self.peer_ssrc) if self.peer_ssrc_known else None
        return Counts(**dict(zip(names, self.of, strict=True)), first_foreign=text_of(source), peer_ssrc=ssrc)


class _Network(ctypes.Structure):
    _fields_ = (("family", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("address", ctypes.c_uint8 * 16))


class _SipCounters(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_uint64)
        for name in ("requests", "strangers", "invites_taken", "invites_beyond_rate", "stray_responses")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SipCounts:
    """Since the start of the process. `requests` were read; `strangers` are packets and connections that were not, and
    got no answer, as were stray responses. INVITEs beyond the rate were told 503, or nothing where they were far too
    many.
    """

    requests: int
    strangers: int
    invites_taken: int
    invites_beyond_rate: int
    stray_responses: int


def room_for(samples: int) -> int:
    """Bytes that a window needs for so many samples of G.711 at 8 kHz, in packets of 10 ms or more."""
    return samples + (samples // 80 + 1) * _RECORD_BYTES + _SPARE_BYTES


class WireWindow:
    """What goes over one leg's wire from now on. Take it exactly once, also when the leg is gone: it holds memory."""

    def __init__(self, library: ctypes.CDLL, handle: int) -> None:
        self._library, self._handle = library, handle

    def take(self) -> TakenWindow:
        """Close it. Broken when it was taken before."""
        counters = _Counters()
        size = int(self._library.callrec_tap_stop(self._handle, ctypes.byref(counters)))
        window = bytearray(max(size, 1))
        taken = int(self._library.callrec_tap_take(self._handle, _start_of(window), size)) if size >= 0 else -1
        if taken != size or size < 0:
            raise Broken("a wire tap's window was taken twice", next_step="report this as a defect")
        return TakenWindow(records=bytes(window[:size]), counts=counters.told())


def _start_of(buffer: bytearray) -> ctypes.c_void_p:
    """By its first byte: ctypes keeps a type for each length of array for ever, and windows have many lengths."""
    return ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(buffer)))


class Additions:
    """The face of the engine's own functions."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library, self._filtering = library, False
        library.callrec_tap_stop.restype = library.callrec_tap_take.restype = ctypes.c_int64
        library.callrec_tap_start.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_uint64)
        if hasattr(library, "callrec_tap_start_reports"):
            library.callrec_tap_start_reports.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_uint64)
        library.callrec_tap_take.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint64)
        library.callrec_tap_memory.restype = ctypes.c_uint64
        library.callrec_sip_rate.argtypes = (ctypes.c_double, ctypes.c_double)
        library.callrec_sip_refusals.argtypes = (ctypes.c_double, ctypes.c_int)

    def install(self) -> None:
        """Tap every leg from now on, take media from the address and port in the peer's SDP alone, and send none on a
        leg that answers before its ACK is in.
        """
        self._library.callrec_tap_install()

    def filter_media(self, rtp: MediaFilter, rtcp: MediaFilter) -> None:
        """For all legs, at once."""
        self._library.callrec_media_filter(int(rtp), int(rtcp))

    def filter_sip(
        self,
        allow: Sequence[Network],
        *,
        invites_per_second: float = 0,
        at_once: float = 1,
        refusals_per_second: float = 0,
        retry_after_s: int = 10,
    ) -> None:
        """Hear these networks alone, and no more new INVITEs than that, all peers together; 0: no limit. Of those
        beyond, so many a second are told 503. The rest gets no answer at all. Whom we call is heard as far as it
        answers, and within the dialogs it has with us. May be called again. ConfigError where there are more networks
        than fit; Unavailable where the library will not have the filter.
        """
        listed = (_Network * max(1, len(allow)))(*map(_network, allow))
        if self._library.callrec_sip_allow(listed, len(allow)) != 0:
            raise ConfigError(
                f"sip.allow_from: {len(allow)} networks are too many", next_step="name at most 256, larger ones"
            )
        self._library.callrec_sip_rate(invites_per_second, at_once)
        self._library.callrec_sip_refusals(refusals_per_second, retry_after_s)
        if not self._filtering:
            if self._library.callrec_sip_install() != 0:
                raise Unavailable("the SIP source filter cannot be installed", next_step="start the agent again")
            self._filtering = True

    def open(self, call: int, media: int = 0, room: int = WINDOW_BYTES) -> WireWindow | None:
        """Open the one window that a leg may have; None where this leg cannot be tapped. Unavailable when memory for
        windows is used up, or the leg's last window was not taken.
        """
        return self._opened(int(self._library.callrec_tap_start(call, media, room)), room)

    def open_for_reports(self, call: int, media: int = 0, room: int = REPORTS_BYTES) -> WireWindow | None:
        """As `open`, for RTCP alone: no voice is in it. None also where the engine has no such windows."""
        if not hasattr(self._library, "callrec_tap_start_reports"):
            return None
        return self._opened(int(self._library.callrec_tap_start_reports(call, media, room)), room)

    def _opened(self, handle: int, room: int) -> WireWindow | None:
        if handle > 0:
            return WireWindow(self._library, handle)
        if handle == _NO_SUCH_LEG:
            return None
        why = "is open already" if handle == _WINDOW_IS_OPEN else f"of {room} bytes finds no memory"
        raise Unavailable(f"the wire tap's window {why}", next_step="carry the call without recording it")

    def counts(self, call: int, media: int = 0) -> Counts | None:
        """Since the leg came to be; None where there is no such leg, or no more."""
        counters = _Counters()
        found = self._library.callrec_leg_counters(call, media, ctypes.byref(counters)) == 0
        return counters.told() if found else None

    def heard_from(self, call: int, media: int = 0) -> tuple[int, int | None] | None:
        """As `counts`, of what its peer sends alone, for those who look often: RTP packets taken, and the newest one's
        SSRC, None while there is none.
        """
        counters = _Counters()
        if self._library.callrec_leg_counters(call, media, ctypes.byref(counters)) != 0:
            return None
        return int(counters.of[_RTP_RECEIVED]), int(counters.peer_ssrc) if counters.peer_ssrc_known else None

    def most_calls(self) -> int:
        """Call legs that this build can carry, whatever the library was told at start."""
        return int(self._library.callrec_most_calls())

    def sip_counts(self) -> SipCounts:
        """What the SIP source filter let through and kept."""
        counters = _SipCounters()
        self._library.callrec_sip_counters(ctypes.byref(counters))
        return SipCounts(**{name: int(getattr(counters, name)) for name in SipCounts.__dataclass_fields__})

    def held(self) -> tuple[int, int]:
        """Bytes that all windows hold, and places taken by legs and windows: both 0 when no call is there."""
        return int(self._library.callrec_tap_memory()), int(self._library.callrec_tap_places())


def _network(network: Network) -> _Network:
    address = (ctypes.c_uint8 * 16)(*network.network_address.packed)
    return _Network(network.version, network.prefixlen, address)


def additions() -> Additions | None:
    """Those of the library that is loaded; None for the evaluation wheel. Broken for a build of another time."""
    library = ctypes.CDLL(pj._pjsua2.__file__)  # noqa: SLF001 - the library's own C face has no other name
    if not hasattr(library, "callrec_face"):
        return None
    if library.callrec_face() != FACE:
        found = library.callrec_face()
        older = "an older" if found < FACE else "a newer"
        raise Broken(
            f"the engine in this environment was built from {older} callrec: its additions have face {found},"
            f" this source wants {FACE}; no call was taken",
            next_step="build it anew from this source: make pjsip",
        )
    return Additions(library)
