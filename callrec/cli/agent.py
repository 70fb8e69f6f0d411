"""`callrec agent run|status|reload`."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping
from typing import Any

import click
import structlog

from callrec.agent.agent import Agent
from callrec.agent.loops import share_interpreter
from callrec.asking import Handler
from callrec.cli.desk import Desk
from callrec.cli.surroundings import missing_notices
from callrec.config import Config
from callrec.control import ControlServer
from callrec.control_desk import handlers
from callrec.errors import ConfigError, Unavailable
from callrec.http_door import HttpDoor, checked_token
from callrec.wiring import Built, build_agent

NOT_RECORDING = 1
"""Exit status of `agent status` where a line is not recording."""


@click.group("agent")
def agent_group() -> None:
    """The agent that takes calls."""


@agent_group.command()
@click.option("--allow-unsafe-memory", is_flag=True, help="For trials only: record although swap may hold audio.")
@click.pass_obj
def run(desk: Desk, allow_unsafe_memory: bool) -> None:
    """Take calls until SIGTERM or SIGINT, which drain."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"]),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    _refuse_without_notices(desk.config)
    built = build_agent(desk.config, allow_unsafe_memory=allow_unsafe_memory)
    try:
        asyncio.run(serve(built))
    finally:
        built.close()


def _refuse_without_notices(config: Config) -> None:
    """ConfigError where the notice of a recorded line is not there."""
    if missing := [f"{config.name}: {remark}" for remark in missing_notices(config)]:
        raise ConfigError("\n".join(missing), next_step="mend this, then start the agent again; nothing was started")


async def serve(built: Built, stop: asyncio.Event | None = None) -> None:
    """Run the agent with its control socket and its watchdog until told to stop."""
    stop = stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    share_interpreter(loop)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    desk = handlers(built.agent)
    control = ControlServer(built.agent.config.agent.control_socket, desk)
    door = http_door(built.agent.config, desk)
    await control.start()
    watchdog = asyncio.create_task(_watchdog())
    try:
        if door is not None:
            await door.start()
        await built.agent.run(stop, ready=lambda: _ready(built.agent))
    finally:
        watchdog.cancel()
        if door is not None:
            await door.close()
        await control.close()


def http_door(config: Config, desk: Mapping[str, Handler]) -> HttpDoor | None:
    """The door for PBX and CRM, where one is configured. ConfigError where its token is none."""
    if config.http is None:
        return None
    token = checked_token(config.http.token.read(), at=f"http.token: {config.http.token}")
    return HttpDoor(config.http.listen.host, config.http.listen.port, token, desk)


def _ready(agent: Agent) -> None:
    """Say what was opened, to people and to systemd."""
    engine = agent.engine
    if engine is not None:
        click.echo(
            f"engine: {engine.build} {engine.version}, tap {engine.tap.value}, "
            f"{engine.max_bridged_calls} calls" + (", loopback only" if engine.loopback_only else "")
        )
        for remark in engine.remarks:
            click.echo(f"  {remark}")
    click.echo("ready")
    sys.stdout.flush()
    notify_systemd("READY=1")


async def _watchdog() -> None:
    """Tell systemd that the loop turns, at half the interval it asks for."""
    every = int(os.environ.get("WATCHDOG_USEC", "0")) / 2e6
    while every > 0:
        await asyncio.sleep(every)
        notify_systemd("WATCHDOG=1")


def notify_systemd(state: str) -> None:
    """sd_notify(3). Nothing where systemd did not start us."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(state.encode(), address.replace("@", "\0", 1) if address.startswith("@") else address)


@agent_group.command()
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_obj
def status(desk: Desk, as_json: bool) -> None:
    """Recording or not, per line, since when and why. Exit 1 where a line is not recording."""
    state = desk.agent.ask("status")
    click.echo(json.dumps(state, indent=2) if as_json else "\n".join(_status_lines(state)))
    if not all(line["recording"] for line in state["lines"].values()):
        sys.exit(NOT_RECORDING)


def _status_lines(state: dict[str, Any]) -> list[str]:
    engine = state["engine"]
    lines = [
        f"agent {state['agent']}: up since {state['since']}{', draining' if state['draining'] else ''}",
        f"engine {engine['build']} {engine['version']}, tap {engine['tap']}, at most {engine['max_calls']} calls",
        *(f"  {remark}" for remark in engine["remarks"]),
        f"calls: {state['calls_up']} up, {state['calls_offered']} offered in all",
    ]
    for name, line in state["lines"].items():
        since = f" since {line['since']}" if line["since"] else ""
        what = f"recording{since}" if line["recording"] else f"NOT RECORDING{since} because {line['why']}"
        lines.append(f"line {name}: {what}")
    lines.append(_store_line(state["store"]))
    if any(state["kept_out"].values()):
        kept = state["kept_out"]
        lines.append(
            f"kept out: {kept['from_strangers']} packets and connections of strangers, {kept['over_rate']} INVITEs"
            f" beyond the rate, {kept['stray_responses']} stray responses"
        )
    if state["not_served"]:
        lines.append("INVITEs not served, newest last:")
        lines += [f"  {n['utc']} from {n['source']}: {n['why']} ({n['key']})" for n in state["not_served"]]
    return lines


def _store_line(store: dict[str, Any]) -> str:
    waits = f"{store['waiting']} recordings wait for it, the oldest for {store['oldest_waits_s']} s"
    if store["failing"]:
        return f"store: FAILING: {store['why']}; {waits}"
    return f"store: {waits if store['waiting'] else 'nothing waits for it'}"


@agent_group.command()
@click.pass_obj
def reload(desk: Desk) -> None:
    """Look at the prompts again. Says what each line would do now."""
    answer = desk.agent.ask("reload")
    for line in answer["lines"]:
        click.echo(line)
    if not answer["lines"]:
        raise Unavailable("the agent has no line", next_step="see `callrec config check`")
