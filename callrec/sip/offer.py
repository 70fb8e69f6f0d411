"""What speaks against a caller's offer before anything is promised. Pure; strangers wrote what is read here.

Sources: RFC 4566 (SDP), RFC 3551 section 6 (payload types that need no rtpmap), RFC 4568 (SRTP keys in SDP).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from callrec.sip.settings import SipSettings, Srtp
from callrec.sip.translate import foreign_media

NOT_ACCEPTABLE: Final = 488

_AUDIO: Final = re.compile(r"^m=audio (\d+)(?:/\d+)? (\S+)((?: \d+)+)[ \t]*\r?$", re.MULTILINE)
_RTPMAP: Final = re.compile(r"^a=rtpmap:(\d+)[ \t]+([^/\s]+)/8000", re.MULTILINE)
_STATIC: Final = {"0": "PCMU", "8": "PCMA"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """Why an offer cannot be taken; `key` is the part of the configuration that would change it."""

    phrase: str
    key: str


MEDIA_ELSEWHERE: Final = Objection(phrase="Media address not allowed", key="sip.media_from")
ENCRYPTED: Final = Objection(phrase="Encrypted audio is switched off", key="sip.srtp")
NOT_ENCRYPTED: Final = Objection(phrase="Encrypted audio is required", key="sip.srtp")
NO_CODEC: Final = Objection(phrase="No common codec", key="sip.codecs")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Audio:
    encrypted: bool
    codecs: frozenset[str]


def objection(sdp: str, settings: SipSettings) -> Objection | None:
    """The first thing that speaks against this offer. None where nothing does, or where it offers no audio that could
    be judged: the library answers that.
    """
    if foreign_media(sdp, settings.media_from):
        return MEDIA_ELSEWHERE
    offered = tuple(_audio(sdp))
    if not offered:
        return None
    fitting = [one for one in offered if _admits(settings.srtp, encrypted=one.encrypted)]
    if not fitting:
        return ENCRYPTED if settings.srtp is Srtp.OFF else NOT_ENCRYPTED
    wanted = {codec.upper() for codec in settings.codecs}
    return None if any(wanted & one.codecs for one in fitting) else NO_CODEC


def _admits(srtp: Srtp, *, encrypted: bool) -> bool:
    return srtp is Srtp.OPTIONAL or encrypted is (srtp is Srtp.REQUIRED)


def _audio(sdp: str) -> Iterator[_Audio]:
    """Every audio stream that is offered; port 0 offers none (RFC 3264 section 5.1)."""
    named = {number: name.upper() for number, name in _RTPMAP.findall(sdp)}
    for port, profile, formats in _AUDIO.findall(sdp):
        if int(port[:6]) > 0:
            numbers = formats.split()
            names = frozenset(named.get(number) or _STATIC.get(number, "") for number in numbers)
            yield _Audio(encrypted="SAVP" in profile.upper(), codecs=names)
