"""Who said no on a line, for as long as the PBX may bring the same call back: its own id of the whole call tells.

Kept for a working day, in memory and in a file that the next start reads: a PBX does not use an id again. The file has
no id, which might hold a number, but what a hash under a key of its own makes of it; the key lies in the file too, so
that it keeps an id from being read, and not from being tried. Where the file cannot be read or written, callers are
asked again, whole, as everybody is.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Final

from callrec import _durable
from callrec.errors import Unavailable

KEPT_S: Final = 12 * 3_600
MOST: Final = 10_000
"""Noes remembered; beyond that the oldest is forgotten, and that caller is asked again."""
FORMAT: Final = "callrec/noes/1"
_KEY_BYTES: Final = 32
_STEP: Final = "see that data_dir can be written; until then a no is forgotten with the next restart"


class Declined:
    """Noes by (the PBX's id, line). Another line asks by its own notice. Times are seconds of UTC: they outlive a boot,
    and a clock that was set back only keeps a no for longer.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._saving = threading.Lock()
        self._key, self._noes = _read(path) or (secrets.token_bytes(_KEY_BYTES), OrderedDict())

    def remember(self, linked_id: str, line: str, *, now_s: float) -> bool:
        """The caller of this linked call declined, or stopped the recording. False where nothing came to what was
        known: the PBX gave no id, or it was known.
        """
        name = self._name(linked_id, line)
        if not linked_id or name in self._noes:
            return False
        self._noes[name] = now_s
        while len(self._noes) > MOST:
            self._noes.popitem(last=False)
        return True

    def holds(self, linked_id: str, line: str, *, now_s: float) -> bool:
        """True where this call comes back to a line that its caller said no to."""
        said_s = self._noes.get(self._name(linked_id, line)) if linked_id else None
        return said_s is not None and now_s - said_s <= KEPT_S

    def save(self, *, now_s: float) -> None:
        """Write what still holds. Blocking, from any thread; `Unavailable` where it cannot be written."""
        with self._saving:
            noes = [[name, said_s] for name, said_s in tuple(self._noes.items()) if now_s - said_s <= KEPT_S]
            text = json.dumps({"format": FORMAT, "key": self._key.hex(), "noes": noes})
            try:
                _durable.write_file(self._path, text.encode())
            except OSError as error:
                raise Unavailable(f"{self._path}: {error.strerror}", next_step=_STEP) from error

    def _name(self, linked_id: str, line: str) -> str:
        said = f"{linked_id}\n{line}".encode("utf-8", "surrogatepass")
        return hmac.new(self._key, said, hashlib.sha256).hexdigest()


def _read(path: Path) -> tuple[bytes, OrderedDict[str, float]] | None:
    """What an earlier run wrote; None where there is none that can be read."""
    try:
        found = json.loads(path.read_bytes())
        if found["format"] != FORMAT:
            return None
        return bytes.fromhex(found["key"]), OrderedDict((str(name), float(said_s)) for name, said_s in found["noes"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
