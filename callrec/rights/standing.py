"""What stands for more than one call: callers who refused to be recorded, and staff who know that calls are (R39, R53).

A refusal may stand, because it only protects; nothing else is ever looked up by a number. One file for each, so that a
call asks for one name and reads no list: a refusal lies under the keyed hash of its number, and nobody who has the
folder alone learns a number from it. The key lies with the agent's other keys. Blocking; safe from any thread.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from callrec._canonical import canonical, parse
from callrec._durable import make_dir, remove, write_file
from callrec.core.numbers import normalise, users_of
from callrec.errors import Broken, ConfigError, Refused, Unavailable

REFUSALS: Final = "refusals"
STAFF: Final = "staff"
KEY_FILE: Final = "refusals.key"
_KEY_BYTES: Final = 32
_SHOWN: Final = 12
"""Hex digits by which a refusal is listed."""
_LEAST: Final = 8
"""Hex digits that name one to be removed: fewer are a guess."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A caller's standing no: the beginning of its hash, since when, and how it reached whoever entered it."""

    id: str
    since: str
    why: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgement:
    """Somebody who answers calls knows the recording policy of this version, since that day."""

    identity: str
    policy: str
    on: str


class Standing:
    """Both registers of one agent: `folder` holds them, `key` is the file that keys the hashes."""

    def __init__(self, folder: Path, key: Path, *, country: str) -> None:
        self._refusals, self._staff = folder / REFUSALS, folder / STAFF
        self.key, self._country = key, country

    # ------------------------------------------------------------ refusals

    def refuses(self, headers: Iterable[str]) -> bool:
        """True where a number in one of these SIP headers has a standing refusal. `Unavailable` where that cannot be
        told: it is never a yes to being recorded.
        """
        numbers = {self._number(each) for header in headers for each in (header, *users_of(header))} - {None}
        if not numbers or not _there(self._refusals):
            return False
        key = self._read_key()
        return any(_there(self._refusals / _tag(key, number)) for number in numbers if number)

    def require_key(self) -> None:
        """`Unavailable` where refusals stand without the key that finds them: no call is recorded meanwhile."""
        if next(_files(self._refusals), None) is not None:
            self._read_key()

    def refuse(self, number: str, *, since: str, why: str, by: str) -> str:
        """Enter a refusal, durably; its id. ConfigError where this is no full number, `Refused` where it stands."""
        written = self._number(number)
        if written is None:
            step = "give the whole number with its area code, as in 01632 960001 or +441632960001"
            raise ConfigError(f"{number!a:.30} is no full telephone number", next_step=step)
        make_dir(self._refusals)
        tag = _tag(self._made_key(), written)
        write_file(self._refusals / tag, canonical({"since": since, "why": why, "by": by}), exclusive=True)
        return tag[:_SHOWN]

    def forget_refusal(self, which: str) -> str:
        """Remove the refusal of this id, or of this number; its id. `Refused` where there is no one such."""
        number, names = self._number(which), [path.name for path in _files(self._refusals)]
        if number is not None and names:
            found = [name for name in names if name == _tag(self._read_key(), number)]
        else:
            found = [name for name in names if len(which) >= _LEAST and name.startswith(which.lower())]
        if len(found) != 1:
            raise Refused("there is no one such refusal", next_step="see `callrec refusals list`, or give the number")
        remove(self._refusals / found[0])
        return found[0][:_SHOWN]

    def refusals(self) -> tuple[Refusal, ...]:
        """Every one that stands, oldest first."""
        read = (Refusal(id=path.name[:_SHOWN], **_read(path)) for path in _files(self._refusals))
        return tuple(sorted(read, key=lambda each: (each.since, each.id)))

    def _number(self, written: str) -> str | None:
        return normalise(written, country=self._country)

    def _made_key(self) -> bytes:
        with suppress(Refused):  # it is there
            write_file(self.key, secrets.token_bytes(_KEY_BYTES), mode=0o400, exclusive=True)
        return self._read_key()

    def _read_key(self) -> bytes:
        try:
            key = self.key.read_bytes()
        except OSError as error:
            step = "restore it from the backup of the keys, or give it back to the agent's account"
            raise Unavailable(f"{self.key}: {error.strerror}", next_step=step) from error
        if len(key) != _KEY_BYTES:
            raise Unavailable(f"{self.key} is no key", next_step="restore it; without it no refusal is found")
        return key

    # ------------------------------------------------------------ staff

    def acknowledged(self, identity: str, policy: str, *, on: str) -> None:
        """Whoever has this SIP identity knows the policy of this version. The newest word counts."""
        make_dir(self._staff)
        said = {"identity": identity, "policy": policy, "on": on}
        write_file(self._staff / _name(identity), canonical(said))

    def forget_staff(self, identity: str) -> None:
        """Remove somebody who left. `Refused` where nobody is known by that identity."""
        if not _there(self._staff / _name(identity)):
            raise Refused(f"nobody is known as {identity!a:.60}", next_step="see `callrec staff list`")
        remove(self._staff / _name(identity))

    def informed(self, identity: str, policy: str) -> bool:
        """True where this identity acknowledged this very version."""
        path = self._staff / _name(identity)
        return _there(path) and _read(path).get("policy") == policy

    def staff(self) -> tuple[Acknowledgement, ...]:
        """Everybody who acknowledged a version, by identity."""
        read = (Acknowledgement(**_read(path)) for path in _files(self._staff))
        return tuple(sorted(read, key=lambda each: each.identity))


def _tag(key: bytes, number: str) -> str:
    return hmac.new(key, f"callrec/refusal/1\0{number}".encode(), hashlib.sha256).hexdigest()


def _name(identity: str) -> str:
    """A file's name for whatever a SIP identity may hold; schemes and hosts are compared as they are written."""
    return hashlib.sha256(identity.encode()).hexdigest()


def _there(path: Path) -> bool:
    try:
        path.stat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise Unavailable(f"{path}: {error.strerror}", next_step="look at the disk, and who owns it") from error
    return True


def _files(folder: Path) -> Iterator[Path]:
    try:
        yield from (path for path in sorted(folder.iterdir()) if not path.name.startswith("."))
    except FileNotFoundError:
        return
    except OSError as error:
        raise Unavailable(f"{folder}: {error.strerror}", next_step="run this as the agent's account") from error


def _read(path: Path) -> Mapping[str, Any]:
    try:
        found = parse(path.read_bytes())
    except OSError as error:
        raise Unavailable(f"{path}: {error.strerror}", next_step="look at the disk, and who owns it") from error
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise Broken(f"{path} is nothing of ours", next_step="keep it and call a person")
    return found
