"""One root, three outcomes and a configuration mistake; exit codes are part of the interface."""

from __future__ import annotations


class CallrecError(Exception):
    """Root of everything callrec raises on purpose. Only the subclasses below are raised.

    `str(error)` says what happened and to whom; `next_step` says what a person can do about it.
    """

    exit_code = 1

    def __init__(self, what: str, *, next_step: str = "") -> None:
        super().__init__(what)
        self.next_step = next_step

    def diagnosis(self) -> str:
        """The whole message for a person: what happened, then what to do."""
        return f"{self}\n  next: {self.next_step}" if self.next_step else str(self)


class ConfigError(CallrecError):
    """The configuration or an argument is wrong. Nothing was started."""

    exit_code = 2


class Refused(CallrecError):
    """The rules say no. Nothing is broken; do not retry."""

    exit_code = 10


class Unavailable(CallrecError):
    """Something outside failed, or the question cannot be answered. Retrying later may succeed."""

    exit_code = 20


class Broken(CallrecError):
    """Evidence contradicts itself. Stop, keep everything, call a person."""

    exit_code = 30
