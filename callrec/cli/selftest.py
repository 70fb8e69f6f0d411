"""`callrec selftest`: whether each line plays its notice so that a caller hears it, and sabotage is refused (R57)."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import click
import structlog

from callrec import __version__
from callrec.cli.desk import Desk
from callrec.cli.surroundings import agent_runs
from callrec.core.kinds import Kind
from callrec.errors import Broken, Unavailable
from callrec.ports import Entry
from callrec.selftest.house import Subject, subjects
from callrec.selftest.run import in_default_language, run, through_the_agent


@click.command(short_help="A synthetic caller hears each notice; sabotage is refused.")
@click.option("--line", help="Only this line; every line that is recorded where left out.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
@click.pass_obj
def selftest(desk: Desk, /, line: str | None, as_json: bool) -> None:
    """Let a synthetic caller hear the notice of each line, and see that sabotage is refused.

    First through the running agent, where one runs: the caller hangs up as soon as it heard the notice. Then through
    an agent of the test's own, with the same notices, keys and engine: one call that is recorded, and four that may
    not be: an altered prompt, a hold, a caller without audio, a stranger's audio. What came of it is written to the
    ledger. Exit status 0: all as promised; 30: something was not; 20: it could not be tried.
    """
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    say = _silent if as_json else click.echo
    tried = subjects(desk.config, line)
    live = [_live(desk, each) for each in in_default_language(tried)] if agent_runs(desk.config) else []
    for each in live:
        say(f"Line {each['line']}: {each['what']}")
    if not live:
        say("No agent runs on this configuration, or no line can be called: its own door was not tried.")
    tested, engine = asyncio.run(run(desk.config, tried, say))
    found = {
        "passed": all(each["passed"] is not False for each in live)
        and all(outcome.passed for each in tested for outcome in each.outcomes),
        "software": __version__,
        "engine": engine,
        "config_sha256": desk.config.sha256,
        "running_agent": live,
        "lines": [each.to_value() for each in tested],
    }
    leaf = desk.append(Entry(kind=Kind.SELFTEST_DONE, body=_body(found), actor=desk.person()))
    _report(found, leaf, as_json=as_json)


def _silent(_words: str) -> None:
    pass


def _live(desk: Desk, tried: Subject) -> dict[str, Any]:
    """`passed` is None where it could not be tried."""
    try:
        passed, what = through_the_agent(desk.config, tried)
    except Unavailable as error:
        return {"line": tried.line.name, "passed": None, "what": error.diagnosis()}
    return {"line": tried.line.name, "passed": passed, "what": what}


def _body(found: dict[str, Any]) -> dict[str, Any]:
    """For the ledger: what was tried and what came of it, without sentences and figures."""
    lines = [
        {
            **{name: each[name] for name in ("line", "language", "prompt", "pcm_sha256")},
            "trials": {trial["trial"]: trial["passed"] for trial in each["trials"]},
        }
        for each in found["lines"]
    ]
    live = {each["line"]: each["passed"] for each in found["running_agent"]}
    return {**found, "running_agent": live, "lines": lines}


def _report(found: dict[str, Any], leaf: str, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({**found, "leaf": leaf}, indent=2))
    else:
        click.echo(f"Written to the ledger as selftest.done, {leaf[:16]}.")
    if not found["passed"]:
        step = "take the line off recording (record: never) until it is mended; keep what was printed above"
        raise Broken("the self-test failed: a promise was not kept", next_step=step)
    if any(each["passed"] is None for each in found["running_agent"]):
        raise Unavailable("the running agent's own door was not tried", next_step="see above why")
