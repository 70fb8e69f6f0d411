"""`callrec audit`."""

from __future__ import annotations

import click


@click.group()
def audit() -> None:
    """To come."""
