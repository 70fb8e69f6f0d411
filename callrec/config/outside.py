"""How calls outside are written: who may place them, what stands before the number, and where the number goes."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import replace
from typing import Final

from callrec.config.values import Network, SipUri, sip_uri

NUMBER: Final = "{number}"
"""In a destination's user: the number that an outbound call is for."""


def target_uri(text: str) -> SipUri:
    """A destination: a SIP URI, in whose user part `{number}` may stand, as in `sip:9{number}@pbx`."""
    before, number, after = text.partition(NUMBER)
    if not number:
        return sip_uri(text)
    read = sip_uri(f"{before}{_STANDS_FOR_NUMBER}{after}")
    if _STANDS_FOR_NUMBER not in read.user:
        raise ValueError(f"{text!r} has {NUMBER} outside its user part; write it before the @")
    return replace(read, user=read.user.replace(_STANDS_FOR_NUMBER, NUMBER))


_STANDS_FOR_NUMBER: Final = "callrec-number"


def dial_prefix(text: str) -> str:
    """What a PBX dials before the number of an outbound call."""
    if not re.fullmatch(r"[A-Za-z0-9*#][A-Za-z0-9*#\-_]{0,15}", text):
        raise ValueError(f'{text!r} is no prefix; write one to 16 digits or letters, as in "81"')
    return text


def is_callable(number: str) -> bool:
    """True for what an outbound call may be for: it becomes part of a URI."""
    return re.fullmatch(r"\+?[0-9]{2,32}", number) is not None


def within(host: str, networks: tuple[Network, ...]) -> bool:
    """True where this literal address lies in one of them; what is no literal address lies in none."""
    try:
        return any(ipaddress.ip_address(host) in network for network in networks)
    except ValueError:
        return False
