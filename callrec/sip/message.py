"""SIP and SDP text as data. Pure. What comes in was written by strangers: nothing here raises on any text.

Sources: RFC 3261 sections 7.3 and 20 (headers, compact forms, folding), RFC 4566 section 5.7 (connection addresses),
RFC 3605 (RTCP elsewhere).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

LONGEST_TEXT: Final = 256
"""Bytes (UTF-8) of any string that leaves this package; the rest is cut."""
_MOST_HEADERS: Final = 128

_COMPACT: Final = {
    "f": "from",
    "t": "to",
    "i": "call-id",
    "m": "contact",
    "v": "via",
    "l": "content-length",
    "c": "content-type",
    "s": "subject",
    "k": "supported",
    "e": "content-encoding",
}
_NOWHERE: Final = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
_FOLD: Final = re.compile(r"\r?\n[ \t]+")
_BLANK_LINE: Final = re.compile(r"\r?\n\r?\n")
_ADDRESS: Final = re.compile(r'^\s*(?:"(?P<quoted>(?:\\.|[^"\\])*)"|(?P<plain>[^<"]*))\s*<(?P<uri>[^>]*)>')
_TAG: Final = re.compile(r";\s*tag\s*=\s*([^;\s>]+)", re.IGNORECASE)
_CONNECTION: Final = re.compile(r"^(?:c=|a=rtcp:\d+ )IN IP[46] ([^/\s]+)", re.MULTILINE)


def clean(text: str, limit: int = LONGEST_TEXT) -> str:
    """The printable part of the text, cut at `limit` bytes: no control characters, no terminal escapes."""
    printable = "".join(letter for letter in text if letter.isprintable())
    return printable.encode()[:limit].decode(errors="ignore").strip()


class CaseBlind(Mapping[str, str]):
    """Headers by name, whatever the case (RFC 3261 section 7.3.1). The first of a name counts."""

    def __init__(self, pairs: Iterator[tuple[str, str]]) -> None:
        self._items: dict[str, tuple[str, str]] = {}
        for name, value in pairs:
            self._items.setdefault(name.lower(), (name, value))

    def __getitem__(self, name: str) -> str:
        return self._items[name.lower()][1]

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._items.values())

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return f"CaseBlind({len(self)} headers)"


@dataclass(frozen=True, slots=True, kw_only=True)
class SipMessage:
    """One message: its start line, its headers in order with long names, its body."""

    start_line: str
    headers: tuple[tuple[str, str], ...]
    body: str

    def every(self, name: str) -> tuple[str, ...]:
        """All values of this header, split at commas outside quotes and angle brackets."""
        values = (value for header, value in self.headers if header.lower() == name.lower())
        return tuple(part for value in values for part in split_list(value))

    def first(self, name: str) -> str:
        """The whole first header of this name, or nothing."""
        return next((value for header, value in self.headers if header.lower() == name.lower()), "")


def parse_message(text: str) -> SipMessage:
    """Any text as a message; what is no header line is left out."""
    parts = _BLANK_LINE.split(text, maxsplit=1)
    lines = _FOLD.sub(" ", parts[0]).splitlines() or [""]
    pairs = (line.split(":", 1) for line in lines[1 : _MOST_HEADERS + 1] if ":" in line)
    headers = tuple((_long_name(name.strip()), value.strip()) for name, value in pairs)
    return SipMessage(start_line=lines[0].strip(), headers=headers, body=parts[1] if len(parts) > 1 else "")


def _long_name(name: str) -> str:
    return _COMPACT.get(name.lower(), name)


def split_list(value: str) -> tuple[str, ...]:
    """A comma-separated header value in its parts; commas in quotes or angle brackets do not separate."""
    parts, depth, quoted, begin = [], 0, False, 0
    for at, letter in enumerate(value):
        if letter == '"' and (at == 0 or value[at - 1] != "\\"):
            quoted = not quoted
        elif not quoted and letter in "<>":
            depth += 1 if letter == "<" else -1
        elif letter == "," and not quoted and depth <= 0:
            parts.append(value[begin:at])
            begin = at + 1
    parts.append(value[begin:])
    return tuple(part.strip() for part in parts if part.strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class NameAddr:
    """A display name and a URI, as in From (RFC 3261 section 20.10); `tag` is a From or To tag."""

    display: str
    uri: str
    tag: str


def parse_name_addr(value: str) -> NameAddr:
    """`"Display" <sip:user@host>;tag=x`, or without the brackets, as data. Cleaned."""
    found = _ADDRESS.match(value)
    if found is None:
        uri, _, params = value.partition(";")
        return NameAddr(display="", uri=clean(uri), tag=_tag(f";{params}"))
    quoted, plain = found["quoted"], found["plain"]
    display = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else (plain or "")
    return NameAddr(display=clean(display), uri=clean(found["uri"]), tag=_tag(value[found.end() :]))


def _tag(params: str) -> str:
    found = _TAG.search(params)
    return clean(found[1]) if found else ""


def user_of(uri: str) -> str:
    """The user part of a SIP URI, or the number of a tel URI; empty where there is none."""
    scheme, _, rest = uri.partition(":")
    if scheme.lower() == "tel":
        return clean(rest.partition(";")[0])
    user, at, _ = rest.rpartition("@")
    return clean(user.partition(";")[0].partition(":")[0]) if at else ""


def host_of(uri: str) -> str:
    """The host part of a SIP URI without port and parameters."""
    rest = uri.partition(":")[2].rpartition("@")[2]
    host = re.split(r"[;?>]", rest, maxsplit=1)[0]
    return host[: host.index("]") + 1] if "]" in host else host.partition(":")[0]


def connection_addresses(sdp: str) -> tuple[str, ...]:
    """Every address that a session description asks media or RTCP to be sent to; 0.0.0.0 (hold of old) is none."""
    return tuple(found for found in _CONNECTION.findall(sdp) if found not in _NOWHERE)
