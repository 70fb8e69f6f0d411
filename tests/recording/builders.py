"""A spool with everything around it, and recorders that write as pjsip's do."""

import struct
from types import SimpleNamespace

import numpy as np

from callrec.core.values import Purpose
from callrec.ports import DataKey, SegmentHeader
from callrec.recording.manifest import Ending
from callrec.recording.segment import SegmentFacts
from callrec.recording.spool import Spool

CALL = "0123456789abcdef0123456789abcdef"
KEY = DataKey(key_id="k" * 32, secret=bytes(range(32)), wrapped=b'{"wrapped":"for the keeper"}')
ENDING = Ending(ended_utc="2026-03-01T10:05:00.000Z", stop_reason="", stopped_by="caller")
FACTS = SegmentFacts(
    line="advice",
    purposes=frozenset((Purpose.AUDIT, Purpose.MEDICO_LEGAL)),
    notice={"evidence_sha256": "e" * 64, "grade": "sent"},
    retention={"rule": "ML-A", "version": 1, "trigger": "2026-03-01", "due": "2034-03-01"},
    started_utc="2026-03-01T10:00:00.000Z",
)


def a_header(segment=0, **changes):
    fields = {
        "log_id": "a" * 64,
        "call_uid": CALL,
        "segment": segment,
        "key_id": KEY.key_id,
        "proven_leaf": "b" * 64,
        "started_leaf": "c" * 64,
    }
    return SegmentHeader(**{**fields, **changes})


def a_spool(tmp_path, **options):
    (tmp_path / "spool").mkdir(exist_ok=True)
    (tmp_path / "run").mkdir(exist_ok=True)
    return Spool(tmp_path / "spool", tmp_path / "run", reserve_s=2, **options)


def voices(samples, seed=1):
    """Two legs of noise, as bytes."""
    noise = np.random.default_rng(seed).integers(-3000, 3000, (2, samples)).astype("<i2")
    return noise[0].tobytes(), noise[1].tobytes()


def stereo(caller, staff):
    return np.stack([np.frombuffer(caller, "<i2"), np.frombuffer(staff, "<i2")], axis=1).tobytes()


class Recorder:
    """Writes a WAV as pjsip's recorder does: header first, then whole 4096-byte blocks, the rest when closed."""

    def __init__(self, path):
        self.path = path
        self.held = b""
        fields = (b"RIFF", 0, b"WAVE", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16, b"data", 0)
        path.write_bytes(struct.pack("<4sI4s4sIHHIIHH4sI", *fields))

    def hear(self, pcm):
        self.held += pcm
        whole = len(self.held) // 4096 * 4096
        self._write(self.held[:whole])
        self.held = self.held[whole:]

    def _write(self, data):
        with self.path.open("ab") as file:
            file.write(data)

    def close(self):
        self._write(self.held)
        with self.path.open("r+b") as file:
            file.seek(40)
            file.write(struct.pack("<I", self.path.stat().st_size - 44))


def recorders(spool, recording_id):
    paths = spool.capture_paths(recording_id)
    return SimpleNamespace(caller=Recorder(paths.caller), staff=Recorder(paths.staff), paths=paths)


def everything_under(folder):
    """Every byte of every file there."""
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())
