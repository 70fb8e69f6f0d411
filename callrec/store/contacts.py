"""Who called, sealed for the keeper: kept beside the salts of `call.offered`, and destroyed with them (R50, R51).

The agent seals and cannot open, as with recordings. What was sealed is the number as the far end wrote it: a number
that the keeper may one day be asked for. One data key seals a few hundred calls, so that the keeper opens few.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from callrec._canonical import canonical, parse, sha256_hex
from callrec.errors import Broken
from callrec.ports import DataKey, KeyRing
from callrec.store.objects import same_key

NAME: Final = "contact"
"""What it is called among the salts of its entry."""
FORMAT: Final = "callrec/contact/1"
_CALLS_PER_KEY: Final = 256
_LONGEST: Final = 256
_STEP: Final = "restore the ledger's salts from a backup; the call itself is in the ledger"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """How a caller can be known again: numbers as the far end wrote them, and the SIP Call-ID."""

    numbers: tuple[str, ...] = field(repr=False)
    sip_call_id: str = field(repr=False)


class ContactSealer:
    """Seals contacts for the keeper. Any thread."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys
        self._lock = threading.Lock()
        self._key: DataKey | None = None
        self._left = 0

    def seal(self, call_uid: str, *, numbers: Sequence[str], sip_call_id: str) -> str:
        """The contact of this call as text that only the keeper opens. About 20 microseconds."""
        with self._lock:
            if self._key is None or not self._left:
                self._key, self._left = self._keys.new_key(), _CALLS_PER_KEY
            self._left -= 1
            key, nonce = self._key, self._left.to_bytes(12, "big")
        plain = {"numbers": [_cut(each) for each in numbers], "sip_call_id": _cut(sip_call_id)}
        box = AESGCM(key.secret).encrypt(nonce, canonical(plain), _bound(call_uid))
        fields = {"format": FORMAT, "key": key.wrapped.decode(), "nonce": nonce.hex(), "box": box.hex()}
        return canonical(fields).decode()


def _cut(text: str) -> str:
    return text.encode("utf-8", "replace")[:_LONGEST].decode("utf-8", "ignore")


def _bound(call_uid: str) -> bytes:
    return f"{FORMAT}\0{call_uid}".encode()


class ContactOpener:
    """The keeper's side. `unwrap` opens wrapped keys; it may block, and is asked once for each key."""

    def __init__(self, unwrap: Callable[[bytes], DataKey]) -> None:
        self._unwrap = unwrap
        self._known: dict[str, DataKey] = {}

    def opened(self, call_uid: str, sealed: str) -> Contact:
        """The contact of this call. `Broken` where it was changed or is another call's; else as `unwrap` raises."""
        try:
            fields = parse(sealed.encode())
            key = self._key(fields["key"].encode())
            box, nonce = bytes.fromhex(fields["box"]), bytes.fromhex(fields["nonce"])
            plain = parse(AESGCM(key.secret).decrypt(nonce, box, _bound(call_uid)))
            return Contact(numbers=_texts(plain["numbers"]), sip_call_id=str(plain["sip_call_id"]))
        except (ValueError, KeyError, TypeError, AttributeError, InvalidTag) as error:
            raise Broken(f"the contact of call {call_uid} was changed", next_step=_STEP) from error

    def _key(self, wrapped: bytes) -> DataKey:
        name = sha256_hex(wrapped)
        if name not in self._known:
            self._known[name] = self._unwrap(wrapped)
        return self._known[name]


def wrapped_in(sealed: str) -> bytes:
    """The wrapped key that a contact was sealed with. `Broken` where it is no contact."""
    return str(_fields(sealed)["key"]).encode()


def rewrapped(sealed: str, wrapped: bytes) -> str:
    """The same contact beside another wrapping of its key. `Broken` where it is none, `Refused` for another key."""
    same_key(wrapped_in(sealed), wrapped)
    return canonical({**_fields(sealed), "key": wrapped.decode()}).decode()


def _fields(sealed: str) -> dict[str, Any]:
    try:
        fields = parse(sealed.encode())
    except ValueError as error:
        raise Broken("what is kept of a caller is no sealed contact", next_step=_STEP) from error
    if not isinstance(fields, dict) or fields.get("format") != FORMAT or not isinstance(fields.get("key"), str):
        raise Broken("what is kept of a caller is no sealed contact", next_step=_STEP)
    return fields


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(map(str, value))
