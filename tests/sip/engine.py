"""Drives the engine's process from a test: orders, and facts waited for with a bound."""

from __future__ import annotations

import base64
import json
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from callrec.core.wire_records import Counts, TakenWindow
from tests.peers import ports
from tests.peers.ports import LOOPBACK, PeerFailed

REPOSITORY = Path(__file__).parents[2]
Fact = Mapping[str, Any]


def engine_settings(folder: Path, **changes: object) -> dict[str, Any]:
    """Settings of an engine on a free port; `changes` replace some."""
    folder.mkdir(parents=True, exist_ok=True)
    rtp = ports.free_range(200)
    return {
        "listen": [f"udp:{LOOPBACK}:{ports.free_port()}"],
        "rtp_ports": [rtp, rtp + 198],
        "allow_from": [LOOPBACK],
        "runtime_dir": str(folder / "run"),
    } | changes


class EngineProcess:
    """One engine. Facts are kept per call until a test waits for them."""

    def __init__(self, settings: Mapping[str, Any], log: Path) -> None:
        self.address = settings["listen"][0].split(":", 1)[1] if settings["listen"] else ""
        self.runtime_dir = Path(settings["runtime_dir"])
        self.log = log
        words = [sys.executable, "-m", "tests.sip.driver", json.dumps(settings)]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with log.open("w") as errors:
            self.process = subprocess.Popen(words, cwd=REPOSITORY, stderr=errors, **pipes)
        self._facts: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._kept: list[dict[str, Any]] = []
        self._living: list[str] = []
        self.strays: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                self._facts.put(json.loads(line))
            else:
                self.strays.append(line)
        self._facts.put(None)

    def order(self, order: str, uid: str, **words: object) -> None:
        """Give an order; bytes go as base64."""
        coded = {k: base64.b64encode(v).decode() if isinstance(v, bytes) else v for k, v in words.items()}
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"order": order, "call_uid": uid} | coded) + "\n")
        self.process.stdin.flush()

    def wait(self, kind: str, uid: str | None = None, *, seconds: float = 15) -> dict[str, Any]:
        """The next fact of this kind (of this call); facts of other kinds are kept for later."""
        for at, fact in enumerate(self._kept):
            if fact["kind"] == kind and uid in (None, fact["uid"]):
                return self._kept.pop(at)
        while True:
            try:
                new = self._facts.get(timeout=seconds)
            except queue.Empty:
                raise PeerFailed(f"no {kind} within {seconds} s; waiting: {self.kinds()}\n{self.errors}") from None
            if new is None:
                self._facts.put(None)
                raise PeerFailed(f"the engine ended before {kind}; waiting: {self.kinds()}\n{self.errors}")
            self._follow(new)
            if new["kind"] == kind and uid in (None, new["uid"]):
                return new
            self._kept.append(new)

    def kinds(self, uid: str | None = None) -> list[str]:
        """Kinds of the facts that came and were not waited for."""
        return [fact["kind"] for fact in self._kept if uid in (None, fact["uid"])]

    def waiting(self, uid: str) -> list[Fact]:
        """Facts of this call that came and were not waited for."""
        return [fact for fact in self._kept if fact["uid"] == uid]

    def _follow(self, fact: Fact) -> None:
        if fact["kind"] == "invited":
            self._living.append(fact["uid"])
        elif fact["kind"] == "ended":
            self._living.remove(fact["uid"])

    def living(self) -> list[str]:
        """Calls that have not ended yet."""
        return list(self._living)

    def forget(self) -> None:
        """Drop the facts that nobody waited for."""
        self._kept.clear()

    @property
    def errors(self) -> str:
        return self.log.read_text()[-3000:]

    def finish(self, *, seconds: float = 15) -> int:
        """Close the engine; its exit code."""
        if self.process.poll() is None and self.process.stdin is not None:
            self.process.stdin.close()
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise PeerFailed(f"the engine did not end\n{self.errors}") from None
        self._reader.join(seconds)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


def window_of(observation: Fact) -> TakenWindow:
    """What was tapped of the wire."""
    taken = observation["window"]
    return TakenWindow(records=base64.b64decode(taken["records"]), counts=Counts(**taken["counts"]))
