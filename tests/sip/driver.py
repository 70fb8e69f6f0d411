"""The engine alone in a process of its own: orders come in as JSON lines, facts go out as JSON lines.

The library can be started once per process and its evaluation build ends the process on misuse: a test that met that
inside pytest would take the others with it. Run as `python -m tests.sip.driver '<settings>'`.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from enum import Enum
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from callrec.core.events import Event
from callrec.core.values import Leg, Tone
from callrec.errors import CallrecError
from callrec.ports import CapturePaths, Destination, Invite
from callrec.sip.settings import SipSettings, Srtp, Tls, Trunk
from callrec.sip.telephony import PjsuaTelephony
from callrec.sip.wire import additions


class MachineClock:
    def utc(self) -> datetime:
        return datetime.now(UTC)

    def boottime_ns(self) -> int:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def boot_id(self) -> str:
        return "boot"

    def state(self) -> str:
        return "unknown"


def plain(value: object) -> Any:
    """What JSON does not know by itself."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return dict(value)


def say(**fact: object) -> None:
    sys.stdout.write(json.dumps(fact, default=plain) + "\n")
    sys.stdout.flush()


class Teller:
    """A sink that tells everything it hears."""

    def invited(self, invite: Invite) -> None:
        fields = {name: getattr(invite, name) for name in Invite.__dataclass_fields__}
        say(kind="invited", uid=invite.call_uid, invite=fields)

    def happened(self, call_uid: str, event: Event) -> None:
        say(kind=type(event).__name__, uid=call_uid, fact=asdict(event))

    def ended(self, call_uid: str) -> None:
        say(kind="ended", uid=call_uid)

    def refused(
        self, source: str, what: str, why: str, *, invite: Invite | None = None, status: int = 0, key: str = ""
    ) -> None:
        dialled = invite.dialled if invite else None
        say(kind="refused", uid="", what=what, why=why, dialled=dialled, status=status, key=key)


async def perform(engine: PjsuaTelephony, order: str, words: dict[str, Any]) -> None:
    """One order, with our types made of JSON's."""
    if order == "traffic":
        say(kind="traffic", uid="", counts=asdict(engine.traffic()))
        return
    if order == "stop_capture":
        await engine.stop_capture(**words)
        say(kind="capture stopped", uid=words["call_uid"])
        return
    if order == "held":
        wire = additions()
        say(kind="held", uid="", bytes=wire.held()[0] if wire else 0)
        return
    made = {
        "pcm": base64.b64decode,
        "destination": lambda given: Destination(**given | {"headers": tuple(map(tuple, given.get("headers", ())))}),
        "paths": lambda given: CapturePaths(caller=Path(given[0]), staff=Path(given[1])),
        "legs": lambda given: tuple(map(Leg, given)),
        "leg": Leg,
        "tone": Tone,
    }
    getattr(engine, order)(**{name: made.get(name, lambda same: same)(value) for name, value in words.items()})


def _tls(given: dict[str, Any]) -> Tls:
    key = Path(given["key"]).read_bytes()
    return Tls(cert=Path(given["cert"]), key=key, ca=Path(given["ca"]), require_client=given["require_client"])


def settings_of(given: dict[str, Any]) -> SipSettings:
    return SipSettings(
        **given
        | {
            "listen": tuple(given["listen"]),
            "rtp_ports": tuple(given["rtp_ports"]),
            "allow_from": tuple(map(ip_network, given["allow_from"])),
            "media_from": tuple(map(ip_network, given.get("media_from", ()))),
            "runtime_dir": Path(given["runtime_dir"]),
            "srtp": Srtp[given.get("srtp", "off").upper()],
            "tls": _tls(given["tls"]) if "tls" in given else None,
            "trunks": {name: Trunk(**trunk) for name, trunk in given.get("trunks", {}).items()},
        }
    )


async def main() -> int:
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader(limit=2**24)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    try:
        engine = PjsuaTelephony(settings_of(json.loads(sys.argv[1])), MachineClock())
        say(kind="started", uid="", facts=asdict(engine.start(Teller())))
    except CallrecError as error:
        say(kind="failed", uid="", error=type(error).__name__, what=error.diagnosis())
        return error.exit_code
    while line := await lines.readline():
        order = json.loads(line)
        await perform(engine, order.pop("order"), order)
    engine.close()
    engine.close()
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
