"""What the shell needs from the world: contracts in prose first.

Adapters prove themselves with one line each, `_: type[RecordingStore] = FilesystemStore`, which mypy checks.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final, Protocol

from callrec.core.events import Event
from callrec.core.kinds import Kind
from callrec.core.proof import Receipt
from callrec.core.values import Leg, Tap, Tone

Json = Any
"""A value that canonical JSON (RFC 8785) can express."""


# ---------------------------------------------------------------- clock


class Clock(Protocol):
    """Time. Order is told by boot time and ledger position, never by UTC."""

    def utc(self) -> datetime:
        """Now, aware, UTC."""

    def boottime_ns(self) -> int:
        """Nanoseconds since boot, counting sleep (CLOCK_BOOTTIME)."""

    def boot_id(self) -> str:
        """Which boot the figure above belongs to."""

    def state(self) -> str:
        """`synchronised`, `unsynchronised` or `unknown`, as the kernel says (adjtimex)."""


# ---------------------------------------------------------------- ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One fact to be appended. `body` holds ids, hashes, numbers and commitments: no name, number or audio.

    `salts` open the commitments in the body, by name; they are kept beside the log in a table that can be erased. What
    else must go with them is kept there too, under a name of its own: who called, sealed for the keeper.
    """

    kind: Kind
    body: Mapping[str, Json]
    call_uid: str = ""
    segment: int = 0
    actor: str = "agent"
    salts: Mapping[str, str] = field(default_factory=dict, repr=False)


class Ledger(Protocol):
    """The append-only log. Safe for concurrent use from one event loop.

    An append that returns is durable across a power cut, signed into a checkpoint, and its Receipt says where. An
    append that raises may or may not have happened; appending the same fact again is a second entry.
    """

    async def append(self, entry: Entry, *, timeout_s: float) -> Receipt:
        """Append and wait until durable. `Unavailable` after `timeout_s` seconds or when it cannot be written."""

    async def note(self, entry: Entry, *, timeout_s: float = 2.0) -> Receipt | None:
        """Append, or where that fails write to the side journal and return None; the journal is appended later,
        marked late. Raises `Unavailable` only when neither can be written.
        """

    def writable(self) -> bool:
        """True while the last append succeeded and nothing hangs. Costs nothing; asked before each call."""

    def trouble(self) -> str:
        """Why it is not writable, and what to do, for a person; empty where it is."""


# ---------------------------------------------------------------- telephony


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFacts:
    """What the SIP engine says of itself at start."""

    build: str
    version: str
    tap: Tap
    max_bridged_calls: int
    loopback_only: bool
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What the engine kept out since it started, in counts alone: packets and connections of strangers, INVITEs beyond
    the rate (told 503, or nothing), and responses from where nobody was asked.
    """

    from_strangers: int = 0
    over_rate: int = 0
    stray_responses: int = 0

    def since(self, earlier: Traffic) -> Traffic:
        """What came to it since then."""
        return Traffic(
            from_strangers=self.from_strangers - earlier.from_strangers,
            over_rate=self.over_rate - earlier.over_rate,
            stray_responses=self.stray_responses - earlier.stray_responses,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Invite:
    """One INVITE, as data: every string was cut at 256 bytes and has no control characters."""

    call_uid: str
    dialled: str
    request_uri: str
    from_uri: str
    from_display: str
    from_tag: str
    to_uri: str
    sip_call_id: str
    asserted_identity: tuple[str, ...]
    privacy: str
    diversion: tuple[str, ...]
    headers: Mapping[str, str]
    source: str
    transport: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where to dial, and what goes along. `headers` are ours (X-Callrec-*) and trusted ones, in order."""

    uri: str
    timeout_s: float
    headers: tuple[tuple[str, str], ...] = ()
    from_prefix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CapturePaths:
    """Where the engine's recorders write 16-bit PCM WAV, 8 kHz mono, in memory (tmpfs)."""

    caller: Path
    staff: Path


class TelephonySink(Protocol):
    """Who is told. Called on the event loop's thread, in order per call, never from a SIP thread."""

    def invited(self, invite: Invite) -> None:
        """A new INVITE from an allowed peer. Nothing was answered yet but 100; the sink must answer or reject."""

    def happened(self, call_uid: str, event: Event) -> None:
        """Something happened to a call that was invited."""

    def ended(self, call_uid: str) -> None:
        """Both legs are gone and every resource of the call was released. Last word on this call."""

    def refused(
        self, source: str, what: str, why: str, *, invite: Invite | None = None, status: int = 0, key: str = ""
    ) -> None:
        """An INVITE was not served before it became a call (stranger, malformed, engine limit); for `agent status`.

        `invite` is there where an allowed peer offered a call, answered with `status`: it leaves its row as well (R7).
        `key` is the part of the configuration that would change it, where there is one.
        """


