"""Who may be at the far end of a leg, as far as SIP and RTP show it: media address, stream and asserted identity.

Each is compared with what it was before; what is not known proves no change. Another port is another address, though
host, stream and identity stay: an SBC sends whoever it connects from its own host, and many write their own SSRC into
what they pass on, so that the port may be all that shows a transfer. A phone that only moves its port hears the notice
once more; the other mistake would keep somebody who heard none (R4).

Sources: RFC 3264 section 8 (a new address in an offer), RFC 3550 section 8 (SSRC), RFC 3325 and RFC 4916 (identity
within a dialog).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from callrec.core.events import PartyShown
from callrec.sip.message import SipMessage, parse_name_addr
from callrec.sip.translate import host_of_source

_NOWHERE = ("", "0.0.0.0", "::")  # noqa: S104 - a hold of old, compared and not bound


@dataclass(slots=True)
class FarEnd:
    """What was seen of one far end so far."""

    address: str = ""
    ssrc: int | None = None
    identity: str = ""

    def at(self, address: str) -> PartyShown | None:
        """Its media comes from this address (host:port) now. A hold of old names none."""
        if host_of_source(address) in _NOWHERE:
            return None
        before, self.address = self.address, address
        return PartyShown.MEDIA_ADDRESS if before not in ("", address) else None

    def streams(self, ssrc: int | None) -> PartyShown | None:
        """Its newest packet is of this stream."""
        if ssrc is None:
            return None
        before, self.ssrc = self.ssrc, ssrc
        return PartyShown.MEDIA_SOURCE if before not in (None, ssrc) else None

    def says(self, message: SipMessage) -> PartyShown | None:
        """It sent this request within the dialog."""
        identity = identity_of(message)
        if not identity:
            return None
        before, self.identity = self.identity, identity
        return PartyShown.IDENTITY if before not in ("", identity) else None


def identity_of(message: SipMessage) -> str:
    """Who a request says that it is from."""
    return stated(message.every("P-Asserted-Identity"), message.first("From"))


def stated(asserted: Sequence[str], from_value: str) -> str:
    """Who is asserted, else who From names; without display name and parameters."""
    named = parse_name_addr(asserted[0] if asserted else from_value).uri
    return named.partition(";")[0].lower()
