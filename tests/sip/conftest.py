"""One engine per module, callers and callees per test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.peers import audio, ports, sipp, sipp_steps
from tests.peers.ports import PeerFailed
from tests.sip.engine import EngineProcess, engine_settings

CALLER_HZ, STAFF_HZ, NOTICE_HZ = 600, 800, 1200
NOTICE_S = 1.5


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    assert shutil.which("sipp"), "sipp is not installed: make test does that, or names the package"
    folder = tmp_path_factory.mktemp("engine")
    running = EngineProcess(engine_settings(folder), folder / "engine.log")
    running.wait("started")
    yield running
    running.order("held", "")
    assert running.wait("held")["bytes"] == 0, "a window of the wire tap was not taken"
    assert running.finish() == 0
    assert "failed" not in running.errors
    assert running.strays == []


@pytest.fixture(scope="session")
def voices(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The sounds of caller and staff, as sipp streams them."""
    folder = tmp_path_factory.mktemp("voices")
    tones = {"caller": CALLER_HZ, "staff": STAFF_HZ}
    return {name: audio.write_alaw(folder / f"{name}.alaw", audio.tone(hz, 2)) for name, hz in tones.items()}


@pytest.fixture(scope="session")
def notice() -> bytes:
    """The PCM of a notice."""
    return audio.tone(NOTICE_HZ, NOTICE_S).astype("<i2").tobytes()


class Calls:
    """Callers and callees of one test, stopped at its end."""

    def __init__(self, engine: EngineProcess, folder: Path, voices: dict[str, Path]) -> None:
        self.engine, self.folder, self.voices = engine, folder, voices
        self._peers: list[sipp.Sipp] = []

    def caller(self, *steps: str, **words: object) -> sipp.Sipp:
        """A caller, calling."""
        folder = self.folder / f"peer{len(self._peers)}"
        self._peers.append(sipp.calling(folder, list(steps), to=self.engine.address, **words))
        return self._peers[-1]

    def talking(self, milliseconds: int = 20_000, **words: object) -> sipp.Sipp:
        """A caller who talks until somebody hangs up."""
        return self.caller(
            sipp_steps.invite(**words), sipp_steps.stream(self.voices["caller"]), sipp_steps.until_bye(milliseconds)
        )

    def staff(self, *steps: str) -> sipp.Sipp:
        """A callee, waiting."""
        folder = self.folder / f"peer{len(self._peers)}"
        self._peers.append(sipp.answering(folder, list(steps)))
        return self._peers[-1]

    def speaking_staff(self, *steps: str) -> sipp.Sipp:
        """A callee who answers and speaks until somebody hangs up, or does these steps then."""
        spoken = [sipp_steps.take(), sipp_steps.answer(), sipp_steps.stream(self.voices["staff"])]
        return self.staff(*spoken, *(steps or (sipp_steps.until_bye(),)))

    def answered(self) -> str:
        """Answer the call that comes next; its uid."""
        uid = self.engine.wait("invited")["uid"]
        self.engine.order("answer", uid)
        self.engine.wait("CallerAnswered", uid)
        return uid

    def bridged(self, staff: sipp.Sipp, **words: object) -> str:
        """Answer the call that comes next and connect it to this callee; its uid. `words` go with the order."""
        uid = self.answered()
        self.dial(uid, staff)
        self.engine.wait("StaffAnswered", uid)
        self.engine.order("bridge", uid, **words)
        self.engine.wait("LegsBridged", uid)
        return uid

    def dial(self, uid: str, staff: sipp.Sipp, *, timeout_s: float = 10, **words: object) -> None:
        destination = {"uri": f"sip:6000@{staff.address}", "timeout_s": timeout_s, **words}
        self.engine.order("dial", uid, destination=destination)

    def over(self, uid: str, *legs: str) -> None:
        """Hang these legs up and wait for the last word."""
        for leg in legs or ("caller", "staff"):
            self.engine.order("hang_up", uid, leg=leg, cause="normal")
        self.engine.wait("ended", uid)

    def stop(self) -> None:
        """Nothing of this test is left to the next."""
        for uid in self.engine.living():
            self.over(uid)
        with suppress(PeerFailed):  # their 200 to our BYE: without it the slot stays taken for 32 s
            ports.until(lambda: not any(peer.alive for peer in self._peers), seconds=3, what="peers end")
        for peer in self._peers:
            peer.stop()
        self.engine.forget()


@pytest.fixture
def calls(engine: EngineProcess, tmp_path: Path, voices: dict[str, Path]) -> Iterator[Calls]:
    made = Calls(engine, tmp_path, voices)
    yield made
    made.stop()
