"""A house for the self-test: this configuration's lines, notices and keys, in an agent of its own on loopback.

Nothing of the real house is touched: its ledger, store and spool are others, the register is a copy, and what answers
is a synthetic telephone. Each language of each line has a number of its own there.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from callrec._durable import make_dir, write_file
from callrec.config import Config, Line, Record, load
from callrec.demo.house import MEMORY, free_ports
from callrec.demo.phone import LOOPBACK
from callrec.errors import ConfigError
from callrec.notice.approval import READABLE

_AUDIO_PORTS: Final = 40
_FIRST_NUMBER: Final = 7001


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One language of one line, and the number at which it is reached in the house of the self-test."""

    line: Line
    language: str
    dialled: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """The house: its configuration, its own copy of the register, and what is tried there."""

    config: Config
    register: Path
    subjects: tuple[Subject, ...]

    @property
    def port(self) -> int:
        """Where its agent listens for SIP."""
        return self.config.sip.listen[0].port


def subjects(config: Config, only: str | None) -> tuple[Subject, ...]:
    """What there is to try. ConfigError where the line is not there, or nothing is recorded."""
    lines = [line for line in config.lines if only in (None, line.name)]
    if not lines:
        known = ", ".join(line.name for line in config.lines)
        raise ConfigError(f"there is no line {only!r}", next_step=f"name one of: {known}")
    pairs = [(line, each) for line in lines if line.record is Record.IF_PROVEN for each in line.languages]
    if not pairs:
        raise ConfigError("these lines are never recorded: there is no notice to try", next_step="name another line")
    return tuple(
        Subject(line=line, language=each, dialled=str(_FIRST_NUMBER + number))
        for number, (line, each) in enumerate(pairs)
    )


@contextmanager
def copied(config: Config, tried: Sequence[Subject], *, staff_port: int) -> Iterator[Copy]:
    """The house, as long as the block lasts; everything of it is gone afterwards."""
    above = MEMORY if MEMORY.is_dir() else config.agent.data_dir
    memory = above / f"callrec-selftest-{secrets.token_hex(6)}"
    make_dir(memory)
    try:
        register = _register(config, memory / "prompts")
        make_dir(memory / "run")
        settings = _settings(config, tried, memory=memory, staff_port=staff_port)
        write_file(memory / "callrec.yaml", yaml.safe_dump(settings, sort_keys=False).encode())
        yield Copy(config=load(memory / "callrec.yaml"), register=register, subjects=tuple(tried))
    finally:
        shutil.rmtree(memory, ignore_errors=True)


def _register(config: Config, folder: Path) -> Path:
    make_dir(folder)
    for file in sorted(config.notice.register.iterdir()):
        if file.is_file():
            write_file(folder / file.name, file.read_bytes(), mode=READABLE)
    return folder


def _settings(config: Config, tried: Sequence[Subject], *, memory: Path, staff_port: int) -> dict[str, Any]:
    sip_port, audio = free_ports(1), free_ports(_AUDIO_PORTS)
    who = config.responsible
    return {
        "agent": {"name": "selftest", "data_dir": "var", "runtime_dir": str(memory / "run"), "max_calls": 2},
        "responsible": {
            "controller": who.controller,
            "information_asset_owner": who.information_asset_owner,
            "caldicott_guardian": who.caldicott_guardian,
            "data_protection_officer": who.data_protection_officer,
            "ownership": who.ownership,
            "privacy_page": who.privacy_page,
            "privacy_page_version": who.privacy_page_version,
        },
        "sip": {
            "listen": [f"udp:{LOOPBACK}:{sip_port}"],
            "rtp_ports": f"{audio}-{audio + _AUDIO_PORTS - 1}",
            "allow_from": [LOOPBACK],
            "media_from": [LOOPBACK],
            "codecs": ["PCMA"],
            "leg_ends_at": "phone",
        },
        "pbx_events": "none",
        "lines": {f"tried-{each.dialled}": _line(each, staff_port) for each in tried},
        "notice": {
            "register": "prompts",
            "longest_s": config.notice.longest_s,
            "max_wait_s": config.notice.max_wait_s,
            "attempts": 1,
            "decide_within_ms": config.notice.decide_within_ms,
        },
        "spool": {"reserve_s": 60},
        "alerts": {"our_fault_in_a_row": 1000, "our_fault_share_1h": 1},
        "retention": {"nation": config.retention.nation.value, "rules": str(config.retention.rules)},
    }


def _line(tried: Subject, staff_port: int) -> dict[str, Any]:
    """As configured, but for where calls go and what is asked beyond the notice: a synthetic caller reports nothing."""
    line = tried.line
    keys = {"decline": line.keys.decline, "decline_training": line.keys.decline_training, "repeat": line.keys.repeat}
    return {
        "match": {"dialled": [tried.dialled]},
        "destination": f"sip:6000@{LOOPBACK}:{staff_port}",
        "dial_timeout_s": 5,
        "notice": line.notice,
        "languages": [tried.language],
        "purposes": sorted(purpose.value for purpose in line.purposes),
        "health_record": line.health_record,
        "keys": {**keys, "acknowledge": line.keys.acknowledge, "stop": line.keys.stop},
        "choice_window_s": 1,
        "kind": line.kind.value,
        "subject": line.subject.value,
    }
