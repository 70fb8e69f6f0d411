"""What a media stream counts. Data only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """A stream's counters now. They restart whenever the stream is made anew. Addresses are `host:port`."""

    sent: int = 0
    octets: int = 0
    received: int = 0
    reports: int = 0
    last_sequence: int = 0
    last_timestamp: int = 0
    payload_type: int = 0
    codec: str = ""
    telephone_event: bool = False
    sdp_address: str = ""
    source_address: str = ""
