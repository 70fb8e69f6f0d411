"""Forms of tables: numbered, only ever brought forward. A program meets tables of a later form with a named refusal.

The form that a program begins from is number 1; where nothing is written down, that is the form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from callrec._sql.session import Session
from callrec.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What brings tables from the form before to `form`: the same in both databases, or said for each."""

    form: int
    sqlite: str
    postgres: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Forms:
    """The forms of one set of tables. `what` names them to a person; `name` names the table that holds the number."""

    what: str
    name: str
    steps: Sequence[Step] = ()

    @property
    def newest(self) -> int:
        """The form that this program writes."""
        return max((step.form for step in self.steps), default=1)

    def of(self, session: Session) -> int:
        """The form that the tables have."""
        if not session.has(self.name):
            return 1
        found = session.row(f"SELECT max(form) FROM {self.name}")  # noqa: S608 - our own name
        return int(found[0]) if found and found[0] is not None else 1

    def require_known(self, session: Session, where: object) -> int:
        """The form of the tables. ConfigError where they are newer than this program."""
        form = self.of(session)
        if form > self.newest:
            known = f"they have form {form}, and this program knows forms up to {self.newest}"
            step = "use the callrec that made them, or a newer one; tables are never brought back to an older form"
            raise ConfigError(f"the tables of {self.what} {where} are newer than this program: {known}", next_step=step)
        return form

    def bring_forward(self, session: Session, where: object) -> None:
        """Bring the tables to the newest form, each step in a transaction of its own. ConfigError as above."""
        form = self.require_known(session, where)
        for step in self.steps:
            if step.form > form:
                self._take(session, step)

    def _take(self, session: Session, step: Step) -> None:
        session.begin(self.name)
        if self.of(session) < step.form:  # another process may have been first
            session.script(step.postgres if session.postgres else step.sqlite)
            session.run(f"CREATE TABLE IF NOT EXISTS {self.name} (form integer PRIMARY KEY)")
            session.run(f"INSERT INTO {self.name} VALUES (:form)", {"form": step.form})  # noqa: S608 - our own name
        session.commit()
