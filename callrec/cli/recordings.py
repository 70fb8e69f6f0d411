"""`callrec recordings`."""

from __future__ import annotations

import click


@click.group()
def recordings() -> None:
    """To come."""
