"""`callrec prompts list|check|add|approve|retire`. Audio and words are a person's; this keeps the register.

`ctx.obj` has `prompts_dir: Path`, `config` and `append(entry) -> leaf`, which makes one ledger entry durable.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from callrec.cli.prompt_files import Desk, export, find, key, take_in
from callrec.config import load_rules
from callrec.core.purposes import parse_purposes
from callrec.core.values import Purpose
from callrec.errors import ConfigError, Refused
from callrec.notice import approval
from callrec.notice.audio import RATE
from callrec.notice.manifest import Approval, PromptKind, PromptRecord, Status, moment
from callrec.notice.register import Register, Unusable
from callrec.notice.wording import CONSENT_EXPLAINS, EXPLAINS, LANGUAGE_KEY, MEANINGS, is_meaning, kept_for


def schedule_of(desk: Desk) -> approval.Periods:
    """What the configured retention schedule says, for periods that a prompt speaks. ConfigError where it is wrong."""
    retention = desk.config.retention
    rules = load_rules(retention.rules)
    return approval.Periods(
        noticed=kept_for(rules, retention.nation), consented=kept_for(rules, retention.nation, consented=True)
    )


@click.group()
def prompts() -> None:
    """The notices that callers hear."""


for _command in (key, find, export, take_in):
    prompts.add_command(_command)


@prompts.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print the register as JSON.")
@click.pass_obj
def list_(desk: Desk, as_json: bool) -> None:
    """Show every prompt, its state and what it names."""
    records = Register.load(desk.prompts_dir).records
    if as_json:
        click.echo(json.dumps([_as_json(record) for record in records], indent=2, ensure_ascii=False))
        return
    for record in records:
        click.echo(_as_line(record))
    if not records:
        click.echo("There are no prompts yet. Add one with `callrec prompts add`.")


@prompts.command()
@click.pass_obj
def check(desk: Desk) -> None:
    """Check every prompt. Its file is to be as registered, audible speech, and to say what it must."""
    faults = approval.check(desk.prompts_dir, schedule_of(desk))
    register = Register.load(desk.prompts_dir)
    for remark in register.remarks():
        click.echo(f"note: {remark}")
    if faults:
        raise Refused("\n".join(faults), next_step="mend these; a prompt that is not in order is never played")
    click.echo(f"All {len(register.records)} prompts are in order.")


@prompts.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--id", "prompt_id", required=True, help="Name of the notice, as lines refer to it.")
@click.option("--lang", "language", required=True, help="Language spoken, such as en or cy.")
@click.option("--text", required=True, help="Every word that is spoken, or @FILE that holds them.")
@click.option("--purposes", "purposes", multiple=True, help="PURPOSE=phrase that names it; once for each purpose.")
@click.option("--key", "keys", multiple=True, help=f"KEY=meaning: {', '.join(MEANINGS)}, {LANGUAGE_KEY}cy.")
@click.option(
    "--explains",
    "explains",
    multiple=True,
    help=f"WHAT=phrase; what is {', '.join(EXPLAINS)}; with --asks {', '.join(CONSENT_EXPLAINS)}.",
)
@click.option(
    "--asks", "asks", multiple=True, help="PURPOSE=phrase that asks for it: makes it a prompt that asks for consent."
)
@click.option(
    "--essential", "essential", help="The words no caller can skip, from the first on, or @FILE. With --until."
)
@click.option("--until", "until", type=float, default=0.0, help="Second by which these words are spoken.")
@click.option("--announcement", is_flag=True, help="A few words during the call, not a recording notice.")
@click.option("--from", "begins", help="In force from this date on, UTC.")
@click.option("--to", "ends", help="In force until before this date, UTC.")
@click.option("--note", default="", help="For those who come after you.")
@click.pass_obj
def add(desk: Desk, /, file: Path, **given: Any) -> None:
    """Bring an audio FILE as a new version of a prompt. It stays a draft until it is approved."""
    asks = _purposes(given["asks"], "--asks")
    if asks and given["announcement"]:
        raise ConfigError("--announcement and --asks: a prompt is one or the other", next_step="leave one of them out")
    kind = PromptKind.CONSENT if asks else PromptKind.ANNOUNCEMENT if given["announcement"] else PromptKind.NOTICE
    new = approval.NewPrompt(
        id=given["prompt_id"],
        language=given["language"],
        file=file,
        text=_text(given["text"]),
        kind=kind,
        asks=asks,
        purposes=_purposes(given["purposes"]),
        keys=_keys(given["keys"]),
        explains=_pairs(given["explains"], "--explains", CONSENT_EXPLAINS if asks else EXPLAINS),
        effective_from=moment(given["begins"], "--from") if given["begins"] else None,
        effective_to=moment(given["ends"], "--to") if given["ends"] else None,
        note=given["note"],
        essential_text=_text(given["essential"] or "", "--essential"),
        essential_s=given["until"],
    )
    record = approval.add(desk.prompts_dir, new, schedule=schedule_of(desk))
    click.echo(f"Added {record.name} as a draft: {record.samples / RATE:.1f} seconds, {record.file}.")
    click.echo("Let somebody hear it to the end and read the text along. Then:")
    click.echo(f"  callrec prompts approve {record.name} --by PERSON --key FILE --from now")


@prompts.command()
@click.argument("name", metavar="ID")
@click.option("--by", required=True, help="Who approves: an id from `people` in the configuration, not a name.")
@click.option("--key", type=click.Path(path_type=Path), help="That person's own key file, made with `prompts key`.")
@click.option("--from", "begins", help="May be played from then on: now, or a date, UTC. Else as it was added.")
@click.pass_obj
def approve(desk: Desk, /, name: str, by: str, key: Path | None, begins: str | None) -> None:
    """Approve a draft. From then on it is never changed, and the ledger says who approved it."""
    now = datetime.now(UTC)
    starts = None if begins is None else now if begins == "now" else moment(begins, "--from")
    record = approval.approve(desk.prompts_dir, name, by=by, now=now, append=desk.append, key=key, begins=starts)
    if record.approved and not record.approved.signature:
        click.echo(f"note: not signed, because {by} has no key here: see `callrec prompts key`", err=True)
    later = f", in force from {record.effective_from:%Y-%m-%d %H:%M} UTC" if record.effective_from else ""
    click.echo(f"Approved {record.name}{later}. A running agent takes it up with `callrec agent reload`.")


@prompts.command()
@click.argument("name", metavar="ID")
@click.option("--by", required=True, help="Who retires it: an id from `people` in the configuration.")
@click.option("--reason", "--why", "why", default="replaced", show_default=True, help="A word or two, with hyphens.")
@click.option("--back-to", default="", metavar="ID", help="The earlier version that is to be played instead.")
@click.pass_obj
def retire(desk: Desk, /, name: str, by: str, why: str, back_to: str) -> None:
    """Take a prompt out of use. Its audio and words are kept, because proofs cite them."""
    now = datetime.now(UTC)
    record = approval.retire(desk.prompts_dir, name, by=by, why=why, append=desk.append, now=now, back_to=back_to)
    click.echo(f"Retired {record.name}. A running agent lets go of it with `callrec agent reload`.")
    found = Register.load(desk.prompts_dir).choose(record.id, record.language, now)
    if isinstance(found, Unusable):
        click.echo(f"Nothing takes its place: calls go through unrecorded. {found.what}; {found.next_step}")
    else:
        click.echo(f"From now on {found.record.name} is played.")


# ---------------------------------------------------------------- words in and out


def _as_line(record: PromptRecord) -> str:
    names = ", ".join(purpose.value for purpose in record.purposes) or "no purposes"
    names += f"; asks for {', '.join(purpose.value for purpose in record.asks)}" if record.asks else ""
    sample = ", our sample" if record.sample else ""
    by = f" by {record.approved.by} on {record.approved.at:%Y-%m-%d}" if record.approved else ""
    seconds = f"{record.samples / RATE:.1f} s"
    return f"{record.name}: {_state(record)}{by}{sample}; {record.kind.value}, {seconds}; {names}"


def _state(record: PromptRecord) -> str:
    """The state in its life; an approved one is effective between its dates (R58)."""
    if record.status is not Status.APPROVED:
        return str(record.status.value)
    return "effective, approved" if record.in_force(datetime.now(UTC)) else "approved, not in force today,"


def _as_json(record: PromptRecord) -> dict[str, Any]:
    approved = record.approved
    return {
        "name": record.name,
        "id": record.id,
        "language": record.language,
        "version": record.version,
        "kind": record.kind.value,
        "status": record.status.value,
        "effective": record.status is Status.APPROVED and record.in_force(datetime.now(UTC)),
        "sample": record.sample,
        "file": record.file,
        "text": record.text,
        "pcm_sha256": record.pcm_sha256,
        "samples": record.samples,
        "purposes": {purpose.value: phrase for purpose, phrase in record.purposes.items()},
        "asks": {purpose.value: phrase for purpose, phrase in record.asks.items()},
        "keys": dict(record.keys),
        "essential_s": record.essential_ms / 1000,
        "essential_purposes": sorted(purpose.value for purpose in record.essential_purposes),
        "effective_from": record.effective_from.isoformat() if record.effective_from else None,
        "effective_to": record.effective_to.isoformat() if record.effective_to else None,
        "approved": {
            "by": approved.by,
            "at": approved.at.isoformat(),
            "leaf": approved.leaf,
            "signed": bool(approved.signature),
        }
        if approved
        else None,
        "note": record.note,
    }


def _approval_json(given: Approval) -> dict[str, Any]:
    return {"by": given.by, "at": given.at.isoformat(), "leaf": given.leaf, "signed": bool(given.signature)}


def _text(given: str, option: str = "--text") -> str:
    if not given.startswith("@"):
        return given
    path = Path(given[1:])
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{option}: {path} cannot be read as text", next_step="name a UTF-8 text file") from error


def _keys(given: Iterable[str]) -> dict[str, str]:
    found = _pairs(given, "--key")
    for digit, meaning in found.items():
        if not is_meaning(meaning):
            known = ", ".join((*sorted(MEANINGS), f"{LANGUAGE_KEY}cy"))
            raise ConfigError(f"--key: '{digit}={meaning:.60}': known meanings are {known}")
    return found


def _pairs(given: Iterable[str], option: str, known: Iterable[str] | None = None) -> dict[str, str]:
    """`known` names, where not any will do."""
    choices = None if known is None else sorted(known)
    found: dict[str, str] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals or not value.strip():
            raise ConfigError(f"{option}: expected NAME=value, found {each!r:.60}")
        if choices is not None and name not in choices:
            raise ConfigError(f"{option}: {each!r:.60}: known are {', '.join(choices)}")
        if name in found:
            raise ConfigError(f"{option}: {name} stands there twice")
        found[name] = value
    return found


def _purposes(given: Iterable[str], option: str = "--purposes") -> dict[Purpose, str]:
    names = [each.partition("=")[0] for each in given]
    try:
        parse_purposes(names, at=option)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return {Purpose(name): phrase for name, phrase in _pairs(given, option, names).items()}
