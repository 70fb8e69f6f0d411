"""A house with people in it, each with an account of this machine, and calls of long ago."""

from __future__ import annotations

import os
import pwd

from callrec.agent.clock import SystemClock
from callrec.config import load
from callrec.config.people import account
from callrec.errors import CallrecError
from tests.cli.house import House

PEOPLE = {
    "guardian": ("guardian", "daemon"),
    "claims": ("medico-legal", "bin"),
    "records": ("operator", "sys"),
    "checker": ("auditor", "games"),
    "teacher": ("trainer", "man"),
}
"""Persons by their id: role, and an account that every Debian has."""
LONG_AGO = {"rule": "ML-A", "version": 1, "trigger": "2012-03-01", "due": "2020-03-01"}


def dated(rule="ML-A", trigger="2012-03-01", due="2020-03-01", **more):
    return {"rule": rule, "version": 1, "trigger": trigger, "due": due, **more}


class Office(House):
    """Everything as in a House, and commands are run as somebody."""

    def __init__(self, folder, monkeypatch):
        super().__init__(folder)
        self._patch = monkeypatch
        said = "".join(f"  {who}: {{role: {role}, os_user: {user}}}\n" for who, (role, user) in PEOPLE.items())
        self.change("people: ", "people:\n" + said + "#")
        self.change("  ig-lead:\n    role: auditor                # required.", "# ")
        self.change(f"    os_user: {account(os.getuid())}              # required\n", "")
        self.config = load(self.config_path)
        monkeypatch.setattr(SystemClock, "state", lambda _clock: "synchronised")

    def sits(self, account):
        """Who runs the next commands."""
        self._patch.setattr(os, "getuid", lambda: pwd.getpwnam(account).pw_uid)

    def run(self, who, *words):
        """A command on recordings of this person: what it printed, or the error it ended in."""
        return self.runs(who, "recordings", *words)

    def runs(self, who, *words):
        """Any command of this person: what it printed, or the error it ended in."""
        self.sits(PEOPLE[who][1] if who in PEOPLE else who)
        result = self.callrec(*words)
        if isinstance(result.exception, CallrecError):
            return result.exception
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.output

    def old(self, *, caller="", **changes):
        """A recording that has been due for long."""
        return self.record(started="2012-03-01T10:00:00.000Z", retention=dated(**changes), caller=caller)

    def agreed(self, *options, name="list.json"):
        """A list of all that is due, which two persons agreed to."""
        file = self.folder / name
        said = self.run("records", "dispose", "--propose", file, *options)
        assert "Proposed" in str(said), said
        assert "Approved" in str(self.run("guardian", "dispose", "--approve", file))
        return file

    def audio(self):
        return {path.parent.name for path in self.config.store.path.glob("objects/*/*/audio.enc")}

    def keys(self):
        return {path.stem for path in self.config.store.path.with_name("store-keys").glob("*/*.key")}
