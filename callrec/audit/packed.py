"""Checking a pack as `verify.py` inside it does, with this version's own copy; and the page that nobody signed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from callrec.audit import page
from callrec.audit.standalone import UNANSWERED, Examination, Wrong, examine, read_key, read_zip, shown
from callrec.errors import ConfigError

_NOT_FILES = ("index.html", "verify.py", "pack.json")


def verify_pack(path: Path, vkey: str, held: Mapping[str, bytes] | None = None) -> Examination:
    """Make checks 21 to 36 against this key, and say whether page and `verify.py` are what this version would make.

    Never raises for what the pack holds. ConfigError where the key is none, or there is no such file.
    """
    try:
        key = read_key(vkey)
        with path.open("rb") as file:
            found = examine(file, key, held)
            if found.exit_code < UNANSWERED:
                _look_at_page(found, read_zip(file)[0])
    except ValueError as error:
        raise ConfigError(f"the key: {shown(error)}", next_step="give the half page of `callrec init`") from error
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", next_step="name the pack") from error
    return found


def _look_at_page(found: Examination, files: Mapping[str, bytes]) -> None:
    if f'content="{page.GENERATOR}"'.encode() not in files.get("index.html", b""):
        said = "its page was drawn by another version, and so was not compared: do not read it, believe this"
        found.remarks.append(f"remark:       {said}")
        return
    if files.get("verify.py") != page.VERIFIER.read_bytes():
        found.found.append(Wrong(21, "verify.py in it is not the one that goes with its page: do not run it"))
    if files.get("index.html") != _drawn({name: data for name, data in files.items() if name not in _NOT_FILES}):
        found.found.append(Wrong(21, "index.html is not the page of these contents: do not read it"))


def _drawn(files: Mapping[str, bytes]) -> bytes | None:
    """The page; None where who signed all this wrote entries that no page can tell."""
    try:
        return page.draw(files)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, StopIteration):
        return None
