"""What the running agent answers on its control socket."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from callrec.agent import pbx
from callrec.agent.agent import Agent
from callrec.asking import Handler
from callrec.config import Config
from callrec.config.people import account, whose
from callrec.core.kinds import Kind
from callrec.core.people import About, parse_about
from callrec.core.purposes import Widening
from callrec.core.values import COMMANDS, FLAGS, Order
from callrec.errors import ConfigError, Refused
from callrec.ports import Entry
from callrec.standing_desk import answer

DECISIONS: Final = frozenset(
    {
        *(Kind.HOLD_PLACED, Kind.HOLD_RELEASED, Kind.DISPOSAL_PROPOSED, Kind.DISPOSAL_APPROVED, Kind.TAG_CHANGED),
        *(Kind.DISCLOSURE, Kind.SALT_ERASED, Kind.WITHDRAWN, Kind.CONFIG_CHANGED),
        *(Kind.KEY_ROTATED, Kind.RECORDING_IMPORTED),
    }
)
"""Kinds by which a person decides something: whoever asks must be that person."""
UPKEEP: Final = frozenset({Kind.DISPOSAL_DONE, Kind.FIXITY_OK, Kind.RECORDING_DAMAGED, Kind.SELFTEST_DONE})
"""Kinds that only whoever owns the store can state: the agent's own account, and root."""
ACCESS: Final = frozenset({Kind.ACCESS_GRANTED, Kind.ACCESS_DENIED, Kind.EXPORT_MADE})
"""Kinds that say who heard what: whoever asks must be that account."""
MAKING: Final = frozenset({Kind.PROMPT_APPROVED, Kind.PROMPT_RETIRED, Kind.KEY_CREATED})
"""Kinds that say what was made or approved, by whom in their own words."""
APPENDABLE: Final = MAKING | ACCESS | DECISIONS | UPKEEP
"""Kinds that a command may ask the agent to append. None of them is a fact about a call."""


def handlers(agent: Agent) -> Mapping[str, Handler]:
    """Questions by name."""

    async def status(_args: dict[str, Any]) -> dict[str, Any]:
        await agent.check_lines()
        return agent.status()

    async def calls(_args: dict[str, Any]) -> dict[str, Any]:
        return {"calls": agent.list_calls()}

    async def flag(args: dict[str, Any]) -> dict[str, Any]:
        return await _ordering(agent, _flag(args.get("what")))(args)

    async def subject(args: dict[str, Any]) -> dict[str, Any]:
        return await agent.order(str(args.get("call", "")), _about(args), str(args["actor"]))

    async def reload(_args: dict[str, Any]) -> dict[str, Any]:
        await agent.check_lines()
        lines = agent.status()["lines"]
        return {"lines": [f"{name}: {'recording' if s['recording'] else s['why']}" for name, s in lines.items()]}

    async def append(args: dict[str, Any]) -> dict[str, Any]:
        return {"leaf": await _append(agent, args)}

    async def event(args: dict[str, Any]) -> dict[str, Any]:
        await agent.pbx_told(str(args.get("call", "")), pbx.read(args), str(args["actor"]))
        return {}

    orders = {order.value: _ordering(agent, order) for order in COMMANDS}
    desk: dict[str, Handler] = {"status": status, "calls": calls, "flag": flag, "subject": subject}
    desk |= {"tag": partial(_widen, agent)}
    desk |= {"reload": reload, "append": append, "event": event, "standing": partial(_standing, agent)}
    return {name: _by_linked_id(agent, handler) for name, handler in {**desk, **orders}.items()}


async def _standing(agent: Agent, args: dict[str, Any]) -> dict[str, Any]:
    """Callers who refused for good, and staff who know: changed by a person, and told to the ledger."""
    os_user = account(int(str(args["actor"]).removeprefix("uid:")))
    services = agent.services
    said, entry = await asyncio.to_thread(partial(answer, services.config, services.standing, args, os_user=os_user))
    if entry is not None:
        await services.ledger.append(entry, timeout_s=5)
    return said


def _ordering(agent: Agent, order: Order) -> Handler:
    async def ask(args: dict[str, Any]) -> dict[str, Any]:
        return await agent.order(str(args.get("call", "")), order, str(args["actor"]))

    return ask


def _flag(what: object) -> Order:
    found = next((order for order in FLAGS if order.word == what), None)
    if found is None:
        known = ", ".join(order.word for order in FLAGS)
        raise ConfigError("there is no such flag", next_step=f"name one in `what`: {known}")
    return found


def _about(args: Mapping[str, Any]) -> About:
    try:
        return parse_about(args)
    except ValueError as error:
        raise ConfigError(str(error), next_step="say it again as written there; nothing was changed") from None


async def _widen(agent: Agent, args: Mapping[str, Any]) -> dict[str, Any]:
    """Never done: `Refused`, and written down with who tried."""
    try:
        wanted = Widening(str(args.get("add", "")))
    except ValueError as error:
        raise ConfigError(str(error), next_step="name it in `add`; `flag` takes one away") from None
    await agent.order(str(args.get("call", "")), wanted, str(args["actor"]))
    step = "let whoever talks to the caller ask for their consent by a code (staff_codes.training)"
    raise Refused(f"{wanted.word} is not added, and it is written down: {wanted.why_not}", next_step=step)


def _by_linked_id(agent: Agent, handler: Handler) -> Handler:
    """A call may be named by the PBX's own id in place of ours, whatever is asked of it."""

    async def named(args: dict[str, Any]) -> dict[str, Any]:
        if args.get("linked_id") is not None and not args.get("call"):
            args = {**args, "call": agent.uid_of(str(args["linked_id"]))}
        return await handler(args)

    return named


async def _append(agent: Agent, args: dict[str, Any]) -> str:
    kind = next((kind for kind in APPENDABLE if kind.value == args.get("kind")), None)
    if kind is None:
        raise Refused("this kind of entry is the agent's alone", next_step="use the command that states it")
    _check_asker(agent.services.config, kind, args)
    beside = args.get("salts") if kind is Kind.RECORDING_IMPORTED else None  # who called, sealed for the keeper
    entry = Entry(
        kind=kind,
        salts={str(name): str(text) for name, text in (beside or {}).items()},
        body=dict(args.get("body") or {}),
        call_uid=str(args.get("call_uid", "")),
        segment=int(args.get("segment", 0)),
        actor=str(args["actor"]),
    )
    return (await agent.services.ledger.append(entry, timeout_s=5)).leaf


def _check_asker(config: Config, kind: Kind, args: Mapping[str, Any]) -> None:
    """`Refused` where a decision is not the asker's own: the kernel says who asks, the body only what they claim."""
    uid = int(str(args["actor"]).removeprefix("uid:"))
    if kind in UPKEEP and uid not in (0, os.getuid()):
        raise Refused(f"{kind.value} is stated by the agent's own account", next_step="run this as that account")
    body, os_user = args.get("body") or {}, account(uid)
    if kind in ACCESS and body.get("person") != f"os:{os_user}":
        raise Refused("whoever opens a recording says so themselves", next_step="run this under your own login")
    if kind not in DECISIONS:
        return
    person = whose(config.people, os_user)
    if (body.get("person"), body.get("login")) != (person.name, f"os:{os_user}"):
        raise Refused("this decision is somebody else's", next_step="let them run this under their own login")
