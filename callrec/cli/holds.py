"""`callrec recordings hold|holds|release`: one person places a hold, two end it, each under their own login."""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import asdict
from datetime import UTC, date, datetime
from functools import partial
from typing import Any, Final

import click

from callrec.audit.report import table
from callrec.audit.wording import lines_of
from callrec.cli import recording_files as files
from callrec.cli.desk import Desk
from callrec.cli.disposal_bench import after_decision, relock, verified_register
from callrec.cli.evidence import filters, json_option
from callrec.core.authority import Act
from callrec.core.holds import Hold, HoldKind, Person, Scope, latest_review
from callrec.core.kinds import Kind
from callrec.disposal.register import ASKED, DONE, Register, Standing
from callrec.errors import ConfigError, Refused
from callrec.ports import Entry

WORDS: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/#:-]{0,63}")
"""A reference or a few words with hyphens: what goes into the ledger cannot be taken back, so no sentence, no name."""
_HOLD_ID: Final = re.compile(r"hold-[0-9a-f]{12}")


def words(given: str, option: str) -> str:
    """The text, where it can stand in the ledger. ConfigError otherwise."""
    if not WORDS.fullmatch(given):
        step = "give a reference or words with hyphens, at most 64 characters, as in CLM-2026-114; no names"
        raise ConfigError(f"{option}: {given!a:.40} cannot stand in the ledger", next_step=step)
    return given


@click.command()
@click.argument("prefix", metavar="[ID]", required=False, default="")
@click.option("--line", default="", help="All of this line, now and later.")
@click.option("--from", "since", default="", help="All from this date or time on, UTC.")
@click.option("--to", "until", default="", help="All until before this date or time, UTC.")
@click.option("--renew", default="", metavar="HOLD", help="A hold that stands: look at it again, with a new date.")
@click.option("--kind", type=click.Choice([kind.value for kind in HoldKind]), help="What it is needed for.")
@click.option("--reason", required=True, help="The matter's reference, or words with hyphens. No names.")
@click.option("--review-by", default="", metavar="DATE", help="Look again by then; at most six months. [default: that]")
@click.pass_obj
def hold(
    desk: Desk, /, *, prefix: str, kind: str | None, reason: str, review_by: str, renew: str, **scope: str
) -> None:
    """Forbid the disposal of one recording, or of all of a line and time. One person is enough.

    A hold by line or time also catches what is recorded later. It gives nobody a right to listen.
    """
    person = desk.decides(Act.HOLD)
    today = datetime.now(UTC).date()
    review = _review(review_by, today)
    wanted = _renewed(desk, renew) if renew else _new(desk, prefix, kind, scope)
    desk.append(placed(wanted, person, reason=words(reason, "--reason"), review_by=review))
    after_decision(desk.config)
    relock(desk, partial(covered, wanted))
    click.echo(f"{wanted.hold_id} stands on {wanted.scope}. Look at it again by {review.isoformat()}:")
    click.echo(f"  callrec recordings hold --renew {wanted.hold_id} --reason WHY")
    click.echo(f"Two persons end it, each under their own login: callrec recordings release {wanted.hold_id}")


def placed(wanted: Hold, person: Person, *, reason: str, review_by: date) -> Entry:
    """The entry by which this person places a hold."""
    body = {
        "hold_id": wanted.hold_id,
        "hold_kind": wanted.kind,
        "scope": {name: value for name, value in asdict(wanted.scope).items() if value},
        "reason": reason,
        "review_by": review_by.isoformat(),
        "person": person.person,
        "login": person.login,
    }
    call_uid, _, segment = wanted.scope.recording_id.rpartition("-")
    return Entry(kind=Kind.HOLD_PLACED, body=body, call_uid=call_uid, segment=int(segment or 0), actor=person.login)


def covered(hold: Hold, standing: Standing) -> bool:
    """True where this hold is about this recording."""
    return hold.scope.covers(standing.recording_id, line=standing.line, started_utc=standing.started_utc)


def new_hold(kind: str, scope: Scope) -> Hold:
    """A hold that nobody placed yet."""
    hold_id = f"hold-{secrets.token_hex(6)}"
    return Hold(hold_id=hold_id, kind=kind, scope=scope, reason="", review_by="", placed_by="")


def _new(desk: Desk, prefix: str, kind: str | None, scope: dict[str, str]) -> Hold:
    period = filters(since=scope["since"], until=scope["until"], line=scope["line"])
    if bool(prefix) == any(scope.values()):
        raise ConfigError("say what to hold", next_step="give one ID, or --line, --from and --to, not both")
    if kind is None:
        raise ConfigError("--kind is missing", next_step=f"one of {', '.join(each.value for each in HoldKind)}")
    if prefix:
        wanted = Scope(recording_id=files.find(desk.config, prefix).recording_id)
    else:
        _known_line(desk, period.line)
        wanted = Scope(line=period.line, since=period.since, until=period.until)
    return new_hold(kind, wanted)


