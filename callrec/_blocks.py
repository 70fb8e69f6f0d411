"""Disk and memory blocks of a file: reserved before they are needed, given back once they were read (fallocate(2))."""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Final

from callrec.errors import Unavailable

PAGE_BYTES: Final = 4096
_KEEP_SIZE: Final = 0x01
_PUNCH_HOLE: Final = 0x02
_NOT_SUPPORTED: Final = frozenset((errno.EOPNOTSUPP, errno.ENOSYS))

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long)
_libc.fallocate.restype = ctypes.c_int


def _fallocate(descriptor: int, mode: int, offset: int, length: int) -> bool:
    while _libc.fallocate(descriptor, mode, offset, length) != 0:
        number = ctypes.get_errno()
        if number in _NOT_SUPPORTED:
            return False
        if number != errno.EINTR:
            step = "free space on the spool's file system" if number == errno.ENOSPC else "look at the kernel log"
            raise Unavailable(f"blocks could not be reserved: {os.strerror(number)}", next_step=step)
    return True


def reserve(descriptor: int, offset: int, length: int) -> bool:
    """Reserve room without changing the file's length, so that a full disk is known now, not in a conversation.

    False where the file system cannot reserve; `Unavailable` where there is no room.
    """
    return _fallocate(descriptor, _KEEP_SIZE, offset, length)


def give_back(descriptor: int, offset: int, length: int) -> bool:
    """Free the blocks in this range; it reads as zeros from now on. False where the file system cannot."""
    return _fallocate(descriptor, _KEEP_SIZE | _PUNCH_HOLE, offset, length)