class Telephony(Protocol):
    """The SIP engine. Every order returns at once; what came of it arrives as an event of that call.

    Orders for a call that is gone are ignored: its LegEnded is on the way. The engine never hangs up a caller because
    something about recording failed, and never connects audio that was not ordered.
    """

    def start(self, sink: TelephonySink) -> EngineFacts:
        """Open sockets and start the owning thread. ConfigError where a port is taken, naming it."""

    def close(self) -> None:
        """End all calls with BYE, release everything, join the thread. Idempotent."""

    def reject(self, call_uid: str, status: int, phrase: str, *, retry_after_s: int | None = None) -> None:
        """Answer the INVITE with a final status >= 300 (404, 488, 503 ...)."""

    def answer(self, call_uid: str) -> None:
        """Send 200 to whoever called us. CallerAnswered, or on an outbound call StaffAnswered, follows the ACK, with
        media negotiated; LegHeld follows it at once where the offer held us.
        """

    def play_notice(
        self, call_uid: str, attempt: int, pcm: bytes, *, keys_named: str, await_report_s: float = 0.0
    ) -> None:
        """Play this PCM (int16, 8 kHz, mono) as the caller leg's only source; in the talk staff hear it too, and what
        the caller says meanwhile. NoticeEnded follows in any case: at its end, or at the first hold, re-negotiation,
        stall or hang-up; where the wire is tapped, `await_report_s` later, so that the far end may report what it
        received. Keys arrive as KeyPressed from now on; where the leg has no telephone-event, tones in it too.
        """

    def stop_notice(self, call_uid: str, attempt: int) -> None:
        """Stop playing; NoticeEnded (STOPPED) follows where it was still playing."""

    def skip_notice(self, call_uid: str, attempt: int, *, after_ms: int) -> None:
        """End this attempt as soon as so much of it has been played; NoticeEnded (SKIPPED) follows, unless it reached
        its end before.
        """

    def dial(self, call_uid: str, destination: Destination) -> None:
        """Call the advice line, or the outside party. DestinationRinging, then StaffAnswered (CallerAnswered) or
        DialFailed follow; while it rings whoever called us hears its early media or UK ringback. One destination at a
        time.
        """

    def cancel_dial(self, call_uid: str) -> None:
        """Give the running attempt up, silently."""

    def bridge(self, call_uid: str, *, pass_holds: bool = False) -> None:
        """Connect both legs (and reconnect them after each re-negotiation). LegsBridged follows. With `pass_holds` the
        caller's far end is asked to hold while staff do, and plays what it plays then: LegRenegotiated(CALLER) tells.
        """

    def start_capture(self, call_uid: str, paths: CapturePaths, *, heard_ns: int) -> None:
        """Start both recorders in one job, aligned to the sample; their files grow with time whatever the legs do.
        RecordingFailed(CAPTURE_FAILED) where it cannot be. `heard_ns` (boottime) is when the notice that permits it
        ended: a PartyChanged(CALLER) ends what runs, and what an earlier notice permits does not begin any more.
        """

    def suspend_capture(self, call_uid: str) -> None:
        """Only silence reaches the recorders from now on."""

    def resume_capture(self, call_uid: str) -> None:
        """Voices reach the recorders again."""

    async def stop_capture(self, call_uid: str) -> None:
        """Close both files; returns when their headers are complete. Safe where nothing runs."""

    def announce(self, call_uid: str, pcm: bytes, legs: tuple[Leg, ...]) -> None:
        """Play a short text to these legs over the conversation ("Recording has now stopped")."""

    def swallow_keys(self, call_uid: str, leg: Leg, keys: str) -> None:
        """Words of this leg, separated by spaces, that callrec keeps; its other keys are relayed as RFC 4733."""

    def stop_listening(self, call_uid: str) -> None:
        """Tones are keys no more: what was pressed until now is told within half a second, and nothing later is."""

    def end_with_tone(self, call_uid: str, tone: Tone, cause: str) -> None:
        """Play a supervisory tone to whoever called us for four seconds, then BYE with Reason (RFC 3326)."""

    def hang_up(self, call_uid: str, leg: Leg, cause: str) -> None:
        """End this leg: CANCEL, BYE or a final status as its state asks."""

    def traffic(self) -> Traffic:
        """What was kept out so far; all zero where the engine keeps nothing out. Costs microseconds; any thread."""

    def answers_options(self, uri: str, *, timeout_s: float) -> bool:
        """Ask one destination with OPTIONS; for `config check --live`. Blocking; not for the event loop."""


