"""A real agent of its own: process, folders and ports, for one test. What it hears and keeps is looked at from outside.

with House(tmp_path, staff=staff.address) as house:
    ear.dial(house.uri("5000"))
    ...
house.entries("notice.proven")
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import numpy as np
import yaml

from callrec._canonical import canonical, parse, sha256_hex
from callrec.audit import standalone
from callrec.config.people import account
from callrec.core.evidence import Interruption
from callrec.core.evidence_json import judged_from_json
from callrec.core.proof import Granted, judge
from callrec.errors import ConfigError
from callrec.ledger.reading import read_entries
from callrec.notice.audio import read_prompt
from callrec.notice.wire import weigh
from callrec.notice.wire_window import SUFFIX
from callrec.recording.access import AccessGrant
from callrec.recording.open import open_recording
from callrec.store.admission import UnsafeAdmitEverything
from callrec.store.filesystem import FilesystemStore
from callrec.store.keys import unwrap
from tests.peers import audio, ports
from tests.peers.ports import LOOPBACK, Process

_WHY = ("reasons", "reason", "what", "choice")
ROOT = Path(__file__).resolve().parents[2]
CALLREC = Path(sys.executable).with_name("callrec")
NOTICES_S = 75
"""A notice, played again for as long as it may be, and the talk after it."""
RTP_PORTS = 60
"""Ports for audio of one agent: two calls, and some that a peer took."""


def settings(*, sip_port: int, rtp: int, staff: str, fallback: tuple[str, ...] = ()) -> dict[str, Any]:
    """A whole configuration on loopback; tests change what they are about."""
    return {
        "agent": {"name": "under-test", "data_dir": "var", "runtime_dir": "", "max_calls": 2, "drain_s": 5},
        "responsible": {
            "controller": "Test Advice Line",
            "information_asset_owner": "Head of Tests",
            "caldicott_guardian": "guardian@example.org",
            "ownership": "Test Advice Line",
            "privacy_page": "https://example.org/calls",
            "privacy_page_version": "1",
        },
        "sip": {
            "listen": [f"udp:{LOOPBACK}:{sip_port}", f"tcp:{LOOPBACK}:{sip_port}"],
            "rtp_ports": f"{rtp}-{rtp + RTP_PORTS - 1}",
            "allow_from": ["127.0.0.1"],
            "media_from": ["127.0.0.1"],
            "leg_ends_at": "phone",
        },
        "pbx_events": "none",
        "lines": {
            "advice": {
                "match": {"dialled": ["5000"]},
                "destination": f"sip:6000@{staff}",
                "fallback": [f"sip:6002@{other}" for other in fallback],
                "dial_timeout_s": 4,
                "notice": "advice-line",
                "languages": ["en"],
                "purposes": ["medico-legal", "audit", "training"],
                "keys": {"decline": "2", "decline_training": "3", "stop": "**2"},
                "choice_window_s": 1,
                "subject": "adult",
            }
        },
        "notice": {"max_wait_s": 45, "attempts": 5, "decide_within_ms": 1000},  # a busy machine disturbs some
        "spool": {"path": "var/spool", "reserve_s": 60},
        "ledger": {"url": "sqlite:///var/ledger.db", "anchors": [{"kind": "directory", "path": "anchors"}]},
        "store": {"kind": "filesystem", "path": "var/store"},
        "people": {"keeper": {"role": "guardian", "os_user": account(os.getuid())}},
        "retention": {"nation": "england", "rules": str(ROOT / "config" / "retention.yaml")},
        "keys": {"wrap_to": "file:keys/keeper.pub", "signing": "file:keys/ledger"},
    }


class House:
    """One agent in `folder`, with a runtime directory in memory. `start` after changing `settings`, or use `with`."""

    def __init__(
        self,
        folder: Path,
        *,
        staff: str,
        fallback: tuple[str, ...] = (),
        notice: str | None = "short",
        module: str | None = None,
    ) -> None:
        self.folder = folder
        self._module = module
        self.runtime = Path("/dev/shm") / f"callrec-test-{os.getpid()}-{secrets.token_hex(4)}"
        self.port = ports.free_port()
        self.address = f"{LOOPBACK}:{self.port}"
        self.settings = settings(sip_port=self.port, rtp=ports.free_range(RTP_PORTS), staff=staff, fallback=fallback)
        self.settings["agent"]["runtime_dir"] = str(self.runtime)
        self.config = folder / "callrec.yaml"
        self.environment: dict[str, str] = {}
        self.notice = notice
        self.process: Process | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self.runtime.mkdir(mode=0o700, parents=True)

    @property
    def line(self) -> dict[str, Any]:
        return self.settings["lines"]["advice"]

    @property
    def var(self) -> Path:
        return self.folder / "var"

    @property
    def ledger(self) -> Path:
        return self.folder / self.settings["ledger"]["url"].removeprefix("sqlite:///")

    def uri(self, dialled: str) -> str:
        return f"sip:{dialled}@{self.address}"

    # ------------------------------------------------------------ life

    def callrec(self, *words: str, code: int | None = 0, seconds: float = 60) -> str:
        """Run a callrec command on this house; what it printed. `code` None: any exit status."""
        environment = {**os.environ, **self.environment}
        done = subprocess.run(
            [CALLREC, "-c", self.config, *words],
            capture_output=True,
            text=True,
            timeout=seconds,
            env=environment,
            check=False,
        )
        assert code is None or done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def prepare(self) -> None:
        """Write the configuration; `init` once."""
        self.config.write_text(yaml.safe_dump(self.settings, sort_keys=False))
        if not self.ledger.exists():
            self.callrec("init")
            if self.notice == "short":
                self._short_notice()

    def _short_notice(self) -> None:
        """A notice of five seconds, approved like any other, so that a test does not wait twenty."""
        source = ROOT / "tests" / "assets" / "short-notice.wav"
        words = (ROOT / "tests" / "assets" / "short-notice.txt").read_text().strip()
        self.callrec("prompts", "add", str(source), "--id", "short", "--lang", "en", "--text", words, *SHORT)
        self.callrec("prompts", "approve", "short.en.1", "--by", "tester")
        self.line["notice"] = "short"
        self.config.write_text(yaml.safe_dump(self.settings, sort_keys=False))

    def start(self) -> None:
        self.prepare()
        self.process = Process(self._program(), folder=self.folder, name="agent", env=self.environment)
        self.process.wait_for_output("ready", seconds=20)

    def _program(self) -> Sequence[str | Path]:
        """callrec, or the module that is to be run in its stead with the configuration as its one argument."""
        if self._module is None:
            return [CALLREC, "-c", self.config, "agent", "run", "--allow-unsafe-memory"]
        self.environment["PYTHONPATH"] = str(ROOT)
        return [sys.executable, "-m", self._module, self.config]

    def stop(self) -> None:
        """SIGTERM, and the end of the process with status 0."""
        if self.process is not None and self.process.alive:
            self.process.signal(signal.SIGTERM)
            code = self.process.wait(30)
            assert code == 0, f"the agent ended with {code}\n{self.process.output[-3000:]}"

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        assert self.process is not None
        self.process.signal(number)
        if number == signal.SIGKILL:
            self.process.wait(5)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                self.stop()
                self.judge_again()
        finally:
            if self.process is not None and self.process.alive:
                self.process.signal(signal.SIGCONT)
                self.kill()
            shutil.rmtree(self.runtime, ignore_errors=True)

    # ------------------------------------------------------------ what is there

    def judge_again(self) -> None:
        """Every evidence that was kept here, weighed and judged anew, by the core and by what an auditor is handed: the
        same verdict and reasons.
        """
        prompts = self._prompts()
        for path in sorted((self.var / "evidence").glob("*.json")):
            judged = judged_from_json(parse(path.read_bytes()))
            verdict = judge(judged.evidence, evidence_sha256=sha256_hex(canonical(dict(judged.evidence_json))))
            reasons = () if isinstance(verdict, Granted) else verdict
            assert (isinstance(verdict, Granted), reasons) == (judged.granted, judged.reasons), path.name
            assert tuple(standalone.judge(judged.evidence_json)) == tuple(reason.value for reason in reasons), path.name
            if judged.grade is not None:
                assert standalone.grade_of(judged.evidence_json) == judged.grade.value, path.name
            of, tapped = judged.evidence, path.with_suffix(SUFFIX)
            if tapped.exists() and of.prompt.pcm_sha256 in prompts:
                skipped = of.interruption is Interruption.SKIPPED
                seen = weigh(tapped.read_bytes(), prompts[of.prompt.pcm_sha256], skipped=skipped)
                assert (seen.tap, seen.wire, seen.streams, seen.rtcp) == (of.tap, of.wire, of.streams, of.rtcp), path

    def _prompts(self) -> dict[str, bytes]:
        """What may have been played, by its hash; a prompt that a test spoiled was not."""
        found = {}
        for path in (self.var / "prompts").glob("*.wav"):
            with suppress(ConfigError):
                pcm = read_prompt(path)
                found[sha256_hex(pcm)] = pcm
        return found

    def entries(self, kind: str | None = None) -> list[Any]:
        """Ledger entries, of this kind or all."""
        return [entry for entry in read_entries(self.ledger) if kind in (None, entry.kind)]

    def records(self, call_uid: Callable[[], str], seconds: float, *, segment: int = 0) -> None:
        """Wait until so much more of this segment was captured, from its start on where it has not begun. By the size
        of the recorder's file, which can be asked often; `call_uid` is empty until the call is offered.
        """
        uid = ports.until(call_uid, seconds=30, what="a call is offered")
        file = self.runtime / "capture" / f"{uid}-{segment}.caller.wav"

        def captured_s() -> float:
            with suppress(FileNotFoundError):
                return file.stat().st_size / (2 * audio.RATE)
            return 0.0

        wanted_s = captured_s() + seconds
        what = lambda: f"{seconds:g} s of segment {segment} are captured: {self.story(uid)}"  # noqa: E731
        ports.until(lambda: captured_s() >= wanted_s, seconds=NOTICES_S, what=what)

    def story(self, call_uid: str) -> str:
        """What the ledger tells of this call: for whoever reads why something did not come."""
        told = [entry for entry in self.entries() if entry.call_uid == call_uid]
        return "; ".join(f"{one.kind} {[one.body[key] for key in _WHY if one.body.get(key)] or ''}" for one in told)

    def kinds(self) -> list[str]:
        return [entry.kind for entry in self.entries()]

    def wait_for(self, kind: str, *, seconds: float, count: int = 1) -> Any:
        """The newest entry of this kind, once there are so many."""
        found = ports.until(
            lambda: len(self.entries(kind)) >= count and self.entries(kind), seconds=seconds, what=f"{count} x {kind}"
        )
        return found[-1]

    def summary(self, *, seconds: float = 20, count: int = 1) -> Mapping[str, Any]:
        """The body of the newest `call.closed`, once there are so many."""
        return self.wait_for("call.closed", seconds=seconds, count=count).body

    def recording(self, *, seconds: float = 15) -> tuple[audio.Samples, audio.Samples]:
        """The one kept recording: what the caller said (left) and what staff said (right)."""
        kept = self.wait_for("recording.kept", seconds=seconds)
        stereo = self.open(f"{kept.call_uid}-{kept.segment}")
        return stereo[:, 0], stereo[:, 1]

    def open(self, recording_id: str) -> audio.Samples:
        """Both channels, as the keeper gets them: decrypted and checked against every hash."""
        store = FilesystemStore(self.var / "store", admission=UnsafeAdmitEverything())
        key = self.folder / "keys" / "keeper.key"
        grant = AccessGrant(recording_id=recording_id, purpose="audit", action="play", person="a test", leaf="")
        opened = asyncio.run(open_recording(grant, store, store, lambda wrapped: unwrap(wrapped, key)))
        return np.frombuffer(opened.pcm, "<i2").reshape(-1, 2)

    def prompt_samples(self) -> audio.Samples:
        """The notice that this house plays."""
        listed = json.loads(self.callrec("prompts", "list", "--json"))
        chosen = next(one for one in listed if one["id"] == self.line["notice"] and one["language"] == "en")
        return audio.read_wav(self.var / "prompts" / chosen["file"])

    def status(self) -> dict[str, Any]:
        return json.loads(self.callrec("agent", "status", "--json", code=None))


SHORT = [
    *("--purposes", "medico-legal=help", "--purposes", "audit=check", "--purposes", "training=train"),
    *("--key", "2=decline", "--key", "3=decline_training"),
    *("--explains", "who=Test line", "--explains", "recorded=We record calls"),
    *(
        "--explains",
        "decline=Press 2 to say no",
        "--explains",
        "same_help=Same care",
        "--explains",
        "more=See example.org",
    ),
]
"""What the words of the short notice say, as the register asks for it."""
