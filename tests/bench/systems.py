"""The systems that do the job: answer, play the notice, record, dial staff, bridge. Brought up anew for each row."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, Self

from tests.bench.judge import mix_is_right, stereo_is_right
from tests.calls.house import SHORT, House
from tests.peers import asterisk, audio, ports

ASSETS = Path(__file__).parents[1] / "assets"
NOTICE_S = 5
MOST_FILES = 65_536
NO_LIMIT = 200
"""Set-ups a second: more than anything here asks for."""
Call = Mapping[str, Any]


def raise_file_limit() -> None:
    """For whatever is started from here: several sockets and files per call."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (MOST_FILES, max(hard, MOST_FILES)))
    except (ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, hard), hard))


def notice_alaw() -> bytes:
    """Five seconds of the test's notice, as A-law: a whole number of packets."""
    return audio.to_alaw(audio.read_wav(ASSETS / "short-notice.wav")[: NOTICE_S * audio.RATE])


class System(Protocol):
    """One system, ready for calls while it is open."""

    name: str
    address: str

    @property
    def pid(self) -> int: ...
    @property
    def recordings_are_kept(self) -> bool: ...
    def recording_is_right(self, call: Call) -> bool: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...


class BenchHouse(House):
    """A callrec agent for hundreds of calls."""

    def __init__(self, folder: Path, *, staff: str, most: int, admitted: int | None) -> None:
        super().__init__(folder, staff=staff)
        first = ports.free_range(4 * most + 200)
        self.settings["agent"] |= {"max_calls": most, "max_setups_per_s": admitted or NO_LIMIT, "drain_s": 1}
        self.settings["sip"] |= {
            "listen": [f"udp:{self.address}"],
            "rtp_ports": f"{first}-{first + 4 * most + 199}",
        }
        self.line.update({"choice_window_s": 0, "dial_timeout_s": 20, "require": "sent"})

    def _short_notice(self) -> None:
        """A notice of A-law's own values, so that what is heard can be compared byte for byte."""
        source = audio.write_wav(self.folder / "notice.wav", audio.from_alaw(notice_alaw()))
        words = (ASSETS / "short-notice.txt").read_text().strip()
        self.callrec("prompts", "add", str(source), "--id", "short", "--lang", "en", "--text", words, *SHORT)
        self.callrec("prompts", "approve", "short.en.1", "--by", "bench")
        self.line["notice"] = "short"
        self.prepare()


class Callrec:
    """callrec with its ledger, encryption and store, as it is run."""

    name = "callrec"

    def __init__(self, folder: Path, *, staff: str, most: int, admitted: int | None = None) -> None:
        self.house = BenchHouse(folder, staff=staff, most=most, admitted=admitted)
        self.address = self.house.address

    @property
    def pid(self) -> int:
        assert self.house.process is not None
        return self.house.process.pid

    @property
    def recordings_are_kept(self) -> bool:
        """True once nothing waits to be sealed or handed over."""
        spool = self.house.var / "spool"
        return not any(any((spool / place).iterdir()) for place in ("tmp", "ready", "done"))

    def recording_is_right(self, call: Call) -> bool:
        try:
            stereo = self.house.open(f"{call['uid']}-0")
        except Exception:  # noqa: BLE001 - whatever is wrong with it: it cannot be heard
            return False
        return stereo_is_right(stereo, dict(call))

    def __enter__(self) -> Self:
        self.house.start()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.house.stop()
        finally:
            self.house.__exit__(AssertionError)


class _Pbx(asterisk.Asterisk):
    """An Asterisk that answers 5000 itself, plays, records and dials."""

    def __init__(self, folder: Path, *, staff: str, most: int) -> None:
        first = ports.free_range(4 * most + 200)
        media = f"[general]\nrtpstart={first}\nrtpend={first + 4 * most + 199}\nstrictrtp=yes\nicesupport=no\n"
        self._start(folder, lambda: {**_configuration(self.port, staff), "rtp.conf": media})

    def _configure(self, files: Mapping[str, str]) -> None:
        super()._configure(files)
        (self._outside / "sounds" / "en").mkdir(exist_ok=True)
        for place in ("sounds", "sounds/en"):
            (self._outside / place / "notice.alaw").write_bytes(notice_alaw())

    def recorded_of(self, number: int) -> audio.Samples:
        """What MixMonitor wrote of this caller."""
        return audio.read_wav(self._outside / "spool" / "monitor" / f"7{number:06d}.wav")


class Pbx:
    """Asterisk doing the same job."""

    name = "asterisk"

    def __init__(self, folder: Path, *, staff: str, most: int, admitted: int | None = None) -> None:
        assert admitted is None  # it has no such limit
        self._words = (folder, staff, most)
        self._pbx: _Pbx | None = None
        self.address = ""

    @property
    def pid(self) -> int:
        assert self._pbx is not None
        return self._pbx.process.pid

    @property
    def recordings_are_kept(self) -> bool:
        assert self._pbx is not None
        return "0 active channels" in self._pbx.cli("core show channels count")

    def recording_is_right(self, call: Call) -> bool:
        assert self._pbx is not None
        try:
            return mix_is_right(self._pbx.recorded_of(call["n"]), dict(call))
        except (OSError, ValueError):
            return False

    def __enter__(self) -> Self:
        folder, staff, most = self._words
        self._pbx = _Pbx(folder, staff=staff, most=most)
        self.address = self._pbx.address
        return self

    def __exit__(self, *_: object) -> None:
        if self._pbx is not None:
            self._pbx.stop()


SYSTEMS: Mapping[str, type[Callrec | Pbx]] = {"callrec": Callrec, "asterisk": Pbx}


def available(name: str) -> bool:
    """Whether this system can be had on this machine."""
    return name != "asterisk" or (asterisk.available() and shutil.which("chroot") is not None)


def _configuration(port: int, staff: str) -> Mapping[str, str]:
    return {
        "pjsip.conf": _PJSIP.format(port=port, staff=staff),
        "extensions.conf": _EXTENSIONS,
        "modules.conf": _without_records(asterisk._COMMON["modules.conf"]),
        "logger.conf": "[general]\n[logfiles]\nmessages => warning,error\n",
    }


def _without_records(modules: str) -> str:
    """Call detail records are no part of the job."""
    return "".join(f"{line}\n" for line in modules.splitlines() if "cdr" not in line)


_PJSIP = """\
[system]
type=system
threadpool_initial_size=4
[transport]
type=transport
protocol=udp
bind=127.0.0.1:{port}
[phone](!)
type=endpoint
transport=transport
disallow=all
allow=alaw
direct_media=no
context=job
[callers](phone)
[callers]
type=identify
endpoint=callers
match=127.0.0.1
[staff](phone)
aors=staff
identify_by=username
[staff]
type=aor
contact=sip:staff@{staff}
"""

_EXTENSIONS = """\
[general]
static=yes
writeprotect=yes
[job]
exten => 5000,1,Answer()
 same => n,Playback(notice)
 same => n,MixMonitor(${CALLERID(num)}.wav)
 same => n,Dial(PJSIP/staff,30)
 same => n,Hangup()
"""
