"""A real Kamailio with the operators' files of deploy/kamailio, on a port of its own.

    with Kamailio(tmp_path / "kamailio", agents=[one.address, other.address]) as front:
        caller.dial(f"sip:5000@{front.address}")
        assert front.states() == ["AP", "AP"]

The files are used as they are but for the addresses that an operator sets too, and for where its control socket lies.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.peers import ports
from tests.peers.ports import LOOPBACK, Process

RECIPE = Path(__file__).parents[2] / "deploy" / "kamailio"
_SBIN = Path("/usr/sbin")


class Kamailio(Process):
    """One running Kamailio. `address` is where callers call; `host` any address of 127.0.0.0/8."""

    def __init__(self, folder: Path, *, agents: Sequence[str], host: str = LOOPBACK) -> None:
        folder.mkdir(parents=True)
        self.port = ports.free_port()
        self.address = f"{host}:{self.port}"
        self._control = f"unix:{folder / 'control'}"
        changed = {"udp:127.0.0.1:5060": f"udp:{self.address}", "unix:/run/kamailio/kamailio_ctl": self._control}
        (folder / "kamailio.cfg").write_text(_replaced((RECIPE / "kamailio.cfg").read_text(), changed))
        (folder / "callers.list").write_text((RECIPE / "callers.list").read_text())
        listed = (RECIPE / "dispatcher.list").read_text()
        old = re.findall(r"sip:(\S+)", listed)
        (folder / "dispatcher.list").write_text(_replaced(listed, dict(zip(old, agents, strict=True))))
        words: list[str | Path] = [_SBIN / "kamailio", "-f", folder / "kamailio.cfg", "-w", folder, "-Y", folder]
        super().__init__([*words, "-m", "64", "-M", "8", "-DD", "-E"], folder=folder, name="kamailio")
        try:
            ports.wait_udp(self.port, self)
            ports.until(self.states, seconds=10, what="Kamailio knows its agents")
        except BaseException:
            self.stop()
            raise

    def ask(self, *words: str) -> str:
        """What Kamailio's own console answers."""
        done = subprocess.run(
            [_SBIN / "kamcmd", "-s", self._control, *words], capture_output=True, text=True, timeout=10, check=False
        )
        return done.stdout + done.stderr

    def states(self) -> list[str]:
        """How it sees each agent, in the order of the list: AP is there, IP is not."""
        return [state for _, state in self._agents(r"FLAGS: (\w+)")]

    def loads(self) -> list[int]:
        """How many calls it counts on each agent."""
        return [int(load) for _, load in self._agents(r"DLGLOAD: (\d+)")]

    def _agents(self, wanted: str) -> list[tuple[str, str]]:
        found = re.findall(rf"URI: (\S+).*?{wanted}", self.ask("dispatcher.list"), re.DOTALL)
        order = re.findall(r"sip:\S+", (self.log.parent / "dispatcher.list").read_text())
        return sorted(found, key=lambda one: order.index(one[0]))

    def moved_on(self, call_id: str) -> int:
        """How often it took this call to another agent."""
        return self.output.count(f"call {call_id} moves on")


def _replaced(text: str, changes: dict[str, str]) -> str:
    for old, new in changes.items():
        assert text.count(old) == 1, f"{old} is not there once"
        text = text.replace(old, new)
    return text
