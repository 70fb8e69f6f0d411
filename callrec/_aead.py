"""Authenticated encryption of a stream that grows: STREAM on AES-256-GCM.

    magic 8 | header length 4 | header | nonce prefix 7 | frames: (length 4 | ciphertext and tag) ...

Every frame's nonce is prefix | counter 4 | last 1, and everything before the frames is its associated data, so frames
cannot be cut off, swapped, repeated, changed, appended to or moved under another header. The stream ends with an empty
frame whose `last` byte is 1; without it the stream is torn. Each role has its own subkey (HKDF-SHA256).
Sources: Hoang, Reyhanitabar, Rogaway, Vizar 2015 (STREAM); RFC 5869; NIST SP 800-38D.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, unique
from typing import BinaryIO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from callrec.errors import Broken

FORMAT: Final = "callrec/aead/1"
FRAME_BYTES: Final = 65_536
"""The most plain bytes in one frame; a reader refuses a longer one before it reserves memory."""
OVERHEAD_BYTES: Final = 20
"""What each frame adds: its length and its tag."""
_MAGIC: Final = b"CALLREC\x01"
_TAG_BYTES: Final = 16
_LENGTH_BYTES: Final = 4
_PREFIX_BYTES: Final = 7
KEY_BYTES: Final = 32
_HEADER_CEILING: Final = 65_536
_COUNTER_CEILING: Final = 2**32
_NEXT_STEP: Final = "keep the file as it is and compare it with another copy"


@unique
class Role(Enum):
    """What the bytes are for. A stream of one role does not open as the other."""

    SPOOL = "spool"
    OBJECT = "object"


def _cipher(secret: bytes, role: Role) -> AESGCM:
    if len(secret) != KEY_BYTES:
        raise ValueError("a data key has 32 bytes")
    info = f"{FORMAT} {role.value}".encode()
    return AESGCM(HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info).derive(secret))


def _nonce(prefix: bytes, counter: int, *, last: bool) -> bytes:
    return prefix + counter.to_bytes(4, "big") + bytes([last])


class StreamWriter:
    """Encrypts one stream: write `preamble` first, then what `append` and `finish` answer, in order. Does no IO."""

    def __init__(self, secret: bytes, header: bytes, *, role: Role) -> None:
        if len(header) > _HEADER_CEILING:
            raise ValueError("the header is too long")
        self._cipher = _cipher(secret, role)
        self._prefix = secrets.token_bytes(_PREFIX_BYTES)
        self._counter = 0
        self._finished = False
        self.preamble = _MAGIC + len(header).to_bytes(_LENGTH_BYTES, "big") + header + self._prefix

    def append(self, data: bytes) -> bytes:
        """Whole frames that hold `data`; nothing is held back, so what is written can be read after a crash."""
        pieces = (data[at : at + FRAME_BYTES] for at in range(0, len(data), FRAME_BYTES))
        return b"".join(self._frame(piece, last=False) for piece in pieces)

    def finish(self) -> bytes:
        """The frame that says nothing follows. ValueError where the stream was finished before."""
        frame = self._frame(b"", last=True)
        self._finished = True
        return frame

    def _frame(self, data: bytes, *, last: bool) -> bytes:
        if self._finished or self._counter >= _COUNTER_CEILING:
            raise ValueError("this stream takes no further frame")
        sealed = self._cipher.encrypt(_nonce(self._prefix, self._counter, last=last), data, self.preamble)
        self._counter += 1
        return len(sealed).to_bytes(_LENGTH_BYTES, "big") + sealed


def preamble_bytes(header: bytes) -> int:
    """How long the preamble under this header is: a shorter file was torn before its first frame."""
    return len(_MAGIC) + _LENGTH_BYTES + len(header) + _PREFIX_BYTES


@dataclass(frozen=True, slots=True)
class Preamble:
    """What stands before the frames, as read; nothing in it is authentic before a frame opened under it."""

    header: bytes
    prefix: bytes

    @property
    def raw(self) -> bytes:
        """The bytes as written: the associated data of every frame."""
        return _MAGIC + len(self.header).to_bytes(_LENGTH_BYTES, "big") + self.header + self.prefix


def read_preamble(source: BinaryIO) -> Preamble:
    """Read up to the first frame. `Broken` where this is no such stream."""
    start = source.read(len(_MAGIC) + _LENGTH_BYTES)
    length = int.from_bytes(start[len(_MAGIC) :], "big")
    if not start.startswith(_MAGIC) or len(start) != len(_MAGIC) + _LENGTH_BYTES or length > _HEADER_CEILING:
        raise Broken("this is not an encrypted recording", next_step=_NEXT_STEP)
    rest = source.read(length + _PREFIX_BYTES)
    if len(rest) != length + _PREFIX_BYTES:
        raise Broken("the encrypted recording ends inside its header", next_step=_NEXT_STEP)
    return Preamble(header=rest[:length], prefix=rest[length:])


class StreamReader:
    """Opens one stream from `source`, which stands at its first byte. One pass; use `frames` or `salvage`, not both.

    `truncated` is meaningful once `salvage` was exhausted: the stream had no end, or a frame that did not open.
    """

    def __init__(self, source: BinaryIO, secret: bytes, *, role: Role) -> None:
        self._source = source
        self._cipher = _cipher(secret, role)
        self._preamble = read_preamble(source)
        self._raw = self._preamble.raw
        self.header = self._preamble.header
        self.truncated = True

    def frames(self) -> Iterator[bytes]:
        """Plain bytes, frame by frame. `Broken` at the first contradiction: use nothing before the iterator ended."""
        counter = 0
        frame, following = self._read_frame(), self._read_frame()
        while following is not None:
            yield self._open(frame, counter, last=False)
            counter, frame, following = counter + 1, following, self._read_frame()
        yield self._open(frame, counter, last=True)
        self.truncated = False

    def salvage(self) -> Iterator[bytes]:
        """Plain bytes of every whole frame up to the first that is torn or does not open. Never raises for content."""
        counter = 0
        try:
            while (frame := self._read_frame()) is not None:
                yield self._open(frame, counter, last=False)
                counter += 1
        except _WrongFrameError as wrong:
            self.truncated = not self._opens_as_last(wrong.frame, counter)

    def _read_frame(self) -> bytes | None:
        prefix = self._source.read(_LENGTH_BYTES)
        if not prefix:
            return None
        length = int.from_bytes(prefix, "big")
        if len(prefix) != _LENGTH_BYTES or not _TAG_BYTES <= length <= FRAME_BYTES + _TAG_BYTES:
            raise _WrongFrameError(b"")
        frame = self._source.read(length)
        if len(frame) != length:
            raise _WrongFrameError(b"")
        return frame

    def _open(self, frame: bytes | None, counter: int, *, last: bool) -> bytes:
        if frame is None or counter >= _COUNTER_CEILING:
            raise _WrongFrameError(b"")
        try:
            return self._cipher.decrypt(_nonce(self._preamble.prefix, counter, last=last), frame, self._raw)
        except InvalidTag as error:
            raise _WrongFrameError(frame) from error

    def _opens_as_last(self, frame: bytes, counter: int) -> bool:
        try:
            return bool(frame) and self._open(frame, counter, last=True) == b""
        except _WrongFrameError:
            return False


class _WrongFrameError(Broken):
    """A frame that is torn or does not open."""

    def __init__(self, frame: bytes) -> None:
        super().__init__("the encrypted recording was changed, cut or belongs to another key", next_step=_NEXT_STEP)
        self.frame = frame
