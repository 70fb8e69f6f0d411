"""What the registers of `rights.standing` answer, whoever holds them: the running agent, or a command beside none.

Every change is a person's own, known by their login, and stands in the ledger as `config.changed`: of a caller the
beginning of a keyed hash, of staff their SIP identity.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Any, Final

from callrec.config import Config
from callrec.config.people import whose
from callrec.core.authority import Act, why_not
from callrec.core.kinds import Kind
from callrec.errors import ConfigError, Refused
from callrec.ports import Entry
from callrec.rights.standing import Standing

Answered = tuple[dict[str, Any], Entry | None]
"""What is answered, and what the ledger is to be told."""
_LONGEST: Final = 200


def answer(config: Config, standing: Standing, args: Mapping[str, Any], *, os_user: str) -> Answered:
    """Carry out `args["do"]` for whoever has this login. `Refused` where they may not; blocking."""
    do = _DOES.get(str(args.get("do")))
    if do is None:
        raise ConfigError("there is no such thing to do", next_step=f"do one of {', '.join(_DOES)}")
    return do(config, standing, args, os_user)


def _list(_config: Config, standing: Standing, _args: Mapping[str, Any], _os_user: str) -> Answered:
    refusals = [asdict(each) for each in standing.refusals()]
    return {"refusals": refusals, "staff": [asdict(each) for each in standing.staff()]}, None


def _refuse(config: Config, standing: Standing, args: Mapping[str, Any], os_user: str) -> Answered:
    person, why = _allowed(config, os_user), _text(args, "why")
    today = datetime.now(UTC).date().isoformat()
    found = standing.refuse(_text(args, "number"), since=today, why=why, by=person)
    return {"id": found}, _told(config, person, os_user, what="refusal added", refusal=found, why=why)


def _unrefuse(config: Config, standing: Standing, args: Mapping[str, Any], os_user: str) -> Answered:
    person, why = _allowed(config, os_user), _text(args, "why")
    found = standing.forget_refusal(_text(args, "which"))
    return {"id": found}, _told(config, person, os_user, what="refusal removed", refusal=found, why=why)


def _acknowledge(config: Config, standing: Standing, args: Mapping[str, Any], os_user: str) -> Answered:
    person, identity, policy = _allowed(config, os_user), _text(args, "identity"), _text(args, "policy")
    on = str(args.get("on") or datetime.now(UTC).date().isoformat())
    try:
        date.fromisoformat(on)
    except ValueError:
        raise ConfigError(f"--on: {on!a:.30} is no date", next_step="write it as 2026-03-01") from None
    standing.acknowledged(identity, policy, on=on)
    said = {"identity": identity, "policy": policy, "on": on}
    return said, _told(config, person, os_user, what="staff acknowledged", **said)


def _forget_staff(config: Config, standing: Standing, args: Mapping[str, Any], os_user: str) -> Answered:
    person, identity = _allowed(config, os_user), _text(args, "identity")
    standing.forget_staff(identity)
    return {"identity": identity}, _told(config, person, os_user, what="staff removed", identity=identity)


_DOES: Final[Mapping[str, Callable[[Config, Standing, Mapping[str, Any], str], Answered]]] = {
    "list": _list,
    "refuse": _refuse,
    "unrefuse": _unrefuse,
    "acknowledge": _acknowledge,
    "forget-staff": _forget_staff,
}


def _allowed(config: Config, os_user: str) -> str:
    person = whose(config.people, os_user)
    if why := why_not(Act.STANDING, person.role):
        raise Refused(f"{person.name}: {why}", next_step="ask one of them to run this under their own login")
    return person.name


def _text(args: Mapping[str, Any], name: str) -> str:
    value = args.get(name)
    if not isinstance(value, str) or not value.strip() or not value.isprintable() or len(value) > _LONGEST:
        raise ConfigError(f"{name} must be one line of text", next_step="say it again")
    return value.strip()


def _told(config: Config, person: str, os_user: str, **said: str) -> Entry:
    login = f"os:{os_user}"
    body = {"config_sha256": config.sha256, "by": person, "person": person, "login": login, **said}
    return Entry(kind=Kind.CONFIG_CHANGED, body=body, actor=login)
