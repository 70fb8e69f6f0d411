"""What was measured while one notice played on one leg: numbers and hashes only, no verdict of their own.

`Observation` is what telephony saw; `Evidence` is that, bound to the prompt, the call and the ledger. Units: times in
nanoseconds since boot unless the name says `_ms` (milliseconds from the start of the window); levels 0..255 as
pjmedia reports them; samples at 8 kHz.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, unique
from typing import Final

from callrec.core.values import Grade, KeyMethod, Leg, Tap
from callrec.core.wire_records import TakenWindow

SCHEMA = "callrec/notice-evidence/4"
MOST_MESSAGES: Final = 4
"""Messages that describe media which go with one evidence: the newest."""


@unique
class Interruption(Enum):
    """Why a playing notice did not reach its end."""

    HELD = "held"
    RENEGOTIATED = "renegotiated"
    HUNG_UP = "hung up"
    STALLED = "stalled"
    STOPPED = "stopped"
    PLAYER_FAILED = "player failed"
    SKIPPED = "skipped"
    """By the caller's own key, once the essential part had been played: the one that is no fault (R8)."""


@unique
class Direction(Enum):
    """SDP direction of the caller leg as seen from us (RFC 3264)."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    @property
    def lets_audio_out(self) -> bool:
        """True where our audio may reach the caller."""
        return self in (Direction.SENDRECV, Direction.SENDONLY)


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectionChange:
    """From this moment on the caller leg had this direction."""

    at_ms: int
    direction: Direction


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamIncarnation:
    """Our RTP stream between two (re-)negotiations, where counters restart; on the wire, of one SSRC, payload type and
    destination.

    `ssrc` and the first numbers are None where the engine cannot show them (`tap: player`).
    """

    payload_type: int
    codec: str
    sent: int
    octets: int
    ssrc: int | None = None
    first_sequence: int | None = None
    last_sequence: int | None = None
    first_timestamp: int | None = None
    last_timestamp: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerMedia:
    """What came from the caller's side in the window."""

    sdp_address: str
    source_address: str
    rtp_packets: int
    rtcp_reports: int
    foreign_packets: int | None
    ssrc: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyHeard:
    """One key from one leg; `at_ms` counts from the start of the window."""

    digit: str
    method: KeyMethod
    leg: Leg
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyCapability:
    """By which ways a key could have reached us."""

    telephone_event: bool
    info: bool
    inband: bool

    @property
    def any(self) -> bool:
        """True where at least one way was open."""
        return self.telephone_event or self.info or self.inband


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayerWatch:
    """How the player was seen to feed the leg, sampled while the notice played (`tap: player`).

    `listener_misses` counts samples in which the leg was not among the player's listeners; `other_sources` those in
    which something else fed the leg; `level_misses` those in which the leg stayed silent while the prompt was loud.
    """

    checks: int
    listener_misses: int
    other_sources: int
    level_checks: int
    level_misses: int


@unique
class RtcpFault(Enum):
    """Why RTCP from the address in the SDP counts for nothing (design: Proof). None of it shows who sent it."""

    NOT_UNDERSTOOD = "not understood"
    NOT_DECRYPTED = "not SRTCP on a leg with SRTP"
    NOT_OUR_STREAM = "reports on no stream of ours"
    NEVER_SENT = "reports a packet that was not sent by then"
    NO_REPORT_OF_OURS = "answers no report of ours"
    TOO_MANY = "beyond the number that is kept"


@dataclass(frozen=True, slots=True, kw_only=True)
class RtcpRejected:
    """So many packets were rejected for this."""

    why: RtcpFault
    packets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RtcpReport:
    """An accepted report: the highest sequence number that arrived (its low 16 bits), and packets lost until then."""

    at_ms: int
    source: str
    highest_sequence: int
    lost: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RtcpFacts:
    """RTCP from the address in the SDP, in the window. Not `authenticated`: it was not SRTCP.

    `raw_sha256` is over the hexadecimal SHA-256 of each packet, one after the other, in order.
    """

    authenticated: bool
    accepted: int
    rejected: tuple[RtcpRejected, ...]
    raw_sha256: str
    newest: RtcpReport | None


def rtcp_standing(facts: RtcpFacts | None) -> str:
    """`authenticated`, `unauthenticated`, or `absent` where none came or none counts."""
    if facts is None or facts.accepted == 0:
        return "absent"
    return "authenticated" if facts.authenticated else "unauthenticated"


