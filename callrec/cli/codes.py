"""`callrec config codes`: what staff and callers press in a call, and what of it a PBX would take for its own."""

from __future__ import annotations

import json
from pathlib import Path

import click

from callrec.audit.report import table
from callrec.audit.wording import lines_of
from callrec.cli.evidence import json_option
from callrec.config import load
from callrec.config.codes import Clash, clashes, our_words, pbx_words
from callrec.errors import ConfigError


@click.command()
@click.option("--pbx", type=click.Path(path_type=Path), required=True, help="The features.conf of an Asterisk.")
@json_option
@click.pass_context
def codes(ctx: click.Context, /, pbx: Path, as_json: bool) -> None:
    """Compare callrec's codes with an Asterisk's in-call features, and list the clashes. Exit 1 where there are any.

    What the file does not name has Asterisk's default, which is in force only where it says: those are notes.
    """
    if ctx.obj.config_path is None:
        raise ConfigError("no configuration is named", next_step="name one with -c FILE or CALLREC_CONFIG")
    try:
        text = pbx.read_text("utf-8", errors="replace")
    except OSError as error:
        raise ConfigError(f"--pbx: {pbx}: {error.strerror}", next_step="name the features.conf of the PBX") from error
    found = clashes(our_words(load(ctx.obj.config_path)), pbx_words(text))
    if as_json:
        click.echo(json.dumps([_value(each) for each in found], indent=2))
    elif found:
        cells = [("CLASH" if each.written else "note", *_value(each).values()) for each in found]
        click.echo(lines_of(table(("", "ours", "means", "theirs", "means", "when"), cells)), nl=False)
    else:
        click.echo("No code of callrec's is a word of this PBX's.")
    ctx.exit(1 if any(each.written for each in found) else 0)


def _value(clash: Clash) -> dict[str, str]:
    return {
        "ours": clash.ours.keys,
        "ours_means": clash.ours.what,
        "theirs": clash.theirs.keys,
        "theirs_means": clash.theirs.what,
        "when": clash.theirs.when or "as the file says",
    }
