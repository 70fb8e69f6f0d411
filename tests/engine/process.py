"""Drives `tests.engine.agent` from a test: one order, one answer."""

from __future__ import annotations

import base64
import json
import queue
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from callrec.core.wire_records import Kind, Record, records
from tests.peers import ports
from tests.peers.ports import LOOPBACK, PeerFailed

REPOSITORY = Path(__file__).parents[2]
RTP_PORTS = 64


class OrderFailed(Exception):
    """The engine's process answered an order with an error of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A window, read, and what was counted in it."""

    records: tuple[Record, ...]
    counts: dict[str, Any]

    def of(self, *kinds: Kind) -> list[Record]:
        return [record for record in self.records if record.kind in kinds]


class AgentProcess:
    """One bare engine on free ports. A context; it ends in good order, or the test fails."""

    def __init__(self, folder: Path, **settings: object) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port, self.rtp = ports.free_port(), ports.free_range(RTP_PORTS)
        self.address = f"{LOOPBACK}:{self.port}"
        self._log = folder / "agent.log"
        given = json.dumps({"port": self.port, "rtp": self.rtp, **settings})
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with self._log.open("w") as errors:
            words = [sys.executable, "-m", "tests.engine.agent", given]
            self._process = subprocess.Popen(words, cwd=REPOSITORY, stderr=errors, **pipes)
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._answer() == "ready"

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put("")

    def _answer(self, seconds: float = 15) -> Any:
        try:
            line = self._answers.get(timeout=seconds)
        except queue.Empty:
            line = ""
        if not line:
            raise PeerFailed(f"the engine's process gives no answer\n{self._log.read_text()[-3000:]}")
        return json.loads(line)

    def order(self, order: str, **words: object) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"order": order} | words) + "\n")
        self._process.stdin.flush()
        answer = self._answer()
        if "failed" in answer:
            raise OrderFailed(answer["failed"])
        return answer["done"]

    def confirmed(self, count: int = 1) -> None:
        """Wait until so many calls have been confirmed."""
        ports.until(lambda: self.order("state")[0] >= count, seconds=10, what=f"{count} calls are confirmed")

    def ended(self, count: int = 1) -> None:
        """Wait until so many calls have ended."""
        ports.until(lambda: self.order("state")[1] >= count, seconds=10, what=f"{count} calls have ended")

    def take(self) -> Taken:
        answer = self.order("take")
        return Taken(records=records(base64.b64decode(answer["window"])), counts=answer["counts"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            code = self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise PeerFailed(f"the engine's process did not end\n{self._log.read_text()[-3000:]}") from None
        self._reader.join(5)
        self._process.stdout.close()
        assert code == 0, self._log.read_text()[-3000:]
