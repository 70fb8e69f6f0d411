"""`callrec recordings tag|withdraw`: purposes taken away, suspensions lifted, a caller who wants it gone (R16, R25).

Nothing here widens: what was removed does not come back, and what the notice did not name was never there. Whoever
tries is refused, and the ledger says so.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from callrec._canonical import sha256_hex
from callrec.audit.report import table
from callrec.audit.wording import lines_of, one_line
from callrec.cli import recording_files as files
from callrec.cli.desk import Desk
from callrec.cli.disposal_bench import after_decision, bench
from callrec.cli.evidence import json_option
from callrec.cli.holds import words
from callrec.cli.reviews import basis_of, basis_options, rests_on, watched
from callrec.core.authority import Act
from callrec.core.fields import text, texts
from callrec.core.holds import Person
from callrec.core.kinds import Kind
from callrec.core.purposes import SECONDARY, WIDENINGS, TagSource, Widening
from callrec.core.tags import REMOVED, RESTORED, Tags
from callrec.core.values import Purpose
from callrec.disposal.lists import drawn_for_withdrawal
from callrec.errors import ConfigError, Refused
from callrec.ledger.entry import LogEntry
from callrec.ports import Entry
from callrec.rights.reviews import ASKED
from callrec.store.index import IndexRow

_PURPOSE = click.Choice([purpose.value for purpose in Purpose])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """One recording and what may be done with it now."""

    row: IndexRow
    tags: Tags
    of_call: tuple[LogEntry, ...]

    @property
    def entries(self) -> tuple[LogEntry, ...]:
        """Those of this recording alone."""
        return tuple(each for each in self.of_call if each.segment == self.row.segment)

    def entry(self, kind: Kind, person: Person, **body: Any) -> Entry:
        return Entry(
            kind=kind,
            call_uid=self.row.call_uid,
            segment=self.row.segment,
            body={"recording_id": self.row.recording_id, "person": person.person, "login": person.login, **body},
            actor=person.login,
        )


def _find(desk: Desk, prefix: str) -> _Found:
    row = files.find(desk.config, prefix)
    entries = files.entries_of(desk.config, row)
    files.sealed_entry(entries, row)
    tags = files.tags_of(files.manifest_of(desk.config, row), entries, row)
    return _Found(row=row, tags=tags, of_call=tuple(entries))


# ---------------------------------------------------------------- tag


@click.command()
@click.argument("prefix", metavar="ID")
@click.option("--remove", type=_PURPOSE, help="Take this purpose away for good.")
@click.option("--restore", type=_PURPOSE, help="Reviewed: a suspended purpose may be used again.")
@click.option("--add", type=click.Choice(WIDENINGS), help="Refused, and in the ledger: no command widens it.")
@click.option("--reason", default="", help="Why: a reference, or words with hyphens. No names.")
@basis_options
@json_option
@click.pass_obj
def tag(
    desk: Desk, /, *, prefix: str, remove: str, restore: str, add: str, reason: str, as_json: bool, **basis: Any
) -> None:
    """Show what one recording may be used for and who changed it, or change it. It only ever becomes less.

    What a doubt about capacity suspended is lifted with --restore and what that rests on: a finding, whoever may decide
    for them, or, where nobody may, why it is necessary; to that another person agrees.
    """
    given = [each for each in (remove, restore, add) if each]
    if len(given) > 1 or (given and not add and not reason):
        raise ConfigError("say one thing, with --reason", next_step="see `callrec recordings tag --help`")
    found = _find(desk, prefix)
    if add:
        _deny(desk, found, Widening(add))
    elif remove:
        _remove(desk, found, Purpose(remove), words(reason, "--reason"))
    elif restore:
        _restore(desk, found, Purpose(restore), words(reason, "--reason"), basis)
    else:
        _show(found, as_json=as_json)


def _remove(desk: Desk, found: _Found, purpose: Purpose, reason: str) -> None:
    person = desk.decides(Act.NARROW if purpose in SECONDARY else Act.ERASE)
    if purpose not in found.tags.live:
        raise Refused(f"it is not tagged {purpose.value}", next_step="see `callrec recordings tag ID`")
    body = {"change": REMOVED, "purposes": [purpose.value], "source": TagSource.AUTHORITY.value, "why": reason}
    desk.append(found.entry(Kind.TAG_CHANGED, person, **body))
    left = ", ".join(sorted(each.value for each in found.tags.live - {purpose}))
    click.echo(f"Not {purpose.value} any more; left: {left or 'nothing: it is due for disposal now'}.")


def _restore(desk: Desk, found: _Found, purpose: Purpose, reason: str, said: dict[str, Any]) -> None:
    """Only what is tagged and suspended; and what a caller withdrew, once somebody decided that it must be kept."""
    if purpose not in found.tags.suspended and not (found.tags.withdrawn and purpose in found.tags.live):
        _deny(desk, found, Widening(purpose.value), f"{purpose.value} is not suspended: there is nothing to lift")
    person = desk.decides(Act.REVIEW)
    body: dict[str, Any] = {"purposes": [purpose.value], "source": TagSource.AUTHORITY.value, "why": reason}
    people = watched(found.of_call, found.row.recording_id)
    if people is not None and purpose in people.doubted:
        basis, counts = rests_on(desk, people, purpose, basis_of(said), agree=said["agree"], person=person)
        body["basis"] = basis
        if not counts:
            desk.append(found.entry(Kind.TAG_CHANGED, person, change=ASKED, **body))
            click.echo("Asked: another person, under their own login, agrees with --restore, --agree and --reason.")
            return
    desk.append(found.entry(Kind.TAG_CHANGED, person, change=RESTORED, **body))
    click.echo(f"Reviewed: it may be used for {purpose.value} again.")


def _deny(desk: Desk, found: _Found, wanted: Widening, why: str = "") -> None:
    person, why = desk.person(), why or wanted.why_not
    body = {"recording_id": found.row.recording_id, "purpose": wanted.word, "person": person, "action": "widen"}
    entry = Entry(
        kind=Kind.ACCESS_DENIED,
        call_uid=found.row.call_uid,
        segment=found.row.segment,
        body={**body, "why": why},
        actor=person,
    )
    desk.append(entry)
    raise Refused(f"{found.row.recording_id}: denied: {why}", next_step="see `callrec recordings tag ID`")


def _show(found: _Found, *, as_json: bool) -> None:
    kinds = (Kind.RECORDING_STARTED.value, Kind.TAG_CHANGED.value, Kind.WITHDRAWN.value)
    history = [_told(entry) for entry in found.entries if entry.kind in kinds]
    usable = sorted(purpose.value for purpose in found.tags.usable)
    if as_json:
        value = {"recording_id": found.row.recording_id, "usable_for": usable, "history": history}
        click.echo(json.dumps(value, indent=2))
        return
    click.echo(f"usable for: {', '.join(usable) or 'nothing'}")
    columns = ("utc", "change", "purposes", "by", "why")
    cells = [(one["utc"], one["change"], ", ".join(one["purposes"]), one["by"], one["why"]) for one in history]
    click.echo(lines_of(table(columns, cells)), nl=False)


def _told(entry: LogEntry) -> dict[str, Any]:
    body = entry.body
    change = {Kind.RECORDING_STARTED.value: "recorded for", Kind.WITHDRAWN.value: "withdrawn"}.get(entry.kind)
    return {
        "utc": entry.utc,
        "change": change or text(body.get("change")),
        "purposes": texts(body.get("purposes")),
        "by": text(body.get("person")) or entry.actor,
        "why": text(body.get("why")),
    }


# ---------------------------------------------------------------- withdraw


@click.command()
@click.argument("prefix", metavar="ID")
@click.option("--reason", required=True, help="How it reached you: a reference, or words with hyphens. No names.")
@click.pass_obj
def withdraw(desk: Desk, /, *, prefix: str, reason: str) -> None:
    """The caller wants this recording gone. Quarantined at once, and no secondary use of it ever again.

    Where nothing else is left that it is kept for, and within retention.withdrawal_window_h of its end, it is destroyed
    on the caller's word alone. Else somebody must decide: keep it (tag --restore) or not (tag --remove, then dispose).
    """
    person = desk.decides(Act.WITHDRAW)
    why = words(reason, "--reason")
    found = _find(desk, prefix)
    if found.tags.withdrawn:
        raise Refused(f"{found.row.recording_id} was withdrawn already", next_step="see `callrec recordings tag ID`")
    secondary = found.tags.live & SECONDARY
    if secondary:
        names = sorted(purpose.value for purpose in secondary)
        gone = {"change": REMOVED, "purposes": names, "source": TagSource.CALLER.value, "why": why}
        desk.append(found.entry(Kind.TAG_CHANGED, person, **gone))
    left = found.tags.live - SECONDARY
    in_time = _in_time(desk, found)
    path, sha256 = _list(desk, found) if in_time and not left else ("", "")
    body: dict[str, Any] = {"by": "caller", "why": why, "in_window": in_time, "list_sha256": sha256}
    desk.append(found.entry(Kind.WITHDRAWN, person, **body))
    after_decision(desk.config)
    click.echo(f"Withdrawn: {found.row.recording_id} is quarantined; nobody can play or export it.")
    click.echo(_next_step(found, path, left))


def _in_time(desk: Desk, found: _Found) -> bool:
    """Whether the window after its last word is still open (R16)."""
    said = text(files.manifest_of(desk.config, found.row).get("ended_utc")) or found.row.started_utc
    window = timedelta(hours=desk.config.retention.withdrawal_window_h)
    return datetime.now(UTC) <= datetime.fromisoformat(said) + window


def _list(desk: Desk, found: _Found) -> tuple[str, str]:
    """The list of this one recording, which the caller's word agrees to: its path and hash."""
    here = bench(desk)
    data = drawn_for_withdrawal(here, here.register.standings[found.row.recording_id]).to_bytes()
    here.places.keep("lists", data)
    return str(here.places.folder / "lists" / f"{sha256_hex(data)}.json"), sha256_hex(data)


def _next_step(found: _Found, path: str, left: frozenset[Purpose]) -> str:
    name = found.row.recording_id
    if path:
        return f"To destroy it now, on the caller's word: callrec recordings dispose {one_line(path)} --execute"
    if left:
        kept = ", ".join(sorted(purpose.value for purpose in left))
        step = f"to keep it: callrec recordings tag {name} --restore medico-legal --reason WHY; to erase it: --remove"
        return f"It is still kept for {kept}, until somebody decides: tell the caller so. {step}"
    return "It is due for disposal now, by a list that two persons agree to: callrec recordings dispose --propose FILE"
