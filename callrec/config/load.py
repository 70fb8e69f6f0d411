"""From a file to a Config, or to one ConfigError that names every mistake by file, line and key."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import rfc8785

from callrec.config.build import build
from callrec.config.models import Config
from callrec.config.nodes import Finding, Mistake, compose
from callrec.config.reader import Reading, read
from callrec.config.rules import RULES
from callrec.errors import ConfigError


def load(path: Path) -> Config:
    """The configuration in this file. ConfigError where it cannot be read or is wrong; nothing else is touched.

    Relative paths in it count from the folder it stands in.
    """
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        step = "name it with -c FILE or CALLREC_CONFIG; callrec.example.yaml shows every key"
        raise ConfigError(f"{path}: {error.strerror}", next_step=step) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: this is not UTF-8 text", next_step="save it as UTF-8") from error
    return loads(text, str(path), folder=path.resolve().parent)


def loads(text: str, name: str, *, folder: Path | None = None) -> Config:
    """The configuration in this text; `name` is how messages call it. `folder` defaults to the working directory."""
    try:
        reading = read(compose(text))
    except Mistake as mistake:
        raise _error([mistake.finding], name) from mistake
    if reading.findings:
        raise _error(reading.findings, name)
    sha256 = hashlib.sha256(rfc8785.dumps(reading.plain)).hexdigest()
    built = build(reading.values, name=name, folder=folder or Path.cwd(), sha256=sha256)
    config = replace(built, written=reading.lines)
    if wrong := _against_rules(config, reading):
        raise _error(wrong, name)
    return config


def _against_rules(config: Config, reading: Reading) -> list[Finding]:
    return [Finding(line=reading.line_of(key), key=key, what=what) for rule in RULES for key, what in rule(config)]


def _error(findings: list[Finding], name: str) -> ConfigError:
    ordered = sorted(findings, key=lambda finding: finding.line)
    sentences = "\n".join(finding.sentence(name) for finding in ordered)
    count = "this mistake" if len(ordered) == 1 else f"these {len(ordered)} mistakes"
    return ConfigError(sentences, next_step=f"mend {count} in {name}, then run `callrec config check`")