@dataclass(frozen=True, slots=True, kw_only=True)
class WireFacts:
    """What the window of the wire tap shows beside the audio: whether all left, in order, in time, for one address.

    `window_sha256` is that of the kept window, which lies beside the evidence. Counted are: records for which there was
    no `overflow` room; packets that the kernel `refused`, that the library `held_back` or sent `deferred`; `odd` ones
    that are no plain RTP; ones that `strayed` from the peer's SDP address; `peer_changes` of that address; sequence
    numbers `missing` and `repeated`; `timestamp_faults` between packets. `notice_span_ns` is the time between the
    packets with the first and the last sample of the notice; None, and no sequence numbers, where it was not found.
    `sdp_rtp` and `sdp_rtcp` are where the peer's newest session description wants its media and RTCP, empty where none
    was kept; `sdp_keys` says that both sides described telephone-event.
    """

    window_sha256: str
    srtp: bool
    overflow: int
    refused: int
    held_back: int
    deferred: int
    odd: int
    strayed: int
    peer_changes: int
    leg_gone: bool
    missing: int
    repeated: int
    timestamp_faults: int
    notice_first_sequence: int | None
    notice_last_sequence: int | None
    notice_span_ns: int | None
    sdp_rtp: str = ""
    sdp_rtcp: str = ""
    sdp_keys: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SipText:
    """A message of the caller leg's dialog that describes media, as it went over the wire: names and numbers of people
    are in it, so it is kept redacted only. `received`, or sent by us; `at_ns` since boot.
    """

    at_ns: int
    received: bool
    start_line: str
    sdp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """All that telephony saw of one playing of one notice. `tap_pcm` is our own audio only, int16 little endian, where
    the player was tapped; `window` what left us, where the wire was, and `signalling` the messages that led to it. With
    neither there is no proof.
    """

    attempt: int
    complete: bool
    interruption: Interruption | None
    tap: Tap
    tap_pcm: bytes
    answered: bool
    early_media: bool
    start_ns: int
    end_ns: int
    start_utc: str
    end_utc: str
    expected_packets: int
    streams: tuple[StreamIncarnation, ...]
    renegotiations: int
    directions: tuple[DirectionChange, ...]
    player: PlayerWatch | None
    caller: CallerMedia
    key_capability: KeyCapability
    keys: tuple[KeyHeard, ...]
    window: TakenWindow | None = None
    signalling: tuple[SipText, ...] = ()

    @property
    def heard(self) -> bool:
        """True where it was played to its end, or to where the caller may end it and did."""
        return self.complete or self.interruption is Interruption.SKIPPED


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageKey:
    """A key that the notice names, and the language that it chooses."""

    key: str
    language: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptFacts:
    """The prompt as the register knows it at the time of the call.

    `essential_ms`: by then everything was said that a caller must hear, and the `essential_purposes` were named.
    `acknowledges`: the key that says "I heard this", `skips` the one that ends the notice after its essential part,
    each empty where the notice names none. `languages`: the keys that choose another language.
    """

    prompt_id: str
    version: int
    language: str
    language_source: str
    pcm_sha256: str
    samples: int
    approval_leaf: str
    approved: bool
    effective: bool
    names_keys: tuple[str, ...]
    purposes: tuple[str, ...]
    sample: bool
    essential_ms: int = 0
    acknowledges: str = ""
    essential_purposes: tuple[str, ...] = ()
    skips: str = ""
    languages: tuple[LanguageKey, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """What ties evidence to one call, leg, party and ledger position, so that it cannot be moved."""

    call_uid: str
    segment: int
    attempt: int
    party: str
    leg: Leg
    next_hop: str
    leg_ends_at: str
    offered_leaf: str
    answered_leaf: str
    boot_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TapFacts:
    """The comparison of what left us with the approved prompt, on the wire as its codec (G.711) renders it: exact.

    `matched_samples` counts how many samples of the prompt were found, in order and adjacent, in what left us.
    """

    kind: Tap
    pcm_sha256: str
    samples: int
    matched_samples: int
    at_sample: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything that is judged, and nothing that is not. Its canonical JSON (schema above) is hashed and kept."""

    binding: Binding
    prompt: PromptFacts
    tap: TapFacts
    complete: bool
    interruption: Interruption | None
    answered: bool
    early_media: bool
    start_ns: int
    end_ns: int
    start_utc: str
    end_utc: str
    expected_packets: int
    streams: tuple[StreamIncarnation, ...]
    renegotiations: int
    directions: tuple[DirectionChange, ...]
    player: PlayerWatch | None
    caller: CallerMedia
    key_capability: KeyCapability
    keys: tuple[KeyHeard, ...]
    wire: WireFacts | None
    rtcp: RtcpFacts | None
    required_language: str
    required_grade: Grade = Grade.SENT
    verifier: str = field(default="callrec/exact/3")
