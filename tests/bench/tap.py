"""What the wire tap costs of a call's CPU: `make tap-cost`, seconds, on any machine.

The engine's own code is compiled as `make pjsip` compiles it, around transports and a socket that do nothing, and every
packet of a recorded minute is charged with what it took: two legs, 50 packets a second each way, 300 calls. This
is set against the CPU of a whole recorded call-minute, from build/bench.json where `make bench` ran here.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TREE = ROOT / "build" / "pjsip" / "tree"
PACKETS_EACH_WAY = 2 * 50 * 60
"""Of both legs of a call, in a minute."""
NOTICE_PACKETS = 20 * 50
"""Sent while a window is open, in a call: one notice of 20 s."""
CPU_MS_PER_CALL_MINUTE = 140
"""Of callrec where no bench ran here: the least that was ever measured (deploy/pjsip/README.md), so that the share is
the largest.
"""


def build(folder: Path) -> Path:
    """The program, compiled and linked with the library's own flags, but for the socket, which it stands in for."""
    program = folder / "tap"
    additions = [ROOT / "tests" / "bench" / "tap.c", ROOT / "build" / "pjsip" / "engine_sip.o"]
    wrapped = [f"-Wl,--wrap={name}" for name in ("pj_sock_accept", "pjsip_tpmgr_receive_packet")]
    libraries = [f"-l{name}" for name in _flags("libs")]
    words = ["cc", "-std=gnu11", "-w", *_flags("cflags"), *additions, *wrapped, *_flags("ldflags"), *libraries]
    subprocess.run([*words, "-o", program], check=True)
    return program


def _flags(kind: str) -> list[str]:
    """Words that the library's own build gives to whoever builds on it."""
    where = TREE / "pjsip-apps" / "src" / "swig" / "python"
    words = ["make", "--no-print-directory", "-f", "helper.mak", kind]
    return subprocess.run(words, cwd=where, check=True, capture_output=True, text=True).stdout.split()


def measure(folder: Path, packets: int = 1_000_000) -> Mapping[str, float]:
    """Nanoseconds a packet; see tap.c."""
    told = subprocess.run([build(folder), str(packets)], check=True, capture_output=True, text=True).stdout
    return json.loads(told)


def ms_per_call_minute(cost: Mapping[str, float]) -> float:
    """CPU that the tap takes of one recorded call of a minute that began with a notice."""
    sent = cost["sent_ns"] - cost["bare_sent_ns"]
    received = cost["received_ns"] - cost["bare_received_ns"]
    noticed = cost["sent_in_window_ns"] - cost["sent_ns"]
    return (PACKETS_EACH_WAY * (sent + received) + NOTICE_PACKETS * noticed) / 1e6


def whole_call_minute_ms() -> tuple[float, str]:
    """CPU of a recorded call-minute, and where that is from."""
    path = ROOT / "build" / "bench.json"
    rows = json.loads(path.read_text()) if path.exists() else []
    measured = [row["cpu_s_per_call_minute"] * 1000 for row in rows if row["system"] == "callrec"]
    measured = [one for one in measured if one]
    return (min(measured), "build/bench.json") if measured else (CPU_MS_PER_CALL_MINUTE, "deploy/pjsip/README.md")


def main() -> int:
    """Measure and say."""
    folder = ROOT / "build" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    cost = measure(folder)
    tap_ms, (whole_ms, whence) = ms_per_call_minute(cost), whole_call_minute_ms()
    share = f"{100 * tap_ms / whole_ms:.2f} %"
    _say(json.dumps(cost))
    _say(f"the wire tap takes {tap_ms:.2f} ms of CPU for a call-minute of {whole_ms:.0f} ms ({whence}): {share}")
    return 0


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - whoever started it waits and reads


if __name__ == "__main__":
    sys.exit(main())
