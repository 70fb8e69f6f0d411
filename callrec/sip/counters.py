"""What a media stream counts. Data only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """A stream's counters now. They restart whenever the stream is made anew. Addresses are `host:port`.

    `packet_ms` of sound goes into one packet of ours; 0 where there is no stream.
    """

    sent: int = 0
    octets: int = 0
    received: int = 0
    reports: int = 0
    last_sequence: int = 0
    last_timestamp: int = 0
    payload_type: int = 0
    codec: str = ""
    telephone_event: bool = False
    packet_ms: int = 0
    sdp_address: str = ""
    sdp_rtcp_address: str = ""
    source_address: str = ""