# ---------------------------------------------------------------- keys, spool, store


@dataclass(frozen=True, slots=True, kw_only=True)
class DataKey:
    """One recording's key. `secret` never leaves memory (and tmpfs, while live); `wrapped` only the keeper can open."""

    key_id: str
    secret: bytes = field(repr=False)
    wrapped: bytes


class KeyRing(Protocol):
    """Makes data keys wrapped for the keeper's public key. Cannot open what it made."""

    def new_key(self) -> DataKey:
        """A fresh random 256-bit key and its wrapping (X25519, HKDF-SHA256, AES-256-GCM)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentHeader:
    """What a segment's audio is bound to: the authenticated header of every file made of it."""

    log_id: str
    call_uid: str
    segment: int
    key_id: str
    proven_leaf: str
    started_leaf: str

    @property
    def recording_id(self) -> str:
        """Name of the recording everywhere: `<call_uid>-<segment>`."""
        return f"{self.call_uid}-{self.segment}"


AUDIO_FILE: Final = "audio.enc"
MANIFEST_FILE: Final = "manifest.json"
KEY_FILE: Final = "wrapped.key"
SEALED_LEAF_FILE: Final = "sealed.leaf"
"""Names in a sealed recording's folder. The last holds the hex leaf of its `recording.sealed`, once that is durable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A finished recording in the spool's `ready/` folder: ciphertext, manifest and wrapped key, all synced."""

    recording_id: str
    folder: Path
    manifest: Mapping[str, Json]
    manifest_sha256: str
    cipher_sha256: str
    flac_sha256: str
    pcm_sha256: str
    samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What the store itself says of an object it holds, read back after the write."""

    store_id: str
    object_version: str
    lock: str
    cipher_sha256: str


class RecordingStore(Protocol):
    """Write-once home of sealed recordings. Safe for concurrent use.

    A `put` that returns is durable across a power cut. One that raises `Unavailable` may or may not have happened, and
    repeating it is harmless. An object is never changed: another content under the same id is `Broken`. The store
    itself refuses (`Refused`) what has no `notice.proven` and `recording.sealed` that the ledger shows it (R42).
    """

    async def put(self, sealed: Sealed) -> Kept:
        """Keep it. Same id and hash: no-op that returns the same Kept."""

    async def stat(self, recording_id: str) -> Kept | None:
        """What is held under this id, re-reading it, or None."""

    def read(self, recording_id: str) -> AsyncIterator[bytes]:
        """The ciphertext, in pieces. `Unavailable` where it is not there."""

    async def manifest(self, recording_id: str) -> Mapping[str, Json]:
        """The sealed manifest. `Unavailable` where it is not there."""

    def ids(self) -> AsyncIterator[str]:
        """Every recording id held, in order."""


class WrappedKeys(Protocol):
    """Where a store keeps wrapped keys: apart from the audio, so that rotation and destruction need not touch it."""

    async def wrapped_key(self, recording_id: str) -> bytes:
        """What the keeper unwraps. `Unavailable` where it is not there."""

    async def rewrapped(self, recording_id: str, wrapped: bytes) -> None:
        """Put another wrapping of the same key in its place. `Unavailable` where no key is there."""

    async def destroy(self, recording_id: str) -> None:
        """Destroy the key, then the audio; the manifest stays. Durable on return, harmless when repeated.

        Asks nothing: holds, dates and approval are the caller's duty.
        """

    async def lock(self, recording_id: str, *, until: date | None, held: bool) -> str:
        """Lock it up to the beginning of that day at least (None: as it is), and while `held` whatever the day; what
        the store itself says of its lock, asked after the write. A lock is never shortened; the same again is harmless.

        `Unavailable` where it is not there, or where the store did not do as it was told. A store that cannot lock says
        so, and changes nothing.
        """

    async def bury(self, recording_id: str, tombstone: bytes) -> None:
        """Put this beside the manifest of what was destroyed. Durable on return; the same again is harmless.

        `Refused` where its key or audio is still there, or another tombstone.
        """


class Store(RecordingStore, WrappedKeys, Protocol):
    """A store with its wrapped keys, as it is configured."""

    def require_fit(self) -> None:
        """ConfigError where what it is built on could lose or change what it holds; `Unavailable` where that is away.
        Blocking; for starts and checks.
        """

    async def clear_unfinished(self) -> None:
        """Remove what crashes left of writes. Only while nobody writes: at the agent's start."""


Notify = Callable[[str], None]
"""Tells a person: one line, no personal data."""
