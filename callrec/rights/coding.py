"""Coded copies: a caller as a pseudonym of one project, by a key that whoever gets the copies never holds (R29).

A code is a keyed hash of the caller's number: one caller has one code within a project and another in the next, so that
calls of one caller can be put together and no two projects can. Each project has a key, made and held by the keeper's
side, 0400 and apart from the recordings. A caller without a number has a code of the call alone, and the copy says so.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from callrec._durable import make_dir, write_file
from callrec.errors import ConfigError, Refused, Unavailable

FOLDER: Final = "projects"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_CODE_BYTES: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """One project with its key."""

    name: str
    key: bytes = field(repr=False)

    def code(self, *, number: str | None, call_uid: str) -> str:
        """The pseudonym: of the caller where their number is known, else of this call alone."""
        said = f"number\0{number}" if number else f"call\0{call_uid}"
        digest = hmac.new(self.key, f"callrec/code/1\0{self.name}\0{said}".encode(), hashlib.sha256).digest()
        return base64.b32encode(digest[:_CODE_BYTES]).decode().lower()


def begin_project(folder: Path, name: str) -> Project:
    """Make a project's key in this folder. `Refused` where it has one, ConfigError where the name is none."""
    make_dir(folder)
    write_file(_key_file(folder, name), secrets.token_bytes(32), mode=0o400, exclusive=True)
    return open_project(folder, name)


def open_project(folder: Path, name: str) -> Project:
    """A project by its key. `Refused` where this login may not read the key, ConfigError where there is none."""
    path = _key_file(folder, name)
    try:
        key = path.read_bytes()
        mode = path.stat().st_mode
    except PermissionError as error:
        step = "coded copies are made by the keeper's side; whoever uses them never holds the key"
        raise Refused(f"the key of project {name} is not this login's to read", next_step=step) from error
    except FileNotFoundError as error:
        raise ConfigError(f"there is no project {name}", next_step="begin it once with --new-project") from error
    except OSError as error:
        raise Unavailable(f"{path}: {error.strerror}", next_step="look at the disk") from error
    if mode & 0o077:
        raise ConfigError(f"{path} can be read by others than its owner", next_step=f"chmod 0400 {path}")
    return Project(name=name, key=key)


def _key_file(folder: Path, name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name!a:.40} is no name of a project", next_step="use a-z, 0-9 and -, at most 40")
    return folder / f"{name}.key"
