"""`callrec subject pack`: everything that is there of one caller, for the caller, in one file (R50).

Calls that were not recorded are in it, with why. The audio is not: other people's voices are on it, so it leaves by a
disclosure that two persons agreed to, after one of them listened for what is not the caller's to have.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import click

from callrec._canonical import sha256_hex
from callrec._durable import remove, write_file
from callrec.audit.casefile import CaseFile, gather
from callrec.audit.wording import lines_of, one_line
from callrec.cli.desk import Desk
from callrec.cli.disposal_bench import after_decision, verified_register
from callrec.cli.evidence import configured
from callrec.cli.holds import new_hold, placed, words
from callrec.cli.subject_calls import CallTold
from callrec.cli.subject_search import PURPOSE, Answer, Asked, allowed, ask_options, search
from callrec.core.authority import Act
from callrec.core.dates import plus
from callrec.core.holds import HoldKind, Scope, latest_review
from callrec.core.kinds import Kind
from callrec.core.reasons import Reason
from callrec.errors import ConfigError, Refused, Unavailable
from callrec.notice.manifest import PromptRecord
from callrec.notice.register import Register
from callrec.ports import Entry

FORMAT: Final = "callrec/subject-pack/1"
_KIND: Final = HoldKind.SUBJECT_ACCESS.value
_MONTHS: Final = 1
"""Within how long an answer is due (UK GDPR 12(3))."""
_SHORTEST_MONTH: Final = 28
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_PLAIN: Final = 0o600


@click.command()
@ask_options
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The zip to write; a new one.")
@click.option("--received", default="", metavar="DAY", help="The day on which the caller asked; default today.")
@click.option("--matter", default="", help="The request's reference, words with hyphens, no names: holds stand for it.")
@click.option("--paused", type=click.IntRange(0, 365), default=0, help="Days that we waited for proof of who asks.")
@click.pass_context
def pack(
    ctx: click.Context, /, *, output: Path, received: str, matter: str, paused: int, key: Path | None, **asked: str
) -> None:
    """Gather what is there of one caller: calls, why some were not recorded, notices, periods, copies, disclosures.

    Recordings of these calls are held until two persons end that, so that nothing is destroyed while the request is
    open. The audio leaves by a disclosure. Exit 20, and nothing is written, where no call is found.
    """
    desk: Desk = ctx.obj
    if output.exists():
        raise Refused(f"{output} exists and is never overwritten", next_step="choose another name")
    due = due_by(received, paused)
    person = allowed(desk, Act.FIND, action="subject.pack")
    matter = words(matter or f"subject-access-{datetime.now(UTC).date()}", "--matter")
    answer = search(desk, Asked(**asked).checked(), key=key, action="subject.pack")
    if not answer.calls:
        step = "look by --date and --around, or say to the caller that nothing can be found by what they gave"
        raise Unavailable("no call was found, so there is nothing to pack", next_step=step)
    _tell(desk, answer, Kind.ACCESS_GRANTED, person=person, purpose=PURPOSE, action="subject.pack")
    data = _zipped(dict(_contents(desk, answer, due=due)))
    write_file(output, data, mode=_PLAIN, exclusive=True)
    try:
        _tell(
            desk, answer, Kind.EXPORT_MADE, person=person, purpose=PURPOSE, form="subject pack", sha256=sha256_hex(data)
        )
    except BaseException:
        remove(output)  # nothing leaves that the ledger does not know
        raise
    held = _hold(desk, answer, reason=matter)
    said = [f"Wrote {one_line(output)}: {len(answer.calls)} calls, sha256 {sha256_hex(data)}"]
    said += [f"Held while the request is open: {name}, by {hold_id}" for name, hold_id in held.items()]
    said += _what_next(answer, due)
    click.echo(lines_of(said), nl=False)


def due_by(received: str, paused: int) -> date:
    """The day by which the answer is due: a month from the day of asking, and the days that the clock stood still.
    ConfigError where the day is none or lies ahead.
    """
    try:
        asked = date.fromisoformat(received) if received else datetime.now(UTC).date()
    except ValueError:
        raise ConfigError(f"--received: {received!a:.40} is no date", next_step="write it as 2026-03-01") from None
    if asked > datetime.now(UTC).date():
        raise ConfigError("--received lies ahead", next_step="give the day on which the caller asked")
    due = plus(asked, months=_MONTHS)
    if due.day == 1 and asked.day > _SHORTEST_MONTH:
        due -= timedelta(days=1)  # where the next month has no such day, its last one: a deadline is never put off
    return due + timedelta(days=paused)


def _hold(desk: Desk, answer: Answer, *, reason: str) -> dict[str, str]:
    """Hold every kept recording that no such hold covers yet; the hold of each by recording."""
    register, person = verified_register(desk.config), desk.decides(Act.HOLD)
    kept = [each.recording_id for call in answer.calls for each in call.recordings if each.state == "kept"]
    held = {}
    for name in kept:
        standing = register.standings.get(name)
        if standing is None or any(hold.kind == _KIND for hold in register.holds_on(standing)):
            continue
        wanted = new_hold(_KIND, Scope(recording_id=name))
        desk.append(placed(wanted, person, reason=reason, review_by=latest_review(datetime.now(UTC).date())))
        held[name] = wanted.hold_id
    if held:
        after_decision(desk.config)
    return held


def _tell(desk: Desk, answer: Answer, kind: Kind, **body: str) -> None:
    """Every call that goes along is told as a hit that was opened (R48)."""
    for call in answer.calls:
        desk.append(Entry(kind=kind, body={"recording_id": "", **body}, call_uid=call.call_uid, actor=body["person"]))


def _what_next(answer: Answer, due: date) -> Iterator[str]:
    yield f"The answer is due by {due}."
    for why, number in answer.blind.items():
        yield f"Not searched by number: {number}, each of which {why.value}."
    kept = [each.recording_id for call in answer.calls for each in call.recordings if each.state == "kept"]
    if kept:
        yield "For the audio: listen for other people first, then two persons:"
        yield (
            f"callrec disclosure request {' '.join(kept)} --basis legal-requirement --field audio --to REFERENCE "
            "--reason 'the caller asked for it'"
        )


# ---------------------------------------------------------------- what is in it


def _contents(desk: Desk, answer: Answer, *, due: date) -> Iterator[tuple[str, bytes]]:
    cases = {call.call_uid: gather(configured(desk), call.call_uid) for call in answer.calls}
    texts = _Notices(desk)
    head = {
        "format": FORMAT,
        "made_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "answer_due": due.isoformat(),
    }
    calls = [call.value() | {"notice_texts": texts.of(cases[call.call_uid])} for call in answer.calls]
    blind = {why.value: number for why, number in answer.blind.items()}
    yield "calls.json", json.dumps({**head, "calls": calls, "not_searched": blind}, indent=2, sort_keys=True).encode()
    yield "calls.txt", lines_of(_told(desk, answer, cases, texts)).encode()


class _Notices:
    """The words of the notices that were played."""

    def __init__(self, desk: Desk) -> None:
        try:
            self._records: tuple[PromptRecord, ...] = Register.load(desk.prompts_dir).records
        except ConfigError:
            self._records = ()

    def of(self, case: CaseFile) -> list[str]:
        """Those of one call, each once, in order."""
        played = [item.judged.evidence.prompt.approval_leaf for item in case.evidence if item.judged]
        found = [each.text for leaf in played for each in self._records if each.approved and each.approved.leaf == leaf]
        return list(dict.fromkeys(found))


def _told(desk: Desk, answer: Answer, cases: dict[str, CaseFile], texts: _Notices) -> Iterator[str]:
    responsible = desk.config.responsible
    yield f"Calls to {responsible.controller} that were found for you"
    yield f"How we use recordings: {responsible.privacy_page}"
    for call in answer.calls:
        yield ""
        yield from _told_call(call, texts.of(cases[call.call_uid]))
    yield ""
    yield "What was played is shown up to the next telephone exchange; what you heard, nobody can show."
    for why, number in answer.blind.items():
        yield f"Besides these, {number} calls could not be searched by a number: each {why.value}."


def _told_call(call: CallTold, notices: list[str]) -> Iterator[str]:
    yield f"{call.utc} (UTC), call {call.call_uid}"
    if not call.recordings:
        yield f"  not recorded: {WHY.get(call.reason, call.reason or 'the call has not ended')}"
    for said in notices:
        yield f"  we played: {' '.join(said.split())}"
    for each in call.recordings:
        yield f"  recording {each.recording_id}: {each.state}; for {', '.join(each.purposes)}"
        uses = ", ".join(f"{purpose} until {day}" for purpose, day in sorted(each.uses.items()))
        yield f"  kept until {each.due or 'no day is set'} by rule {each.rule or 'unknown'}" + (
            f"; used for {uses}" if uses else ""
        )
        yield from (f"  copy: {copy}" for copy in each.copies)
        yield from (f"  disclosed: {left}" for left in each.disclosures)
        if each.remark:
            yield f"  {each.remark}"


WHY: Final = {
    Reason.CALLER_DECLINED.value: "you asked us not to record it",
    Reason.EMERGENCY_BYPASS.value: "you pressed 999, and were connected at once",
    Reason.NOTICE_INTERRUPTED.value: "our notice was not played to its end",
    Reason.NOT_ANSWERED.value: "nobody answered",
}
"""Reasons in words for the caller; any other stands by its name."""


def _zipped(contents: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(contents):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), contents[name])
    return target.getvalue()
