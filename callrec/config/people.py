"""Who an account of this machine is. The account is the identity, because the kernel vouches for it."""

from __future__ import annotations

import pwd
from collections.abc import Sequence

from callrec.config.models import Person
from callrec.errors import ConfigError, Refused


def whose(people: Sequence[Person], os_user: str) -> Person:
    """The one person of this account. `Refused` where it is nobody's, ConfigError where two persons share it: whoever
    can be two could agree with themselves.
    """
    found = [person for person in people if person.os_user == os_user]
    if len(found) > 1:
        names = ", ".join(person.name for person in found)
        raise ConfigError(f"people: {names} share the account {os_user}", next_step="give each person their own")
    if not found:
        step = f"let them be added under `people` with os_user: {os_user}, or use your own login"
        raise Refused(f"nobody is known by the account {os_user}", next_step=step)
    return found[0]


def account(uid: int) -> str:
    """The account with this number, from the system's own list: never from the environment, which anybody may set."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
