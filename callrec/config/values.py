"""Values that a configuration line may hold, and how each is read from its text. A reader raises ValueError with the
rest of the sentence "KEY: ..."; it never repeats a secret.
"""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass
from enum import Enum, unique
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote

from callrec.errors import ConfigError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
"""One address is a network of one."""

_LAST_PORT: Final = 65535
LONGEST_LOG_NAME: Final = 50
"""PostgreSQL names end at 63 bytes, and ours have something before it."""


@unique
class Transport(Enum):
    """How SIP travels (RFC 3261 section 18; TLS per section 26)."""

    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An address and a port of this machine."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """True where only this machine can reach it."""
        return ipaddress.ip_address(self.host).is_loopback

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpListen(Place):
    """One address that HTTP is taken on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen(Place):
    """One address that SIP is taken on."""

    transport: Transport

    def __str__(self) -> str:
        return f"{self.transport.value}:{Place.__str__(self)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PortRange:
    """UDP ports `first` to `last`, both included."""

    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SipUri:
    """A SIP or SIPS URI as far as a destination needs one (RFC 3261 section 19.1): no password, no headers."""

    scheme: str
    user: str
    host: str
    port: int | None = None
    parameters: str = ""

    def __str__(self) -> str:
        at = f"{self.user}@" if self.user else ""
        port = f":{self.port}" if self.port else ""
        return f"{self.scheme}:{at}{self.host}{port}{self.parameters}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Where a secret or key stands: `file:PATH` or `env:NAME`. The configuration itself never holds one."""

    kind: str
    name: str
    base: Path = Path()

    @property
    def path(self) -> Path | None:
        """The file, where it is one; relative paths count from the configuration's folder."""
        return self.base / self.name if self.kind == "file" else None

    def read(self) -> bytes:
        """What it refers to, without a final line break. ConfigError where it is not there or not readable."""
        if self.path is None:
            if self.name not in os.environ:
                raise ConfigError(f"the environment has no {self.name}", next_step=f"set {self.name} for this process")
            return os.environb[self.name.encode()]
        try:
            return self.path.read_bytes().removesuffix(b"\n")
        except OSError as error:
            step = "create it (`callrec init` makes the keys) or correct the path"
            raise ConfigError(f"{self.path}: {error.strerror}", next_step=step) from error

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


def _whole(pattern: str, text: str, else_: str) -> str:
    """The text where all of it is as the pattern says; else ValueError, beginning with the text itself."""
    if not re.fullmatch(pattern, text):
        raise ValueError(f"{text!r} {else_}")
    return text


def _port(text: str) -> int:
    port = int(text)
    if not 1 <= port <= _LAST_PORT:
        raise ValueError(f"port {port} is none; ports are 1 to {_LAST_PORT}")
    return port


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError(f"{text!r} is no IP address; names are not looked up here") from None


def address(text: str) -> str:
    """An IPv4 or IPv6 address, in its short form."""
    return _address(text)


def network(text: str) -> Network:
    """`192.0.2.5` or `192.0.2.0/24`."""
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        raise ValueError(f"{text!r} is neither an IP address nor a network such as 192.0.2.0/24") from None


def listen(text: str) -> Listen:
    """`udp:127.0.0.1:5080`, `tls:[2001:db8::1]:5061`."""
    found = re.fullmatch(r"(udp|tcp|tls):(\[[^\]]+\]|[^:\[\]]+):([0-9]{1,5})", text)
    if not found:
        raise ValueError(f"{text!r} is no address to listen on; write transport:address:port, as in udp:127.0.0.1:5080")
    return Listen(transport=Transport(found[1]), host=_address(found[2].strip("[]")), port=_port(found[3]))


def http_listen(text: str) -> HttpListen:
    """`127.0.0.1:8089`, `[::1]:8089`."""
    found = re.fullmatch(r"(\[[^\]]+\]|[^:\[\]]+):([0-9]{1,5})", text)
    if not found:
        raise ValueError(f"{text!r} is no address to listen on; write address:port, as in 127.0.0.1:8089")
    return HttpListen(host=_address(found[1].strip("[]")), port=_port(found[2]))


