"""The next hop of the caller leg, as far as proof reaches: who called us, or on an outbound call whom we call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from callrec.config import Config, Target
from callrec.config.outside import target_uri

_SIP_PORT: Final = 5060


@dataclass(frozen=True, slots=True, kw_only=True)
class NextHop:
    """Its address (host:port), and what it is, as configured: carrier, sbc, pbx or phone."""

    address: str
    ends_at: str


def of_source(config: Config, source: str) -> NextHop:
    """That of whoever sent us an INVITE from here."""
    host, _, port = source.rpartition(":")
    number = int(port) if port.isdigit() else _SIP_PORT
    return NextHop(address=source, ends_at=config.sip.leg_ends_at_for(host.strip("[]"), number))


def of_target(config: Config, target: Target) -> NextHop:
    """That of whoever we call there."""
    uri = target_uri(target.uri)
    port = uri.port or _SIP_PORT
    kind = target.trunk.leg_ends_at if target.trunk else config.sip.leg_ends_at_for(uri.host.strip("[]"), port)
    return NextHop(address=f"{uri.host}:{port}", ends_at=kind)
