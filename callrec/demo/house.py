"""A house of the demonstration's own: folder, memory, ports, configuration. Nothing of it existed before."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from callrec._durable import make_dir, write_file
from callrec._shipped import shipped
from callrec.config import Config, load
from callrec.config.people import account
from callrec.demo.phone import LOOPBACK
from callrec.errors import Refused, Unavailable

MEMORY: Final = Path("/dev/shm")  # noqa: S108 - memory; the folder made there is ours alone
DIALLED: Final = "5000"
DECLINE: Final = "2"
_AUDIO_PORTS: Final = 40
_FROM, _TO = 20_000, 32_000


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """Where the demonstration takes place."""

    folder: Path
    config: Config

    @property
    def config_file(self) -> Path:
        """For the commands that look at it afterwards."""
        return self.folder / "callrec.yaml"

    @property
    def port(self) -> int:
        """Where the agent listens for SIP."""
        return self.config.sip.listen[0].port


def fresh_folder(wanted: Path | None) -> Path:
    """The folder to use: the one wanted, or the first free of callrec-demo, callrec-demo-2, ... `Refused` where the
    one wanted exists and is not empty.
    """
    if wanted is None:
        names = ("callrec-demo", *(f"callrec-demo-{n}" for n in range(2, 10_000)))
        return next(Path(name) for name in names if not Path(name).exists())
    if wanted.exists() and (not wanted.is_dir() or any(wanted.iterdir())):
        raise Refused(f"{wanted} exists and is never overwritten", next_step="name another folder, or leave it out")
    return wanted


@contextmanager
def built_house(folder: Path, *, line_port: int) -> Iterator[House]:
    """The house, its configuration written. What lay in memory is gone afterwards; the folder stays."""
    make_dir(folder)
    above = MEMORY if MEMORY.is_dir() else folder.resolve()
    memory = above / f"callrec-demo-{secrets.token_hex(6)}"
    make_dir(memory)
    try:
        settings = _settings(line_port=line_port, memory=memory)
        text = "# Written by callrec demo.\n" + yaml.safe_dump(settings, sort_keys=False, width=100)
        write_file(folder / "callrec.yaml", text.encode())
        yield House(folder=folder, config=load(folder / "callrec.yaml"))
    finally:
        shutil.rmtree(memory, ignore_errors=True)


def _settings(*, line_port: int, memory: Path) -> dict[str, Any]:
    sip_port, audio = free_ports(1), free_ports(_AUDIO_PORTS)
    return {
        "agent": {"name": "demo", "data_dir": "var", "runtime_dir": str(memory), "max_calls": 2, "drain_s": 5},
        "responsible": {
            "controller": "Example Advice Line",
            "information_asset_owner": "Head of Advice",
            "caldicott_guardian": "guardian@example.org",
            "ownership": "Example Advice Line owns the recordings and all rights in them",
            "privacy_page": "https://example.org/calls",
            "privacy_page_version": "1",
        },
        "people": {"you": {"role": "auditor", "os_user": account(os.getuid())}},
        "sip": {
            "listen": [f"udp:{LOOPBACK}:{sip_port}"],
            "rtp_ports": f"{audio}-{audio + _AUDIO_PORTS - 1}",
            "allow_from": [LOOPBACK],
            "media_from": [LOOPBACK],
            "leg_ends_at": "phone",
        },
        "pbx_events": "none",
        "lines": {
            "advice": {
                "match": {"dialled": [DIALLED]},
                "destination": f"sip:6000@{LOOPBACK}:{line_port}",
                "notice": "advice-line",
                "purposes": ["medico-legal", "audit", "training"],
                "keys": {"decline": DECLINE, "decline_training": "3"},
                "choice_window_s": 1,
            }
        },
        "spool": {"reserve_s": 60},
        "retention": {"nation": "england", "rules": str(shipped("config/retention.yaml"))},
    }


def free_ports(count: int) -> int:
    """First of so many neighbouring UDP ports that are free now. `Unavailable` where there are none."""
    for _ in range(200):
        first = (_FROM + secrets.randbelow(_TO - _FROM - count)) & ~1
        if _all_free(first, count):
            return first
    raise Unavailable(f"no {count} neighbouring UDP ports are free on loopback", next_step="close programs, try again")


def _all_free(first: int, count: int) -> bool:
    with ExitStack() as stack:
        for port in range(first, first + count):
            probe = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                return False
    return True
