"""The one place where a question put to the running agent becomes an answer, by whichever door it came."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from callrec.errors import CallrecError, ConfigError, Unavailable

Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
"""Answers one question. Its argument holds the asker's arguments and `actor`, as in "uid:1000" or "http"."""


def reply_for(error: CallrecError) -> dict[str, Any]:
    """What an asker is told of an error: its class as an exit status, what happened, and what to do next."""
    return {"error": {"exit_code": error.exit_code, "what": str(error), "next_step": error.next_step}}


class Questions:
    """What may be asked, by name. `answer` never raises: a defect in one ends neither the agent nor its calls."""

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self._handlers = dict(handlers)

    async def answer(self, name: str, args: Mapping[str, Any], *, actor: str) -> dict[str, Any]:
        """`{"answer": {...}}` or `{"error": {...}}`. `actor` is who the door knows to ask, whatever `args` say."""
        try:
            return {"answer": await self._handler(name)({**args, "actor": actor})}
        except CallrecError as error:
            return reply_for(error)
        except Exception as error:  # noqa: BLE001 - see the class
            step = "the agent goes on; report this with the agent's version"
            return reply_for(Unavailable(f"the agent failed to answer: {type(error).__name__}", next_step=step))

    def _handler(self, name: str) -> Handler:
        if name not in self._handlers:
            known = ", ".join(sorted(self._handlers))
            raise ConfigError(f"the agent cannot be asked {name!r}", next_step=f"ask one of {known}")
        return self._handlers[name]