def port_range(text: str) -> PortRange:
    """`40000-44999`."""
    found = re.fullmatch(r"([0-9]{1,5})-([0-9]{1,5})", text)
    if not found:
        raise ValueError(f"{text!r} is no range of ports; write first-last, as in 40000-44999")
    ports = PortRange(first=_port(found[1]), last=_port(found[2]))
    if ports.last < ports.first:
        raise ValueError(f"{text!r} runs backwards")
    return ports


_SIP_URI: Final = re.compile(
    r"(?P<scheme>sips?):"
    r"(?:(?P<user>[A-Za-z0-9\-_.!~*'()&=+$,?/%]{1,128})@)?"
    r"(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.\-]{0,252}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<parameters>(?:;[A-Za-z0-9\-_.!~*'+%]+(?:=[A-Za-z0-9\-_.!~*'+%\[\]:]+)?)*)"
)


def sip_uri(text: str) -> SipUri:
    """`sip:6000@pbx`, `sip:192.0.2.5:5060;transport=tcp`."""
    found = _SIP_URI.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is no SIP URI; write sip:USER@TRUNK or sip:USER@ADDRESS:PORT, as in sip:6000@pbx")
    host = found["host"]
    if host.startswith("["):
        host = f"[{_address(host.strip('[]'))}]"
    port = _port(found["port"]) if found["port"] else None
    return SipUri(
        scheme=found["scheme"], user=found["user"] or "", host=host, port=port, parameters=found["parameters"]
    )


def reference(text: str) -> Reference:
    """`file:keys/ledger` or `env:TRUNK_PASSWORD`. What was written is not repeated: it may be the secret."""
    found = re.fullmatch(r"(file):([^\0\n]+)|(env):([A-Za-z_][A-Za-z0-9_]*)", text)
    if not found:
        raise ValueError("secrets and keys never stand in this file; write file:PATH or env:NAME")
    return Reference(kind=found[1] or found[3], name=found[2] or found[4])


def web_page(text: str) -> str:
    """An address that a caller can open."""
    return _whole(
        r"https?://[^\s/?#]+\.[^\s]+", text, "is no web address; write it whole, as in https://example.org/calls"
    )


def s3_endpoint(text: str) -> str:
    """`https://s3.example.org`; http on this machine alone: recordings are encrypted, but who asks is not."""
    found = re.fullmatch(r"(https?)://(\[[^\]]+\]|[^\s/?#:@]+)(:[0-9]{1,5})?/?", text)
    if not found:
        raise ValueError(f"{text!r} is no S3 server; write https://HOST or https://HOST:PORT")
    if found[1] == "http" and found[2] not in ("127.0.0.1", "[::1]", "localhost"):
        raise ValueError(f"{text!r} is beyond this machine and not encrypted; write https://")
    return text


