"""What leaves: a file of audio with its manifest and their checksums, all or none, and the ledger is told which."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from callrec._durable import remove, write_file
from callrec.cli import recording_access as opening
from callrec.cli.desk import Desk
from callrec.core.imported import LastUse
from callrec.core.values import Purpose
from callrec.errors import Refused

Command = TypeVar("Command", bound=Callable[..., Any])

_PLAIN = 0o600


def access_options(command: Command) -> Command:
    """ID, --purpose and --key."""
    purposes = click.Choice([each.value for each in (*Purpose, *LastUse)])
    for option in (
        click.option(
            "--key", type=click.Path(path_type=Path), help="The keeper's private key; else beside keys.wrap_to."
        ),
        click.option("--purpose", type=purposes, required=True, help="What for. One of the recording's own purposes."),
        click.argument("prefix", metavar="ID"),
    ):
        command = option(command)
    return command


def use_of(purpose: str) -> Purpose | LastUse:
    """What --purpose named."""
    return LastUse(purpose) if purpose in {each.value for each in LastUse} else Purpose(purpose)


def beside(output: Path) -> tuple[Path, Path, Path]:
    """The audio, its manifest, and the checksums of both as sha256sum reads them."""
    return output, output.with_name(f"{output.name}.manifest.json"), output.with_name(f"{output.name}.sha256")


def refuse_existing(output: Path) -> None:
    """`Refused` where one of the files is there: nothing is ever overwritten."""
    for path in beside(output):
        if path.exists():
            raise Refused(f"{path} exists and is never overwritten", next_step="choose another name")


def leave(
    desk: Desk, access: opening.Access, output: Path, contents: Mapping[str, bytes], *, form: str, **told: Any
) -> str:
    """Write `contents["audio"]` and `contents["manifest"]`, then tell the ledger; the SHA-256 of the audio. Whatever
    fails, no file stays that the ledger does not know.
    """
    audio, manifest, sums = beside(output)
    digests = {audio: hashlib.sha256(contents["audio"]).hexdigest()}
    digests[manifest] = hashlib.sha256(contents["manifest"]).hexdigest()
    listed = "".join(f"{digest}  {path.name}\n" for path, digest in digests.items()).encode()
    done: list[Path] = []
    try:
        for path, data in {manifest: contents["manifest"], audio: contents["audio"], sums: listed}.items():
            write_file(path, data, mode=_PLAIN, exclusive=True)
            done.append(path)
        opening.told_export(desk, access, form=form, sha256=digests[audio], **told)
    except BaseException:
        for path in done:
            remove(path)
        raise
    return digests[audio]