def _known_line(desk: Desk, line: str) -> None:
    """A misspelt line would hold nothing. One that was configured once may still have recordings."""
    rows = files.rows(desk.config, files.Wanted(line=line, limit=1)) if line else ()
    if line and not rows and line not in {each.name for each in desk.config.lines}:
        known = ", ".join(each.name for each in desk.config.lines)
        raise ConfigError(f"--line: {line!a:.40} has no recordings and is no line", next_step=f"lines are {known}")


def _renewed(desk: Desk, hold_id: str) -> Hold:
    return standing_hold(verified_register(desk.config), hold_id)


def standing_hold(register: Register, hold_id: str) -> Hold:
    """The hold that stands under this id. ConfigError where none does."""
    found = register.holds.get(hold_id) if _HOLD_ID.fullmatch(hold_id) else None
    if found is None:
        raise ConfigError(f"no hold {hold_id!a:.40} stands", next_step="see `callrec recordings holds`")
    return found


def _review(given: str, today: date) -> date:
    latest = latest_review(today)
    if not given:
        return latest
    try:
        day = date.fromisoformat(given)
    except ValueError:
        raise ConfigError(f"--review-by: {given!a:.40} is no date", next_step="write 2026-03-01") from None
    if not today < day <= latest:
        raise ConfigError(f"--review-by: {day} is not within six months", next_step=f"by {latest} at the latest")
    return day


@click.command()
@json_option
@click.pass_context
def holds(ctx: click.Context, /, as_json: bool) -> None:
    """Show every hold that stands. Exit 1 where one was to be looked at again and was not."""
    register = verified_register(ctx.obj.config)
    today = datetime.now(UTC).date().isoformat()
    rows = [_hold_value(hold, register, today) for hold in sorted(register.holds.values(), key=lambda h: h.review_by)]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    elif rows:
        names = ("hold", "kind", "scope", "recordings", "reason", "placed_by", "review_by", "release_asked_by")
        click.echo(lines_of(table(names, [tuple(str(row[name]) for name in names) for row in rows])), nl=False)
    else:
        click.echo("No hold stands.")
    late = [row["hold"] for row in rows if row["overdue"]]
    if late:
        click.echo(f"Look at these again, and renew or release them: {', '.join(map(str, late))}", err=True)
    ctx.exit(1 if late else 0)


def _hold_value(hold: Hold, register: Register, today: str) -> dict[str, Any]:
    covered = [each for each in register.kept() if hold in register.holds_on(each)]
    return {
        "hold": hold.hold_id,
        "kind": hold.kind,
        "scope": str(hold.scope),
        "recordings": len(covered),
        "reason": hold.reason,
        "placed_by": hold.placed_by,
        "review_by": hold.review_by,
        "release_asked_by": hold.asked.person if hold.asked else "-",
        "overdue": hold.review_by < today,
    }


@click.command()
@click.argument("hold_id", metavar="HOLD")
@click.option("--reason", required=True, help="Why it is not needed any more: words with hyphens. No names.")
@click.pass_obj
def release(desk: Desk, /, hold_id: str, reason: str) -> None:
    """End a hold. The first person asks; it ends when another runs the same under their own login."""
    person = desk.decides(Act.RELEASE)
    hold = standing_hold(verified_register(desk.config), hold_id)
    if hold.asked is not None and not person.other_than(hold.asked):
        step = "let somebody else run this under their own login; changing the account or the name does not help"
        raise Refused(f"{hold.asked.person} asked for this release, and a second person must agree", next_step=step)
    step = ASKED if hold.asked is None else DONE
    desk.append(_release_entry(hold, person, step, words(reason, "--reason")))
    if step == ASKED:
        click.echo(f"{hold_id} still stands. It ends when another person runs: callrec recordings release {hold_id}")
        return
    after_decision(desk.config)
    relock(desk, partial(covered, hold))
    click.echo(f"{hold_id} is released. What is overdue by now stands in `callrec recordings due`, for review.")


def _release_entry(hold: Hold, person: Person, step: str, reason: str) -> Entry:
    body = {
        "hold_id": hold.hold_id,
        "step": step,
        "reason": reason,
        "asked_leaf": hold.asked_leaf,
        "person": person.person,
        "login": person.login,
    }
    call_uid, _, segment = hold.scope.recording_id.rpartition("-")
    return Entry(kind=Kind.HOLD_RELEASED, body=body, call_uid=call_uid, segment=int(segment or 0), actor=person.login)
