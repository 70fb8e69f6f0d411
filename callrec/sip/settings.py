"""What the SIP side needs to know: one frozen record, checked where it is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, unique
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from pathlib import Path
from typing import Final

from callrec.errors import ConfigError

Network = IPv4Network | IPv6Network

_TRANSPORTS: Final = ("udp", "tcp", "tls")
_HIGHEST_PORT: Final = 65535
_ONE_VERSION: Final = "name addresses of one version, and run a second agent for the other"


@unique
class Srtp(Enum):
    """Media encryption (SDES); the value is the library's own number for it."""

    OFF = 0
    OPTIONAL = 1
    REQUIRED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Trunk:
    """A peer that is called by name (`sip:6000@pbx`); `leg_ends_at` is what its far end is, for the evidence."""

    uri: str
    user: str = ""
    password: str = field(default="", repr=False)
    register: bool = False
    leg_ends_at: str = "pbx"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """What we show and whom we believe, in PEM. `ca` None: those that the system believes."""

    cert: Path
    key: bytes = field(repr=False)
    ca: Path | None
    require_client: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """One socket to listen on."""

    transport: str
    host: str
    port: int

    @property
    def address(self) -> IPv4Address | IPv6Address:
        """The host, which is always a literal address."""
        return ip_address(self.host)

    @property
    def place(self) -> str:
        """Host and port as a URI has them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.transport}:{self.place}"


def parse_listen(text: str) -> Listen:
    """`udp:127.0.0.1:5080` as data; ConfigError says what is wrong with it."""
    transport, _, rest = text.partition(":")
    host, _, port = rest.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    how = "write it as udp:127.0.0.1:5080, tcp:127.0.0.1:5080 or tls:127.0.0.1:5061"
    if transport not in _TRANSPORTS:
        raise ConfigError(f"sip.listen: {text!r} has no transport that can be listened on", next_step=how)
    if not port.isdigit() or not 0 < int(port) <= _HIGHEST_PORT:
        raise ConfigError(f"sip.listen: {text!r} has no port between 1 and {_HIGHEST_PORT}", next_step=how)
    try:
        ip_address(host)
    except ValueError:
        raise ConfigError(f"sip.listen: {text!r} names no IP address", next_step=how) from None
    return Listen(transport=transport, host=host, port=int(port))


@dataclass(frozen=True, slots=True, kw_only=True)
class SipSettings:
    """Everything the engine is started with.

    `allow_from` are packet sources that may place calls; `media_from` are SDP addresses that media is sent to and taken
    from (empty: any). `rtp_ports` is the first and the last port. `runtime_dir` lies on tmpfs and is ours alone.
    `max_setups_per_s` is how many calls may begin in a second, all peers together; as many as in two seconds may come
    at once.
    """

    listen: tuple[str, ...]
    rtp_ports: tuple[int, int]
    allow_from: tuple[Network, ...]
    runtime_dir: Path
    media_from: tuple[Network, ...] = ()
    public_address: str | None = None
    codecs: tuple[str, ...] = ("PCMA", "PCMU")
    srtp: Srtp = Srtp.OFF
    tls: Tls | None = None
    trunks: Mapping[str, Trunk] = field(default_factory=dict)
    max_calls: int = 2
    max_setups_per_s: int = 15

    def sockets(self) -> tuple[Listen, ...]:
        """All of `listen`, parsed; ConfigError where one is wrong, none is given, or they cannot be had together."""
        if not self.listen:
            raise ConfigError("sip.listen is empty", next_step="name at least one, such as udp:127.0.0.1:5080")
        sockets = tuple(parse_listen(text) for text in self.listen)
        if len({listen.address.version for listen in sockets}) > 1:
            raise ConfigError("sip.listen: an agent listens on IPv4 or on IPv6, not on both", next_step=_ONE_VERSION)
        if self.tls is None and (wanting := next((one for one in sockets if one.transport == "tls"), None)):
            raise ConfigError(f"sip.listen: {wanting} needs sip.tls", next_step="write cert and key under sip.tls")
        return sockets


def within(address: str, networks: tuple[Network, ...]) -> bool:
    """True where this literal address lies in one of the networks. What is no literal address lies in none."""
    try:
        literal = ip_address(address.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return any(literal in network for network in networks)
