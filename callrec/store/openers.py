"""How the keeper opens wrapped keys: with a private key in a file, or by a program that asks whatever holds it.

The program is for a key that never leaves its device or service (HSM, KMS), or that belongs to another user. It gets
the wrapped key, which is JSON, on its input, and prints the data key: 32 bytes as 64 hexadecimal digits. That it was
the right one shows when the recording opens: the ciphertext is authenticated.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from callrec.errors import Unavailable
from callrec.ports import DataKey
from callrec.store.keys import unwrap
from callrec.store.objects import key_id_of

Unwrap = Callable[[bytes], DataKey]
"""Blocking. Raises `Refused`, `Broken`, `Unavailable` or ConfigError where it cannot."""

PROGRAM_S: Final = 30.0
"""How long the program may take for one key: a service may be far away."""
_SECRET: Final = re.compile(rb"[0-9a-f]{64}\n?")


def by_file(private: Path) -> Unwrap:
    """With the private key in this file."""
    return lambda wrapped: unwrap(wrapped, private)


def by_program(words: Sequence[str], *, timeout_s: float = PROGRAM_S) -> Unwrap:
    """By this program and its arguments. `Unavailable` where it does not start, fails, is slow, or prints no key; what
    it printed is never repeated.
    """

    def ask(wrapped: bytes) -> DataKey:
        secret = _run(words, wrapped, timeout_s)
        if not _SECRET.fullmatch(secret):
            step = "it must print 64 hexadecimal digits and nothing else"
            raise Unavailable(f"{words[0]} (keys.open_with) did not print a data key", next_step=step)
        return DataKey(key_id=key_id_of(wrapped), secret=bytes.fromhex(secret.decode().strip()), wrapped=wrapped)

    return ask


def _run(words: Sequence[str], wrapped: bytes, timeout_s: float) -> bytes:
    step = "run it by hand with a wrapped key on its input"
    named = f"{words[0]} (keys.open_with)"
    try:
        done = subprocess.run(
            list(words),
            input=wrapped,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=timeout_s,
            check=False,
        )
    except OSError as error:
        raise Unavailable(f"{named} cannot be started: {error.strerror}", next_step=step) from error
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{named} took over {timeout_s:g} s", next_step=step) from error
    if done.returncode:
        raise Unavailable(f"{named} ended with status {done.returncode}", next_step=step)
    return done.stdout