def bucket(text: str) -> str:
    """A bucket's name (S3: 3 to 63 of small letters, digits, dots and hyphens)."""
    what = "is no name of a bucket; write 3 to 63 small letters, digits, dots and hyphens"
    return _whole(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", text, what)


_POSTGRES_OPTIONS: Final = ("host", "port", "sslmode", "sslrootcert", "sslcert", "sslkey", "target_session_attrs")


def ledger_url(text: str) -> str | tuple[tuple[str, str], ...]:
    """`sqlite:///var/ledger.db`, four slashes for an absolute path (RFC 3986 with an empty host); or the options of
    `postgresql://USER@HOST:PORT/DATABASE?OPTION=VALUE`, as libpq names them.
    """
    if text.startswith("postgresql://"):
        return _postgres_options(text)
    if not re.fullmatch(r"sqlite:///[^\0\n?#]+", text):
        what = "write sqlite:///PATH, as in sqlite:///var/ledger.db, or postgresql://USER@HOST/DATABASE"
        raise ValueError(f"{_without_password(text)!r} is no ledger; {what}")
    return text


def _postgres_options(text: str) -> tuple[tuple[str, str], ...]:
    found = re.fullmatch(
        r"postgresql://(?:(?P<user>[^@/:?#\s]+)(?P<secret>:[^@/\s]*)?@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^/:?#@\s]*)"
        r"(?::(?P<port>[0-9]{1,5}))?/(?P<dbname>[^/?#\s]+)(?:\?(?P<options>[^#\s]*))?",
        text,
    )
    if not found:
        raise ValueError(f"{_without_password(text)!r} is no database; write postgresql://USER@HOST:PORT/DATABASE")
    if found["secret"] is not None:
        raise ValueError("holds a password; write it to a file, and name that in ledger.password")
    given = [("user", found["user"]), ("host", (found["host"] or "").strip("[]")), ("port", found["port"])]
    options = [(name, unquote(value)) for name, value in [*given, ("dbname", found["dbname"])] if value]
    for name, value in parse_qsl(found["options"] or "", keep_blank_values=True):
        if name not in _POSTGRES_OPTIONS:
            raise ValueError(f"{name!r} is no option of it here; known are {', '.join(_POSTGRES_OPTIONS)}")
        options.append((name, value))
    return tuple(dict(options).items())


def log_name(text: str) -> str:
    """As `short_name`, and short enough to name tables in PostgreSQL."""
    if len(short_name(text)) > LONGEST_LOG_NAME:
        raise ValueError(f"{text!r} is longer than {LONGEST_LOG_NAME} characters")
    return text


def _without_password(url: str) -> str:
    return re.sub(r"//[^@/]*@", "//...@", url)


def choice_key(text: str) -> str:
    """One key a caller may press during the notice: 0 to 8, * or #. Never 9: a frightened caller presses it."""
    return _whole(r"[0-8*#]", text, "is no key for a choice; keys are 0 to 8, * and #, and 9 is never one (999)")


def stop_keys(text: str) -> str:
    """The keys that stop a recording during the call: two to six, so that they differ from keys meant for the line."""
    return _whole(r"[0-8*#]{2,6}", text, "stops nothing; write two to six of 0 to 8, * and # (never 9), as in **2")


def code_prefix(text: str) -> str:
    """What staff press before the one key of an order: two to four keys, so that no word of a caller begins so."""
    if not re.fullmatch(r"[0-8*#]{1,3}[0-9*#]", text) or not set(text) & set("*#"):
        raise ValueError(f"{text!r} begins no code; write two to four keys with a * or # among them, as in *7")
    return text


def code_key(text: str) -> str:
    """The one key after the prefix."""
    return _whole(r"[0-9*#]", text, "is no key; write one of 0 to 9, * and #")


def trusted_header(text: str) -> str:
    """A header that goes along to the staff leg: X-, and none of ours."""
    if not re.fullmatch(r"X-[A-Za-z0-9\-]{1,60}", text, re.IGNORECASE) or text.lower().startswith("x-callrec-"):
        raise ValueError(f"{text!r} may not go along; headers start with X-, and X-Callrec- is ours alone")
    return text


def display_mark(text: str) -> str:
    """What stands before a caller's name on a telephone's display; `off` where nothing is to stand there."""
    if not re.fullmatch(r"[A-Za-z0-9 \[\](){}.:*#+\-]{1,16}", text):
        raise ValueError(f"{text!r} is no mark; write up to 16 letters, digits and brackets, as in '[REC]', or off")
    return "" if text.strip().lower() == "off" else text.strip()


def language(text: str) -> str:
    """A language tag (RFC 5646): `en`, `cy`, `pt-BR`."""
    return _whole(r"[a-z]{2,3}(-[A-Z]{2})?", text, "is no language tag; write en, cy or pt-BR")


def short_name(text: str) -> str:
    """A name of ours: small letters, digits and hyphens."""
    return _whole(
        r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?", text, "is no name; use small letters, digits and hyphens, at most 64"
    )


def country_code(text: str) -> str:
    """E.164 country code without plus."""
    return _whole(r"[1-9][0-9]{0,2}", text, 'is no country code; write it without plus, as in "44"')


def dialled_number(text: str) -> str:
    """A number or extension as it appears before the @ of a request-URI."""
    what = "cannot be dialled; write an extension or a telephone number"
    return _whole(r"[A-Za-z0-9+*#][A-Za-z0-9+*#().\- _]{0,63}", text, what)


def any_text(text: str) -> str:
    """One line of text that is not empty."""
    if not text.strip() or not text.isprintable():
        raise ValueError("must be one line of text and not empty")
    return text.strip()
