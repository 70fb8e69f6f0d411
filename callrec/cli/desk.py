"""What the commands work on: the configuration, the running agent where there is one, and the ledger."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path

from callrec.agent.clock import SystemClock
from callrec.config import Config, load
from callrec.config.people import account, whose
from callrec.control import ControlClient
from callrec.core.authority import Act, why_not
from callrec.core.holds import Person
from callrec.errors import ConfigError, Refused, Unavailable
from callrec.places import opened_ledger
from callrec.ports import Entry


class Desk:
    """Handed to every command as `ctx.obj`."""

    def __init__(self, config_path: Path | None) -> None:
        self.config_path = config_path

    @cached_property
    def config(self) -> Config:
        """The configuration. ConfigError where none is named, or it is wrong."""
        if self.config_path is None:
            raise ConfigError("no configuration is named", next_step="name one with -c FILE or CALLREC_CONFIG")
        return load(self.config_path)

    @property
    def prompts_dir(self) -> Path:
        """The folder of the prompt register."""
        return self.config.notice.register

    @property
    def agent(self) -> ControlClient:
        """The running agent."""
        return ControlClient(self.config.agent.control_socket)

    def person(self) -> str:
        """Who sits here: the login, which the kernel vouches for; a typed name is only a note."""
        return f"os:{account(os.getuid())}"

    def decides(self, act: Act) -> Person:
        """Who sits here as a person of the configuration, who may do this. `Refused` where nobody is known by this
        login, or their role may not.
        """
        login = self.person()
        found = whose(self.config.people, login.removeprefix("os:"))
        if why := why_not(act, found.role):
            raise Refused(f"{found.name}: {why}", next_step="ask one of them to run this under their own login")
        return Person(found.name, login)

    def append(self, entry: Entry) -> str:
        """Append to the ledger: through the agent where one runs, else by ourselves. The leaf, once durable."""
        plain = {"kind": entry.kind.value, "body": dict(entry.body), "call_uid": entry.call_uid}
        plain |= {"salts": dict(entry.salts)} if entry.salts else {}
        try:
            return str(self.agent.ask("append", **plain, segment=entry.segment)["leaf"])
        except Unavailable:
            with opened_ledger(self.config, SystemClock(), holder="callrec command") as append:
                return append(entry)
