"""The one exception of the state tables."""

from __future__ import annotations


class OutOfOrder(Exception):  # not a CallrecError: it never reaches a person, the shell catches it
    """An event that this state does not know. The machine that raised it is unchanged.

    The shell stops capture, keeps what was captured, writes `incident`, and carries the call on.
    """
