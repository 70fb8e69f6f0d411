"""The retention schedule, which is a file of its own: a person adopts it apart from everything technical."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import yaml

from callrec.config.models import Line
from callrec.core.retention import Facts, Rule
from callrec.core.retention_rules import parse_rules
from callrec.errors import ConfigError


def facts_of(line: Line, call: date) -> Facts:
    """What is known of a call on this line on the day of it."""
    return Facts(nation=line.nation, call=call, subject=line.subject, line=line.kind, health_record=line.health_record)


def load_rules(path: Path) -> tuple[Rule, ...]:
    """The rules in this file. ConfigError where it cannot be read or a rule is wrong, naming the place."""
    try:
        return parse_rules(yaml.safe_load(path.read_text("utf-8")), at="retention")
    except OSError as error:
        step = "copy config/retention.yaml there, have it adopted, or correct retention.rules"
        raise ConfigError(f"{path}: {error.strerror}", next_step=step) from error
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise ConfigError(
            f"{path}: {error}", next_step="mend that rule; config/retention.yaml shows the form"
        ) from error
