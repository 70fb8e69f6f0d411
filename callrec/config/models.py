"""The configuration as frozen data. Made by `load` alone; what is here was checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from callrec._sql import Database
from callrec.config.choices import CaptureFrom, NotInformed, OnNoNotice, PbxEvents, Record
from callrec.config.outside import NUMBER, is_callable, within
from callrec.config.stores import Store
from callrec.config.values import HttpListen, Listen, Network, PortRange, Reference, SipUri
from callrec.core.numbers import comparable
from callrec.core.purposes import Role
from callrec.core.retention import LineKind, Nation, Subject
from callrec.core.values import CallDirection, Grade, NoticeWhen, Purpose


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """This agent on this machine. Durations in seconds."""

    name: str
    data_dir: Path
    runtime_dir: Path
    max_calls: int
    max_setups_per_s: int
    drain_s: int

    @property
    def control_socket(self) -> Path:
        """Where the command line reaches the running agent."""
        return self.data_dir / "control.sock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Responsible:
    """Who answers for the recordings (R43) and where callers can read more (R54)."""

    controller: str
    processor: str | None
    information_asset_owner: str
    caldicott_guardian: str | None
    data_protection_officer: str | None
    ownership: str
    privacy_page: str
    privacy_page_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who may act on recordings, known by the account they use on this machine."""

    name: str
    role: Role
    os_user: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Our certificate, its key and whom we believe."""

    cert: Path
    key: Reference
    ca: Path | None
    require_client: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Trunk:
    """A peer that calls are sent to, by name."""

    name: str
    uri: SipUri
    leg_ends_at: str
    user: str | None
    password: Reference | None
    register: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sip:
    """What SIP and media listen on and whom they believe."""

    listen: tuple[Listen, ...]
    trusted_network: bool
    public_address: str | None
    rtp_ports: PortRange
    allow_from: tuple[Network, ...]
    media_from: tuple[Network, ...]
    codecs: tuple[str, ...]
    srtp: str
    tls: Tls | None
    trusted_headers: tuple[str, ...]
    purpose_token: Reference | None
    linked_header: str | None
    country_code: str
    leg_ends_at: str
    trunks: tuple[Trunk, ...]

    def leg_ends_at_for(self, host: str, port: int) -> str:
        """What the next hop at this address is: that of the trunk there, else `leg_ends_at`. The port decides only
        between trunks on one host.
        """
        here = [t for t in self.trunks if t.uri.host.strip("[]") == host]
        exact = [t for t in here if (t.uri.port or 5060) == port]
        kinds = {t.leg_ends_at for t in exact or here}
        return kinds.pop() if len(kinds) == 1 else self.leg_ends_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Http:
    """Where a PBX or a CRM asks, and what it shows."""

    listen: HttpListen
    token: Reference
    trusted_network: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One place to dial: as written, and resolved through its trunk where it names one. Where an outbound call goes,
    `{number}` stands for whom it is for.
    """

    written: str
    uri: str
    trunk: Trunk | None

    def uri_for(self, number: str | None) -> str:
        """Where this call is sent."""
        return self.uri if number is None else self.uri.replace(NUMBER, number)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineKeys:
    """What callers press. `stop` counts in the call, the others in notice and choice window."""

    decline: str | None
    decline_training: str | None
    repeat: str | None
    stop: str | None
    acknowledge: str | None
    shorten: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffCodes:
    """What staff press. Without a prefix there are no codes, and an order without a key has none."""

    prefix: str | None
    stop: str | None
    pause: str | None
    resume: str | None
    without_training: str | None
    without_audit: str | None
    distress: str | None
    capacity_doubt: str | None
    child: str | None
    objection: str | None
    status: str | None
    notice: str | None
    training: str | None
    agreed: str | None

    def by_name(self) -> dict[str, str]:
        """The key after the prefix, for each order that has one."""
        pairs = ((each.name, getattr(self, each.name)) for each in fields(self) if each.name != "prefix")
        return {name: key for name, key in pairs if key is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Staff:
    """What staff must have acknowledged; no version: nothing is asked of anybody."""

    policy_version: str | None
    not_informed: NotInformed


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffDisplay:
    """What staff see before the caller's name; empty for nothing."""

    if_proven: str
    otherwise: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """An advice line: which calls it takes, where they go, its notice and purposes. Durations in seconds.

    An inbound line takes what is `dialled`; an outbound one what `peers` dial with `prefix` before the number.
    `language_keys` are (key, language) pairs.
    """

    name: str
    nation: Nation
    dialled: tuple[str, ...]
    prefix: str | None
    peers: tuple[Network, ...]
    direction: CallDirection
    notice_when: NoticeWhen
    destination: Target
    fallback: tuple[Target, ...]
    dial_timeout_s: int
    record: Record
    notice: str | None
    consent: str | None
    languages: tuple[str, ...]
    language_numbers: tuple[tuple[str, tuple[str, ...]], ...]
    language_header: str | None
    language_keys: tuple[tuple[str, str], ...]
    purposes: frozenset[Purpose]
    health_record: bool
    keys: LineKeys
    choice_window_s: int
    pause_max_s: int
    pause_resumes: bool
    capture_from: CaptureFrom
    staff_display: StaffDisplay
    staff_whisper: bool
    kind: LineKind
    subject: Subject
    keep_number: bool
    on_no_notice: OnNoNotice
    require: Grade

    @property
    def targets(self) -> tuple[Target, ...]:
        """The destination, then the fallbacks, in the order of dialling."""
        return (self.destination, *self.fallback)

    def outside_number(self, dialled: str) -> str | None:
        """The number that an outbound call is for, where this line would place it; None for anything else."""
        if self.prefix is None or not dialled.startswith(self.prefix):
            return None
        number = dialled.removeprefix(self.prefix)
        return number if is_callable(number) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """How notices are played and judged, and how often, and for how many seconds, a caller is asked for consent."""

    register: Path
    longest_s: int
    max_wait_s: int
    attempts: int
    decide_within_ms: int
    consent_max_asks: int
    consent_wait_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Spool:
    """Where recordings lie until they are stored. Durations in seconds."""

    path: Path
    reserve_s: int
    max_recording_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """Somewhere else that holds our checkpoints. With a `program`, `path` keeps copies of what it took away."""

    kind: str
    path: Path
    program: tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """The append-only log: where it lies, and its outside anchors. `journal` is the side journal's file, where the log
    is not one that it could lie beside. `password` and `log` are of PostgreSQL; without `log` the agent's name is used.
    """

    database: Database
    journal: Path | None
    password: Reference | None
    log: str | None
    anchors: tuple[Anchor, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Which schedule applies, and its file; until when a caller alone destroys, a doubt waits, backups hold keys."""

    nation: Nation
    rules: Path
    withdrawal_window_h: int
    review_days: int
    backup_max_days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The keeper's public key, the program that asks for its other half, and the key that signs ledger checkpoints."""

    wrap_to: Reference
    open_with: tuple[str, ...] | None
    signing: Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Alerts:
    """Whom to tell, and from what on. `command` is a program and its arguments, never a shell line."""

    command: tuple[str, ...] | None
    our_fault_in_a_row: int
    our_fault_share_1h: float
    store_down_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything that was configured. `sha256` is the hash of all values, defaults included: comments, order and
    layout of the file do not matter to it. Relative paths were resolved against `folder`, the file's own; `written`
    says on which line a key stands.
    """

    name: str
    folder: Path
    sha256: str
    agent: Agent
    responsible: Responsible
    people: tuple[Person, ...]
    sip: Sip
    pbx_events: PbxEvents
    http: Http | None
    lines: tuple[Line, ...]
    staff_codes: StaffCodes
    staff: Staff
    notice: Notice
    spool: Spool
    ledger: Ledger
    store: Store
    retention: Retention
    keys: Keys
    alerts: Alerts
    written: Mapping[str, int] = field(default_factory=dict, compare=False, repr=False)

    def place(self, key: str) -> str:
        """File and line of this key, or of the nearest one around it that was written; the file alone without any."""
        while key and key not in self.written:
            key = key.rpartition(".")[0] if not key.endswith("]") else key.rpartition("[")[0]
        return f"{self.name}:{self.written[key]}" if key else self.name

    def line_for(self, dialled: str, source: str = "") -> Line | None:
        """The line that takes calls to this number, or None. Numbers are compared as E.164, others as text. A line that
        calls outside takes only what comes from its own peers: `source` is where this call came from (host:port).
        """
        wanted = comparable(dialled, country=self.sip.country_code)
        numbers = ((comparable(d, country=self.sip.country_code), line) for line in self.lines for d in line.dialled)
        inbound = next((line for number, line in numbers if number == wanted), None)
        return inbound or self._outbound(dialled, source.rpartition(":")[0].strip("[]"))

    def _outbound(self, dialled: str, host: str) -> Line | None:
        placing = (line for line in self.lines if line.outside_number(dialled) is not None)
        return next((line for line in placing if within(host, line.peers)), None)
