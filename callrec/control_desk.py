"""What the running agent answers on its control socket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from callrec.agent.agent import Agent
from callrec.control import Handler
from callrec.core.kinds import Kind
from callrec.errors import Refused
from callrec.ports import Entry

APPENDABLE: Final = frozenset(
    {Kind.PROMPT_APPROVED, Kind.PROMPT_RETIRED, Kind.ACCESS_GRANTED, Kind.ACCESS_DENIED, Kind.EXPORT_MADE}
)
"""Kinds that a command may ask the agent to append. None of them is a fact about a call."""


def handlers(agent: Agent) -> Mapping[str, Handler]:
    """Questions by name."""

    async def status(_args: dict[str, Any]) -> dict[str, Any]:
        await agent.check_lines()
        return agent.status()

    async def calls(_args: dict[str, Any]) -> dict[str, Any]:
        return {"calls": agent.list_calls()}

    async def stop(args: dict[str, Any]) -> dict[str, Any]:
        agent.stop_recording(str(args.get("call", "")), str(args["actor"]))
        return {}

    async def reload(_args: dict[str, Any]) -> dict[str, Any]:
        await agent.check_lines()
        lines = agent.status()["lines"]
        return {"lines": [f"{name}: {'recording' if s['recording'] else s['why']}" for name, s in lines.items()]}

    async def append(args: dict[str, Any]) -> dict[str, Any]:
        return {"leaf": await _append(agent, args)}

    return {"status": status, "calls": calls, "stop": stop, "reload": reload, "append": append}


async def _append(agent: Agent, args: dict[str, Any]) -> str:
    kind = next((kind for kind in APPENDABLE if kind.value == args.get("kind")), None)
    if kind is None:
        raise Refused("this kind of entry is the agent's alone", next_step="use the command that states it")
    entry = Entry(
        kind=kind,
        body=dict(args.get("body") or {}),
        call_uid=str(args.get("call_uid", "")),
        segment=int(args.get("segment", 0)),
        actor=str(args["actor"]),
    )
    return (await agent.services.ledger.append(entry, timeout_s=5)).leaf
