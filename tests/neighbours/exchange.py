"""callrec between the two sides of one real Asterisk, for a whole module: calls go through it one after the other.

The PBX is set up as deploy/asterisk says. A number 50xx leads through callrec to line 60xx, unless `lines` says
otherwise; tests/peers/asterisk.py says what each of them does.
"""

from __future__ import annotations

import copy
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.calls.house import House
from tests.calls.office import verified
from tests.peers import audio, ports
from tests.peers.asterisk import CALLER_HOST, Asterisk
from tests.peers.audio import RATE, Samples
from tests.peers.baresip import Ear
from tests.peers.ports import LOOPBACK

PATIENCE_S = 60
_WORDS = "Test recorded to help check train press 2 no same see web"
_PHRASES = ("who=Test", "recorded=recorded", "decline=press 2 no", "same_help=same", "more=see web")
_PURPOSES = ("medico-legal=help", "audit=check", "training=train")

Lines = Mapping[str, Mapping[str, Any]]
"""What differs from the common line, by number."""


class Exchange:
    """See above. `begin` with the folder of the test that runs."""

    def __init__(self, folder: Path, lines: Lines, *, pbx: type[Asterisk] = Asterisk) -> None:
        self.folder = folder
        self.before = 0
        self._ports = {name: ports.free_port() for name in ("staff", "colleague")}
        self._around = ExitStack()
        self.house = House(folder / "house", staff=f"{LOOPBACK}:9", notice=None)
        self._around.callback(shutil.rmtree, self.house.runtime, ignore_errors=True)
        phones = {name: f"{LOOPBACK}:{port}" for name, port in self._ports.items()}
        with self._around.pop_all() as around:
            self.pbx = around.enter_context(pbx(folder / "pbx", callrec=self.house.address, **phones))
            self._configure(lines)
            around.enter_context(self.house)
            self.pbx.find_callrec(within_s=PATIENCE_S)
            self._around = around.pop_all()

    def _configure(self, lines: Lines) -> None:
        """As README.md of the recipe says."""
        house, sip, line = self.house, self.house.settings["sip"], self.house.line
        sip["trunks"] = {"pbx": {"uri": f"sip:{self.pbx.address}", "leg_ends_at": "pbx"}}
        sip["trusted_headers"] = ["X-PBX-Linkedid"]
        line.update(destination="sip:6000@pbx", fallback=[], dial_timeout_s=180, keys={"decline": "2"})
        line["choice_window_s"] = 0
        house.prepare()
        self._brief_notice()
        for number, special in lines.items():
            other = {**copy.deepcopy(line), "match": {"dialled": [number]}, "destination": f"sip:60{number[2:]}@pbx"}
            house.settings["lines"][f"line-{number}"] = {**other, "notice": "brief", **special}

    def _brief_notice(self) -> None:
        """A notice of less than four seconds, approved like any other."""
        spoken = audio.write_wav(self.folder / "brief.wav", audio.speech(_WORDS))
        explained = [word for phrase in _PHRASES for word in ("--explains", phrase)]
        explained += [word for purpose in _PURPOSES for word in ("--purposes", purpose)]
        words = ["--id", "brief", "--lang", "en", "--text", _WORDS, "--key", "2=decline", *explained]
        self.house.callrec("prompts", "add", str(spoken), *words)
        self.house.callrec("prompts", "approve", "brief.en.1", "--by", "tester")
        self.house.line["notice"] = "brief"

    def stop(self) -> None:
        """End callrec and the PBX."""
        self._around.close()

    def begin(self, folder: Path) -> None:
        """A new test: calls so far are not its own."""
        self.folder = folder
        self.before = len(self.house.entries("call.offered"))

    def sound(self) -> None:
        """Assert that every call has its one summary, that callrec was never passed by, and that an auditor finds no
        fault.
        """
        assert [one.userfield for one in self.pbx.cdr() if re.match("callrec-(lost|bypassed)", one.userfield)] == []
        offered, closed = self.house.entries("call.offered"), self.house.entries("call.closed")
        assert sorted(one.call_uid for one in offered) == sorted(one.call_uid for one in closed)
        assert self.house.entries("incident") == []
        found = verified(self.house)
        assert found.sound, [one.sentence for one in found.findings]

    # ------------------------------------------------------------ phones

    @contextmanager
    def calling(self, number: str) -> Iterator[Ear]:
        """A caller outside, who dials this."""
        with Ear(self.folder / "caller", say=audio.tone(audio.CALLER_HZ, 60), host=CALLER_HOST) as caller:
            caller.dial(f"sip:{number}@{self.pbx.address}")
            yield caller

    def phone(self, user: str, hz: float) -> Ear:
        """The phone of `staff` or `colleague`, which takes calls at once and says this tone."""
        return Ear(self.folder / user, say=audio.tone(hz, 60), user=user, port=self._ports[user], auto_answer=True)

    def after_notice(self, caller: Ear) -> Samples:
        """What the caller heard after the whole notice."""
        notice = self.house.prompt_samples()
        found = audio.find(caller.heard, notice)
        assert found.share >= 0.99
        return caller.heard[round(found.at_s * RATE) + len(notice) :]

    # ------------------------------------------------------------ what the ledger says of this test's newest call

    @property
    def uid(self) -> str:
        """Its id, or nothing."""
        offered = self.house.entries("call.offered")[self.before :]
        return offered[-1].call_uid if offered else ""

    def told(self, kind: str) -> Sequence[Mapping[str, Any]]:
        """Bodies of this kind."""
        return [entry.body for entry in self.house.entries(kind) if entry.call_uid == self.uid]

    @property
    def story(self) -> str:
        """What is told of it so far."""
        return self.house.story(self.uid)

    def wait_told(self, kind: str) -> Mapping[str, Any]:
        """The first body of this kind, once it is there."""
        what = lambda: f"{kind}: {self.story}"  # noqa: E731
        return ports.until(lambda: self.told(kind), seconds=PATIENCE_S, what=what)[0]

    def records(self, seconds: float) -> None:
        """Wait until so much more of its first segment was captured, from the start on where it has not begun."""
        self.house.records(lambda: self.uid, seconds)

    def closed(self) -> Mapping[str, Any]:
        """The summary."""
        return self.wait_told("call.closed")

    def legs(self) -> Sequence[tuple[str, str]]:
        """What changed on the legs, as (leg, what), once the call is over."""
        self.closed()
        return [(one["leg"], one["what"]) for one in self.told("leg.changed")]

    def recording(self) -> tuple[Samples, Samples]:
        """What was kept: what the caller said, and what staff said."""
        self.wait_told("recording.kept")
        stereo = self.house.open(f"{self.uid}-0")
        return stereo[:, 0], stereo[:, 1]


def more(caller: Ear, seconds: float) -> None:
    """Wait until the caller heard so much more."""
    caller.heard_so_far(len(caller.heard) / RATE + seconds, within_s=PATIENCE_S)
